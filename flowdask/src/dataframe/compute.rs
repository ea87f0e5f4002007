//! `compute`, `len`, `head` and `tail`: running a plan and taking its rows.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::{ExecutionPlan, collect, collect_partitioned, execute_stream};
use futures_util::TryStreamExt;

use super::engine::{Engine, Run, task_context};
use super::error::{Error, Result};
use super::frame::DataFrame;
use super::partitions::PartitionsExec;
use super::progress::Progress;
use super::read::{self, File};
use super::table::Table;

impl DataFrame {
    /// Computes the frame and gives its rows.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong while it computes, for example a file that is cut off.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the work; the frame is as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// # async fn example() -> flowdask::dataframe::Result<()> {
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").freq("1h").build()?;
    /// let table = df.compute().await?;
    /// assert_eq!(table.num_rows(), 24);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn compute(&self) -> Result<Table> {
        let engine = Engine::get()?;
        engine.spawn(compute(engine, self.clone())).await
    }

    /// [`DataFrame::compute`] for code that is not `async`: blocks this thread.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::compute`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").freq("1h").build()?;
    /// assert_eq!(df.compute_blocking()?.num_rows(), 24);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn compute_blocking(&self) -> Result<Table> {
        let engine = Engine::get()?;
        engine.block(compute(engine, self.clone()))
    }

    /// Counts the rows.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::compute`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the work.
    pub async fn len(&self) -> Result<u64> {
        let table = self.count_rows()?.compute().await?;
        Ok(table
            .integers("count")?
            .first()
            .copied()
            .unwrap_or(0)
            .unsigned_abs())
    }

    /// [`DataFrame::len`] for code that is not `async`: blocks this thread.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::compute`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// assert_eq!(df.len_blocking()?, 86_400);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn len_blocking(&self) -> Result<u64> {
        let table = self.count_rows()?.compute_blocking()?;
        Ok(table
            .integers("count")?
            .first()
            .copied()
            .unwrap_or(0)
            .unsigned_abs())
    }

    fn count_rows(&self) -> Result<DataFrame> {
        let plan = self.build("len", |plan| {
            plan.aggregate(Vec::<Expr>::new(), [count_all().alias("count")])
        })?;
        Ok(self.derive(plan, 1, false, Vec::new()))
    }

    /// The first `rows` rows, computed.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::compute`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the work.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// # async fn example() -> flowdask::dataframe::Result<()> {
    /// let df = datasets::timeseries("2000", "2005").partition_freq("2w").build()?;
    /// println!("{}", df.head(5).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn head(&self, rows: usize) -> Result<Table> {
        let engine = Engine::get()?;
        engine.spawn(head(engine, self.clone(), rows)).await
    }

    /// [`DataFrame::head`] for code that is not `async`: blocks this thread.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::compute`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000", "2005").partition_freq("2w").build()?;
    /// assert_eq!(df.head_blocking(5)?.num_rows(), 5);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn head_blocking(&self, rows: usize) -> Result<Table> {
        let engine = Engine::get()?;
        engine.block(head(engine, self.clone(), rows))
    }

    /// The last `rows` rows, computed. Only as many partitions are computed, from the last on, as
    /// are needed for them if each is made from one partition of the source.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::compute`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the work.
    pub async fn tail(&self, rows: usize) -> Result<Table> {
        let engine = Engine::get()?;
        engine.spawn(tail(engine, self.clone(), rows)).await
    }

    /// [`DataFrame::tail`] for code that is not `async`: blocks this thread.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::compute`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000", "2005").build()?;
    /// let last = df.tail_blocking(1)?.texts("timestamp")?;
    /// assert_eq!(last[0].as_deref(), Some("2004-12-31T23:59:59"));
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn tail_blocking(&self, rows: usize) -> Result<Table> {
        let engine = Engine::get()?;
        engine.block(tail(engine, self.clone(), rows))
    }
}

pub(crate) async fn compute(engine: &'static Engine, frame: DataFrame) -> Result<Table> {
    let (plan, state) = engine
        .plan(frame.plan(), engine.run_for_compute(&frame))
        .await?;
    let progress = Progress::start("computing", source_partitions(&plan));
    let schema = plan.schema();
    // The streams one after the other, so that rows stay in order.
    match collect_partitioned(plan, task_context(state, &progress)).await {
        Ok(streams) => Ok(Table::new(schema, streams.concat(), frame.index().to_vec())),
        Err(error) => Err(explain(engine, frame.files(), error).await),
    }
}

async fn head(engine: &'static Engine, frame: DataFrame, rows: usize) -> Result<Table> {
    let limited = frame.build("head", |plan| plan.limit(0, Some(rows)))?;
    // One stream over all partitions gives the rows in order.
    let run = Run {
        streams: 1,
        in_order: true,
        ..engine.run_for_compute(&frame)
    };
    let (plan, state) = engine.plan(&limited, run).await?;
    let schema = plan.schema();
    match collect(plan, task_context(state, &Progress::silent())).await {
        Ok(batches) => Ok(Table::new(schema, batches, frame.index().to_vec())),
        Err(error) => Err(explain(engine, frame.files(), error).await),
    }
}

async fn tail(engine: &'static Engine, frame: DataFrame, rows: usize) -> Result<Table> {
    let streams = if frame.is_blockwise() {
        frame.npartitions().max(1)
    } else {
        1
    };
    let run = Run {
        streams,
        in_order: true,
        by_partition: true,
        ..engine.run_for_compute(&frame)
    };
    let (plan, state) = engine.plan(frame.plan(), run).await?;
    let context = task_context(state, &Progress::silent());
    let schema = plan.schema();
    let mut last = Vec::new();
    let mut missing = rows;
    for partition in (0..plan.properties().partitioning.partition_count()).rev() {
        if missing == 0 {
            break;
        }
        let read = async {
            plan.execute(partition, Arc::clone(&context))?
                .try_collect::<Vec<_>>()
                .await
        };
        let batches = match read.await {
            Ok(batches) => batches,
            Err(error) => return Err(explain(engine, frame.files(), error).await),
        };
        for batch in batches.into_iter().rev() {
            let taken = batch.num_rows().min(missing);
            last.push(batch.slice(batch.num_rows() - taken, taken));
            missing -= taken;
        }
    }
    last.reverse();
    Ok(Table::new(schema, last, frame.index().to_vec()))
}

/// How many partitions all sources of a plan have.
fn source_partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan
        .downcast_ref::<PartitionsExec>()
        .map_or(0, PartitionsExec::partitions);
    own + plan
        .children()
        .into_iter()
        .map(source_partitions)
        .sum::<usize>()
}

/// The error of a computation; if it comes from a file, which file that is.
///
/// The readers do not always say it, so the files are read once more, one after the other, until
/// one fails again.
pub(crate) async fn explain(
    engine: &'static Engine,
    files: &[File],
    error: DataFusionError,
) -> Error {
    let reading = matches!(
        error.find_root(),
        DataFusionError::ParquetError(_)
            | DataFusionError::ArrowError(..)
            | DataFusionError::ObjectStore(_)
            | DataFusionError::IoError(_)
    );
    if reading {
        for file in files {
            if let Err(source) = read_through(engine, file).await {
                return read::unreadable(&file.path, file.format, source);
            }
        }
    }
    Error::compute(error)
}

async fn read_through(engine: &'static Engine, file: &File) -> Result<(), DataFusionError> {
    let schema = match read::infer(engine, &file.path, file.format).await {
        Ok(schema) => schema,
        Err(Error::UnreadableFile { source, .. }) => return Err(*source),
        Err(error) => return Err(DataFusionError::External(Box::new(error))),
    };
    let plan = read::scan(std::slice::from_ref(file), schema);
    let plan = plan.map_err(|error| DataFusionError::External(Box::new(error)))?;
    let state = engine.state().clone();
    let plan = state.create_physical_plan(&plan).await?;
    let mut stream = execute_stream(plan, state.task_ctx())?;
    while stream.try_next().await?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;
    use crate::dataframe::partitions::{Fault, broken};
    use crate::dataframe::persist::persist;
    use crate::dataframe::{datasets, max, sum};

    fn engine(threads: usize) -> &'static Engine {
        Box::leak(Box::new(Engine::start(threads).unwrap()))
    }

    #[test]
    fn the_number_of_threads_changes_no_row() {
        let df = datasets::timeseries("2000-01-01", "2000-01-08")
            .freq("1min")
            .seed(3);
        let df = df.build().unwrap();
        let filtered = df.sql("select * from df where x > y").unwrap();
        let grouped = df.groupby(["name"]).agg([sum("id"), max("y")]).unwrap();
        let summary = df.describe().unwrap();
        let of = |threads: usize| {
            let engine = engine(threads);
            let compute = |frame: &DataFrame| {
                let table = engine.block(compute(engine, frame.clone())).unwrap();
                table.to_json().unwrap()
            };
            let kept = engine.block(persist(engine, df.clone()));
            let rows = [&df, &filtered, &grouped, &kept.unwrap()].map(compute);
            let figures = engine
                .block(super::compute(engine, summary.clone()))
                .unwrap();
            (rows, figures.floats("x").unwrap())
        };
        let (expected, figures) = of(1);
        for threads in [2, 3, 8] {
            let (rows, others) = of(threads);
            assert!(rows == expected, "{threads} threads");
            // Sums of floating-point numbers depend on their order.
            assert!(
                figures
                    .iter()
                    .zip(&others)
                    .all(|(one, other)| (one - other).abs() < 1e-12)
            );
        }
    }

    #[test]
    fn an_error_while_streaming_ends_everything() {
        for run in 0..5 {
            let (df, _) = broken(Fault::Error);
            let outcome = run_number(run, &df);
            assert!(
                matches!(outcome, Err(Error::Compute { .. })),
                "{run}: {outcome:?}"
            );
            let (df, _) = broken(Fault::Panic);
            match run_number(run, &df) {
                Err(Error::Panicked { message }) => assert_eq!(message, "the 50th read", "{run}"),
                other => panic!("{run}: {other:?}"),
            }
        }
    }

    fn run_number(run: usize, df: &DataFrame) -> Result<()> {
        match run {
            0 => df.compute_blocking().map(drop),
            1 => df.persist_blocking().map(drop),
            2 => df.agg([sum("x")])?.compute_blocking().map(drop),
            3 => df.tail_blocking(10_000).map(drop),
            _ => df.write_parquet_blocking(tempfile::tempdir().unwrap().path()),
        }
    }

    #[tokio::test]
    async fn dropping_a_computation_stops_it() {
        let patience = Duration::from_millis(50);
        for run in 0..3 {
            let (df, reads) = broken(Fault::Slow);
            let outcome = match run {
                0 => tokio::time::timeout(patience, df.compute()).await.is_ok(),
                1 => tokio::time::timeout(patience, df.persist()).await.is_ok(),
                _ => {
                    let sorted = df.sort(["x"]).unwrap();
                    tokio::time::timeout(patience, sorted.compute())
                        .await
                        .is_ok()
                }
            };
            assert!(!outcome, "{run}");
            // What is under way ends; then nothing is read any more.
            let mut seen = HashSet::new();
            let stopped = async {
                while seen.insert(reads.load(Ordering::SeqCst)) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(5), stopped)
                .await
                .unwrap();
            assert!(reads.load(Ordering::SeqCst) < 9_000, "{run}");
        }
    }
}
