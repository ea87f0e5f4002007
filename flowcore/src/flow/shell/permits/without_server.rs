//! In a build that knows no Prefect server: a run with the slots of its process
//! has all that it needs. The same names as in `on_server.rs`.

use std::ops::Range;
use std::sync::Arc;

use super::{FlowRun, Permit, Reply, Shell, Waiting};
use crate::definition::TaskOptions;
use crate::engine::{MapId, RunId};

/// There are none.
pub(super) enum AskedRows {}

pub(super) fn may_limit(_: &TaskOptions) -> bool {
    false
}

#[allow(clippy::unused_self)]
impl FlowRun {
    pub(super) fn admit_run_on_server(
        &self,
        shell: &mut Shell,
        id: RunId,
        permit: Option<Permit>,
    ) -> bool {
        shell.permits.hold(id.into(), permit);
        true
    }

    pub(super) fn run_replied_before_server(self: &Arc<Self>, id: RunId, permits: Vec<Permit>) {
        self.run_replied(id, Reply::Granted(permits), Waiting::Told);
    }

    pub(super) fn admit_rows_on_server(
        &self,
        shell: &mut Shell,
        id: MapId,
        rows: Range<u32>,
        permits: Option<Vec<Permit>>,
    ) -> Range<u32> {
        shell.permits.hold_rows(id, &rows, permits);
        rows
    }

    pub(super) fn rows_have_slots_here(
        &self,
        shell: &mut Shell,
        id: MapId,
        rows: &mut Range<u32>,
        permits: &mut Vec<Permit>,
    ) {
        shell.admit_rows_with(id, rows, permits);
    }
}
