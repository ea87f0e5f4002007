//! One single run in the engine: its state, times and dependents.

use smallvec::SmallVec;

use super::MapId;
use super::RunId;
use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::state::StateName;

/// How a run ends.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Completed,
    /// Completed with the value of a record.
    Cached,
    /// Failed, timed out, crashed or was cancelled, as the failure says.
    Ended(Failure),
    /// Never starts; the failure is the first cause upstream.
    NotReady(Failure),
}

impl End {
    pub(crate) fn name(&self) -> StateName {
        match self {
            Self::Completed => StateName::Completed,
            Self::Cached => StateName::Cached,
            Self::Ended(failure) => failure.0.name,
            Self::NotReady(_) => StateName::NotReady,
        }
    }

    pub(crate) fn failure(self) -> Option<Failure> {
        match self {
            Self::Completed | Self::Cached => None,
            Self::Ended(failure) | Self::NotReady(failure) => Some(failure),
        }
    }
}

/// The number of the attempt that is made where the last one was `attempt`: one
/// that did not fail is made again under its number, as when its process died.
pub(crate) fn next_attempt(state: StateName, attempt: u32) -> u32 {
    match state {
        StateName::AwaitingRetry => attempt.saturating_add(1),
        _ => attempt,
    }
}

/// What waits for a run, a row or a range of rows.
#[derive(Clone, Debug)]
pub(crate) struct Dependent {
    pub(crate) waits: Waits,
    /// A failed upstream does not stop it.
    pub(crate) allow_failure: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    Run(RunId),
    Row(MapId, u32),
    /// Every row of that map.
    Map(MapId),
}

/// A single run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) life: Life,
    /// Inputs that have not settled.
    pub(crate) missing: u32,
    /// Most runs have one: no allocation for it.
    pub(crate) dependents: SmallVec<[Dependent; 1]>,
    pub(crate) is_held: bool,
    pub(crate) dispatched: bool,
    /// It is handed to the flow's runner, not to this process's threads.
    pub(crate) goes_out: bool,
}

impl Run {
    pub(super) fn may_begin(&self) -> bool {
        self.has_gone() || self.life.is_settled()
    }

    /// Whether the flow's runner has it.
    pub(super) fn is_handed_out(&self) -> bool {
        self.goes_out && self.has_gone()
    }

    /// Dispatched, and let in by its limits.
    fn has_gone(&self) -> bool {
        self.dispatched && self.life.name != StateName::AwaitingConcurrencySlot
    }
}

/// State and times of one run, and what ended it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    pub(crate) name: StateName,
    /// Attempts begun.
    pub(crate) attempt: u32,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    /// For NotReady: the first cause upstream.
    pub(crate) failure: Option<Failure>,
}

impl Life {
    pub(crate) fn is_settled(&self) -> bool {
        self.name.is_settled()
    }

    /// Begins an attempt; whoever executes the run anew may count from a lower
    /// number. `false` if the run has settled meanwhile.
    pub(crate) fn start(&mut self, attempt: u32, at: Timestamp) -> bool {
        if self.is_settled() {
            return false;
        }
        self.attempt = attempt.max(next_attempt(self.name, self.attempt));
        self.name = if self.attempt > 1 {
            StateName::Retrying
        } else {
            StateName::Running
        };
        if !self.started.is_some() {
            self.started = at;
        }
        true
    }

    /// An attempt failed and another follows.
    pub(crate) fn await_retry(&mut self) -> bool {
        if self.is_settled() {
            return false;
        }
        self.name = StateName::AwaitingRetry;
        true
    }

    /// Ends the run; `false` if it had ended before.
    pub(crate) fn settle(&mut self, end: End, at: Timestamp) -> bool {
        debug_assert!(end.name().is_settled());
        if self.is_settled() {
            return false;
        }
        self.name = end.name();
        self.failure = end.failure();
        self.ended = at;
        true
    }
}

/// What a handle sees of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunView {
    pub(crate) name: StateName,
    pub(crate) attempt: u32,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) failure: Option<Failure>,
}

impl From<&Life> for RunView {
    fn from(life: &Life) -> Self {
        Self {
            name: life.name,
            attempt: life.attempt,
            started: life.started,
            ended: life.ended,
            failure: life.failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_over_several_executions() {
        let mut life = Life::default();
        let mut start = |attempt, fails| {
            assert!(life.start(attempt, Timestamp::NONE));
            let begun = (life.name, life.attempt);
            if fails {
                life.await_retry();
            }
            begun
        };
        assert_eq!(start(1, true), (StateName::Running, 1));
        assert_eq!(start(2, false), (StateName::Retrying, 2));
        // Its process died, another begins: the second attempt is made again.
        assert_eq!(start(1, false), (StateName::Retrying, 2));
        assert_eq!(start(2, true), (StateName::Retrying, 2));
        // And here between two attempts.
        assert_eq!(start(1, true), (StateName::Retrying, 3));
        assert_eq!(start(4, false), (StateName::Retrying, 4));
    }
}
