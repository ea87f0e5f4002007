//! What workers and Dask say of runs, and what follows when one has ended.

use std::collections::HashMap;

use flowcore::bridge::{RunEvent, RunFailure, RunReference};
use flowcore::{Error, StateName};

use super::{Consequences, Ledger, Stage, Told, cancelled};
use crate::runner::runs::Runs;
use crate::wire::Key;

impl Ledger {
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
            if matches!(event, RunEvent::Ended { .. }) && batch.withdraw(first) {
                consequences.events.push(event);
            }
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

    pub(super) fn end(&mut self, key: &Key, stage: Stage, consequences: &mut Consequences) {
        let Some(item) = self.items.get_mut(key) else {
            return;
        };
        item.stage = stage;
        item.rows = None;
        let unneeded = self.values.let_all_go(&mut item.inputs.values);
        consequences.unneeded.extend(unneeded);
        for reader in std::mem::take(&mut item.readers) {
            if let Some(ready) = self.outcome_known(&reader) {
                consequences.ready.push(ready);
                self.let_inputs_go(&reader, consequences);
            }
        }
        self.forget(key, consequences);
    }
}
