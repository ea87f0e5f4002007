//! What a flow run waits for at its end beside its runs: spawned code, and
//! subflows that go on by themselves.

use std::sync::Arc;

use super::{FlowRun, Shell};

/// The flow run does not end while this lives.
pub(crate) struct Held(Arc<FlowRun>);

impl FlowRun {
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        self.shell.lock().held += 1;
        Held(Arc::clone(self))
    }
}

impl Shell {
    /// Whether nothing is left that could submit anything.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && self.engine.is_idle()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let is_idle = {
            let mut shell = self.0.shell.lock();
            shell.held -= 1;
            shell.is_idle()
        };
        if is_idle {
            self.0.idle.notify_waiters();
        }
    }
}
