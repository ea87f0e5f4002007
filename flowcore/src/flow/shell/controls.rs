//! Attempts that run and can be stopped, by their run, and what those are
//! called that run somewhere else.
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
    /// The names that their templates gave runs in other processes.
    named: HashMap<RunReference, String>,
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

    /// The run has settled; the name that its template gave it, if there is one.
    pub(super) fn remove(&mut self, run: RunReference) -> Option<String> {
        let control = match run {
            RunReference::Run(id) => self.runs.remove(RunId::from_bits(id)),
            RunReference::Row(..) => self.rows.remove(&run),
        };
        let elsewhere = if self.named.is_empty() {
            None
        } else {
            self.named.remove(&run)
        };
        elsewhere.or_else(|| control?.name().map(str::to_owned))
    }

    /// The name that its template gave a run, as far as that is known.
    pub(super) fn name(&self, run: RunReference) -> Option<&str> {
        let control = self.get(run);
        let name = control.and_then(|control| control.name());
        name.or_else(|| self.named.get(&run).map(String::as_str))
    }

    /// A run in another process has this name.
    pub(super) fn insert_name(&mut self, run: RunReference, name: String) {
        self.named.insert(run, name);
    }

    /// Whether a row runs by itself, or is named.
    pub(super) fn has_rows(&self) -> bool {
        !(self.rows.is_empty() && self.named.is_empty())
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<AttemptControl>> {
        self.runs.values().chain(self.rows.values())
    }
}
