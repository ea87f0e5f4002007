//! The engine itself: calls and events in, commands out.
//!
//! Every change goes through a worklist of settled runs and rows, so that a
//! failure at the top of a graph of any depth needs no deep stack.

use std::collections::VecDeque;
use std::ops::Range;

use super::command::{Command, Tally};
use super::map::{AlignedDependent, AlignedInput, Map, RangeDependent, Ranges};
use super::run::{Dependent, End, Life, Run, RunView, Waits};
use super::slab::Slab;
use super::{MapId, RunId};
use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::state::StateName;

/// What one edge leads to.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Run(RunId),
    Row(MapId, u32),
    /// These rows; `None` for all.
    Rows(MapId, Option<Range<u32>>),
    /// Something outside of this engine: the shell calls `external_settled`.
    External,
    /// Something that never was.
    Rejected(Failure),
}

/// One input of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunInput {
    pub(crate) source: Source,
    pub(crate) allow_failure: bool,
}

/// One input of a map.
#[derive(Clone, Debug)]
pub(crate) enum MapInput {
    /// Row i waits for row `first + i` of that map.
    Aligned {
        map: MapId,
        first: u32,
        allow_failure: bool,
    },
    Row(u32, RunInput),
    /// Every row waits.
    Whole(RunInput),
    /// The map has as many rows as that one, once that is known.
    LengthOf(MapId),
}

/// Something that has settled, on the worklist.
enum Settled {
    Run(RunId),
    Rows(MapId, Range<u32>),
    /// A map that has no rows, for a reason.
    Map(MapId),
}

#[derive(Default)]
pub(crate) struct Engine {
    pub(super) runs: Slab<Run>,
    pub(super) maps: Slab<Map>,
    pub(super) commands: VecDeque<Command>,
    worklist: Vec<Settled>,
    /// Maps whose last rows are on the worklist.
    finished: Vec<MapId>,
    tally: Tally,
    unsettled: u64,
}

impl Engine {
    pub(crate) fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    #[cfg(test)]
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether everything that was submitted has settled.
    pub(crate) fn is_idle(&self) -> bool {
        self.unsettled == 0
    }

    /// How many entries are held, for tests of memory.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        self.runs.len() + self.maps.len()
    }

    pub(crate) fn run(&self, id: RunId) -> Option<RunView> {
        self.runs.get(id).map(|run| RunView::from(&run.life))
    }

    pub(crate) fn row(&self, id: MapId, row: u32) -> Option<RunView> {
        self.maps.get(id)?.view(row)
    }

    pub(crate) fn map(&self, id: MapId) -> Option<&Map> {
        self.maps.get(id)
    }

    // ----- submitting -----------------------------------------------------

    /// Makes an entry, so that handles can be made before the run is
    /// submitted.
    pub(crate) fn reserve_run(&mut self) -> RunId {
        self.tally.submitted += 1;
        self.unsettled += 1;
        self.runs.insert(Run {
            life: Life::default(),
            missing: 0,
            dependents: Vec::new(),
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

    /// Submits a reserved run with its inputs.
    pub(crate) fn submit_run(
        &mut self,
        id: RunId,
        inputs: impl IntoIterator<Item = RunInput>,
        now: Timestamp,
    ) {
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

    /// Whether a run may begin: all its inputs are there, or it has settled.
    pub(crate) fn is_dispatched(&self, id: RunId) -> bool {
        self.runs
            .get(id)
            .is_none_or(|run| run.dispatched || run.life.is_settled())
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
            self.grow(length);
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
                let waiting = std::mem::take(&mut map.length_dependents);
                self.grow(length);
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
    /// learn how many there are, those of a row that does not exist stop.
    fn fit_dependents(&mut self, id: MapId, length: u32, now: Timestamp) {
        let map = map_mut(&mut self.maps, id);
        for range in &mut map.range_dependents {
            range.rows.end = range.rows.end.min(length);
            range.unsettled = u32::try_from(range.rows.len()).unwrap_or(u32::MAX);
        }
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

    /// A map stood for one unsettled thing; from now on its rows do.
    fn grow(&mut self, length: u32) {
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
            let name = upstream
                .states
                .get(above as usize)
                .copied()
                .unwrap_or(StateName::Completed);
            if !name.is_settled() {
                waiting.push(row);
            } else if !lets_pass(name, input.allow_failure) {
                stopped.extend(
                    upstream
                        .failures
                        .get(&above)
                        .map(|cause| (row, cause.clone())),
                );
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
    fn open(&mut self, id: MapId) {
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
        if map.unsettled == 0 {
            self.worklist.push(Settled::Rows(id, 0..0));
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
            (None, None) => 0..u32::MAX,
        };
        let mut unsettled = u32::MAX;
        if map.length.is_some() {
            let mut first_stop = None;
            for (row, &name) in (rows.start..rows.end).zip(&map.states[rows.start as usize..]) {
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

    // ----- events ---------------------------------------------------------

    /// An attempt of a run begins. `false`: the run has settled, do not run.
    pub(crate) fn run_started(&mut self, id: RunId, attempt: u32, at: Timestamp) -> bool {
        let Some(run) = self.runs.get_mut(id) else {
            return false;
        };
        if attempt > run.life.attempt.max(1) {
            self.tally.retries += 1;
        }
        run.life.start(attempt, at)
    }

    /// An attempt failed, the next waits for its time. `false`: the run has
    /// settled meanwhile.
    pub(crate) fn run_awaits_retry(&mut self, id: RunId) -> bool {
        self.runs
            .get_mut(id)
            .is_some_and(|run| run.life.await_retry())
    }

    pub(crate) fn run_settled(&mut self, id: RunId, end: End, at: Timestamp) {
        self.settle_run(id, end, at);
        self.work(at);
    }

    /// An attempt of a row begins. `false`: the row has settled, do not run.
    pub(crate) fn row_started(&mut self, id: MapId, row: u32, attempt: u32, at: Timestamp) -> bool {
        let Some(map) = self.maps.get_mut(id) else {
            return false;
        };
        let Some(name) = map.states.get_mut(row as usize) else {
            return false;
        };
        if name.is_settled() {
            return false;
        }
        *name = if attempt > 1 {
            self.tally.retries += u64::from(map.attempts.get(&row).is_none_or(|&n| attempt > n));
            map.attempts.insert(row, attempt);
            StateName::Retrying
        } else {
            StateName::Running
        };
        let started = &mut map.started[row as usize];
        if !started.is_some() {
            *started = at;
        }
        true
    }

    pub(crate) fn row_awaits_retry(&mut self, id: MapId, row: u32) -> bool {
        let name = self
            .maps
            .get_mut(id)
            .and_then(|map| map.states.get_mut(row as usize));
        match name {
            Some(name) if !name.is_settled() => {
                *name = StateName::AwaitingRetry;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn row_settled(&mut self, id: MapId, row: u32, end: End, at: Timestamp) {
        self.settle_row(id, row, end, at);
        self.work(at);
    }

    /// Consecutive rows completed one after the other on one thread:
    /// `times[i]` is when row `first + i` started and the one before it
    /// ended; one time more than rows.
    pub(crate) fn rows_completed(&mut self, id: MapId, first: u32, times: &[Timestamp]) {
        let Some((&last, _)) = times.split_last() else {
            return;
        };
        let Some(map) = self.maps.get_mut(id) else {
            return;
        };
        let mut settled = Ranges::default();
        let mut count = 0;
        for (row, pair) in (first..).zip(times.windows(2)) {
            let index = row as usize;
            if map.states.get(index).is_none_or(|name| name.is_settled()) {
                continue;
            }
            map.states[index] = StateName::Completed;
            if !map.started[index].is_some() {
                map.started[index] = pair[0];
            }
            map.ended[index] = pair[1];
            settled.push(row);
            count += 1;
        }
        map.unsettled -= count;
        self.unsettled -= u64::from(count);
        self.tally.count(StateName::Completed, u64::from(count));
        for rows in settled.into_vec() {
            self.worklist.push(Settled::Rows(id, rows));
        }
        self.work(last);
    }

    // ----- cancelling and releasing ---------------------------------------

    /// Cancels a run. One that has not started is Cancelled at once; one that
    /// runs is asked to stop and settles when it has.
    pub(crate) fn cancel_run(&mut self, id: RunId, failure: &Failure, now: Timestamp) {
        if let Some(run) = self.runs.get(id) {
            match run.life.name {
                StateName::Pending | StateName::AwaitingRetry => {
                    self.settle_run(id, End::Ended(failure.clone()), now);
                }
                name if name.is_settled() => {}
                _ => self.commands.push_back(Command::Cancel(id)),
            }
        }
        self.work(now);
    }

    pub(crate) fn cancel_row(&mut self, id: MapId, row: u32, failure: &Failure, now: Timestamp) {
        if let Some(view) = self.row(id, row) {
            match view.name {
                StateName::Pending | StateName::AwaitingRetry => {
                    self.settle_row(id, row, End::Ended(failure.clone()), now);
                }
                name if name.is_settled() => {}
                _ => self.commands.push_back(Command::CancelRow(id, row)),
            }
        }
        self.work(now);
    }

    pub(crate) fn cancel_map(&mut self, id: MapId, failure: &Failure, now: Timestamp) {
        let Some(map) = self.maps.get(id) else {
            return;
        };
        match map.length {
            None => self.stop_map(id, &End::Ended(failure.clone()), now),
            Some(length) => {
                for row in 0..length {
                    self.cancel_row(id, row, failure, now);
                }
            }
        }
        self.work(now);
    }

    /// Cancels all that has not settled.
    pub(crate) fn cancel_all(&mut self, failure: &Failure, now: Timestamp) {
        for id in self.runs.keys().collect::<Vec<_>>() {
            self.cancel_run(id, failure, now);
        }
        for id in self.maps.keys().collect::<Vec<_>>() {
            self.cancel_map(id, failure, now);
        }
    }

    /// The shell has done what a settled run asks for.
    pub(crate) fn noted_run(&mut self, id: RunId) {
        if self.runs.get(id).is_some_and(|run| !run.is_held) {
            self.runs.remove(id);
        }
    }

    /// The shell has done what a settled map asks for.
    pub(crate) fn noted_map(&mut self, id: MapId) {
        if self.maps.get(id).is_some_and(|map| !map.is_held) {
            self.maps.remove(id);
        }
    }

    /// The last handle of a run went away.
    pub(crate) fn release_run(&mut self, id: RunId) {
        if let Some(run) = self.runs.get_mut(id) {
            run.is_held = false;
            if run.life.is_settled() {
                self.runs.remove(id);
            }
        }
    }

    /// The last handle of a map went away.
    pub(crate) fn release_map(&mut self, id: MapId) {
        if let Some(map) = self.maps.get_mut(id) {
            map.is_held = false;
            if map.is_settled() {
                self.maps.remove(id);
            }
        }
    }

    // ----- settling -------------------------------------------------------

    fn settle_run(&mut self, id: RunId, end: End, at: Timestamp) {
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        let name = end.name();
        // Its runner has it and waits for an input that will not come.
        let is_taken_back = name == StateName::NotReady && run.dispatched;
        if run.life.settle(end, at) {
            if is_taken_back {
                self.commands.push_back(Command::Cancel(id));
            }
            self.unsettled -= 1;
            self.tally.count(name, 1);
            self.worklist.push(Settled::Run(id));
        }
    }

    fn settle_row(&mut self, id: MapId, row: u32, end: End, at: Timestamp) {
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
        *state = name;
        if name == StateName::NotReady && map.is_handed_out {
            self.commands.push_back(Command::CancelRow(id, row));
        }
        map.ended[row as usize] = at;
        if let Some(failure) = end.failure() {
            map.failures.insert(row, failure);
        }
        map.unsettled -= 1;
        self.unsettled -= 1;
        self.tally.count(name, 1);
        self.worklist.push(Settled::Rows(id, row..row + 1));
    }

    /// Ends a map as a whole: all its rows, or, before its length is known,
    /// the map itself.
    fn stop_map(&mut self, id: MapId, end: &End, now: Timestamp) {
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
                self.unsettled -= 1;
                self.worklist.push(Settled::Map(id));
            }
            None => {}
        }
    }

    /// Tells dependents of everything on the worklist, until it is empty.
    fn work(&mut self, now: Timestamp) {
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
                .filter(|&(_, name)| name != StateName::Completed)
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
        for dependent in rows
            .into_values()
            .flatten()
            .chain(ranges.into_iter().map(|range| range.dependent))
        {
            self.input_settled(&dependent, name, failure.as_ref(), now);
        }
        for (map, cause) in lengths.into_iter().zip(failure.iter().cycle()) {
            self.stop_map(map, &End::NotReady(cause.clone()), now);
        }
    }

    fn input_settled(
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
    fn open_gate(&mut self, id: MapId) {
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

/// An entry that the caller knows to be there: it was reserved and its handle
/// lives.
fn map_mut(maps: &mut Slab<Map>, id: MapId) -> &mut Map {
    maps.get_mut(id)
        .expect("a reserved map stays until released")
}

/// Whether a dependent may go on after an upstream that settled so. Only
/// failures are forgiven: crashed and cancelled upstream runs stop it.
fn lets_pass(name: StateName, allow_failure: bool) -> bool {
    match name {
        StateName::Completed => true,
        StateName::Failed | StateName::TimedOut | StateName::NotReady => allow_failure,
        _ => false,
    }
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
    fn after(name: StateName, failure: Option<&Failure>, dependent: &Dependent) -> Self {
        match failure {
            _ if lets_pass(name, dependent.allow_failure) => Self::Met,
            Some(failure) => Self::Stopped(failure.clone()),
            None => Self::Met,
        }
    }
}
