//! How far a computation is, in partitions, as the console shows it.

use std::sync::Arc;

/// The progress of one computation.
#[derive(Debug)]
pub(crate) struct Progress(Option<flowcore::Progress>);

impl Progress {
    pub(crate) fn start(what: &'static str, partitions: usize) -> Arc<Self> {
        let progress = flowcore::Progress::new(what, partitions as u64);
        Arc::new(Self(Some(progress)))
    }

    /// Of a computation that is too short to be shown.
    pub(crate) fn silent() -> Arc<Self> {
        Arc::new(Self(None))
    }

    /// So many more partitions are finished.
    pub(crate) fn advance(&self, partitions: usize) {
        if let Some(progress) = &self.0 {
            progress.advance(partitions as u64);
        }
    }
}
