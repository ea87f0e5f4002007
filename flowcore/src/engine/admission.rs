//! Runs that are ready and wait for slots of concurrency limits.
//!
//! Invariant: a run waits for slots between the command that dispatches it
//! and a second one of the same kind, which follows when it is let in. Until
//! then it can be cancelled like any run that has not started.

use std::ops::Range;

use super::command::Command;
use super::graph::Engine;
use super::journal::Change;
use super::map::Ranges;
use super::{MapId, RunId};
use crate::state::StateName;

/// Whether others hear that a run waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It is AwaitingConcurrencySlot.
    Told,
    /// To others it stays as it was.
    Quiet,
}

impl Engine {
    /// The run must wait; `false` if it has settled.
    pub(crate) fn run_awaits_slot(&mut self, id: RunId, waiting: Waiting) -> bool {
        let Some(run) = self.runs.get_mut(id) else {
            return false;
        };
        let waits = run.life.name == StateName::Pending;
        if waits {
            run.life.name = StateName::AwaitingConcurrencySlot;
            if waiting == Waiting::Told {
                self.journal
                    .note(Change::Run(id, run.life.name, run.life.attempt));
            }
        }
        waits
    }

    /// The run has its slots: it is dispatched again. `false`: it has settled
    /// meanwhile.
    pub(crate) fn run_admitted(&mut self, id: RunId, waiting: Waiting) -> bool {
        let Some(run) = self.runs.get_mut(id) else {
            return false;
        };
        let waited = run.life.name == StateName::AwaitingConcurrencySlot;
        if waited {
            run.life.name = StateName::Pending;
            if waiting == Waiting::Told {
                self.journal
                    .note(Change::Run(id, run.life.name, run.life.attempt));
            }
            self.commands.push_back(Command::Dispatch(id));
        }
        waited
    }

    /// These rows must wait, but for those that have settled.
    pub(crate) fn rows_await_slots(&mut self, id: MapId, rows: Range<u32>, waiting: Waiting) {
        let Some(map) = self.maps.get_mut(id) else {
            return;
        };
        for row in rows {
            let name = &mut map.states[row as usize];
            if *name == StateName::Pending {
                *name = StateName::AwaitingConcurrencySlot;
                map.has_waited = true;
                if waiting == Waiting::Told {
                    self.journal.note_row(id, row, *name, 0);
                }
            }
        }
    }

    /// So many of these rows have their slots and are dispatched again; takes
    /// them, and those before them that have settled, out of `rows`. Gives the
    /// rows that were admitted.
    pub(crate) fn rows_admitted(
        &mut self,
        id: MapId,
        rows: &mut Range<u32>,
        count: usize,
        waiting: Waiting,
    ) -> Vec<Range<u32>> {
        let Some(map) = self.maps.get_mut(id) else {
            return Vec::new();
        };
        let left = rows
            .by_ref()
            .filter(|row| map.states[*row as usize] == StateName::AwaitingConcurrencySlot);
        let mut admitted = Ranges::default();
        for row in left.take(count).collect::<Vec<_>>() {
            map.states[row as usize] = StateName::Pending;
            if waiting == Waiting::Told {
                self.journal.note_row(id, row, StateName::Pending, 0);
            }
            admitted.push(row);
        }
        let admitted = admitted.into_vec();
        for rows in &admitted {
            self.commands
                .push_back(Command::DispatchRows(id, rows.clone()));
        }
        admitted
    }
}
