//! Threads that execute tasks.
//!
//! There is always a thread for a job: the state machine sees to it that no
//! more jobs run than there are slots and lent ones. Threads above the number
//! of slots end when they have nothing to do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::{io, thread};

use parking_lot::{Condvar, Mutex};

/// Something to run; it gets the number of its thread.
type Job = Box<dyn FnOnce(u64) + Send>;

#[derive(Clone)]
pub(super) struct Threads {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    kept: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    started: u64,
    closed: bool,
}

impl Threads {
    /// No threads yet; of those that will be, so many are kept idle.
    pub(super) fn new(name: String, kept: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                name,
                kept,
                state: Mutex::default(),
                work: Condvar::new(),
            }),
        }
    }

    /// Runs a job at once. It must not panic.
    pub(super) fn run(&self, job: Job) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        if state.idle <= state.jobs.len() {
            let number = state.started + 1;
            let shared = Arc::clone(&self.shared);
            thread::Builder::new()
                .name(format!("{}-{number}", self.shared.name))
                .spawn(move || shared.work(number))?;
            state.started = number;
            // It looks for a job before it counts as idle.
            state.idle += 1;
        }
        state.jobs.push_back(job);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Lets all threads end that have nothing to do, now and later.
    pub(super) fn close(&self) {
        self.shared.state.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    /// A thread counts as idle from its start and between jobs.
    fn work(&self, number: u64) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.idle -= 1;
                drop(state);
                job(number);
                state = self.state.lock();
                state.idle += 1;
                continue;
            }
            if state.closed || state.idle > self.kept {
                state.idle -= 1;
                return;
            }
            self.work.wait(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn every_job_gets_a_thread_and_those_too_many_end() {
        let threads = Threads::new("test".to_owned(), 1);
        let (sender, receiver) = mpsc::channel();
        let (release, wait): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel::<()>()).unzip();
        for wait in wait {
            let sender = sender.clone();
            threads
                .run(Box::new(move |number| {
                    sender.send(number).unwrap();
                    wait.recv().unwrap();
                }))
                .unwrap();
        }
        let mut numbers: Vec<u64> = receiver.iter().take(3).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3], "all run at the same time");
        for release in release {
            release.send(()).unwrap();
        }
        while threads.shared.state.lock().idle != 1 {
            thread::yield_now();
        }
        threads.close();
        while threads.shared.state.lock().idle != 0 {
            thread::yield_now();
        }
    }
}
