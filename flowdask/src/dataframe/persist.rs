//! `persist`: computes a frame now and keeps its partitions in memory.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures_util::TryStreamExt;
use tokio::task::JoinSet;

use super::engine::{Engine, Run, task_context};
use super::error::{Error, Result};
use super::frame::DataFrame;
use super::partitions::{PartitionsExec, Stored, StoredPartition};
use super::progress::Progress;

/// Rows that are kept in one piece.
const STORED_ROWS: usize = 1 << 16;

impl DataFrame {
    /// Computes the frame now and keeps its partitions in memory; the result is a frame over them.
    ///
    /// All columns are kept as Arrow arrays. Columns of texts with few different values take one
    /// byte per row (keys into the values), others their plain layout.
    ///
    /// # Errors
    ///
    /// [`Error::NotEnoughMemory`] before anything is computed if the rows are known not to fit, or
    /// as soon as they do not; else whatever goes wrong while it computes.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the work and frees what was kept.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// # async fn example() -> flowdask::dataframe::Result<()> {
    /// let df = datasets::timeseries("2000", "2001").partition_freq("4w").build()?.persist().await?;
    /// println!("{} partitions, {:?} bytes", df.npartitions(), df.memory_usage());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn persist(&self) -> Result<DataFrame> {
        let engine = Engine::get()?;
        engine.spawn(persist(engine, self.clone())).await
    }

    /// [`DataFrame::persist`] for code that is not `async`: blocks this thread.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::persist`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?.persist_blocking()?;
    /// assert!(df.memory_usage().is_some());
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn persist_blocking(&self) -> Result<DataFrame> {
        let engine = Engine::get()?;
        engine.block(persist(engine, self.clone()))
    }
}

pub(crate) async fn persist(engine: &'static Engine, frame: DataFrame) -> Result<DataFrame> {
    let run = if frame.is_blockwise() {
        Run { streams: frame.npartitions().max(1), batch_rows: STORED_ROWS, by_partition: true }
    } else {
        engine.run_for_compute()
    };
    let (plan, state) = engine.plan(frame.plan(), run).await?;
    let schema = plan.schema();
    let plan = match plan.downcast_ref::<PartitionsExec>() {
        Some(source) => Arc::new(source.compact()),
        None => plan,
    };
    let partitions = plan.properties().partitioning.partition_count();
    let context = task_context(state, &Progress::start("persisting", partitions));

    // A blockwise plan computes each partition alone, so as many are under way as there are
    // threads. The streams of another plan feed each other and must all be read at once.
    let at_once = if frame.is_blockwise() { engine.threads().min(partitions) } else { partitions };
    let collector = Arc::new(Collector {
        plan,
        context,
        next: AtomicUsize::new(0),
        bytes: AtomicU64::new(0),
        finished: Mutex::new((0..partitions).map(|_| None).collect()),
    });
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        workers.spawn(Arc::clone(&collector).work());
    }
    while let Some(outcome) = workers.join_next().await {
        match outcome {
            Ok(outcome) => outcome?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(Error::Stopped),
        }
    }
    let finished = std::mem::take(&mut *collector.finished.lock().unwrap_or_else(PoisonError::into_inner));
    let finished = finished.into_iter().collect::<Option<Vec<_>>>().ok_or(Error::Stopped)?;
    Ok(DataFrame::from_partitions(Arc::new(Stored::new(schema, finished)), frame.index().to_vec()))
}

/// What the workers share: each takes the next partition that nobody has taken.
struct Collector {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    next: AtomicUsize,
    bytes: AtomicU64,
    finished: Mutex<Vec<Option<StoredPartition>>>,
}

impl Collector {
    async fn work(self: Arc<Self>) -> Result<()> {
        loop {
            let partition = self.next.fetch_add(1, Ordering::Relaxed);
            if partition >= self.plan.properties().partitioning.partition_count() {
                return Ok(());
            }
            let stream = self.plan.execute(partition, Arc::clone(&self.context)).map_err(Error::compute)?;
            let batches = stream.try_collect().await.map_err(Error::compute)?;
            let stored = StoredPartition::new(batches);
            self.bytes.fetch_add(stored.bytes(), Ordering::Relaxed);
            self.finished.lock().unwrap_or_else(PoisonError::into_inner)[partition] = Some(stored);
        }
    }
}
