//! What runners tell: attempts begin, wait for a retry, end.

use super::graph::{Engine, Settled};
use super::journal::Change;
use super::map::Ranges;
use super::run::{End, Life, next_attempt};
use super::{MapId, RunId};
use crate::clock::Timestamp;
use crate::state::StateName;

impl Engine {
    /// An attempt of a run begins. `false`: the run has settled, do not run.
    pub(crate) fn run_started(&mut self, id: RunId, attempt: u32, at: Timestamp) -> bool {
        let Some(run) = self.runs.get_mut(id) else {
            return false;
        };
        let before = run.life.attempt.max(1);
        let starts = run.life.start(attempt, at);
        if starts {
            let Life { name, attempt, .. } = run.life;
            self.tally.retries += u64::from(attempt > before);
            self.journal.note(Change::Run(id, name, attempt));
        }
        starts
    }

    /// An attempt failed, the next waits for its time. `false`: the run has
    /// settled meanwhile.
    pub(crate) fn run_awaits_retry(&mut self, id: RunId) -> bool {
        let Some(run) = self.runs.get_mut(id) else {
            return false;
        };
        let waits = run.life.await_retry();
        if waits {
            let Life { name, attempt, .. } = run.life;
            self.journal.note(Change::Run(id, name, attempt));
        }
        waits
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
        let before = map.attempts.get(&row).copied();
        let attempt = attempt.max(next_attempt(*name, before.unwrap_or(1)));
        *name = if attempt > 1 {
            self.tally.retries += u64::from(before.is_none_or(|before| attempt > before));
            map.attempts.insert(row, attempt);
            StateName::Retrying
        } else {
            StateName::Running
        };
        let name = *name;
        let started = &mut map.started[row as usize];
        if !started.is_some() {
            *started = at;
        }
        self.journal.note_row(id, row, name, attempt);
        true
    }

    pub(crate) fn row_awaits_retry(&mut self, id: MapId, row: u32) -> bool {
        let Some(map) = self.maps.get_mut(id) else {
            return false;
        };
        match map.states.get_mut(row as usize) {
            Some(name) if !name.is_settled() => {
                *name = StateName::AwaitingRetry;
                let attempt = map.attempt(row);
                self.journal
                    .note_row(id, row, StateName::AwaitingRetry, attempt);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn row_settled(&mut self, id: MapId, row: u32, end: End, at: Timestamp) {
        self.settle_row(id, row, end, at);
        self.work(at);
    }

    /// A run that had completed was undone. Its times and its value stay.
    pub(crate) fn run_rolled_back(&mut self, id: RunId, attempt: u32) {
        if let Some(run) = self.runs.get_mut(id) {
            run.life.name = StateName::RolledBack;
        }
        // Watchers are told also of a run whose last handle has gone.
        let change = Change::Run(id, StateName::RolledBack, attempt);
        self.journal.note(change);
    }

    pub(crate) fn row_rolled_back(&mut self, id: MapId, row: u32, attempt: u32) {
        if let Some(map) = self.maps.get_mut(id)
            && let Some(name) = map.states.get_mut(row as usize)
        {
            *name = StateName::RolledBack;
        }
        self.journal
            .note_row(id, row, StateName::RolledBack, attempt);
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
            for (rows, attempt) in map.by_attempts(rows.clone()) {
                self.journal
                    .note(Change::Rows(id, rows, StateName::Completed, attempt));
            }
            self.worklist.push(Settled::Rows(id, rows));
        }
        self.work(last);
    }
}
