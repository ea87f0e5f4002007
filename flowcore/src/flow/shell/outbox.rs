//! What goes to a runner that orders work by itself, in the order of the
//! engine's commands: they are put out under the shell's lock and sent without
//! it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::FlowRun;
use super::in_turn::InTurn;
use crate::runner::{Feed, Released, RunReference, Work, WorkKind};

pub(super) type Outbox = InTurn<Letter>;

pub(super) enum Letter {
    Work(WorkKind),
    Cancel(RunReference),
    Release(Released),
}

impl FlowRun {
    /// Whether the runner wants work before its inputs are there.
    pub(in crate::flow) fn feeds_early(&self) -> bool {
        self.session()
            .is_some_and(|session| session.feed() == Feed::Submitted)
    }

    /// Puts out what the runner must get in order; what stays in this process
    /// is left. Says whether there is something to send.
    pub(super) fn put_out(
        &self,
        work: &mut SmallVec<[WorkKind; 1]>,
        others: impl Iterator<Item = Letter>,
    ) -> bool {
        let mut others = others.peekable();
        if (work.is_empty() && others.peek().is_none()) || !self.feeds_early() {
            return false;
        }
        let (here, out) = work.drain(..).partition(WorkKind::is_local);
        *work = here;
        let out: SmallVec<[WorkKind; 1]> = out;
        let out = out.into_iter().map(Letter::Work);
        self.outbox.put(out.chain(others));
        true
    }

    pub(super) fn send_out(self: &Arc<Self>) {
        let Some(session) = self.session() else {
            return;
        };
        self.outbox.take(|letter| match letter {
            Letter::Work(kind) => session.submit(Work::new(Arc::clone(self), kind)),
            Letter::Cancel(run) => session.cancel(run),
            Letter::Release(released) => session.release(released),
        });
    }
}
