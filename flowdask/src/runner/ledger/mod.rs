//! The runs of one flow run that are with Dask: which key each has, what is
//! known of it, and which wait for an outcome before they can be submitted.
//!
//! Sans-I/O: facts go in, what follows comes out. Invariant: a run's end is
//! told once, and a completed run's only when its key is in memory.

mod inputs;
mod rows;
#[cfg(test)]
pub(super) mod tests;
mod values;

use std::collections::{BTreeMap, HashMap, HashSet};

use flowcore::bridge::{Released, RunEvent, RunFailure, RunReference};
use flowcore::{Error, StateName};

use self::rows::BatchRows;
use self::values::Values;
use super::payload::{Input, Job, Payload};
use super::runs::Runs;
use super::shared_value::ValueId;
use crate::wire::Key;

/// A run or a batch that can go to Dask.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) key: Key,
    pub(crate) payload: Payload,
    /// In the order of the payload's [`Input::Dependency`]s, then of its
    /// values.
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
    /// What must complete before it.
    inputs: Inputs,
    /// The large values that it reads, which are kept until it has ended or
    /// nobody wants it.
    values: Vec<ValueId>,
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

    /// A run or a batch is to be executed. Its inputs came before, and its
    /// large values are held.
    pub(crate) fn submit(&mut self, job: Job) -> Option<Ready> {
        let runs = job.runs();
        let key = key_of(&job);
        let (inputs, outcomes) = self.inputs(&job);
        let values = inputs::values(&job);
        for value in &values {
            self.values.share(*value);
        }
        for input in &outcomes {
            if let Some(input) = self.items.get_mut(input) {
                input.readers.push(key.clone());
            }
        }
        let rows = match &runs {
            Runs::Run(RunReference::Row(map, row)) => {
                self.maps.entry(*map).or_default().insert(*row, key.clone());
                None
            }
            Runs::Run(run) => {
                self.runs.insert(*run, key.clone());
                None
            }
            Runs::Rows(map, rows) => {
                let keys = self.maps.entry(*map).or_default();
                keys.insert(rows.start, key.clone());
                Some(Box::new(BatchRows::new(rows)))
            }
        };
        let (stage, ready) = if outcomes.is_empty() {
            let ready = self.ready(key.clone(), job, &inputs, &values);
            (Stage::Submitted(None), Some(ready))
        } else {
            for input in &inputs.keys {
                if let Some(input) = self.items.get_mut(input) {
                    input.held_readers += 1;
                }
            }
            (Stage::Held(Box::new(job), outcomes.len()), None)
        };
        let item = Item {
            runs,
            stage,
            inputs,
            values,
            readers: Vec::new(),
            held_readers: 0,
            is_released: false,
            rows,
        };
        self.items.insert(key, item);
        ready
    }

    /// What a job reads, and which of it must have a known outcome first:
    /// single runs that may fail. What became of a row of a batch is in the
    /// batch's value.
    fn inputs(&self, job: &Job) -> (Inputs, HashSet<Key>) {
        let mut inputs = Inputs::default();
        let mut seen = HashSet::new();
        let mut outcomes = HashSet::new();
        inputs::visit(job, &mut |runs, allows_failure| {
            self.visit_keys(&runs, &mut |run, key| {
                let Some(key) = key else {
                    return inputs.unknown.push(run);
                };
                if seen.insert(key.clone()) {
                    inputs.keys.push(key.clone());
                }
                let item = &self.items[key];
                if allows_failure && item.stage.is_open() && matches!(item.runs, Runs::Run(_)) {
                    outcomes.insert(key.clone());
                }
            });
        });
        (inputs, outcomes)
    }

    /// The keys of these runs, each with the first run that it is for; nothing
    /// for runs that were never submitted.
    fn visit_keys(&self, runs: &Runs, visit: &mut dyn FnMut(RunReference, Option<&Key>)) {
        let (map, rows) = match runs {
            Runs::Run(run) => return visit(*run, self.key(*run)),
            Runs::Rows(map, rows) => (*map, rows.clone()),
        };
        let mut row = rows.start;
        while row < rows.end {
            let run = RunReference::Row(map, row);
            let key = self.key(run);
            visit(run, key);
            row = match key.map(|key| &self.items[key].runs) {
                Some(Runs::Rows(_, batch)) => batch.end,
                _ => row + 1,
            };
        }
    }

    fn ready(&self, key: Key, job: Job, reads: &Inputs, values: &[ValueId]) -> Ready {
        let mut dependencies = Vec::new();
        let known = reads.keys.iter().map(|key| {
            let item = &self.items[key];
            let input = match &item.stage {
                Stage::Ended(error) => Input::Failed(error.clone()),
                _ => {
                    dependencies.push(key.clone());
                    Input::Dependency
                }
            };
            (item.runs.clone(), input)
        });
        let mut inputs: Vec<_> = known.collect();
        inputs.extend(reads.unknown.iter().map(|run| {
            let error = Error::msg(format!("{run:?} was never submitted"));
            (Runs::Run(*run), Input::Failed(error))
        }));
        let keys = values.iter().filter_map(|value| self.values.key(*value));
        dependencies.extend(keys.cloned());
        let payload = Payload {
            home: self.home.clone(),
            job,
            inputs,
            values: values.to_vec(),
        };
        Ready {
            key,
            payload,
            dependencies,
        }
    }

    /// A worker told what happened to a run.
    pub(crate) fn told(&mut self, event: RunEvent) -> Consequences {
        let mut consequences = Consequences::default();
        let (run, rows) = match &event {
            RunEvent::Started { run, .. }
            | RunEvent::AwaitingRetry { run, .. }
            | RunEvent::Completed { run }
            | RunEvent::Cached { run }
            | RunEvent::Ended { run, .. } => (*run, 1),
            RunEvent::RowsCompleted { map, first, took } => {
                (RunReference::Row(*map, *first), took.len())
            }
            // Of a newer build: the end is told by Dask as well.
            _ => return consequences,
        };
        let Some(key) = self.key(run).cloned() else {
            return consequences;
        };
        let Some(item) = self.items.get_mut(&key) else {
            return consequences;
        };
        if !item.stage.is_open() && !matches!(item.stage, Stage::Cancelled) {
            return consequences;
        }
        if let RunEvent::Started { .. } | RunEvent::AwaitingRetry { .. } = event {
            consequences.events.push(event);
            return consequences;
        }
        let Some(batch) = &mut item.rows else {
            self.ended(&key, event, &mut consequences);
            return consequences;
        };
        let RunReference::Row(map, first) = run else {
            return consequences;
        };
        let rows = (first..).take(rows);
        let news: Vec<u32> = rows.filter(|row| batch.tell(*row)).collect();
        if news.is_empty() {
            return consequences;
        }
        let is_cancelled = matches!(item.stage, Stage::Cancelled);
        match event {
            RunEvent::Ended { .. } => consequences.events.push(event),
            // They did not look at their token. Their values are released.
            _ if is_cancelled => {
                let runs = news.into_iter().map(|row| RunReference::Row(map, row));
                consequences.events.extend(runs.map(cancelled));
            }
            _ => batch.completed.push(event),
        }
        if is_cancelled && batch.is_complete() {
            let error = Error::msg("the run was cancelled");
            self.end(&key, Stage::Ended(error), &mut consequences);
        }
        consequences
    }

    /// The end of a single run.
    fn ended(&mut self, key: &Key, event: RunEvent, consequences: &mut Consequences) {
        let told = match &event {
            RunEvent::Ended { error, .. } => {
                let stage = Stage::Ended(error.clone());
                consequences.events.push(event);
                return self.end(key, stage, consequences);
            }
            RunEvent::Cached { .. } => Told::Cached,
            _ => Told::Completed,
        };
        match self.items.get_mut(key).map(|item| &mut item.stage) {
            Some(Stage::Submitted(end)) => *end = Some(told),
            // It did not look at its token. Its value is released already.
            Some(Stage::Cancelled) => {
                consequences.add(self.cancelled(key));
            }
            _ => {}
        }
    }

    /// What was cancelled has stopped, or its worker is gone.
    pub(crate) fn cancelled(&mut self, key: &Key) -> Consequences {
        let mut consequences = Consequences::default();
        let Some(item) = self.items.get(key) else {
            return consequences;
        };
        if !matches!(item.stage, Stage::Cancelled) {
            return consequences;
        }
        let untold = item.untold();
        consequences
            .events
            .extend(untold.into_iter().map(cancelled));
        let error = Error::msg("the run was cancelled");
        self.end(key, Stage::Ended(error), &mut consequences);
        consequences
    }

    /// Whether the key was cancelled and its end was not told.
    pub(crate) fn is_cancelled(&self, key: &Key) -> bool {
        let item = self.items.get(key);
        item.is_some_and(|item| matches!(item.stage, Stage::Cancelled))
    }

    /// The rows of a batch that are not wanted any more, while others are.
    pub(crate) fn cancelled_rows(&self, key: &Key) -> Vec<RunReference> {
        let Some(item) = self.items.get(key) else {
            return Vec::new();
        };
        match (&item.runs, &item.rows) {
            (Runs::Rows(map, _), Some(rows)) => rows
                .cancelled()
                .map(|row| RunReference::Row(*map, row))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// A key's value is there; said again when it is made again.
    pub(crate) fn in_memory(&mut self, key: &Key) -> Consequences {
        let mut consequences = Consequences::default();
        let Some(item) = self.items.get_mut(key) else {
            return consequences;
        };
        let Stage::Submitted(told) = &item.stage else {
            return consequences;
        };
        match (&mut item.rows, &item.runs) {
            (Some(rows), _) if rows.is_complete() => {
                consequences.events.append(&mut rows.completed);
            }
            (Some(_), _) => {
                consequences.incomplete = Some(key.clone());
                return consequences;
            }
            (None, runs) => consequences
                .events
                .extend(runs.iter().map(|run| match told {
                    Some(Told::Cached) => RunEvent::Cached { run },
                    Some(Told::Completed) | None => RunEvent::Completed { run },
                })),
        }
        self.end(key, Stage::InMemory, &mut consequences);
        consequences
    }

    /// What a batch's value says of its rows: which did not complete, counted
    /// from its first row. Rows that were told of are as they were told.
    pub(crate) fn looked_up(&mut self, key: &Key, failures: &[(u32, RunFailure)]) -> Consequences {
        let Some(item) = self.items.get_mut(key) else {
            return Consequences::default();
        };
        let (Runs::Rows(map, rows), Some(batch)) = (&item.runs, &mut item.rows) else {
            return Consequences::default();
        };
        let failures: HashMap<u32, &RunFailure> = failures
            .iter()
            .map(|(index, failure)| (rows.start.saturating_add(*index), failure))
            .collect();
        let mut events = Vec::new();
        for row in batch.untold() {
            batch.tell(row);
            match failures.get(&row) {
                Some(failure) => events.push(RunEvent::Ended {
                    run: RunReference::Row(*map, row),
                    state: failure.state,
                    message: failure.message.clone(),
                    error: failure.error.clone(),
                }),
                // How long it took went with the message.
                None => batch.completed.push(RunEvent::RowsCompleted {
                    map: *map,
                    first: row,
                    took: vec![0],
                }),
            }
        }
        let mut consequences = self.in_memory(key);
        events.append(&mut consequences.events);
        consequences.events = events;
        consequences
    }

    /// A key failed at Dask. If the worker told the run's own end this says
    /// nothing new; else nobody was left to tell it. Where an input is missing
    /// it is that one's failure, which Dask hands on and the flow as well. A
    /// large value's failure is that of those who read it.
    pub(crate) fn lost(&mut self, key: &Key, reason: &str) -> Consequences {
        let mut consequences = Consequences::default();
        let Some(item) = self.items.get(key) else {
            consequences.unneeded.extend(self.values.lost(key));
            return consequences;
        };
        let Stage::Submitted(_) = item.stage else {
            return consequences;
        };
        let is_missing = |input: &Key| {
            let input = self.items.get(input);
            input.is_some_and(|input| matches!(input.stage, Stage::Submitted(_) | Stage::Cancelled))
        };
        if item.inputs.keys.iter().any(is_missing) {
            return consequences;
        }
        let error = Error::msg(reason);
        // Also of rows that completed: their values are lost.
        let ended = item.runs.iter().map(|run| RunEvent::Ended {
            run,
            state: StateName::Crashed,
            message: Some(reason.to_owned()),
            error: error.clone(),
        });
        consequences.events.extend(ended);
        self.end(key, Stage::Ended(error), &mut consequences);
        consequences
    }

    /// The flow does not want a run any more.
    pub(crate) fn cancel(&mut self, run: RunReference) -> (Cancelling, Consequences) {
        let nothing = (Cancelling::Nothing, Consequences::default());
        let Some(key) = self.key(run).cloned() else {
            return nothing;
        };
        let Some(item) = self.items.get_mut(&key) else {
            return nothing;
        };
        let is_last = match (&mut item.rows, run) {
            (Some(rows), RunReference::Row(_, row)) => rows.cancel(row),
            _ => true,
        };
        match &item.stage {
            Stage::Held(..) if is_last => {
                let mut consequences = Consequences::default();
                let error = Error::msg("the run was cancelled");
                self.end(&key, Stage::Ended(error), &mut consequences);
                self.let_inputs_go(&key, &mut consequences);
                (Cancelling::Nothing, consequences)
            }
            Stage::Submitted(_) if is_last => {
                let consequences = self.release(&key);
                (Cancelling::Release(key), consequences)
            }
            Stage::Submitted(_) => (Cancelling::Order(key), Consequences::default()),
            _ => nothing,
        }
    }

    /// Nobody wants a key that is with Dask. Nothing more is heard of those
    /// of its runs that completed, and were told of, before their values came.
    fn release(&mut self, key: &Key) -> Consequences {
        let mut consequences = Consequences::default();
        let Some(item) = self.items.get_mut(key) else {
            return consequences;
        };
        let before = std::mem::replace(&mut item.stage, Stage::Cancelled);
        // Whoever executes it has them already. If nobody does, nothing is
        // heard of it again.
        for value in std::mem::take(&mut item.values) {
            consequences.unneeded.extend(self.values.let_go(value));
        }
        let is_over = match (&mut item.rows, &item.runs) {
            (Some(rows), Runs::Rows(map, _)) => {
                let runs = rows.take_completed().into_iter();
                let runs = runs.map(|row| RunReference::Row(*map, row));
                consequences.events.extend(runs.map(cancelled));
                rows.is_complete()
            }
            _ => matches!(before, Stage::Submitted(Some(_))),
        };
        if is_over {
            consequences.add(self.cancelled(key));
        }
        consequences
    }

    fn end(&mut self, key: &Key, stage: Stage, consequences: &mut Consequences) {
        let Some(item) = self.items.get_mut(key) else {
            return;
        };
        item.stage = stage;
        item.rows = None;
        for value in std::mem::take(&mut item.values) {
            consequences.unneeded.extend(self.values.let_go(value));
        }
        for reader in std::mem::take(&mut item.readers) {
            if let Some(ready) = self.outcome_known(&reader) {
                consequences.ready.push(ready);
                self.let_inputs_go(&reader, consequences);
            }
        }
        self.forget(key, consequences);
    }

    /// A reader is not held any more.
    fn let_inputs_go(&mut self, reader: &Key, consequences: &mut Consequences) {
        let Some(reader) = self.items.get(reader) else {
            return;
        };
        for input in reader.inputs.keys.clone() {
            if let Some(item) = self.items.get_mut(&input) {
                item.held_readers -= 1;
                self.forget(&input, consequences);
            }
        }
    }

    /// The flow does not need the results of a run or a map, which has ended.
    pub(crate) fn release_results(&mut self, released: Released) -> Consequences {
        let mut consequences = Consequences::default();
        let keys: Vec<Key> = match released {
            Released::Run(run) => self.key(run).into_iter().cloned().collect(),
            Released::Map(map) => {
                let keys = self.maps.get(&map).into_iter();
                keys.flat_map(BTreeMap::values).cloned().collect()
            }
            // Of a newer flowcore: results stay until the flow has ended.
            _ => Vec::new(),
        };
        for key in keys {
            if let Some(item) = self.items.get_mut(&key) {
                item.is_released = true;
                self.forget(&key, &mut consequences);
            }
        }
        consequences
    }

    /// Forgets a key that has ended and that neither the flow nor what is held
    /// needs. Whatever is with Dask already has its own hold on it there.
    fn forget(&mut self, key: &Key, consequences: &mut Consequences) {
        let is_over = |item: &Item| {
            let has_ended = matches!(item.stage, Stage::InMemory | Stage::Ended(_));
            item.is_released && has_ended && item.held_readers == 0
        };
        if !self.items.get(key).is_some_and(is_over) {
            return;
        }
        let Some(item) = self.items.remove(key) else {
            return;
        };
        let (map, row) = match item.runs {
            Runs::Rows(map, rows) => (map, rows.start),
            Runs::Run(RunReference::Row(map, row)) => (map, row),
            Runs::Run(run) => {
                self.runs.remove(&run);
                return consequences.unneeded.push(key.clone());
            }
        };
        if let Some(keys) = self.maps.get_mut(&map) {
            keys.remove(&row);
            if keys.is_empty() {
                self.maps.remove(&map);
            }
        }
        consequences.unneeded.push(key.clone());
    }

    fn outcome_known(&mut self, reader: &Key) -> Option<Ready> {
        let item = self.items.get_mut(reader)?;
        let Stage::Held(_, missing) = &mut item.stage else {
            return None;
        };
        *missing -= 1;
        if *missing > 0 {
            return None;
        }
        let Stage::Held(job, _) = std::mem::replace(&mut item.stage, Stage::Submitted(None)) else {
            return None;
        };
        let item = self.items.get(reader)?;
        Some(self.ready(reader.clone(), *job, &item.inputs, &item.values))
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
        let open = |(_, item): &(&Key, &Item)| matches!(item.stage, Stage::Submitted(_));
        let open = self.items.iter().filter(open);
        open.map(|(key, _)| key.clone()).collect()
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

/// A key that no other run of any flow run has. What is before the first
/// number is the prefix by which Dask groups and estimates: the task's name.
fn key_of(job: &Job) -> Key {
    let work = job.work();
    let name = work.task_key.rsplit("::").next().unwrap_or_default();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let flow_run = work.flow_run_id;
    Key::from(match job.runs() {
        Runs::Run(RunReference::Run(run)) => format!("{name}-{flow_run:032x}-{run}"),
        Runs::Run(RunReference::Row(map, row)) => format!("{name}-{flow_run:032x}-{map}-{row}"),
        Runs::Rows(map, rows) => {
            format!("{name}-{flow_run:032x}-{map}-{}-{}", rows.start, rows.end)
        }
    })
}
