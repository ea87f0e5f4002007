//! The runner for debugging: one run at a time.

use std::sync::Arc;

use super::embedded::{Embedded, EmbeddedSession, Slots};
use super::seam::{Home, RunnerFuture, RunnerSession, TaskRunner};
use crate::error::Result;
use crate::limits::OfferedResources;

/// Runs one task at a time, in the order in which their inputs are there.
///
/// A run that blocks on another one (`.block()`) lets that one run meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequentialTaskRunner;

impl SequentialTaskRunner {
    /// The runner.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl TaskRunner for SequentialTaskRunner {
    fn name(&self) -> &'static str {
        "SequentialTaskRunner"
    }

    fn start(&self, _home: Home) -> RunnerFuture<Result<Arc<dyn RunnerSession>>> {
        let session: Arc<dyn RunnerSession> = Arc::new(Embedded {
            session: EmbeddedSession::new(Slots {
                threads: 1,
                lanes: 0,
                one_by_one: true,
            }),
            resources: OfferedResources::default(),
        });
        Box::pin(std::future::ready(Ok(session)))
    }
}
