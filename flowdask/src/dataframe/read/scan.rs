//! Files of one format as a source of a plan.
//!
//! Only schemas are read when a frame is made, each file's own, so that a file that is cut off is
//! named. DataFusion reads the rows; it would read the files in the order of their paths as texts,
//! `part.10` before `part.2`, so [`FilesTable`] puts them back into the frame's order.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl, PartitionedFile,
};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::provider_as_source;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType,
};
use datafusion::object_store::{ObjectStoreExt, path};
use datafusion::physical_plan::ExecutionPlan;

use crate::dataframe::engine::Engine;
use crate::dataframe::error::{Error, Result};

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

    pub(super) fn extension(self) -> &'static str {
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
    let order = urls
        .iter()
        .enumerate()
        .map(|(place, url)| (url.prefix().clone(), place))
        .collect();
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
            let files = files.to_vec();
            let table = Arc::new(FilesTable {
                table,
                files,
                order,
            });
            LogicalPlanBuilder::scan(name, provider_as_source(table), None)?.build()
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
    // As a URL, because a plain path may have a star or a question mark that is no pattern.
    let mut url = "file://".to_owned();
    for byte in absolute.to_string_lossy().bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    ListingTableUrl::parse(url).map_err(|error| unreadable(path, format, error))
}

pub(crate) fn unreadable(path: &Path, format: Format, source: DataFusionError) -> Error {
    Error::UnreadableFile {
        path: path.to_owned(),
        format: format.name(),
        source: Box::new(source),
    }
}

/// DataFusion's table of files, read in the order that is given here.
#[derive(Debug)]
struct FilesTable {
    table: ListingTable,
    files: Vec<File>,
    order: HashMap<path::Path, usize>,
}

impl FilesTable {
    /// The same scan, each of its streams over neighbouring files.
    fn in_order(&self, plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let Some(exec) = plan.downcast_ref::<DataSourceExec>() else {
            return plan;
        };
        let Some(config) = exec.data_source().downcast_ref::<FileScanConfig>() else {
            return plan;
        };
        let streams = config.file_groups.len();
        let groups = config.file_groups.iter().flat_map(FileGroup::iter);
        let mut files: Vec<PartitionedFile> = groups.cloned().collect();
        files.sort_by_key(|file| self.order.get(file.path()).copied());
        let cut = |stream: usize| files.len() * stream / streams;
        let groups = (0..streams)
            .map(|stream| FileGroup::new(files[cut(stream)..cut(stream + 1)].to_vec()))
            .collect();
        let config = FileScanConfigBuilder::from(config.clone())
            .with_file_groups(groups)
            .build();
        DataSourceExec::from_data_source(config)
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        // A file that has gone would count as one without rows.
        for file in &self.files {
            if let Err(error) = std::fs::metadata(&file.path) {
                let error = unreadable(&file.path, file.format, error.into());
                return Err(DataFusionError::External(Box::new(error)));
            }
        }
        let plan = self.table.scan(state, projection, filters, limit).await?;
        Ok(self.in_order(plan))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        self.table.supports_filters_pushdown(filters)
    }

    fn statistics(&self) -> Option<Statistics> {
        self.table.statistics()
    }
}
