//! What happened to runs, in order, for whoever watches the flow run.
//!
//! Invariant: without a watcher nothing is noted. Neighbouring rows that enter
//! the same state are one entry, so that a map's whole column is not a list.

use std::ops::Range;

use super::{MapId, RunId};
use crate::state::StateName;

/// One step in a flow run's history. When it happened is what the shell gave
/// the engine as the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The run is in this state now, at this attempt (0: none has begun).
    Run(RunId, StateName, u32),
    /// The same of rows. Rows that are Completed without a Running before
    /// went through in one block: the map's columns have their times.
    Rows(MapId, Range<u32>, StateName, u32),
    /// The map has so many rows.
    LengthKnown(MapId, u32),
    /// The map ended before its length was known.
    Map(MapId, StateName),
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    is_kept: bool,
    changes: Vec<Change>,
}

impl Journal {
    /// From now on changes are noted.
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }

    #[inline]
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes so far; give the list back to [`Journal::reuse`].
    pub(crate) fn take(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub(crate) fn reuse(&mut self, mut changes: Vec<Change>) {
        if self.changes.is_empty() {
            changes.clear();
            self.changes = changes;
        }
    }

    #[inline]
    pub(super) fn note(&mut self, change: Change) {
        if self.is_kept {
            self.push(change);
        }
    }

    /// Some row after another enters a state.
    #[inline]
    pub(super) fn note_row(&mut self, map: MapId, row: u32, name: StateName, attempt: u32) {
        if self.is_kept {
            self.push(Change::Rows(map, row..row + 1, name, attempt));
        }
    }

    fn push(&mut self, change: Change) {
        if let Change::Rows(map, rows, name, attempt) = &change
            && let Some(Change::Rows(last_map, last, last_name, last_attempt)) =
                self.changes.last_mut()
            && (map, name, attempt) == (last_map, last_name, last_attempt)
            && last.end == rows.start
        {
            last.end = rows.end;
        } else {
            self.changes.push(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::engine::{End, Engine, Waiting};

    const NOW: Timestamp = Timestamp::from_nanoseconds(1);

    #[test]
    fn rows_in_the_same_state_are_one_entry_and_nothing_is_noted_unwatched() {
        let mut engine = Engine::default();
        let map = engine.reserve_map();
        engine.submit_map(map, Some(1000), [], NOW);
        for row in 0..500 {
            engine.row_settled(map, row, End::Completed, NOW);
        }
        assert!(engine.journal.is_empty());
        engine.journal.keep();
        for row in 500..1000 {
            engine.row_started(map, row, 1, NOW);
        }
        engine.rows_completed(map, 500, &[NOW; 501]);
        assert_eq!(
            engine.journal.take(),
            [
                Change::Rows(map, 500..1000, StateName::Running, 1),
                Change::Rows(map, 500..1000, StateName::Completed, 1),
            ]
        );
    }

    #[test]
    fn a_runs_history_is_complete() {
        let mut engine = Engine::default();
        engine.journal.keep();
        let run = engine.reserve_run();
        engine.submit_run(run, [], || NOW);
        engine.run_awaits_slot(run, Waiting::Told);
        engine.run_admitted(run, Waiting::Told);
        engine.run_started(run, 1, NOW);
        engine.run_awaits_retry(run);
        engine.run_started(run, 2, NOW);
        engine.run_settled(run, End::Completed, NOW);
        // A settled run changes no more.
        engine.run_started(run, 3, NOW);
        let names: Vec<_> = engine
            .journal
            .take()
            .into_iter()
            .map(|change| match change {
                Change::Run(_, name, attempt) => (name, attempt),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            names,
            [
                (StateName::AwaitingConcurrencySlot, 0),
                (StateName::Pending, 0),
                (StateName::Running, 1),
                (StateName::AwaitingRetry, 1),
                (StateName::Retrying, 2),
                (StateName::Completed, 2),
            ]
        );
    }
}
