//! Which rows of a map shall not start any more.
//!
//! Every row of a map asks before it starts, so that asking costs one load as
//! long as nothing was stopped. Invariant: who was stopped before it asks, or
//! while it waits, learns of it.

use std::collections::HashSet;

use crate::sync::{AtomicBool, Mutex, Notify, Ordering};

/// Rows of one map that shall not start any more.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    any: AtomicBool,
    rows: Mutex<StoppedRows>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct StoppedRows {
    all: bool,
    some: HashSet<u32>,
}

impl Stops {
    pub(crate) fn stop_all(&self) {
        self.rows.lock().all = true;
        self.tell();
    }

    pub(crate) fn stop(&self, row: u32) {
        self.rows.lock().some.insert(row);
        self.tell();
    }

    fn tell(&self) {
        self.any.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Ends when the row shall not go on.
    pub(crate) async fn stopped(&self, row: u32) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before the rows are read, so that no call is missed.
            changed.as_mut().enable();
            if self.contains(row) {
                return;
            }
            changed.await;
        }
    }

    #[inline]
    pub(crate) fn contains(&self, row: u32) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let rows = self.rows.lock();
        rows.all || rows.some.contains(&row)
    }
}
