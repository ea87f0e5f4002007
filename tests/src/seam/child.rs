//! The child's part: executes descriptors, keeps results, answers.

use std::collections::{HashMap, HashSet};
use std::io::{self, Stdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};

use flowcore::bridge::{
    EncodedValue, RunReference, ValueSource, WorkDescriptor, execute, list_length,
};
use flowcore::{Error, Result};

use super::protocol::{FromChild, ToChild, read, write};

type Outcome = Result<EncodedValue, Error>;

/// Results of runs, and the runs that nobody wants any more.
#[derive(Default)]
struct Store {
    results: Mutex<Results>,
    arrived: Condvar,
}

#[derive(Default)]
struct Results {
    outcomes: HashMap<RunReference, Outcome>,
    cancelled: HashSet<RunReference>,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, run: RunReference, outcome: Outcome) {
        self.lock().outcomes.insert(run, outcome);
        self.arrived.notify_all();
    }

    /// Waits until these runs have ended, in whatever way. Work comes in an
    /// order in which inputs come first, so this ends.
    fn wait_for(&self, runs: &[RunReference]) {
        let mut results = self.lock();
        while !runs
            .iter()
            .all(|run| results.outcomes.contains_key(run) || results.cancelled.contains(run))
        {
            results = self
                .arrived
                .wait(results)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl ValueSource for Store {
    fn outcome(&self, run: RunReference) -> Result<Outcome> {
        let outcome = self.lock().outcomes.get(&run).cloned();
        outcome.ok_or_else(|| Error::msg(format!("{run:?} is not here")))
    }
}

/// Executes what comes on stdin until it ends.
///
/// # Errors
///
/// The flow's process sent something that is no message.
pub fn run() -> io::Result<()> {
    let store = Arc::new(Store::default());
    let stdout = Arc::new(Mutex::new(io::stdout()));
    let (sender, receiver) = mpsc::channel::<WorkDescriptor>();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..2 {
        let (store, stdout, receiver) = (
            Arc::clone(&store),
            Arc::clone(&stdout),
            Arc::clone(&receiver),
        );
        std::thread::spawn(move || {
            loop {
                let work = receiver
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .recv();
                match work {
                    Ok(work) => work_on(&work, &store, &stdout),
                    Err(_) => return,
                }
            }
        });
    }
    let mut stdin = io::stdin().lock();
    while let Some(message) = read(&mut stdin)? {
        match message {
            ToChild::Work(bytes) => {
                let work = WorkDescriptor::from_bytes(&bytes).map_err(io::Error::other)?;
                sender.send(work).map_err(io::Error::other)?;
            }
            ToChild::Cancel(run) => {
                store.lock().cancelled.insert(run);
                store.arrived.notify_all();
            }
            ToChild::Fetch(number, run) => {
                let value = store.outcome(run).and_then(|outcome| outcome);
                say(&stdout, &FromChild::Value(number, value));
            }
            ToChild::Length(number, run) => {
                let value = store.outcome(run).and_then(|outcome| outcome);
                let length = value.and_then(|value| list_length(&value));
                say(&stdout, &FromChild::Length(number, length));
            }
        }
    }
    Ok(())
}

fn work_on(work: &WorkDescriptor, store: &Store, stdout: &Mutex<Stdout>) {
    let mut inputs = Vec::new();
    for argument in &work.arguments {
        argument.visit_runs(&mut |run| inputs.push(run));
    }
    store.wait_for(&inputs);
    if store.lock().cancelled.contains(&work.run) {
        return;
    }
    let mut events = Vec::new();
    let outcome = execute(work, store, |event| {
        // The end is told when the result is where its readers look.
        if matches!(event, flowcore::bridge::RunEvent::Completed { .. }) {
            events.push(event);
        } else {
            say(stdout, &FromChild::Event(event));
        }
    });
    store.put(work.run, outcome);
    for event in events {
        say(stdout, &FromChild::Event(event));
    }
}

/// If the flow's process is gone there is nobody to tell: stdin ends too.
fn say(stdout: &Mutex<Stdout>, message: &FromChild) {
    let mut stdout = stdout.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = write(&mut *stdout, message);
}
