//! How far a computation is, in partitions: the seam at which a progress display is attached.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Where progress is reported to.
pub(crate) trait Observer: Send + Sync {
    /// `done` of `total` partitions are finished; called from the engine's threads.
    fn update(&self, what: &'static str, done: usize, total: usize);
}

static OBSERVER: OnceLock<Box<dyn Observer>> = OnceLock::new();

/// The progress of one computation.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    done: AtomicUsize,
    total: usize,
}

impl Progress {
    pub(crate) fn start(what: &'static str, total: usize) -> Arc<Self> {
        let progress = Progress { what, done: AtomicUsize::new(0), total };
        progress.advance(0);
        Arc::new(progress)
    }

    /// So many more partitions are finished.
    pub(crate) fn advance(&self, partitions: usize) {
        let done = self.done.fetch_add(partitions, Ordering::Relaxed) + partitions;
        if let Some(observer) = OBSERVER.get() {
            observer.update(self.what, done.min(self.total), self.total);
        }
    }
}
