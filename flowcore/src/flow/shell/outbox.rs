//! What goes to a runner that orders work by itself, in the order of the
//! engine's commands.
//!
//! Commands are put out under the shell's lock and sent without it. Whoever
//! finds the outbox filled sends until it is empty; only one thread sends at a
//! time, and nobody waits for a turn.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::FlowRun;
use crate::runner::{Feed, RunReference, RunnerSession, Work, WorkKind};

#[derive(Default)]
pub(super) struct Outbox {
    letters: Mutex<VecDeque<Letter>>,
    turn: Mutex<()>,
}

enum Letter {
    Work(WorkKind),
    Cancel(RunReference),
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
        work: &mut Vec<WorkKind>,
        cancels: &mut Vec<RunReference>,
    ) -> bool {
        if (work.is_empty() && cancels.is_empty()) || !self.feeds_early() {
            return false;
        }
        let mut letters = self.outbox.letters.lock();
        for kind in work.extract_if(.., |kind| !kind.is_local()) {
            letters.push_back(Letter::Work(kind));
        }
        letters.extend(cancels.drain(..).map(Letter::Cancel));
        true
    }

    pub(super) fn send_out(self: &Arc<Self>) {
        let Some(session) = self.session() else {
            return;
        };
        while !self.outbox.letters.lock().is_empty() {
            // Whoever has the turn looks again after giving it back.
            let Some(_turn) = self.outbox.turn.try_lock() else {
                return;
            };
            self.send_letters(session);
        }
    }

    fn send_letters(self: &Arc<Self>, session: &Arc<dyn RunnerSession>) {
        loop {
            let letter = self.outbox.letters.lock().pop_front();
            match letter {
                Some(Letter::Work(kind)) => session.submit(Work {
                    flow: Arc::clone(self),
                    kind,
                }),
                Some(Letter::Cancel(run)) => session.cancel(run),
                None => return,
            }
        }
    }
}
