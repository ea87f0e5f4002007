//! Something that happens once and can be waited for.

use crate::sync::{AtomicBool, Notify, Ordering};

/// Set once; whoever waits goes on.
#[derive(Debug, Default)]
pub(crate) struct Flag {
    is_set: AtomicBool,
    notify: Notify,
}

impl Flag {
    pub(crate) fn set(&self) {
        self.is_set.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// Ends when the flag is set.
    pub(crate) async fn wait(&self) {
        let mut notified = std::pin::pin!(self.notify.notified());
        // Registered before the flag is read, so that no call is missed.
        notified.as_mut().enable();
        if !self.is_set() {
            notified.await;
        }
    }
}
