//! Attempts that run and can be stopped, by their run.
//!
//! Each single run passes through here twice, so they lie under the engine's
//! keys and not in a hash map; of rows only those that run by themselves come
//! here.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::{Run, RunId, Side};
use crate::runner::{AttemptControl, RunReference};

#[derive(Default)]
pub(super) struct Controls {
    runs: Side<Run, Arc<AttemptControl>>,
    rows: HashMap<RunReference, Arc<AttemptControl>>,
}

impl Controls {
    pub(super) fn insert(&mut self, run: RunReference, control: Arc<AttemptControl>) {
        match run {
            RunReference::Run(id) => self.runs.insert(RunId::from_bits(id), control),
            RunReference::Row(..) => {
                self.rows.insert(run, control);
            }
        }
    }

    pub(super) fn get(&self, run: RunReference) -> Option<&Arc<AttemptControl>> {
        match run {
            RunReference::Run(id) => self.runs.get(RunId::from_bits(id)),
            RunReference::Row(..) => self.rows.get(&run),
        }
    }

    pub(super) fn remove(&mut self, run: RunReference) -> Option<Arc<AttemptControl>> {
        match run {
            RunReference::Run(id) => self.runs.remove(RunId::from_bits(id)),
            RunReference::Row(..) => self.rows.remove(&run),
        }
    }

    /// Whether a row runs by itself.
    pub(super) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<AttemptControl>> {
        self.runs.values().chain(self.rows.values())
    }
}
