//! Reading a source of partitions in a physical plan.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};
use futures_util::Stream;

use super::{Layout, Partitions};
use crate::dataframe::progress::Progress;

/// Reads a source; each of its streams reads one group of neighbouring partitions, in order.
#[derive(Debug, Clone)]
pub(crate) struct PartitionsExec {
    source: Arc<dyn Partitions>,
    columns: Arc<[usize]>,
    groups: Arc<[Range<usize>]>,
    limit: Option<usize>,
    layout: Layout,
    properties: Arc<PlanProperties>,
}

impl PartitionsExec {
    pub(crate) fn new(
        source: Arc<dyn Partitions>,
        projection: Option<Vec<usize>>,
        streams: usize,
        limit: Option<usize>,
    ) -> Result<Self> {
        let schema = source.schema();
        let columns = projection.unwrap_or_else(|| (0..schema.fields().len()).collect());
        let schema = Arc::new(schema.project(&columns)?);
        let groups = group(source.as_ref(), streams.max(1));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(PartitionsExec {
            source,
            columns: columns.into(),
            groups: groups.into(),
            limit,
            layout: Layout::Plain,
            properties: Arc::new(properties),
        })
    }

    /// The same rows, to be stored and not computed with: the batches' types may be more compact
    /// than this plan's schema says.
    pub(crate) fn compact(&self) -> Self {
        PartitionsExec {
            layout: Layout::Compact,
            ..self.clone()
        }
    }

    /// How many partitions are read.
    pub(crate) fn partitions(&self) -> usize {
        self.source.count()
    }

    /// How many rows there are, and how many bytes they need in memory when they are stored.
    pub(crate) fn needs(&self) -> (u64, u64) {
        let rows = self
            .groups
            .iter()
            .map(|group| self.group_rows(group))
            .sum::<usize>() as u64;
        let width: u64 = self
            .columns
            .iter()
            .map(|&column| self.source.stored_width(column))
            .sum();
        (rows, rows.saturating_mul(width))
    }

    fn group_rows(&self, group: &Range<usize>) -> usize {
        let rows = group
            .clone()
            .map(|partition| self.source.rows(partition))
            .sum::<usize>();
        self.limit.map_or(rows, |limit| rows.min(limit))
    }
}

/// Cuts all partitions into at most `streams` neighbourhoods of about the same number of rows.
fn group(source: &dyn Partitions, streams: usize) -> Vec<Range<usize>> {
    let count = source.count();
    if count <= streams {
        // A plan must have a stream even if there is nothing to read.
        let neighbourhoods = 0..count.max(1);
        return neighbourhoods
            .map(|partition| partition..count.min(partition + 1))
            .collect();
    }
    let total = source.total_rows() as u128;
    let mut groups = Vec::with_capacity(streams);
    let (mut first, mut rows) = (0, 0);
    for partition in 0..count {
        rows += source.rows(partition) as u128;
        let full = rows * streams as u128 >= total * (groups.len() + 1) as u128;
        let needed = streams - groups.len() - 1;
        let left = count - partition - 1;
        if needed > 0 && (full || left == needed) {
            groups.push(first..partition + 1);
            first = partition + 1;
        }
    }
    if first < count {
        groups.push(first..count);
    }
    groups
}

impl DisplayAs for PartitionsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.source.name();
        write!(
            f,
            "PartitionsExec: source={name}, partitions={}, streams={}",
            self.source.count(),
            self.groups.len()
        )
    }
}

impl ExecutionPlan for PartitionsExec {
    fn name(&self) -> &'static str {
        "PartitionsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let progress = context.session_config().get_extension::<Progress>();
        let group = self.groups[partition].clone();
        let stream = Rows {
            source: Arc::clone(&self.source),
            columns: Arc::clone(&self.columns),
            schema: self.schema(),
            layout: self.layout,
            left: self.group_rows(&group),
            partition: group.start,
            end: group.end,
            offset: 0,
            batch_size: context.session_config().batch_size(),
            progress,
        };
        Ok(Box::pin(cooperative(stream)))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let rows = match partition {
            Some(partition) => self.group_rows(&self.groups[partition]),
            None => self.groups.iter().map(|group| self.group_rows(group)).sum(),
        };
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Exact(rows);
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(PartitionsExec {
            limit,
            ..self.clone()
        }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }
}

/// The rows of one group of partitions, batch by batch.
struct Rows {
    source: Arc<dyn Partitions>,
    columns: Arc<[usize]>,
    schema: SchemaRef,
    layout: Layout,
    partition: usize,
    end: usize,
    offset: usize,
    left: usize,
    batch_size: usize,
    progress: Option<Arc<Progress>>,
}

impl Rows {
    fn next_batch(&mut self) -> Option<Result<RecordBatch>> {
        while self.partition < self.end && self.offset == self.source.rows(self.partition) {
            self.partition += 1;
            self.offset = 0;
            if let Some(progress) = &self.progress {
                progress.advance(1);
            }
        }
        if self.partition == self.end || self.left == 0 {
            return None;
        }
        let most = self.batch_size.min(self.left);
        let length = self.source.read_length(self.partition, self.offset, most);
        let batch = self
            .source
            .read(
                self.partition,
                self.offset,
                most,
                &self.columns,
                self.layout,
            )
            .and_then(|columns| {
                let options = RecordBatchOptions::new().with_row_count(Some(length));
                let schema = match self.layout {
                    Layout::Plain => Arc::clone(&self.schema),
                    Layout::Compact => compact_schema(&self.schema, &columns),
                };
                RecordBatch::try_new_with_options(schema, columns, &options)
            });
        self.offset += length;
        self.left -= length;
        Some(batch.map_err(Into::into))
    }
}

/// The schema of columns of which some are dictionaries.
fn compact_schema(schema: &Schema, columns: &[datafusion::arrow::array::ArrayRef]) -> SchemaRef {
    let fields = schema.fields().iter().zip(columns);
    let fields = fields.map(|(field, column)| {
        field
            .as_ref()
            .clone()
            .with_data_type(column.data_type().clone())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next_batch())
    }
}

impl RecordBatchStream for Rows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
