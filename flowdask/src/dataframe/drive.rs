//! Running the streams of a physical plan, a few at a time, each to one consumer.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use tokio::task::JoinSet;

use super::error::{Error, Result};

/// The streams of a plan, and how many of them run at once.
pub(crate) struct Streams {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) context: Arc<TaskContext>,
    pub(crate) at_once: usize,
}

/// Gives each stream to `consume` and returns what that makes of them, in order. The first error
/// ends all; dropping the future stops all.
pub(crate) async fn drive<T, C, F>(streams: Streams, consume: C) -> Result<Vec<T>>
where
    T: Send + 'static,
    C: Fn(usize, SendableRecordBatchStream) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T>> + Send,
{
    let count = streams.plan.properties().partitioning.partition_count();
    let at_once = streams.at_once.clamp(1, count.max(1));
    let finished: Mutex<Vec<Option<T>>> = Mutex::new((0..count).map(|_| None).collect());
    let shared = Arc::new((streams, consume, AtomicUsize::new(0), finished));
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let shared = Arc::clone(&shared);
        workers.spawn(flowcore::in_current_run(async move {
            let (streams, consume, next, finished) = &*shared;
            loop {
                // Each worker takes the next stream that nobody has taken.
                let partition = next.fetch_add(1, Ordering::Relaxed);
                if partition >= count {
                    return Ok(());
                }
                let stream = streams
                    .plan
                    .execute(partition, Arc::clone(&streams.context))
                    .map_err(Error::compute)?;
                let made = consume(partition, stream).await?;
                finished.lock().unwrap_or_else(PoisonError::into_inner)[partition] = Some(made);
            }
        }));
    }
    while let Some(outcome) = workers.join_next().await {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::Stopped),
        };
        if outcome.is_err() {
            // What the others hold, as files that are not complete, is gone
            // when the error is told.
            workers.shutdown().await;
            outcome?;
        }
    }
    let finished = std::mem::take(&mut *shared.3.lock().unwrap_or_else(PoisonError::into_inner));
    finished
        .into_iter()
        .collect::<Option<Vec<T>>>()
        .ok_or(Error::Stopped)
}
