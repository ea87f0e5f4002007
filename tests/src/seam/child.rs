//! The child's part: executes descriptors, keeps results, answers.

use std::collections::{HashMap, HashSet};
use std::io::{self, Stdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use flowcore::bridge::{
    EncodedValue, RunEvent, RunReference, ToHome, ToWorker, ValueSource, WorkDescriptor, Worker,
    WorkerLink, list_length,
};
use flowcore::{Error, Result};

use super::pool::Pool;
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

/// The way home.
#[derive(Clone)]
struct Link {
    stdout: Arc<Mutex<Stdout>>,
    pool: Arc<Pool>,
    store: Arc<Store>,
}

impl WorkerLink for Link {
    fn send(&self, _flow_run: u128, message: ToHome) {
        self.say(&FromChild::Control(message));
    }

    fn is_cancelled(&self, _flow_run: u128, run: RunReference) -> bool {
        self.store.lock().cancelled.contains(&run)
    }

    fn lend(&self) {
        self.pool.lend();
    }

    fn take_back(&self) {
        self.pool.take_back();
    }
}

impl Link {
    /// If the flow's process is gone there is nobody to tell: stdin ends too.
    fn say(&self, message: &FromChild) {
        let mut stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = write(&mut *stdout, message);
    }
}

/// Executes what comes on stdin until it ends.
///
/// # Errors
///
/// The flow's process sent something that is no message.
pub fn run() -> io::Result<()> {
    let store = Arc::new(Store::default());
    let link = Link {
        stdout: Arc::new(Mutex::new(io::stdout())),
        pool: Pool::new(2),
        store: Arc::clone(&store),
    };
    let worker = Arc::new(Worker::new(link.clone()));
    // One child belongs to one flow run.
    let mut flow_run = 0;
    let mut stdin = io::stdin().lock();
    while let Some(message) = read(&mut stdin)? {
        match message {
            ToChild::Work(batch) => {
                for bytes in batch {
                    let work = WorkDescriptor::from_bytes(&bytes).map_err(io::Error::other)?;
                    flow_run = work.flow_run_id;
                    let (link, worker) = (link.clone(), Arc::clone(&worker));
                    let pool = Arc::clone(&link.pool);
                    pool.push(move || work_on(&work, &worker, &link));
                }
            }
            ToChild::Cancel(run) => {
                store.lock().cancelled.insert(run);
                store.arrived.notify_all();
                worker.receive(flow_run, ToWorker::Cancel(run));
            }
            ToChild::Fetch(number, run) => {
                let value = store.outcome(run).and_then(|outcome| outcome);
                link.say(&FromChild::Value(number, value));
            }
            ToChild::Length(number, run) => {
                let value = store.outcome(run).and_then(|outcome| outcome);
                let length = value.and_then(|value| list_length(&value));
                link.say(&FromChild::Length(number, length));
            }
            ToChild::Control(message) => worker.receive(flow_run, message),
        }
    }
    worker.hang_up();
    Ok(())
}

fn work_on(work: &WorkDescriptor, worker: &Worker, link: &Link) {
    let store = &*link.store;
    let mut inputs = Vec::new();
    for argument in &work.arguments {
        argument.visit_runs(&mut |run| inputs.push(run));
    }
    store.wait_for(&inputs);
    if store.lock().cancelled.contains(&work.run) {
        return;
    }
    let mut events = Vec::new();
    let outcome = worker.execute(work, store, |event| {
        // The end is told when the result is where its readers look.
        if matches!(event, RunEvent::Completed { .. } | RunEvent::Cached { .. }) {
            events.push(event);
        } else {
            link.say(&FromChild::Event(event));
        }
    });
    store.put(work.run, outcome);
    for event in events {
        link.say(&FromChild::Event(event));
    }
}
