//! Partitions that are kept in memory.
//!
//! Columns of few different texts are kept as dictionaries with one byte per row and handed out as
//! the type that the schema says.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt8Array};
use datafusion::arrow::datatypes::{SchemaRef, UInt8Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;

use super::{Layout, Partitions, dictionary};

/// One partition: batches, and the number of the first row of each.
#[derive(Debug)]
pub(crate) struct StoredPartition {
    batches: Vec<RecordBatch>,
    starts: Vec<usize>,
    rows: usize,
}

impl StoredPartition {
    pub(crate) fn new(batches: Vec<RecordBatch>) -> Self {
        let batches: Vec<RecordBatch> = batches
            .into_iter()
            .filter(|batch| batch.num_rows() > 0)
            .collect();
        let mut rows = 0;
        let starts = batches.iter().map(|batch| {
            rows += batch.num_rows();
            rows - batch.num_rows()
        });
        let starts = starts.collect();
        StoredPartition {
            batches,
            starts,
            rows,
        }
    }

    /// The bytes that the rows take.
    pub(crate) fn bytes(&self) -> u64 {
        self.batches
            .iter()
            .flat_map(RecordBatch::columns)
            .map(column_bytes)
            .sum()
    }
}

/// The bytes of a column, without those that many batches share.
fn column_bytes(column: &ArrayRef) -> u64 {
    match column.as_dictionary_opt::<UInt8Type>() {
        Some(dictionary) => dictionary.keys().get_buffer_memory_size() as u64,
        None => column.get_buffer_memory_size() as u64,
    }
}

/// Partitions in memory.
#[derive(Debug)]
pub(crate) struct Stored {
    schema: SchemaRef,
    partitions: Vec<StoredPartition>,
}

impl Stored {
    pub(crate) fn new(schema: SchemaRef, partitions: Vec<StoredPartition>) -> Self {
        Stored { schema, partitions }
    }

    /// The batch that has row `offset` of a partition, and the row's number in it.
    fn find(&self, partition: usize, offset: usize) -> (&RecordBatch, usize) {
        let partition = &self.partitions[partition];
        let batch = partition.starts.partition_point(|start| *start <= offset) - 1;
        (&partition.batches[batch], offset - partition.starts[batch])
    }
}

impl Partitions for Stored {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn count(&self) -> usize {
        self.partitions.len()
    }

    fn rows(&self, partition: usize) -> usize {
        self.partitions[partition].rows
    }

    fn bytes(&self) -> Option<u64> {
        Some(self.partitions.iter().map(StoredPartition::bytes).sum())
    }

    fn read_length(&self, partition: usize, offset: usize, most: usize) -> usize {
        let (batch, start) = self.find(partition, offset);
        most.min(batch.num_rows() - start)
    }

    fn read(
        &self,
        partition: usize,
        offset: usize,
        most: usize,
        columns: &[usize],
        layout: Layout,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let (batch, start) = self.find(partition, offset);
        let length = most.min(batch.num_rows() - start);
        let parts = columns.iter().map(|&column| {
            let part = batch.column(column).slice(start, length);
            match part.as_dictionary_opt::<UInt8Type>() {
                Some(keyed) if part.data_type() != self.schema.field(column).data_type() => {
                    let keys: &UInt8Array = keyed.keys();
                    dictionary(keys, keyed.values(), layout)
                }
                _ => Ok(part),
            }
        });
        parts.collect()
    }
}
