//! What the flow does not want any more: runs that it cancels, and results that
//! it has no use for.

use std::collections::BTreeMap;

use flowcore::Error;
use flowcore::bridge::{Released, RunReference};

use super::{Cancelling, Consequences, Item, Ledger, Stage, cancelled};
use crate::runner::runs::Runs;
use crate::wire::Key;

impl Ledger {
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
        let unneeded = self.values.let_all_go(&mut item.inputs.values);
        consequences.unneeded.extend(unneeded);
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

    /// A reader is not held any more.
    pub(super) fn let_inputs_go(&mut self, reader: &Key, consequences: &mut Consequences) {
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

    /// Forgets a key that has ended and that neither the flow nor what is held
    /// needs. Whatever is with Dask already has its own hold on it there.
    pub(super) fn forget(&mut self, key: &Key, consequences: &mut Consequences) {
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
}
