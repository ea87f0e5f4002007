//! A source of partitions as DataFusion's planner sees it.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, Statistics};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::{Partitions, PartitionsExec};

/// A table over a source of partitions.
#[derive(Debug)]
pub(crate) struct PartitionsTable {
    source: Arc<dyn Partitions>,
}

impl PartitionsTable {
    pub(crate) fn new(source: Arc<dyn Partitions>) -> Self {
        PartitionsTable { source }
    }
}

#[async_trait]
impl TableProvider for PartitionsTable {
    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// One stream per target partition of the session, each over neighbouring partitions of about
    /// the same number of rows in all: reading is as parallel as the session, and in order.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let streams = state.config().target_partitions();
        let exec = PartitionsExec::new(
            Arc::clone(&self.source),
            projection.cloned(),
            streams,
            limit,
        )?;
        Ok(Arc::new(exec))
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.source.schema());
        statistics.num_rows = Precision::Exact(self.source.total_rows());
        Some(statistics)
    }
}
