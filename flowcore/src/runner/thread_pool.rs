//! The default runner: threads for sync tasks, lanes for async ones.

use std::sync::Arc;

use super::embedded::{Embedded, EmbeddedSession, Slots};
use super::seam::{Home, RunnerFuture, RunnerSession, TaskRunner};
use crate::error::Result;
use crate::limits::OfferedResources;

/// Runs tasks in this process: sync ones on threads, as many as the machine
/// has cores, async ones interleaved on a runtime, up to 1024 at once.
///
/// Prefect's runner of this name has no limit by default, because its threads
/// mostly wait; a Rust task that only waits is an `async fn`. For sync tasks
/// that block, ask for more threads.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// fn blocking(x: i64) -> i64 { x }
///
/// #[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(16))]
/// async fn sixteen_at_once() -> Result<Vec<i64>> {
///     blocking.map(0..100).await
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ThreadPoolTaskRunner {
    max_workers: Option<usize>,
    resources: Vec<(String, f64)>,
}

impl ThreadPoolTaskRunner {
    /// As many threads as cores, shared by all flow runs of the process.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_workers: None,
            resources: Vec::new(),
        }
    }

    /// So many threads, and so many async runs at once, for each flow run by
    /// itself. Zero counts as one.
    #[must_use]
    pub const fn max_workers(mut self, workers: usize) -> Self {
        self.max_workers = Some(workers);
        self
    }

    /// What each flow run has so much of, for tasks that ask for
    /// [resources](crate::TaskOptions::resources): they start when there is
    /// enough of it.
    ///
    /// ```
    /// use flowcore::prelude::*;
    ///
    /// #[task(resources = [GPU = 1])]
    /// fn train(seed: u64) -> u64 { seed }
    ///
    /// #[flow(task_runner = ThreadPoolTaskRunner::new().resources([("GPU", 2.0)]))]
    /// async fn two_at_once() -> Result<Vec<u64>> {
    ///     train.map(0..6).await
    /// }
    /// # #[flowcore::main]
    /// # async fn main() -> Result<()> {
    /// # assert_eq!(two_at_once().await?.len(), 6);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// For what all flow runs of the process share, make a
    /// [limit](crate::limits). An amount that is not greater than zero crashes
    /// the flow run at its start.
    #[must_use]
    pub fn resources<N: Into<String>>(
        mut self,
        resources: impl IntoIterator<Item = (N, f64)>,
    ) -> Self {
        let resources = resources.into_iter();
        self.resources = resources
            .map(|(name, amount)| (name.into(), amount))
            .collect();
        self
    }
}

/// The process's shared session, which no single flow run closes.
struct Shared(Embedded);

impl RunnerSession for Shared {
    fn keeps_values(&self) -> bool {
        self.0.keeps_values()
    }

    fn resources(&self) -> Option<&OfferedResources> {
        self.0.resources()
    }

    fn submit(&self, work: super::Work) {
        self.0.submit(work);
    }

    fn cancel(&self, run: super::RunReference) {
        self.0.cancel(run);
    }

    fn fetch(&self, run: super::RunReference) -> RunnerFuture<Result<crate::value::EncodedValue>> {
        self.0.fetch(run)
    }

    fn length(&self, run: super::RunReference) -> RunnerFuture<Result<u32>> {
        self.0.length(run)
    }

    fn close(&self) -> RunnerFuture<()> {
        Box::pin(std::future::ready(()))
    }
}

impl ThreadPoolTaskRunner {
    fn session(&self) -> Result<Arc<dyn RunnerSession>> {
        let resources = OfferedResources::new(self.resources.iter().cloned())?;
        Ok(match self.max_workers {
            None => Arc::new(Shared(Embedded {
                session: EmbeddedSession::shared(),
                resources,
            })),
            Some(workers) => Arc::new(Embedded {
                session: EmbeddedSession::new(Slots {
                    threads: workers.max(1),
                    lanes: workers.max(1),
                    one_by_one: false,
                }),
                resources,
            }),
        })
    }
}

impl TaskRunner for ThreadPoolTaskRunner {
    fn name(&self) -> &'static str {
        "ThreadPoolTaskRunner"
    }

    fn start(&self, _home: Home) -> RunnerFuture<Result<Arc<dyn RunnerSession>>> {
        Box::pin(std::future::ready(self.session()))
    }
}
