//! For tests: a source that counts its reads and goes wrong where it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

use super::{Layout, Partitions};
use crate::dataframe::frame::DataFrame;

/// What happens at the 50th read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Error,
    Panic,
    /// Nothing, but each read takes a while.
    Slow,
}

#[derive(Debug)]
struct Broken {
    fault: Fault,
    reads: Arc<AtomicUsize>,
}

/// A frame of ten thousand partitions with one row each, and the count of its reads.
pub(crate) fn broken(fault: Fault) -> (DataFrame, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let source = Broken {
        fault,
        reads: Arc::clone(&reads),
    };
    (
        DataFrame::from_partitions(Arc::new(source), Vec::new()),
        reads,
    )
}

impl Partitions for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, false)]))
    }

    fn count(&self) -> usize {
        10_000
    }

    fn rows(&self, _: usize) -> usize {
        1
    }

    fn read_length(&self, _: usize, offset: usize, most: usize) -> usize {
        most.min(1 - offset)
    }

    fn read(
        &self,
        partition: usize,
        _: usize,
        _: usize,
        columns: &[usize],
        _: Layout,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let reads = self.reads.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Error if reads == 50 => {
                return Err(ArrowError::ComputeError("the 50th read".to_owned()));
            }
            Fault::Panic if reads == 50 => panic!("the 50th read"),
            Fault::Slow => std::thread::sleep(Duration::from_millis(1)),
            _ => {}
        }
        let column: ArrayRef = Arc::new(Int64Array::from(vec![partition as i64]));
        Ok(columns.iter().map(|_| Arc::clone(&column)).collect())
    }
}
