//! Which records the values of runs lie in, from the time at which that is
//! known until whoever watches has been told that the run has settled.
//!
//! Invariant: without a server that is told of runs nothing is kept, and
//! nothing is kept of a run that has settled.

use std::collections::HashMap;

use serde_json::Value;

use super::FlowRun;
use crate::definition::{MapReport, TaskOptions};
use crate::engine::Change;
use crate::runner::RunReference;

#[derive(Default)]
pub(super) struct Records(HashMap<RunReference, Value>);

impl Records {
    #[cfg(feature = "prefect")]
    pub(super) fn get(&self, run: RunReference) -> Option<&Value> {
        self.0.get(&run)
    }

    /// These changes have been told.
    pub(super) fn forget(&mut self, changes: &[Change]) {
        if self.0.is_empty() {
            return;
        }
        for change in changes {
            match change {
                Change::Run(id, name, _) if name.is_settled() => {
                    self.0.remove(&(*id).into());
                }
                Change::Rows(map, rows, name, _) if name.is_settled() => {
                    for row in rows.clone() {
                        self.0.remove(&RunReference::row(*map, row));
                    }
                }
                _ => {}
            }
        }
    }
}

impl FlowRun {
    /// Whether anybody hears which name a run's template gives it, if it is
    /// executed somewhere else: a row's only who is told of each row.
    pub(crate) fn wants_name_of(&self, run: RunReference, options: &TaskOptions) -> bool {
        matches!(run, RunReference::Run(_)) || self.wants_record_of(run, options.report)
    }

    /// Whether anybody is told which record a run's value lies in; `report` is
    /// how its task wants its maps to be told.
    pub(crate) fn wants_record_of(&self, run: RunReference, report: Option<MapReport>) -> bool {
        #[cfg(feature = "prefect")]
        {
            use crate::flow::observer::Watch;
            let is_reported = |watch| watch == Watch::Server;
            self.observers().iter().any(|one| is_reported(one.watch()))
                && match run {
                    RunReference::Run(_) => true,
                    RunReference::Row(map, _) => {
                        let length = self.map_length(crate::engine::MapId::from_bits(map));
                        length.is_some_and(|length| {
                            crate::prefect::reporter::tells_rows(length, report)
                        })
                    }
                }
        }
        #[cfg(not(feature = "prefect"))]
        {
            let _ = (run, report);
            false
        }
    }

    /// The run's value lies in a record that says this of itself.
    pub(crate) fn note_record(&self, run: RunReference, metadata: Value) {
        if let Some(line) = self.line() {
            return line.record(&metadata);
        }
        let mut shell = self.shell.lock();
        // It may be executed once more after it has settled.
        let is_open = shell.view(run).is_some_and(|view| !view.name.is_settled());
        if is_open {
            shell.records.0.insert(run, metadata);
        }
    }
}
