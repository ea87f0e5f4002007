//! Runs and maps go: cancelled, or released by their last handle.

use super::command::Command;
use super::graph::Engine;
use super::run::End;
use super::{MapId, RunId};
use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::state::StateName;

/// What becomes of runs that have started when all are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// They are asked to stop, and settle when they have.
    Ask,
    /// They are asked to stop, and nobody waits for it: they settle at once.
    Force,
}

fn is_running(name: StateName) -> bool {
    !matches!(
        name,
        StateName::Pending | StateName::AwaitingConcurrencySlot | StateName::AwaitingRetry
    )
}

impl Engine {
    /// Cancels a run. One that has not started is Cancelled at once; one that
    /// runs is asked to stop and settles when it has.
    pub(crate) fn cancel_run(&mut self, id: RunId, failure: &Failure, now: Timestamp) {
        self.mark_run(id, failure, Stop::Ask, now);
        self.work(now);
    }

    pub(crate) fn cancel_row(&mut self, id: MapId, row: u32, failure: &Failure, now: Timestamp) {
        self.mark_row(id, row, failure, Stop::Ask, now);
        self.work(now);
    }

    pub(crate) fn cancel_map(&mut self, id: MapId, failure: &Failure, now: Timestamp) {
        self.mark_map(id, failure, Stop::Ask, now);
        self.work(now);
    }

    /// Ends everything, and whatever is submitted later. Nothing becomes
    /// NotReady because something else was stopped first.
    pub(crate) fn stop(&mut self, failure: &Failure, how: Stop, now: Timestamp) {
        self.stopped = Some(failure.clone());
        for id in self.runs.keys().collect::<Vec<_>>() {
            self.mark_run(id, failure, how, now);
        }
        for id in self.maps.keys().collect::<Vec<_>>() {
            self.mark_map(id, failure, how, now);
        }
        self.work(now);
    }

    /// After a stop: what is submitted from now on runs again. Everything before
    /// has settled.
    pub(crate) fn reopen(&mut self) {
        debug_assert!(self.is_idle(), "runs that were stopped have settled");
        self.stopped = None;
    }

    fn mark_run(&mut self, id: RunId, failure: &Failure, how: Stop, now: Timestamp) {
        let Some(run) = self.runs.get(id) else {
            return;
        };
        let name = run.life.name;
        if name.is_settled() {
            return;
        }
        if is_running(name) {
            self.commands.push_back(Command::Cancel(id));
        }
        if !is_running(name) || how == Stop::Force {
            self.settle_run(id, End::Ended(failure.clone()), now);
        }
    }

    fn mark_row(&mut self, id: MapId, row: u32, failure: &Failure, how: Stop, now: Timestamp) {
        let Some(map) = self.maps.get_mut(id) else {
            return;
        };
        let Some(view) = map.view(row) else {
            if map.length.is_none() {
                map.cancelled_early.push((row, failure.clone()));
            }
            return;
        };
        if view.name.is_settled() {
            return;
        }
        if is_running(view.name) {
            self.commands.push_back(Command::CancelRow(id, row));
        }
        if !is_running(view.name) || how == Stop::Force {
            self.settle_row(id, row, End::Ended(failure.clone()), now);
        }
    }

    fn mark_map(&mut self, id: MapId, failure: &Failure, how: Stop, now: Timestamp) {
        match self.maps.get(id).map(|map| map.length) {
            None => {}
            Some(None) => self.stop_map(id, &End::Ended(failure.clone()), now),
            Some(Some(length)) => {
                for row in 0..length {
                    self.mark_row(id, row, failure, how, now);
                }
            }
        }
    }

    /// The shell has done what a settled run asks for. Says whether the run is
    /// gone.
    pub(crate) fn noted_run(&mut self, id: RunId) -> bool {
        let is_over = self.runs.get(id).is_some_and(|run| !run.is_held);
        is_over && self.runs.remove(id).is_some()
    }

    /// The shell has done what a settled map asks for. Says whether the map is
    /// gone.
    pub(crate) fn noted_map(&mut self, id: MapId) -> bool {
        let is_over = self.maps.get(id).is_some_and(|map| !map.is_held);
        is_over && self.maps.remove(id).is_some()
    }

    /// The last handle of a run went away. Says whether the run is gone.
    pub(crate) fn release_run(&mut self, id: RunId) -> bool {
        let Some(run) = self.runs.get_mut(id) else {
            return false;
        };
        run.is_held = false;
        run.life.is_settled() && self.runs.remove(id).is_some()
    }

    /// The last handle of a map went away. Says whether the map is gone.
    pub(crate) fn release_map(&mut self, id: MapId) -> bool {
        let Some(map) = self.maps.get_mut(id) else {
            return false;
        };
        map.is_held = false;
        map.is_settled() && self.maps.remove(id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1);

    #[test]
    fn after_a_stop_runs_are_dispatched_again_once_it_is_reopened() {
        let mut engine = Engine::default();
        let failure = Failure::new(StateName::Cancelled, None, Error::msg("stopped"));
        let submit = |engine: &mut Engine| {
            let id = engine.reserve_run();
            engine.submit_run(id, Vec::new(), || NOW);
            id
        };
        engine.stop(&failure, Stop::Ask, NOW);
        let stopped = submit(&mut engine);
        assert_eq!(engine.next_command(), Some(Command::Settled(stopped)));
        while engine.next_command().is_some() {}
        assert!(engine.is_idle());
        engine.reopen();
        let run = submit(&mut engine);
        assert_eq!(engine.next_command(), Some(Command::Dispatch(run)));
        let view = engine.run(stopped).unwrap();
        assert_eq!(view.name, StateName::Cancelled, "settled runs stay so");
    }
}
