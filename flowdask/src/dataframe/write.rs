//! Writing files: `write_parquet`, one file per partition.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use futures_util::StreamExt;

use super::compute::explain;
use super::drive::{Streams, drive};
use super::engine::{Engine, task_context};
use super::error::{Error, Result};
use super::frame::DataFrame;
use super::progress::Progress;

impl DataFrame {
    /// Computes the frame and writes it to a directory: one Parquet file per partition,
    /// `part.0.parquet` and so on, compressed with Snappy. The directory is made if it is not there.
    ///
    /// A file has its name only once it is complete.
    ///
    /// # Errors
    ///
    /// A directory that cannot be made or written to, or has Parquet files already; else as
    /// [`DataFrame::compute`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the work; files that were complete stay.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::{datasets, read_parquet};
    /// # async fn example() -> flowdask::dataframe::Result<()> {
    /// let df = datasets::timeseries("2000-01-01", "2000-01-08").build()?;
    /// df.write_parquet("week").await?;
    /// assert_eq!(read_parquet("week").await?.npartitions(), 7);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_parquet(&self, directory: impl AsRef<Path>) -> Result<()> {
        let engine = Engine::get()?;
        engine
            .spawn(write_parquet(
                engine,
                self.clone(),
                directory.as_ref().to_owned(),
            ))
            .await
    }

    /// [`DataFrame::write_parquet`] for code that is not `async`: blocks this thread.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::write_parquet`].
    pub fn write_parquet_blocking(&self, directory: impl AsRef<Path>) -> Result<()> {
        let engine = Engine::get()?;
        engine.block(write_parquet(
            engine,
            self.clone(),
            directory.as_ref().to_owned(),
        ))
    }
}

async fn write_parquet(
    engine: &'static Engine,
    frame: DataFrame,
    directory: PathBuf,
) -> Result<()> {
    prepare(&directory)?;
    let (plan, state) = engine
        .plan(frame.plan(), engine.run_by_partition(&frame))
        .await?;
    let plan = in_partitions(plan, frame.npartitions())?;
    let partitions = frame.npartitions();
    let context = task_context(state, &Progress::silent());
    let progress = Progress::start("writing", partitions);
    let streams = Streams {
        plan,
        context,
        at_once: engine.streams_at_once(&frame, partitions),
    };
    let frame = Arc::new(frame);
    drive(streams, move |partition, mut stream| {
        let path = directory.join(format!("part.{partition}.parquet"));
        let (frame, progress) = (Arc::clone(&frame), Arc::clone(&progress));
        async move {
            let mut file = PartFile::create(path, stream.schema())?;
            while let Some(batch) = stream.next().await {
                match batch {
                    Ok(batch) => file.write(&batch)?,
                    Err(error) => return Err(explain(engine, frame.files(), error).await),
                }
                tokio::task::consume_budget().await;
            }
            file.finish()?;
            progress.advance(1);
            Ok(())
        }
    })
    .await?;
    Ok(())
}

/// The plan with as many streams as the frame has partitions.
fn in_partitions(
    plan: Arc<dyn ExecutionPlan>,
    partitions: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let streams = plan.properties().partitioning.partition_count();
    if streams == partitions {
        return Ok(plan);
    }
    if partitions == 1 {
        return Ok(Arc::new(CoalescePartitionsExec::new(plan)));
    }
    let dealt = RepartitionExec::try_new(plan, Partitioning::RoundRobinBatch(partitions));
    Ok(Arc::new(dealt.map_err(Error::compute)?))
}

fn prepare(directory: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::Write {
        path: directory.to_owned(),
        source: error.into(),
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        if entry
            .map_err(failed)?
            .path()
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            return Err(Error::NotEmpty {
                path: directory.to_owned(),
            });
        }
    }
    Ok(())
}

/// A file that is being written, under another name until it is complete.
struct PartFile {
    path: PathBuf,
    unfinished: PathBuf,
    writer: Option<ArrowWriter<File>>,
}

impl PartFile {
    fn create(path: PathBuf, schema: datafusion::arrow::datatypes::SchemaRef) -> Result<Self> {
        let unfinished = path.with_extension("parquet.unfinished");
        let file = File::create(&unfinished).map_err(|error| Error::Write {
            path: path.clone(),
            source: error.into(),
        })?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .build();
        // Without Arrow's own schema readers see plain columns; not all of them know views.
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, schema, options).map_err(|error| {
            Error::Write {
                path: path.clone(),
                source: error.into(),
            }
        })?;
        Ok(PartFile {
            path,
            unfinished,
            writer: Some(writer),
        })
    }

    fn failed(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Write {
            path: self.path.clone(),
            source: source.into(),
        }
    }

    fn write(&mut self, batch: &datafusion::arrow::record_batch::RecordBatch) -> Result<()> {
        let written = self
            .writer
            .as_mut()
            .map_or(Ok(()), |writer| writer.write(batch));
        written.map_err(|error| self.failed(error))
    }

    fn finish(mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            writer.close().map_err(|error| self.failed(error))?;
            std::fs::rename(&self.unfinished, &self.path).map_err(|error| self.failed(error))?;
        }
        self.unfinished = PathBuf::new();
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.unfinished.as_os_str().is_empty() {
            // Nothing is lost if a file stays that nobody reads.
            let _ = std::fs::remove_file(&self.unfinished);
        }
    }
}
