//! The runs of one flow run that are with Dask: which key each has, what is
//! known of it, and which wait for an outcome before they can be submitted.
//!
//! Sans-I/O: facts go in, what follows comes out. Invariant: a run's end is
//! told once, and a completed run's only when its key is in memory.

mod ending;
mod inputs;
mod leaving;
mod rows;
mod submitting;
#[cfg(test)]
pub(super) mod tests;
mod values;

use std::collections::{BTreeMap, HashMap};

use flowcore::bridge::{RunEvent, RunReference};
use flowcore::{Error, StateName};

use self::rows::BatchRows;
use self::values::Values;
use super::payload::{Job, Payload};
use super::runs::Runs;
use super::shared_value::ValueId;
use crate::wire::Key;

/// A run or a batch that can go to Dask.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) key: Key,
    pub(crate) payload: Payload,
    /// In the order of the payload's
    /// [dependencies](super::payload::Input::Dependency), then of its values.
    pub(crate) dependencies: Vec<Key>,
}

/// What follows from a fact.
#[derive(Debug, Default)]
pub(crate) struct Consequences {
    /// To be told to the flow.
    pub(crate) events: Vec<RunEvent>,
    /// To be submitted.
    pub(crate) ready: Vec<Ready>,
    /// A batch is in memory, but not all that happened to its rows was told:
    /// its value says it.
    pub(crate) incomplete: Option<Key>,
    /// Keys that nobody needs any more, once what is ready is submitted.
    pub(crate) unneeded: Vec<Key>,
}

impl Consequences {
    fn add(&mut self, others: Self) {
        self.events.extend(others.events);
        self.ready.extend(others.ready);
        self.unneeded.extend(others.unneeded);
    }
}

/// What is to be done about a cancelled run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cancelling {
    /// Dask need not hear of it.
    Nothing,
    /// Nobody wants the key any more; a worker that runs it hears that.
    Release(Key),
    /// Others of the key's runs are wanted; its worker is told of this one.
    Order(Key),
}

#[derive(Debug)]
pub(crate) struct Ledger {
    home: String,
    items: HashMap<Key, Item>,
    runs: HashMap<RunReference, Key>,
    /// The keys of each map, batches or single rows, by their first rows.
    maps: HashMap<u64, BTreeMap<u32, Key>>,
    values: Values,
}

#[derive(Debug)]
struct Item {
    runs: Runs,
    stage: Stage,
    /// What must be there before it.
    inputs: Inputs,
    /// What is held until this one's outcome is known.
    readers: Vec<Key>,
    /// How many that are held read this one.
    held_readers: usize,
    /// The flow does not need the value.
    is_released: bool,
    /// Of a batch whose value is not in memory.
    rows: Option<Box<BatchRows>>,
}

/// What a job reads, each once.
#[derive(Debug, Default)]
struct Inputs {
    keys: Vec<Key>,
    /// Runs that were never submitted.
    unknown: Vec<RunReference>,
    /// Large values, which are kept until it has ended or nobody wants it.
    values: Vec<ValueId>,
}

#[derive(Debug)]
enum Stage {
    /// Waits for so many outcomes.
    Held(Box<Job>, usize),
    /// With Dask; a worker may have told of the end already.
    Submitted(Option<Told>),
    InMemory,
    Ended(Error),
    /// Nobody wants it any more.
    Cancelled,
}

impl Stage {
    fn is_open(&self) -> bool {
        matches!(self, Self::Held(..) | Self::Submitted(_))
    }
}

/// What a worker told of a completed run before Dask had its value.
#[derive(Clone, Copy, Debug)]
enum Told {
    Completed,
    Cached,
}

impl Ledger {
    /// For the flow run whose process listens to this topic.
    pub(crate) fn new(home: String) -> Self {
        Self {
            home,
            items: HashMap::new(),
            runs: HashMap::new(),
            maps: HashMap::new(),
            values: Values::default(),
        }
    }

    /// Jobs that read a large value will come. Gives the key under which it is
    /// to be submitted before them, unless it was.
    pub(crate) fn hold_value(&mut self, value: ValueId, size: usize) -> Option<Key> {
        self.values.hold(value, size)
    }

    /// The jobs have come for which a value was held.
    pub(crate) fn let_value_go(&mut self, value: ValueId) -> Consequences {
        Consequences {
            unneeded: self.values.let_go(value),
            ..Consequences::default()
        }
    }

    /// Whether the key was cancelled and its end was not told.
    pub(crate) fn is_cancelled(&self, key: &Key) -> bool {
        let item = self.items.get(key);
        item.is_some_and(|item| matches!(item.stage, Stage::Cancelled))
    }

    /// The key of a run whose value may be with Dask.
    pub(crate) fn key(&self, run: RunReference) -> Option<&Key> {
        let RunReference::Row(map, row) = run else {
            return self.runs.get(&run);
        };
        let (_, key) = self.maps.get(&map)?.range(..=row).next_back()?;
        self.items[key].runs.index(run).map(|_| key)
    }

    /// The key of a run, and its place within the key's value if that is a
    /// batch's.
    pub(crate) fn place(&self, run: RunReference) -> Option<(&Key, Option<u32>)> {
        let key = self.key(run)?;
        let runs = &self.items[key].runs;
        let index = match runs {
            Runs::Run(_) => None,
            Runs::Rows(..) => runs.index(run),
        };
        Some((key, index))
    }

    /// All keys that are with Dask and have not ended.
    pub(crate) fn open_keys(&self) -> Vec<Key> {
        self.open().cloned().collect()
    }

    pub(crate) fn has_open_keys(&self) -> bool {
        self.open().next().is_some()
    }

    fn open(&self) -> impl Iterator<Item = &Key> {
        let is_open = |item: &Item| matches!(item.stage, Stage::Submitted(_));
        let open = self.items.iter().filter(move |(_, item)| is_open(item));
        open.map(|(key, _)| key)
    }
}

impl Item {
    /// The runs whose ends were not told.
    fn untold(&self) -> Vec<RunReference> {
        match (&self.rows, &self.runs) {
            (Some(rows), Runs::Rows(map, _)) => {
                let untold = rows.untold().into_iter();
                untold.map(|row| RunReference::Row(*map, row)).collect()
            }
            (_, runs) => runs.iter().collect(),
        }
    }
}

fn cancelled(run: RunReference) -> RunEvent {
    RunEvent::Ended {
        run,
        state: StateName::Cancelled,
        message: None,
        error: Error::msg("the run was cancelled"),
    }
}
