//! Partitions: rows that a frame can read piece by piece, whether they are made or stored.
//!
//! A source of partitions knows how many there are and how long each is, and gives any run of rows
//! of one. [`PartitionsTable`] shows a source to DataFusion's planner, [`PartitionsExec`] reads it.
//! Neither knows what the rows mean.

#[cfg(test)]
mod broken;
mod exec;
mod regrouped;
mod stored;
mod table;

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, DictionaryArray, UInt8Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;

#[cfg(test)]
pub(crate) use broken::{Fault, broken};
pub(crate) use exec::PartitionsExec;
pub(crate) use regrouped::Regrouped;
pub(crate) use stored::{Stored, StoredPartition};
pub(crate) use table::PartitionsTable;

/// How columns of few different texts are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As the schema says.
    Plain,
    /// As a dictionary with one byte per row where the source has one; for storing, not for computing.
    Compact,
}

/// A source of partitions.
pub(crate) trait Partitions: Debug + Send + Sync {
    /// What plans call it.
    fn name(&self) -> &'static str;

    fn schema(&self) -> SchemaRef;

    /// How many partitions there are.
    fn count(&self) -> usize;

    /// How many rows a partition has.
    fn rows(&self, partition: usize) -> usize;

    /// How many rows `read` gives at `offset` if asked for `most`: at least one unless `offset` is
    /// the partition's end.
    fn read_length(&self, partition: usize, offset: usize, most: usize) -> usize;

    /// The rows of the given columns from `offset` on.
    fn read(
        &self,
        partition: usize,
        offset: usize,
        most: usize,
        columns: &[usize],
        layout: Layout,
    ) -> Result<Vec<ArrayRef>, ArrowError>;

    /// The bytes that the rows take, if they are in memory.
    fn bytes(&self) -> Option<u64> {
        None
    }

    /// The bytes that a row of a column takes when it is stored compactly.
    fn stored_width(&self, column: usize) -> u64 {
        match self.schema().field(column).data_type() {
            DataType::Utf8View | DataType::BinaryView => 16,
            other => other.primitive_width().unwrap_or(16) as u64,
        }
    }

    fn total_rows(&self) -> usize {
        (0..self.count())
            .map(|partition| self.rows(partition))
            .sum()
    }
}

/// A column whose rows are keys into few values, in the layout that is asked for.
pub(crate) fn dictionary(
    keys: &UInt8Array,
    values: &ArrayRef,
    layout: Layout,
) -> Result<ArrayRef, ArrowError> {
    match layout {
        Layout::Plain => take(values, keys, None),
        Layout::Compact => Ok(Arc::new(DictionaryArray::try_new(
            keys.clone(),
            Arc::clone(values),
        )?)),
    }
}
