//! The rows of a time series, made where and when they are asked for.
//!
//! A row's values are a function of the seed and of its number in the series, so any part can be
//! made on any thread.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray, UInt8Array,
};
use datafusion::arrow::buffer::{Buffer, ScalarBuffer};
use datafusion::arrow::datatypes::{ArrowNativeType, DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use jiff::civil::DateTime;

use super::column;
use super::frequency::{Frequency, micros};
use super::poisson::Poisson;
use super::random::Stream;
use crate::dataframe::partitions::{Layout, Partitions, dictionary};

/// The names that Dask uses.
pub(crate) const NAMES: [&str; 26] = [
    "Alice", "Bob", "Charlie", "Dan", "Edith", "Frank", "George", "Hannah", "Ingrid", "Jerry",
    "Kevin", "Laura", "Michael", "Norbert", "Oliver", "Patricia", "Quinn", "Ray", "Sarah", "Tim",
    "Ursula", "Victor", "Wendy", "Xavier", "Yvonne", "Zelda",
];

static POISSON: LazyLock<Poisson> = LazyLock::new(|| Poisson::new(1000.0));
static NAME_VALUES: LazyLock<ArrayRef> =
    LazyLock::new(|| Arc::new(StringViewArray::from_iter_values(NAMES)));

/// The time that one partition covers.
#[derive(Debug)]
pub(crate) struct Span {
    first_row: u64,
    times: Times,
}

#[derive(Debug)]
enum Times {
    Even { start: i64, step: i64, rows: usize },
    Listed(Vec<i64>),
}

impl Span {
    /// The rows from `start` to before `end`; the first has the number `first_row`.
    pub(crate) fn new(first_row: u64, start: DateTime, end: DateTime, freq: Frequency) -> Self {
        let times = match freq {
            Frequency::Every(step) => {
                let length = micros(end).abs_diff(micros(start));
                let rows = length.div_ceil(step.unsigned_abs()) as usize;
                Times::Even {
                    start: micros(start),
                    step,
                    rows,
                }
            }
            _ => Times::Listed(
                freq.points(start, end)
                    .filter(|time| *time < end)
                    .map(micros)
                    .collect(),
            ),
        };
        Span { first_row, times }
    }

    pub(crate) fn rows(&self) -> usize {
        match &self.times {
            Times::Even { rows, .. } => *rows,
            Times::Listed(times) => times.len(),
        }
    }

    /// The times of `length` rows from `offset` on.
    fn times(&self, offset: usize, length: usize) -> Buffer {
        match &self.times {
            Times::Even { start, step, .. } => {
                let (first, step) = (start + step * offset as i64, *step);
                column::words(length, |row| (first + step * row as i64) as u64)
            }
            Times::Listed(times) => {
                let times = &times[offset..offset + length];
                column::words(length, |row| times[row] as u64)
            }
        }
    }
}

/// A time series, described by its seed and the spans of its partitions.
#[derive(Debug)]
pub(crate) struct Generator {
    spans: Vec<Span>,
    schema: SchemaRef,
    names: Stream,
    ids: Stream,
    xs: Stream,
    ys: Stream,
}

impl Generator {
    pub(crate) fn new(seed: u64, spans: Vec<Span>) -> Self {
        let schema = Schema::new(vec![
            Field::new(
                "timestamp",
                DataType::Timestamp(TimeUnit::Microsecond, None),
                false,
            ),
            Field::new("name", DataType::Utf8View, false),
            Field::new("id", DataType::Int64, false),
            Field::new("x", DataType::Float64, false),
            Field::new("y", DataType::Float64, false),
        ]);
        Generator {
            spans,
            schema: Arc::new(schema),
            names: Stream::new(seed, 1),
            ids: Stream::new(seed, 2),
            xs: Stream::new(seed, 3),
            ys: Stream::new(seed, 4),
        }
    }

    fn column(
        &self,
        column: usize,
        span: &Span,
        offset: usize,
        length: usize,
        layout: Layout,
    ) -> Result<ArrayRef, ArrowError> {
        let first = span.first_row + offset as u64;
        let number = |row: usize| first + row as u64;
        Ok(match column {
            0 => Arc::new(TimestampMicrosecondArray::new(
                scalars(span.times(offset, length), length),
                None,
            )),
            1 => {
                let keys = column::bytes(length, |row| {
                    self.names.below(number(row), NAMES.len() as u32) as u8
                });
                let keys = scalars(keys, length);
                dictionary(&UInt8Array::new(keys, None), &NAME_VALUES, layout)?
            }
            2 => {
                let poisson = &*POISSON;
                let ids = column::words(length, |row| {
                    poisson.pick(self.ids.bits(number(row))) as u64
                });
                Arc::new(Int64Array::new(scalars(ids, length), None))
            }
            3 => Arc::new(uniform(self.xs, first, length)),
            _ => Arc::new(uniform(self.ys, first, length)),
        })
    }
}

fn uniform(stream: Stream, first: u64, length: usize) -> Float64Array {
    let values = column::words(length, |row| stream.uniform(first + row as u64).to_bits());
    Float64Array::new(scalars(values, length), None)
}

/// The first `length` values; a buffer may be longer.
fn scalars<T: ArrowNativeType>(buffer: Buffer, length: usize) -> ScalarBuffer<T> {
    ScalarBuffer::new(buffer, 0, length)
}

impl Partitions for Generator {
    fn name(&self) -> &'static str {
        "timeseries"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn count(&self) -> usize {
        self.spans.len()
    }

    fn rows(&self, partition: usize) -> usize {
        self.spans[partition].rows()
    }

    fn stored_width(&self, column: usize) -> u64 {
        if column == 1 { 1 } else { 8 }
    }

    fn read(
        &self,
        partition: usize,
        offset: usize,
        most: usize,
        columns: &[usize],
        layout: Layout,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let span = &self.spans[partition];
        let length = most.min(span.rows() - offset);
        columns
            .iter()
            .map(|&column| self.column(column, span, offset, length, layout))
            .collect()
    }

    fn read_length(&self, partition: usize, offset: usize, most: usize) -> usize {
        most.min(self.spans[partition].rows() - offset)
    }
}
