//! Reading files: `read_parquet`, `read_csv`. One file is one partition.
//!
//! Only schemas are read at once, each file's own, so that a file that is cut off is named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::object_store::ObjectStoreExt;

use super::engine::Engine;
use super::error::{Error, Result};
use super::frame::DataFrame;

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Parquet,
    Csv,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Parquet => "Parquet",
            Format::Csv => "CSV",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
        }
    }

    fn reader(self) -> Arc<dyn FileFormat> {
        match self {
            Format::Parquet => Arc::new(ParquetFormat::default()),
            Format::Csv => Arc::new(CsvFormat::default().with_has_header(true)),
        }
    }
}

/// Files that a frame reads.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
}

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
/// No file, a file that is unreadable or cut off (it is named), or files whose columns differ.
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
/// file is a partition. Types are found from the first thousand lines of each file.
///
/// # Errors
///
/// As [`read_parquet`].
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
        let own = infer(engine, path, format).await?;
        let merged = match schema.take() {
            None => own.as_ref().clone(),
            Some(schema) => Schema::try_merge([schema, own.as_ref().clone()])
                .map_err(|error| unreadable(path, format, error.into()))?,
        };
        schema = Some(merged);
    }
    let schema = Arc::new(schema.unwrap_or_else(Schema::empty));
    let files: Vec<File> = paths
        .into_iter()
        .map(|path| File { path, format })
        .collect();
    let plan = scan(&files, schema)?;
    Ok(DataFrame::from_files(plan, files))
}

/// A plan that reads files of one format.
pub(crate) fn scan(files: &[File], schema: SchemaRef) -> Result<LogicalPlan> {
    let Some(first) = files.first() else {
        return Err(Error::NoFiles {
            pattern: String::new(),
        });
    };
    let urls = files
        .iter()
        .map(|file| url(&file.path, file.format))
        .collect::<Result<Vec<_>>>()?;
    // Files are listed by name, whatever their extension.
    let options = ListingOptions::new(first.format.reader()).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(schema);
    let name = first.path.file_stem().map_or_else(
        || "files".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    );
    ListingTable::try_new(config)
        .and_then(|table| {
            // The name is no SQL: it must not be split at its points.
            let name = datafusion::common::TableReference::bare(name);
            LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.build()
        })
        .map_err(|error| Error::plan("read", error))
}

pub(crate) async fn infer(
    engine: &'static Engine,
    path: &Path,
    format: Format,
) -> Result<SchemaRef> {
    let url = url(path, format)?;
    let state = engine.state();
    let schema = async {
        let store = state.runtime_env().object_store(&url)?;
        let file = store.head(url.prefix()).await?;
        if file.size == 0 {
            return Err(DataFusionError::Execution("the file is empty".to_owned()));
        }
        format.reader().infer_schema(state, &store, &[file]).await
    };
    schema
        .await
        .map_err(|error| unreadable(path, format, error))
}

fn url(path: &Path, format: Format) -> Result<ListingTableUrl> {
    let absolute =
        std::path::absolute(path).map_err(|error| unreadable(path, format, error.into()))?;
    ListingTableUrl::parse(absolute.to_string_lossy())
        .map_err(|error| unreadable(path, format, error))
}

pub(crate) fn unreadable(path: &Path, format: Format, source: DataFusionError) -> Error {
    Error::UnreadableFile {
        path: path.to_owned(),
        format: format.name(),
        source: Box::new(source),
    }
}

/// The files that a path, directory or pattern stands for.
fn find(pattern: &str, format: Format) -> Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    if path.is_dir() {
        let entries =
            std::fs::read_dir(path).map_err(|error| unreadable(path, format, error.into()))?;
        for entry in entries {
            let file = entry
                .map_err(|error| unreadable(path, format, error.into()))?
                .path();
            let fits = file
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case(format.extension()));
            if fits && file.is_file() {
                found.push(file);
            }
        }
    } else {
        let matches = glob::glob(pattern).map_err(|_| Error::NoFiles {
            pattern: pattern.to_owned(),
        })?;
        found.extend(
            matches
                .filter_map(std::result::Result::ok)
                .filter(|file| file.is_file()),
        );
    }
    if found.is_empty() {
        return Err(Error::NoFiles {
            pattern: pattern.to_owned(),
        });
    }
    found.sort_by_cached_key(|path| natural(&path.to_string_lossy()));
    Ok(found)
}

/// A key by which `part.2` comes before `part.10`.
fn natural(text: &str) -> Vec<(String, u64)> {
    let mut key = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (words, tail) = rest.split_at(number);
        let end = tail
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (digits, tail) = tail.split_at(end);
        key.push((words.to_owned(), digits.parse().unwrap_or(u64::MAX)));
        rest = tail;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["part.10.parquet", "part.9.parquet", "part.0.parquet"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(
            names,
            ["part.0.parquet", "part.9.parquet", "part.10.parquet"]
        );
    }
}
