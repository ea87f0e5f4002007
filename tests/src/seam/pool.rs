//! The child's threads: so many slots, and one more for each run that waits.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Pool {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    slots: usize,
    threads: usize,
    idle: usize,
}

impl Pool {
    pub(super) fn new(slots: usize) -> Arc<Self> {
        let state = State {
            slots,
            ..State::default()
        };
        Arc::new(Self {
            state: Mutex::new(state),
            work: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        state.jobs.push_back(Box::new(job));
        self.add_thread(&mut state);
    }

    pub(super) fn lend(self: &Arc<Self>) {
        let mut state = self.lock();
        state.slots += 1;
        self.add_thread(&mut state);
    }

    pub(super) fn take_back(&self) {
        self.lock().slots -= 1;
    }

    fn add_thread(self: &Arc<Self>, state: &mut State) {
        if state.idle > 0 {
            self.work.notify_one();
        } else if !state.jobs.is_empty() && state.threads < state.slots {
            state.threads += 1;
            let pool = Arc::clone(self);
            std::thread::spawn(move || pool.thread());
        }
    }

    fn thread(self: Arc<Self>) {
        let mut state = self.lock();
        while state.threads <= state.slots {
            match state.jobs.pop_front() {
                Some(job) => {
                    drop(state);
                    job();
                    state = self.lock();
                }
                None => {
                    state.idle += 1;
                    state = self
                        .work
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
            }
        }
        state.threads -= 1;
    }
}
