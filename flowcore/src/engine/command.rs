//! What the engine asks of the shell around it.

use std::ops::Range;

use super::{MapId, RunId};
use crate::state::StateName;

/// Something for the shell to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// All inputs are there: run it.
    Dispatch(RunId),
    /// All inputs of these rows are there: run them.
    DispatchRows(MapId, Range<u32>),
    /// Everything that decides the map's length is there: find it out and
    /// call `length_known`.
    Measure(MapId),
    /// The run will not change any more: wake its readers, drop its job, then
    /// call `noted_run`.
    Settled(RunId),
    /// These rows will not change any more: wake their readers.
    RowsSettled(MapId, Range<u32>),
    /// All rows have settled: drop the map's job, then call `noted_map`.
    MapSettled(MapId),
    /// Stop what runs.
    Cancel(RunId),
    /// Stop what runs of this row.
    CancelRow(MapId, u32),
    /// Everything that was submitted has settled.
    Idle,
}

/// How many runs ended in which state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) submitted: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) crashed: u64,
    pub(crate) not_ready: u64,
    pub(crate) retries: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, name: StateName, runs: u64) {
        *match name {
            StateName::Completed | StateName::Cached | StateName::RolledBack => &mut self.completed,
            StateName::Failed | StateName::TimedOut => &mut self.failed,
            StateName::Cancelled => &mut self.cancelled,
            StateName::Crashed => &mut self.crashed,
            StateName::NotReady => &mut self.not_ready,
            StateName::Pending
            | StateName::AwaitingConcurrencySlot
            | StateName::Running
            | StateName::Retrying
            | StateName::AwaitingRetry
            | StateName::Cancelling
            | StateName::Suspended => return,
        } += runs;
    }

    #[cfg(test)]
    pub(crate) fn settled(&self) -> u64 {
        self.completed + self.failed + self.cancelled + self.crashed + self.not_ready
    }
}
