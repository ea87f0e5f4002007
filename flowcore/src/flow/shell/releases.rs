//! The last handle of a run goes: the engine lets the run go.
//!
//! The arguments of an attempt are often the last handles of the runs before
//! it, and they go just before the run itself settles. So what they hold is
//! noted on their thread, and let go in the critical section that follows.

use std::cell::RefCell;

use smallvec::SmallVec;

use super::FlowRun;
use crate::engine::RunId;

/// Few runs have more than two arguments that are futures.
type Released = SmallVec<[RunId; 2]>;

std::thread_local! {
    /// What this thread notes, and of which flow run.
    static NOTED: RefCell<Option<(*const FlowRun, Released)>> = const { RefCell::new(None) };
}

impl FlowRun {
    /// The runs of this flow run whose last handles go in `code`, which the
    /// caller lets go. `code` does not panic.
    pub(super) fn releases(&self, code: impl FnOnce()) -> Released {
        let outer = NOTED.replace(Some((self, Released::new())));
        code();
        let noted = NOTED.replace(outer);
        noted.map_or_else(Released::new, |(_, released)| released)
    }

    /// The last handle of this run goes.
    pub(crate) fn release_run(&self, id: RunId) {
        // A handle in a thread-local may go when nothing is noted any more.
        let is_noted = NOTED.try_with(|noted| match &mut *noted.borrow_mut() {
            Some((flow, released)) if std::ptr::eq(*flow, self) => {
                released.push(id);
                true
            }
            _ => false,
        });
        if !is_noted.unwrap_or(false) {
            self.shell.lock().engine.release_run(id);
        }
    }
}
