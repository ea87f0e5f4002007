//! The last handle of a run goes: the engine lets the run go.
//!
//! The arguments of an attempt are often the last handles of the runs before
//! it, and they go just before the run itself settles. So what they hold is
//! noted on their thread, and let go in the critical section that follows.

use std::cell::RefCell;

use smallvec::SmallVec;

use std::sync::Arc;

use super::FlowRun;
use super::outbox::Letter;
use crate::engine::{MapId, RunId};
use crate::runner::Released;

/// Few runs have more than two arguments that are futures.
type Runs = SmallVec<[RunId; 2]>;

std::thread_local! {
    /// What this thread notes, and of which flow run.
    static NOTED: RefCell<Option<(*const FlowRun, Runs)>> = const { RefCell::new(None) };
}

impl FlowRun {
    /// The runs of this flow run whose last handles go in `code`, which the
    /// caller lets go. `code` does not panic.
    pub(super) fn releases(&self, code: impl FnOnce()) -> Runs {
        let outer = NOTED.replace(Some((self, Runs::new())));
        code();
        let noted = NOTED.replace(outer);
        noted.map_or_else(Runs::new, |(_, released)| released)
    }

    /// The last handle of this run goes.
    pub(crate) fn release_run(self: &Arc<Self>, id: RunId) {
        // A handle in a thread-local may go when nothing is noted any more.
        let is_noted = NOTED.try_with(|noted| match &mut *noted.borrow_mut() {
            Some((flow, released)) if std::ptr::eq(*flow, &raw const **self) => {
                released.push(id);
                true
            }
            _ => false,
        });
        if !is_noted.unwrap_or(false) {
            let is_gone = self.shell.lock().engine.release_run(id);
            if is_gone {
                self.forget(Released::Run(id.into()));
            }
        }
    }

    /// The last handle of this map goes.
    pub(crate) fn release_map(self: &Arc<Self>, id: MapId) {
        let is_gone = self.shell.lock().engine.release_map(id);
        if is_gone {
            self.forget(Released::Map(id.to_bits()));
        }
    }

    /// A runner that keeps results need not keep these, after what it was given
    /// before.
    pub(super) fn forget(self: &Arc<Self>, released: Released) {
        if self.feeds_early() {
            self.outbox.put([Letter::Release(released)]);
            self.send_out();
        }
    }
}
