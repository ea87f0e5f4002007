//! Runs and maps come in: their inputs are attached upstream, and what waits
//! for nothing is dispatched.

use std::ops::Range;

use smallvec::SmallVec;

use super::command::Command;
use super::graph::{Engine, MapInput, RunInput, Settled, Source, lets_pass, map_mut};
use super::journal::Change;
use super::map::{AlignedDependent, AlignedInput, Map, RangeDependent, Ranges};
use super::run::{Dependent, End, Life, Run, Waits};
use super::{MapId, RunId};
use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::state::StateName;

impl Engine {
    /// Makes an entry, so that handles can be made before the run is
    /// submitted.
    pub(crate) fn reserve_run(&mut self) -> RunId {
        self.tally.submitted += 1;
        self.unsettled += 1;
        self.runs.insert(Run {
            life: Life::default(),
            missing: 0,
            dependents: SmallVec::new(),
            is_held: true,
            dispatched: false,
            goes_out: false,
        })
    }

    pub(crate) fn reserve_map(&mut self) -> MapId {
        // A map counts as one until its rows are known.
        self.unsettled += 1;
        self.maps.insert(Map {
            is_held: true,
            ..Map::default()
        })
    }

    /// Submits a reserved run with its inputs. What time it is, it asks only if
    /// the run ends at once.
    pub(crate) fn submit_run(
        &mut self,
        id: RunId,
        inputs: impl IntoIterator<Item = RunInput>,
        now: impl FnOnce() -> Timestamp,
    ) {
        if let Some(failure) = self.stopped.clone() {
            let now = now();
            self.settle_run(id, End::Ended(failure), now);
            return self.work(now);
        }
        let mut missing = 0;
        for input in inputs {
            let dependent = Dependent {
                waits: Waits::Run(id),
                allow_failure: input.allow_failure,
            };
            match self.attach(&input.source, dependent) {
                Attached::Waits => missing += 1,
                Attached::Met => {}
                Attached::Stopped(cause) => {
                    let now = now();
                    self.settle_run(id, End::NotReady(cause), now);
                    return self.work(now);
                }
            }
        }
        let run = self.runs.get_mut(id).expect("reserved above");
        run.missing = missing;
        if missing == 0 {
            run.dispatched = true;
            self.commands.push_back(Command::Dispatch(id));
        }
    }

    /// Whether a run may begin: all its inputs and its slots are there, or it
    /// has settled.
    pub(crate) fn is_dispatched(&self, id: RunId) -> bool {
        self.runs.get(id).is_none_or(Run::may_begin)
    }

    /// An input outside of this engine has settled.
    pub(crate) fn external_settled(
        &mut self,
        dependent: &Dependent,
        name: StateName,
        failure: Option<&Failure>,
        now: Timestamp,
    ) {
        self.input_settled(dependent, name, failure, now);
        self.work(now);
    }

    /// Submits a reserved map; without `length` it is measured later.
    pub(crate) fn submit_map(
        &mut self,
        id: MapId,
        length: Option<u32>,
        inputs: impl IntoIterator<Item = MapInput>,
        now: Timestamp,
    ) {
        if let Some(length) = length {
            map_mut(&mut self.maps, id).allocate(length);
            self.grow(id, length);
        }
        if let Some(failure) = self.stopped.clone() {
            self.stop_map(id, &End::Ended(failure), now);
            return self.work(now);
        }
        let mut gates = 0;
        let mut rows = Vec::new();
        for input in inputs {
            match input {
                MapInput::Aligned {
                    map,
                    first,
                    allow_failure,
                } => {
                    map_mut(&mut self.maps, id)
                        .aligned_inputs
                        .push(AlignedInput {
                            upstream: map,
                            first,
                            allow_failure,
                        });
                }
                MapInput::Row(row, input) => rows.push((row, input)),
                MapInput::Whole(input) => {
                    let dependent = Dependent {
                        waits: Waits::Map(id),
                        allow_failure: input.allow_failure,
                    };
                    match self.attach(&input.source, dependent) {
                        Attached::Waits => gates += 1,
                        Attached::Met => {}
                        Attached::Stopped(cause) => {
                            self.stop_map(id, &End::NotReady(cause), now);
                            return self.work(now);
                        }
                    }
                }
                MapInput::LengthOf(map) => {
                    let Some(upstream) = self.maps.get_mut(map) else {
                        continue;
                    };
                    if let Some(cause) = upstream.ended_whole.clone().and_then(End::failure) {
                        self.stop_map(id, &End::NotReady(cause), now);
                        return self.work(now);
                    }
                    if upstream.length.is_none() {
                        upstream.length_dependents.push(id);
                        gates += 1;
                    }
                }
            }
        }
        let map = map_mut(&mut self.maps, id);
        map.gates = gates;
        map.row_inputs = rows;
        if length.is_some() {
            self.attach_rows(id, now);
            self.open(id);
        } else if gates == 0 {
            self.commands.push_back(Command::Measure(id));
        }
        self.work(now);
    }

    /// The shell found out how many rows the map has, or why it has none.
    pub(crate) fn length_known(&mut self, id: MapId, length: Result<u32, Failure>, now: Timestamp) {
        let Some(map) = self.maps.get_mut(id) else {
            return;
        };
        if map.length.is_some() || map.ended_whole.is_some() {
            return;
        }
        match length {
            Ok(length) => {
                map.allocate(length);
                self.journal.note(Change::LengthKnown(id, length));
                let waiting = std::mem::take(&mut map.length_dependents);
                let cancelled = std::mem::take(&mut map.cancelled_early);
                self.grow(id, length);
                for (row, failure) in cancelled {
                    self.settle_row(id, row, End::Ended(failure), now);
                }
                self.fit_dependents(id, length, now);
                self.attach_rows(id, now);
                self.open(id);
                for dependent in waiting {
                    self.open_gate(dependent);
                }
            }
            Err(failure) => self.stop_map(id, &End::Ended(failure), now),
        }
        self.work(now);
    }

    /// Dependents that came before the length was known: those of all rows
    /// learn how many there are, those of rows that do not exist stop.
    fn fit_dependents(&mut self, id: MapId, length: u32, now: Timestamp) {
        let map = map_mut(&mut self.maps, id);
        let mut too_long = Vec::new();
        let mut met = Vec::new();
        map.range_dependents.retain_mut(|range| {
            if range.rows == ALL_ROWS {
                range.rows.end = length;
            }
            range.unsettled = u32::try_from(range.rows.len()).unwrap_or(u32::MAX);
            if range.rows.is_empty() {
                met.push(range.dependent.clone());
                return false;
            }
            if has_rows(length, &range.rows) {
                return true;
            }
            too_long.push((range.dependent.clone(), range.rows.end - 1));
            false
        });
        for dependent in met {
            self.input_settled(&dependent, StateName::Completed, None, now);
        }
        for (dependent, row) in too_long {
            let failure = Failure::missing_row(row, length);
            self.input_settled(&dependent, failure.0.name, Some(&failure), now);
        }
        self.fit_aligned(id, length, now);
        let map = map_mut(&mut self.maps, id);
        let beyond: Vec<u32> = map
            .row_dependents
            .keys()
            .copied()
            .filter(|&row| row >= length)
            .collect();
        for row in beyond {
            let dependents = map_mut(&mut self.maps, id).row_dependents.remove(&row);
            let failure = Failure::missing_row(row, length);
            for dependent in dependents.unwrap_or_default() {
                self.input_settled(&dependent, failure.0.name, Some(&failure), now);
            }
        }
    }

    /// Rows that wait for rows which do not exist stop.
    fn fit_aligned(&mut self, id: MapId, length: u32, now: Timestamp) {
        for aligned in map_mut(&mut self.maps, id).aligned.clone() {
            for row in length.saturating_sub(aligned.first)..aligned.count {
                let dependent = Dependent {
                    waits: Waits::Row(aligned.map, row),
                    allow_failure: aligned.allow_failure,
                };
                let failure = Failure::missing_row(aligned.first + row, length);
                self.input_settled(&dependent, failure.0.name, Some(&failure), now);
            }
        }
    }

    /// A map stood for one unsettled thing; from now on its rows do. Without
    /// rows it has settled, whatever else it waits for.
    fn grow(&mut self, id: MapId, length: u32) {
        if length == 0 {
            self.worklist.push(Settled::Rows(id, 0..0));
        }
        self.tally.submitted += u64::from(length);
        self.unsettled += u64::from(length);
        self.unsettled -= 1;
    }

    /// Notes row-wise inputs, now that there are rows.
    fn attach_rows(&mut self, id: MapId, now: Timestamp) {
        let map = map_mut(&mut self.maps, id);
        let count = map.length.unwrap_or(0);
        let rows = std::mem::take(&mut map.row_inputs);
        for input in map.aligned_inputs.clone() {
            self.attach_aligned(id, count, &input, now);
        }
        for (row, input) in rows {
            let dependent = Dependent {
                waits: Waits::Row(id, row),
                allow_failure: input.allow_failure,
            };
            match self.attach(&input.source, dependent) {
                Attached::Waits => map_mut(&mut self.maps, id).expect_input(row),
                Attached::Met => {}
                Attached::Stopped(cause) => {
                    self.settle_row(id, row, End::NotReady(cause), now);
                }
            }
        }
    }

    fn attach_aligned(&mut self, id: MapId, count: u32, input: &AlignedInput, now: Timestamp) {
        let Some(upstream) = self.maps.get_mut(input.upstream) else {
            return;
        };
        let mut waiting = Vec::new();
        let mut stopped = Vec::new();
        for row in 0..count {
            let above = input.first + row;
            match upstream.states.get(above as usize) {
                Some(name) if !name.is_settled() => waiting.push(row),
                Some(name) if lets_pass(*name, input.allow_failure) => {}
                Some(_) => stopped.extend(
                    upstream
                        .failures
                        .get(&above)
                        .map(|cause| (row, cause.clone())),
                ),
                None => match upstream.missing_row(above) {
                    None => waiting.push(row),
                    Some((name, cause)) if !lets_pass(name, input.allow_failure) => {
                        stopped.push((row, cause));
                    }
                    Some(_) => {}
                },
            }
        }
        if !waiting.is_empty() {
            upstream.aligned.push(AlignedDependent {
                map: id,
                first: input.first,
                count,
                allow_failure: input.allow_failure,
            });
        }
        let map = map_mut(&mut self.maps, id);
        for row in waiting {
            map.expect_input(row);
        }
        for (row, cause) in stopped {
            self.settle_row(id, row, End::NotReady(cause), now);
        }
    }

    /// Dispatches every row that waits for nothing.
    pub(super) fn open(&mut self, id: MapId) {
        let map = map_mut(&mut self.maps, id);
        if map.gates > 0 || map.is_handed_out {
            return;
        }
        let mut ready = Ranges::default();
        for row in 0..map.length.unwrap_or(0) {
            if map.is_row_ready(row) {
                ready.push(row);
            }
        }
        let ready = ready.into_vec();
        map.is_handed_out = ready
            .first()
            .is_some_and(|first| first.start == 0 && Some(first.end) == map.length);
        for rows in ready {
            self.commands.push_back(Command::DispatchRows(id, rows));
        }
    }

    /// Adds a dependent upstream, unless the upstream has settled.
    fn attach(&mut self, source: &Source, dependent: Dependent) -> Attached {
        match source {
            Source::Run(id) => match self.runs.get_mut(*id) {
                None => Attached::Met,
                Some(run) if run.life.is_settled() => {
                    Attached::after(run.life.name, run.life.failure.as_ref(), &dependent)
                }
                Some(run) => {
                    run.dependents.push(dependent);
                    Attached::Waits
                }
            },
            Source::Row(id, row) => {
                let Some(map) = self.maps.get_mut(*id) else {
                    return Attached::Met;
                };
                match map.view(*row) {
                    Some(view) if view.name.is_settled() => {
                        Attached::after(view.name, view.failure.as_ref(), &dependent)
                    }
                    None if map.length.is_some() => {
                        let failure = Failure::missing_row(*row, map.length.unwrap_or(0));
                        Attached::after(failure.0.name, Some(&failure), &dependent)
                    }
                    _ => {
                        map.row_dependents.entry(*row).or_default().push(dependent);
                        Attached::Waits
                    }
                }
            }
            Source::Rows(id, rows) => self.attach_range(*id, rows.as_ref(), dependent),
            Source::External => Attached::Waits,
            Source::Rejected(failure) => Attached::after(failure.0.name, Some(failure), &dependent),
        }
    }

    fn attach_range(
        &mut self,
        id: MapId,
        rows: Option<&Range<u32>>,
        dependent: Dependent,
    ) -> Attached {
        let Some(map) = self.maps.get_mut(id) else {
            return Attached::Met;
        };
        if let Some(end) = &map.ended_whole {
            return Attached::after(end.name(), end.clone().failure().as_ref(), &dependent);
        }
        let rows = match (rows, map.length) {
            (Some(rows), _) => rows.clone(),
            (None, Some(length)) => 0..length,
            // Filled in when the length is known.
            (None, None) => ALL_ROWS,
        };
        let mut unsettled = u32::MAX;
        if let Some(length) = map.length {
            if !has_rows(length, &rows) {
                let failure = Failure::missing_row(rows.end - 1, length);
                return Attached::after(failure.0.name, Some(&failure), &dependent);
            }
            let mut first_stop = None;
            for (row, &name) in rows
                .clone()
                .zip(map.states.iter().skip(rows.start as usize))
            {
                if name.is_settled() && !lets_pass(name, dependent.allow_failure) {
                    first_stop = Some(row);
                    break;
                }
            }
            if let Some(row) = first_stop {
                let failure = map.failures.get(&row);
                return Attached::after(map.states[row as usize], failure, &dependent);
            }
            let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            unsettled = count - map.settled_in(&rows);
            if unsettled == 0 {
                return Attached::Met;
            }
        }
        map.range_dependents.push(RangeDependent {
            rows,
            unsettled,
            dependent,
        });
        Attached::Waits
    }
}

/// Stands for all rows while their number is not known.
const ALL_ROWS: Range<u32> = 0..u32::MAX;

/// Whether a map of this length has these rows.
fn has_rows(length: u32, rows: &Range<u32>) -> bool {
    rows.is_empty() || rows.end <= length
}

/// What became of a new edge.
enum Attached {
    /// The upstream has not settled.
    Waits,
    /// The upstream is there.
    Met,
    /// The upstream ended badly.
    Stopped(Failure),
}

impl Attached {
    pub(super) fn after(name: StateName, failure: Option<&Failure>, dependent: &Dependent) -> Self {
        match failure {
            _ if lets_pass(name, dependent.allow_failure) => Self::Met,
            Some(failure) => Self::Stopped(failure.clone()),
            None => Self::Met,
        }
    }
}
