//! Reading files: `read_parquet`, `read_csv`. One file is one partition.

mod find;
mod scan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::error::ArrowError;

use super::engine::Engine;
use super::error::{Error, Result};
use super::frame::DataFrame;
use find::find;
use scan::Format;
pub(crate) use scan::{File, infer, scan, unreadable};

/// What names files: a path, a directory, a pattern such as `"data/*.parquet"`, or a list of them.
pub trait IntoPaths {
    /// The paths and patterns, in order.
    fn into_paths(self) -> Vec<String>;
}

impl IntoPaths for &str {
    fn into_paths(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl IntoPaths for String {
    fn into_paths(self) -> Vec<String> {
        vec![self]
    }
}

impl IntoPaths for &String {
    fn into_paths(self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl IntoPaths for &Path {
    fn into_paths(self) -> Vec<String> {
        vec![self.to_string_lossy().into_owned()]
    }
}

impl IntoPaths for &PathBuf {
    fn into_paths(self) -> Vec<String> {
        self.as_path().into_paths()
    }
}

impl IntoPaths for PathBuf {
    fn into_paths(self) -> Vec<String> {
        self.as_path().into_paths()
    }
}

impl<P: IntoPaths> IntoPaths for Vec<P> {
    fn into_paths(self) -> Vec<String> {
        self.into_iter().flat_map(IntoPaths::into_paths).collect()
    }
}

impl<P: IntoPaths, const N: usize> IntoPaths for [P; N] {
    fn into_paths(self) -> Vec<String> {
        self.into_iter().flat_map(IntoPaths::into_paths).collect()
    }
}

/// Reads Parquet files: a file, a directory of them, a pattern, or a list. Each file is a partition;
/// files of a directory or pattern come in the order of their names, numbers in them as numbers.
///
/// # Errors
///
/// No file, a file that is unreadable or cut off (it is named), or one whose columns are of other
/// types than those of the files before. A column that a file lacks is null there.
///
/// # Cancel safety
///
/// Dropping the future stops reading.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> flowdask::dataframe::Result<()> {
/// use flowdask::dataframe::read_parquet;
///
/// let df = read_parquet("data/*.parquet").await?;
/// println!("{}", df.describe()?.compute().await?);
/// # Ok(())
/// # }
/// ```
pub async fn read_parquet(paths: impl IntoPaths) -> Result<DataFrame> {
    let engine = Engine::get()?;
    engine
        .spawn(read(engine, paths.into_paths(), Format::Parquet))
        .await
}

/// [`read_parquet`] for code that is not `async`: blocks this thread.
///
/// # Errors
///
/// As [`read_parquet`].
pub fn read_parquet_blocking(paths: impl IntoPaths) -> Result<DataFrame> {
    let engine = Engine::get()?;
    engine.block(read(engine, paths.into_paths(), Format::Parquet))
}

/// Reads CSV files with a line of headers: a file, a directory of them, a pattern, or a list. Each
/// file is a partition. Types are found from the first thousand lines of each file; a column that
/// is of whole numbers in one file and of others elsewhere is of floating-point numbers.
///
/// # Errors
///
/// As [`read_parquet`], or a file whose line of headers differs.
///
/// # Cancel safety
///
/// Dropping the future stops reading.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> flowdask::dataframe::Result<()> {
/// use flowdask::dataframe::read_csv;
///
/// let df = read_csv("data/2000-*.csv").await?;
/// # Ok(())
/// # }
/// ```
pub async fn read_csv(paths: impl IntoPaths) -> Result<DataFrame> {
    let engine = Engine::get()?;
    engine
        .spawn(read(engine, paths.into_paths(), Format::Csv))
        .await
}

/// [`read_csv`] for code that is not `async`: blocks this thread.
///
/// # Errors
///
/// As [`read_parquet`].
pub fn read_csv_blocking(paths: impl IntoPaths) -> Result<DataFrame> {
    let engine = Engine::get()?;
    engine.block(read(engine, paths.into_paths(), Format::Csv))
}

async fn read(engine: &'static Engine, patterns: Vec<String>, format: Format) -> Result<DataFrame> {
    let mut paths = Vec::new();
    for pattern in &patterns {
        paths.extend(find(pattern, format)?);
    }
    if paths.is_empty() {
        return Err(Error::NoFiles {
            pattern: patterns.join(", "),
        });
    }
    let mut schema: Option<Schema> = None;
    for path in &paths {
        let own = Schema::clone(infer(engine, path, format).await?.as_ref());
        schema = Some(match schema.take() {
            None => own,
            Some(schema) => merge(format, schema, own).map_err(|error| Error::ColumnsDiffer {
                path: path.clone(),
                source: Box::new(error),
            })?,
        });
    }
    let schema = Arc::new(schema.unwrap_or_else(Schema::empty));
    let files: Vec<File> = paths
        .into_iter()
        .map(|path| File { path, format })
        .collect();
    let plan = scan(&files, schema)?;
    Ok(DataFrame::from_files(plan, files))
}

/// The columns of files that are read as one frame.
fn merge(format: Format, schema: Schema, own: Schema) -> Result<Schema, ArrowError> {
    match format {
        // Columns are found by their names; a file may lack some.
        Format::Parquet => Schema::try_merge([schema, own]),
        // Columns are found by their places, and their types are guesses.
        Format::Csv => {
            let names = |schema: &Schema| -> Vec<String> {
                let fields = schema.fields().iter();
                fields.map(|field| field.name().clone()).collect()
            };
            if names(&schema) != names(&own) {
                return Err(ArrowError::SchemaError(format!(
                    "the line of headers is {} here and {} before",
                    names(&own).join(","),
                    names(&schema).join(",")
                )));
            }
            let fields = schema.fields().iter().zip(own.fields());
            let fields = fields.map(|(one, other)| {
                let both = wider(one.data_type(), other.data_type());
                Field::new(one.name(), both, true)
            });
            Ok(Schema::new(fields.collect::<Vec<_>>()))
        }
    }
}

/// The type that holds what was guessed to be of one type in one file and of another elsewhere.
fn wider(one: &DataType, other: &DataType) -> DataType {
    match (one, other) {
        (one, other) if one == other => one.clone(),
        (DataType::Null, known) | (known, DataType::Null) => known.clone(),
        (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => {
            DataType::Float64
        }
        _ => DataType::Utf8,
    }
}
