//! What the engine holds, and what can be read of it. What changes it stands in
//! the files beside this one, by occasion.

use std::collections::VecDeque;
use std::ops::Range;

use super::command::{Command, Tally};
use super::journal::Journal;
use super::map::Map;
use super::run::{Run, RunView};
use super::slab::Slab;
use super::{MapId, RunId};
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
pub(super) enum Settled {
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
    pub(super) worklist: Vec<Settled>,
    /// Maps whose last rows are on the worklist.
    pub(super) finished: Vec<MapId>,
    pub(super) tally: Tally,
    pub(super) unsettled: u64,
    /// Everything was stopped, and why: so is whatever comes in later.
    pub(super) stopped: Option<Failure>,
    pub(crate) journal: Journal,
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
}

/// An entry that the caller knows to be there: it was reserved and its handle
/// lives.
pub(super) fn map_mut(maps: &mut Slab<Map>, id: MapId) -> &mut Map {
    maps.get_mut(id)
        .expect("a reserved map stays until released")
}

/// Whether a dependent may go on after an upstream that settled so. Only
/// failures are forgiven: crashed and cancelled upstream runs stop it.
pub(super) fn lets_pass(name: StateName, allow_failure: bool) -> bool {
    match name {
        StateName::Completed | StateName::Cached | StateName::RolledBack => true,
        StateName::Failed | StateName::TimedOut | StateName::NotReady => allow_failure,
        _ => false,
    }
}
