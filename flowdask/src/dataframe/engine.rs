//! The engine: DataFusion's session and the threads that compute.
//!
//! All computing happens on the engine's own threads, so that callers may be on any executor, or on
//! none, and their timers and heartbeats go on. A computation that nobody waits for any more is
//! stopped. Work belongs to the task or flow run that asked for it, on whatever thread it is done:
//! its log lines and its progress stand under that run.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::error::{Error, Result};
use super::frame::DataFrame;
use super::progress::Progress;

/// Rows that are computed with at a time: few enough for the processor's cache.
const BATCH_ROWS: usize = 8192;

/// The threads and the session that all frames share.
#[derive(Debug)]
pub(crate) struct Engine {
    runtime: Runtime,
    state: SessionState,
    threads: usize,
}

/// How a plan is to be run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// How many streams the plan's sources are read as.
    pub(crate) streams: usize,
    /// How many rows a batch has.
    pub(crate) batch_rows: usize,
    /// Whether rows must stay in the order of the source.
    pub(crate) in_order: bool,
    /// Whether a stream reads exactly one partition.
    pub(crate) by_partition: bool,
}

impl Engine {
    /// The engine of this process, started by its first use.
    pub(crate) fn get() -> Result<&'static Engine> {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        if let Some(engine) = ENGINE.get() {
            return Ok(engine);
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let engine = Engine::start(threads)?;
        // Two first uses at once: one engine wins, the other has no work yet.
        if let Err(second) = ENGINE.set(engine) {
            second.runtime.shutdown_background();
        }
        ENGINE.get().ok_or(Error::Stopped)
    }

    pub(crate) fn start(threads: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("dataframe")
            // The planner recurses: a frame may be hundreds of operations deep.
            .thread_stack_size(64 << 20)
            .enable_all()
            .build()
            .map_err(|source| Error::Start { source })?;
        // Whoever set another tracer before wants that one; only log lines suffer.
        let _ = set_join_set_tracer(&InTheSameRun);
        let config = SessionConfig::new()
            .with_target_partitions(threads)
            .with_batch_size(BATCH_ROWS);
        let mut functions = SessionStateDefaults::default_aggregate_functions();
        functions.extend(super::aggregates::all());
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features()
            .with_aggregate_functions(functions)
            .build();
        Ok(Engine {
            runtime,
            state,
            threads,
        })
    }

    /// The session, for planning.
    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }

    /// How a plan is run that is to be computed, not kept.
    pub(crate) fn run_for_compute(&self, frame: &DataFrame) -> Run {
        Run {
            streams: self.threads,
            batch_rows: BATCH_ROWS,
            in_order: frame.is_blockwise(),
            by_partition: false,
        }
    }

    /// How a plan is run whose partitions are to stay what they are.
    pub(crate) fn run_by_partition(&self, frame: &DataFrame) -> Run {
        if frame.is_blockwise() {
            Run {
                streams: frame.npartitions().max(1),
                batch_rows: BATCH_ROWS,
                in_order: true,
                by_partition: true,
            }
        } else {
            self.run_for_compute(frame)
        }
    }

    /// How many of a plan's streams are under way at once. A blockwise plan computes each partition
    /// alone, so as many as there are threads; the streams of another plan feed each other and must
    /// all be read.
    pub(crate) fn streams_at_once(&self, frame: &DataFrame, streams: usize) -> usize {
        if frame.is_blockwise() {
            self.threads.min(streams)
        } else {
            streams
        }
    }

    /// The physical plan, and the session in which it is to be run.
    pub(crate) async fn plan(
        &self,
        plan: &LogicalPlan,
        run: Run,
    ) -> Result<(Arc<dyn ExecutionPlan>, SessionState)> {
        let mut state = self.state.clone();
        let config = state.config_mut();
        *config = std::mem::take(config)
            .with_target_partitions(run.streams)
            .with_batch_size(run.batch_rows);
        let options = config.options_mut();
        options.execution.enable_file_stream_work_stealing = !run.in_order;
        let optimizer = &mut options.optimizer;
        optimizer.enable_round_robin_repartition = !run.in_order;
        optimizer.repartition_file_scans = !run.by_partition;
        let physical = state
            .create_physical_plan(plan)
            .await
            .map_err(Error::compute)?;
        Ok((physical, state))
    }

    /// Runs `work` on the engine's threads; stops it when the returned future is dropped.
    pub(crate) fn spawn<T, F>(&self, work: F) -> Running<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        Running {
            task: self.runtime.spawn(flowcore::in_current_run(work)),
        }
    }

    /// Runs `work` on the engine's threads and blocks this one until it is done.
    pub(crate) fn block<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let work = flowcore::in_current_run(work);
        let (sender, receiver) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            // Whoever waits learns of a panic from the outcome.
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|panic| {
                Err(Error::Panicked {
                    message: panic_message(&*panic),
                })
            });
            let _ = sender.send(outcome);
        });
        receiver.recv().map_err(|_| Error::Stopped)?
    }
}

/// What DataFusion spawns belongs to the run of what spawned it.
struct InTheSameRun;

type Erased = Box<dyn Any + Send>;

impl JoinSetTracer for InTheSameRun {
    fn trace_future(&self, future: BoxFuture<'static, Erased>) -> BoxFuture<'static, Erased> {
        Box::pin(flowcore::in_current_run(future))
    }

    fn trace_block(
        &self,
        work: Box<dyn FnOnce() -> Erased + Send>,
    ) -> Box<dyn FnOnce() -> Erased + Send> {
        work
    }
}

/// What a physical plan is run in.
pub(crate) fn task_context(mut state: SessionState, progress: &Arc<Progress>) -> Arc<TaskContext> {
    let config = state.config_mut();
    *config = std::mem::take(config).with_extension(Arc::clone(progress));
    state.task_ctx()
}

/// Work on the engine's threads.
#[derive(Debug)]
pub(crate) struct Running<T> {
    task: JoinHandle<Result<T>>,
}

impl<T> Future for Running<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task)
            .poll(context)
            .map(|joined| match joined {
                Ok(outcome) => outcome,
                Err(error) if error.is_panic() => Err(Error::Panicked {
                    message: panic_message(&*error.into_panic()),
                }),
                Err(_) => Err(Error::Stopped),
            })
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "without a message".to_owned()
    }
}
