//! A source cut into other partitions; the rows and their order stay.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;

use super::{Layout, Partitions};

/// A source of which each partition is a run of another source's rows.
#[derive(Debug)]
pub(crate) struct Regrouped {
    source: Arc<dyn Partitions>,
    /// The number of the first row of each partition of `source`, and of all rows at the end.
    starts: Vec<usize>,
    /// The same of this source's partitions.
    cuts: Vec<usize>,
}

impl Regrouped {
    /// `count` partitions of about the same number of rows.
    pub(crate) fn new(source: Arc<dyn Partitions>, count: usize) -> Self {
        let mut rows = 0;
        let mut starts = vec![0];
        for partition in 0..source.count() {
            rows += source.rows(partition);
            starts.push(rows);
        }
        let cut = |number: usize| (rows as u128 * number as u128 / count as u128) as usize;
        Regrouped {
            source,
            starts,
            cuts: (0..=count).map(cut).collect(),
        }
    }

    /// The partition of `source` that has a row of one of ours, the row's number in it, and how
    /// many rows from there on are in both.
    fn find(&self, partition: usize, offset: usize) -> (usize, usize, usize) {
        let row = self.cuts[partition] + offset;
        let inner = self.starts.partition_point(|start| *start <= row) - 1;
        let end = self.starts[inner + 1].min(self.cuts[partition + 1]);
        (inner, row - self.starts[inner], end - row)
    }
}

impl Partitions for Regrouped {
    fn name(&self) -> &'static str {
        self.source.name()
    }

    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn count(&self) -> usize {
        self.cuts.len() - 1
    }

    fn rows(&self, partition: usize) -> usize {
        self.cuts[partition + 1] - self.cuts[partition]
    }

    fn bytes(&self) -> Option<u64> {
        self.source.bytes()
    }

    fn stored_width(&self, column: usize) -> u64 {
        self.source.stored_width(column)
    }

    fn read_length(&self, partition: usize, offset: usize, most: usize) -> usize {
        let (inner, start, left) = self.find(partition, offset);
        self.source.read_length(inner, start, most.min(left))
    }

    fn read(
        &self,
        partition: usize,
        offset: usize,
        most: usize,
        columns: &[usize],
        layout: Layout,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let (inner, start, left) = self.find(partition, offset);
        self.source
            .read(inner, start, most.min(left), columns, layout)
    }
}
