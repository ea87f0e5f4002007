//! `persist`: computes a frame now and keeps its partitions in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::record_batch::RecordBatch;
use futures_util::StreamExt;

use super::compute::explain;
use super::drive::{Streams, drive};
use super::engine::{Engine, Run, task_context};
use super::error::{Error, Result};
use super::frame::DataFrame;
use super::memory;
use super::partitions::{Partitions, PartitionsExec, Regrouped, Stored, StoredPartition};
use super::progress::Progress;

/// Rows that are kept in one piece if they are made as they are kept: most partitions as a whole.
const MADE_ROWS: usize = 1 << 22;

/// Rows that are kept in one piece if operators pass them on.
const COMPUTED_ROWS: usize = 1 << 16;

impl DataFrame {
    /// Computes the frame now and keeps its partitions in memory; the result is a frame over them.
    ///
    /// All columns are kept as Arrow arrays. The names of a [`timeseries`](super::datasets::timeseries)
    /// take one byte per row (keys into the 26 names), all else its plain layout.
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
    if frame.memory_usage().is_some() {
        return Ok(frame);
    }
    let run = Run {
        batch_rows: COMPUTED_ROWS,
        ..engine.run_by_partition(&frame)
    };
    let (mut plan, mut state) = engine.plan(frame.plan(), run).await?;
    let schema = plan.schema();
    let budget = memory::available().unwrap_or(u64::MAX);
    if let Some(source) = plan.downcast_ref::<PartitionsExec>() {
        let (rows, needed) = source.needs();
        if needed > budget {
            return Err(Error::NotEnoughMemory {
                rows,
                needed,
                available: budget,
            });
        }
        plan = Arc::new(source.compact());
        let config = state.config_mut();
        *config = std::mem::take(config).with_batch_size(MADE_ROWS);
    }
    let partitions = plan.properties().partitioning.partition_count();
    let context = task_context(state, &Progress::silent());
    let progress = Progress::start("persisting", partitions);
    let streams = Streams {
        plan,
        context,
        at_once: engine.streams_at_once(&frame, partitions),
    };
    let files = Arc::new(frame.files().to_vec());
    let kept = Arc::new(Kept {
        budget,
        bytes: AtomicU64::new(0),
        rows: AtomicU64::new(0),
    });
    let finished = drive(streams, move |_, mut stream| {
        let (kept, files, progress) =
            (Arc::clone(&kept), Arc::clone(&files), Arc::clone(&progress));
        async move {
            let mut batches = Vec::new();
            while let Some(batch) = stream.next().await {
                match batch {
                    Ok(batch) => {
                        kept.add(&batch)?;
                        batches.push(batch);
                    }
                    Err(error) => return Err(explain(engine, &files, error).await),
                }
            }
            progress.advance(1);
            Ok(StoredPartition::new(batches))
        }
    })
    .await?;
    let mut kept: Arc<dyn Partitions> = Arc::new(Stored::new(schema, finished));
    if partitions != frame.npartitions() {
        kept = Arc::new(Regrouped::new(kept, frame.npartitions()));
    }
    Ok(DataFrame::from_partitions(kept, frame.index().to_vec()))
}

/// What all streams together have kept so far, for frames whose size nobody knows beforehand.
struct Kept {
    budget: u64,
    bytes: AtomicU64,
    rows: AtomicU64,
}

impl Kept {
    fn add(&self, batch: &RecordBatch) -> Result<()> {
        let new = batch.get_array_memory_size() as u64;
        let bytes = self.bytes.fetch_add(new, Ordering::Relaxed) + new;
        let new = batch.num_rows() as u64;
        let rows = self.rows.fetch_add(new, Ordering::Relaxed) + new;
        if bytes > self.budget {
            return Err(Error::NotEnoughMemory {
                rows,
                needed: bytes,
                available: self.budget,
            });
        }
        Ok(())
    }
}
