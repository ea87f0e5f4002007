//! Runs and rows settle, and their dependents learn of it.
//!
//! Everything goes through a worklist, so that a failure at the top of a graph
//! of any depth needs no deep stack.

use std::ops::Range;

use super::command::Command;
use super::graph::{Engine, Settled, lets_pass};
use super::journal::Change;
use super::map::{AlignedDependent, Ranges};
use super::run::{Dependent, End, Waits};
use super::{MapId, RunId};
use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::state::StateName;

impl Engine {
    pub(super) fn settle_run(&mut self, id: RunId, end: End, at: Timestamp) {
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        let name = end.name();
        // Its runner has it and has not started it.
        let is_taken_back = run.dispatched && is_taken_back(run.life.name, name);
        if run.life.settle(end, at) {
            if is_taken_back {
                self.commands.push_back(Command::Cancel(id));
            }
            self.journal.note(Change::Run(id, name, run.life.attempt));
            self.unsettled -= 1;
            self.tally.count(name, 1);
            self.worklist.push(Settled::Run(id));
        }
    }

    pub(super) fn settle_row(&mut self, id: MapId, row: u32, end: End, at: Timestamp) {
        let Some(map) = self.maps.get_mut(id) else {
            return;
        };
        let name = end.name();
        let Some(state) = map.states.get_mut(row as usize) else {
            return;
        };
        if state.is_settled() {
            return;
        }
        let before = std::mem::replace(state, name);
        if map.is_handed_out && is_taken_back(before, name) {
            self.commands.push_back(Command::CancelRow(id, row));
        }
        map.ended[row as usize] = at;
        if let Some(failure) = end.failure() {
            map.failures.insert(row, failure);
        }
        if self.journal.is_kept() {
            self.journal.note_row(id, row, name, map.attempt(row));
        }
        map.unsettled -= 1;
        self.unsettled -= 1;
        self.tally.count(name, 1);
        self.worklist.push(Settled::Rows(id, row..row + 1));
    }

    /// Ends a map as a whole: all its rows, or, before its length is known,
    /// the map itself.
    pub(super) fn stop_map(&mut self, id: MapId, end: &End, now: Timestamp) {
        let Some(map) = self.maps.get_mut(id) else {
            return;
        };
        match map.length {
            Some(length) => {
                for row in 0..length {
                    self.settle_row(id, row, end.clone(), now);
                }
            }
            None if map.ended_whole.is_none() => {
                map.ended_whole = Some(end.clone());
                self.journal.note(Change::Map(id, end.name()));
                self.unsettled -= 1;
                self.worklist.push(Settled::Map(id));
            }
            None => {}
        }
    }

    /// Tells dependents of everything on the worklist, until it is empty.
    pub(super) fn work(&mut self, now: Timestamp) {
        let was_busy = !self.worklist.is_empty();
        while let Some(settled) = self.worklist.pop() {
            match settled {
                Settled::Run(id) => self.tell_of_run(id, now),
                Settled::Rows(id, rows) => self.tell_of_rows(id, rows, now),
                Settled::Map(id) => self.tell_of_map(id, now),
            }
        }
        // After all their rows have been told of.
        for id in std::mem::take(&mut self.finished) {
            self.commands.push_back(Command::MapSettled(id));
        }
        if was_busy && self.unsettled == 0 {
            self.commands.push_back(Command::Idle);
        }
    }

    fn tell_of_run(&mut self, id: RunId, now: Timestamp) {
        self.commands.push_back(Command::Settled(id));
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        let dependents = std::mem::take(&mut run.dependents);
        let (name, failure) = (run.life.name, run.life.failure.clone());
        for dependent in dependents {
            self.input_settled(&dependent, name, failure.as_ref(), now);
        }
    }

    fn tell_of_rows(&mut self, id: MapId, rows: Range<u32>, now: Timestamp) {
        if !rows.is_empty() {
            self.commands
                .push_back(Command::RowsSettled(id, rows.clone()));
        }
        let Some(map) = self.maps.get_mut(id) else {
            return;
        };
        let mut told = Vec::new();
        if !map.row_dependents.is_empty() {
            for row in rows.clone() {
                for dependent in map.row_dependents.remove(&row).unwrap_or_default() {
                    let name = map.states[row as usize];
                    told.push((dependent, name, map.failures.get(&row).cloned()));
                }
            }
        }
        let failed: Vec<(u32, StateName)> = if map.failures.is_empty() {
            Vec::new()
        } else {
            rows.clone()
                .map(|row| (row, map.states[row as usize]))
                .filter(|(_, name)| !name.is_completed())
                .collect()
        };
        let failures = &map.failures;
        map.range_dependents.retain_mut(|range| {
            let first = range.rows.start.max(rows.start);
            let end = range.rows.end.min(rows.end);
            if first >= end && range.unsettled > 0 {
                return true;
            }
            if let Some((row, name)) = failed.iter().find(|(row, name)| {
                range.rows.contains(row) && !lets_pass(*name, range.dependent.allow_failure)
            }) {
                let failure = failures.get(row).cloned();
                told.push((range.dependent.clone(), *name, failure));
                return false;
            }
            range.unsettled -= end.saturating_sub(first);
            if range.unsettled == 0 {
                told.push((range.dependent.clone(), StateName::Completed, None));
            }
            range.unsettled > 0
        });
        let aligned = map.aligned.clone();
        let is_settled = map.is_settled();
        for dependent in aligned {
            self.tell_aligned(id, &rows, &dependent, now);
        }
        for (dependent, name, failure) in told {
            self.input_settled(&dependent, name, failure.as_ref(), now);
        }
        if is_settled && !self.finished.contains(&id) {
            self.finished.push(id);
        }
    }

    /// Rows of `upstream` settled, and rows of another map wait for them one
    /// to one.
    fn tell_aligned(
        &mut self,
        upstream: MapId,
        rows: &Range<u32>,
        dependent: &AlignedDependent,
        now: Timestamp,
    ) {
        let first = rows.start.max(dependent.first);
        let end = rows.end.min(dependent.first + dependent.count);
        let mut ready = Ranges::default();
        let mut stopped = Vec::new();
        {
            let Some(above) = self.maps.get(upstream) else {
                return;
            };
            let all_well = above.failures.is_empty();
            for row in first..end {
                let name = above.states[row as usize];
                if !all_well && !lets_pass(name, dependent.allow_failure) {
                    let cause = above.failures.get(&row);
                    stopped.extend(cause.map(|cause| (row - dependent.first, cause.clone())));
                }
            }
        }
        if let Some(map) = self.maps.get_mut(dependent.map) {
            for row in first..end {
                let row = row - dependent.first;
                if let Some(missing) = map.missing.get_mut(row as usize) {
                    *missing = missing.saturating_sub(1);
                }
                if map.is_row_ready(row)
                    && !map.is_handed_out
                    && (stopped.is_empty() || stopped.iter().all(|(stopped, _)| *stopped != row))
                {
                    ready.push(row);
                }
            }
        }
        for (row, cause) in stopped {
            self.settle_row(dependent.map, row, End::NotReady(cause), now);
        }
        for rows in ready.into_vec() {
            self.commands
                .push_back(Command::DispatchRows(dependent.map, rows));
        }
    }

    fn tell_of_map(&mut self, id: MapId, now: Timestamp) {
        self.commands.push_back(Command::MapSettled(id));
        let Some(map) = self.maps.get_mut(id) else {
            return;
        };
        let Some(end) = map.ended_whole.clone() else {
            return;
        };
        let name = end.name();
        let failure = end.failure();
        let rows = std::mem::take(&mut map.row_dependents);
        let ranges = std::mem::take(&mut map.range_dependents);
        let lengths = std::mem::take(&mut map.length_dependents);
        let aligned = std::mem::take(&mut map.aligned);
        let aligned = aligned.into_iter().flat_map(|aligned| {
            (0..aligned.count).map(move |row| Dependent {
                waits: Waits::Row(aligned.map, row),
                allow_failure: aligned.allow_failure,
            })
        });
        for dependent in rows
            .into_values()
            .flatten()
            .chain(ranges.into_iter().map(|range| range.dependent))
            .chain(aligned)
        {
            self.input_settled(&dependent, name, failure.as_ref(), now);
        }
        for (map, cause) in lengths.into_iter().zip(failure.iter().cycle()) {
            self.stop_map(map, &End::NotReady(cause.clone()), now);
        }
    }

    pub(super) fn input_settled(
        &mut self,
        dependent: &Dependent,
        name: StateName,
        failure: Option<&Failure>,
        now: Timestamp,
    ) {
        if let (false, Some(cause)) = (lets_pass(name, dependent.allow_failure), failure) {
            let end = End::NotReady(cause.clone());
            return match dependent.waits {
                Waits::Run(id) => self.settle_run(id, end, now),
                Waits::Row(id, row) => self.settle_row(id, row, end, now),
                Waits::Map(id) => self.stop_map(id, &end, now),
            };
        }
        match dependent.waits {
            Waits::Run(id) => {
                if let Some(run) = self.runs.get_mut(id)
                    && !run.life.is_settled()
                {
                    run.missing -= 1;
                    if run.missing == 0 && !run.dispatched {
                        run.dispatched = true;
                        self.commands.push_back(Command::Dispatch(id));
                    }
                }
            }
            Waits::Row(id, row) => {
                if let Some(map) = self.maps.get_mut(id) {
                    if let Some(missing) = map.missing.get_mut(row as usize) {
                        *missing = missing.saturating_sub(1);
                    }
                    if map.is_row_ready(row) && !map.is_handed_out {
                        self.commands
                            .push_back(Command::DispatchRows(id, row..row + 1));
                    }
                }
            }
            Waits::Map(id) => self.open_gate(id),
        }
    }

    /// One thing that all rows of a map waited for is there.
    pub(super) fn open_gate(&mut self, id: MapId) {
        let Some(map) = self.maps.get_mut(id) else {
            return;
        };
        map.gates = map.gates.saturating_sub(1);
        if map.gates > 0 || map.ended_whole.is_some() {
            return;
        }
        if map.length.is_some() {
            self.open(id);
        } else {
            self.commands.push_back(Command::Measure(id));
        }
    }
}

/// Whether a run that was handed out and settles so will never be started.
fn is_taken_back(before: StateName, name: StateName) -> bool {
    before == StateName::Pending && matches!(name, StateName::NotReady | StateName::Cancelled)
}
