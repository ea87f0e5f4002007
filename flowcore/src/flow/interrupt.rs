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
    /// Somebody cancelled it, and the process ends before it has ended.
    CancelledAndSignal(Signal),
}

impl Interrupt {
    /// Why a run ends that shall end for this reason too; `None` if that is
    /// nothing new. One that is being cancelled ends as Cancelled also if its
    /// process does not wait for it.
    pub(super) fn after(self, before: Option<Self>) -> Option<Self> {
        let now = match (before, self) {
            (Some(Self::Cancelled), Self::Signal(signal)) => Self::CancelledAndSignal(signal),
            _ => self,
        };
        (before < Some(now)).then_some(now)
    }

    /// Whether the process ends.
    pub(super) fn ends_process(self) -> bool {
        matches!(self, Self::Signal(_) | Self::CancelledAndSignal(_))
    }

    /// The flow run's end.
    pub(super) fn of_flow(self, key: &str, run_name: &str) -> Failure {
        let message = match self {
            Self::Dropped => "Flow run was dropped before it ended.",
            Self::Suspended => "Flow run was suspended.",
            Self::Cancelled | Self::CancelledAndSignal(_) => "Flow run was cancelled successfully.",
            Self::Signal(signal) => signal.message(),
        };
        self.failure(message, |error| error.task(key).run(run_name))
    }

    /// The end of the runs that it stops.
    pub(super) fn of_runs(self) -> Failure {
        let message = match self {
            Self::Dropped => "Flow run was dropped before it ended.",
            Self::Suspended => "Flow run was suspended.",
            Self::Cancelled | Self::CancelledAndSignal(_) => "Flow run was cancelled.",
            Self::Signal(signal) => signal.message(),
        };
        self.failure(message, |error| error)
    }

    /// What becomes of runs that have started.
    pub(super) fn how(self) -> Stop {
        if self.ends_process() {
            Stop::Force
        } else {
            Stop::Ask
        }
    }

    fn failure(
        self,
        message: &str,
        about: impl FnOnce(crate::error::ErrorBuilder) -> crate::error::ErrorBuilder,
    ) -> Failure {
        let name = match self {
            Self::Suspended => StateName::Suspended,
            Self::Dropped | Self::Cancelled | Self::CancelledAndSignal(_) => StateName::Cancelled,
            Self::Signal(_) => StateName::Crashed,
        };
        let error = about(Error::build(name.error_kind(), message)).finish();
        Failure::new(name, Some(message.to_owned()), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cancelled_ends_so_whatever_ends_its_process() {
        let signal = Interrupt::Signal(Signal::Terminate);
        let both = Interrupt::CancelledAndSignal(Signal::Terminate);
        assert_eq!(signal.after(None), Some(signal));
        assert_eq!(signal.after(Some(Interrupt::Suspended)), Some(signal));
        assert_eq!(signal.after(Some(Interrupt::Cancelled)), Some(both));
        assert_eq!(signal.after(Some(both)), None);
        assert_eq!(Interrupt::Cancelled.after(Some(signal)), None);
        assert_eq!(Interrupt::Dropped.after(Some(Interrupt::Cancelled)), None);
        assert_eq!((both.how(), signal.how()), (Stop::Force, Stop::Force));
        assert_eq!(both.of_runs().0.name, StateName::Cancelled);
        assert_eq!(signal.of_runs().0.name, StateName::Crashed);
    }
}
