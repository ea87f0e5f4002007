//! What a flow run waits for at its end beside its runs: spawned code, and
//! subflows that go on by themselves.

use std::sync::{Arc, Weak};

use super::{FlowRun, Shell};
use crate::runner::AttemptControl;

/// The flow run does not end while this lives.
pub(crate) struct Held(Arc<FlowRun>);

impl FlowRun {
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        self.shell.lock().held += 1;
        Held(Arc::clone(self))
    }
}

/// Code of a flow run that goes on until it sees that it shall stop: attempts,
/// and spawned code.
pub(in crate::flow) struct CodeAtWork {
    flow: Arc<FlowRun>,
    attempts: Vec<Weak<AttemptControl>>,
}

impl CodeAtWork {
    /// Whether the code has returned or was dropped. The end of a flow run that
    /// is ended by force does not say so.
    pub(in crate::flow) fn has_ended(&self) -> bool {
        let is_gone = |attempt: &Weak<AttemptControl>| attempt.strong_count() == 0;
        self.attempts.iter().all(is_gone) && self.flow.shell.lock().held == 0
    }
}

impl FlowRun {
    /// The code that runs now.
    pub(in crate::flow) fn code_at_work(self: &Arc<Self>) -> CodeAtWork {
        let shell = self.shell.lock();
        CodeAtWork {
            flow: Arc::clone(self),
            attempts: shell.controls.values().map(Arc::downgrade).collect(),
        }
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
