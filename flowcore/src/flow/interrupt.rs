//! Why a flow run is ended from outside, in states and words.

use crate::definition::Failure;
use crate::engine::Stop;
use crate::error::Error;
use crate::signals::Signal;
use crate::state::StateName;

/// What ends a flow run that has not ended by itself. A later one counts only
/// if it is the more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interrupt {
    /// Its call was dropped.
    Dropped,
    /// It goes on later, in another process.
    Suspended,
    /// Somebody cancelled it.
    Cancelled,
    /// The process ends.
    Signal(Signal),
}

impl Interrupt {
    /// The flow run's end.
    pub(super) fn of_flow(self, key: &str, run_name: &str) -> Failure {
        let message = match self {
            Self::Dropped => "Flow run was dropped before it ended.",
            Self::Suspended => "Flow run was suspended.",
            Self::Cancelled => "Flow run was cancelled successfully.",
            Self::Signal(signal) => signal.message(),
        };
        self.failure(message, |error| error.task(key).run(run_name))
    }

    /// The end of the runs that it stops.
    pub(super) fn of_runs(self) -> Failure {
        let message = match self {
            Self::Dropped => "Flow run was dropped before it ended.",
            Self::Suspended => "Flow run was suspended.",
            Self::Cancelled => "Flow run was cancelled.",
            Self::Signal(signal) => signal.message(),
        };
        self.failure(message, |error| error)
    }

    /// What becomes of runs that have started.
    pub(super) fn how(self) -> Stop {
        match self {
            Self::Dropped | Self::Suspended | Self::Cancelled => Stop::Ask,
            Self::Signal(_) => Stop::Force,
        }
    }

    fn failure(
        self,
        message: &str,
        about: impl FnOnce(crate::error::ErrorBuilder) -> crate::error::ErrorBuilder,
    ) -> Failure {
        let name = match self {
            Self::Suspended => StateName::Suspended,
            Self::Dropped | Self::Cancelled => StateName::Cancelled,
            Self::Signal(_) => StateName::Crashed,
        };
        let error = about(Error::build(name.error_kind(), message)).finish();
        Failure::new(name, Some(message.to_owned()), error)
    }
}
