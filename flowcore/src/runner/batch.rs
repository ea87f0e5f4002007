//! Rows of a map that travel together, as data and at work.
//!
//! A batch says once what all its rows have in common. In the process that
//! executes it, its columns are decoded once, and each row is a run of its
//! own: attempts, limits, cancellation and logs are those of a single run.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::control::AttemptControl;
use super::descriptor::{ArgumentDescriptor, RunReference, ValueSource, WorkDescriptor};
use super::execution::{AttemptBody, Execution, MapExecution, MapJob, encoded_output, options_of};
use super::seam::RunnerFuture;
use crate::definition::{OptionsSource, Parameters, TaskDefinition, TaskInfo};
use crate::error::{Error, Result};
use crate::handle::RowStore;
use crate::value::EncodedValue;

/// Consecutive rows of a map, ready to travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchDescriptor {
    /// What the rows have in common: the first row, without its arguments.
    pub work: WorkDescriptor,
    /// Whence the rows' names are drawn.
    pub(crate) name_seed: u64,
    /// The map.
    pub map: u64,
    /// Which of its rows.
    pub rows: Range<u32>,
    /// The arguments of all rows, in the order of the parameters.
    pub columns: Vec<ColumnDescriptor>,
}

/// Where the values of one parameter come from, for all rows of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ColumnDescriptor {
    /// Each row's argument.
    Each(Vec<ArgumentDescriptor>),
    /// The same for all rows.
    Repeat(ArgumentDescriptor),
    /// The results of as many rows of another map, from this one on.
    Rows {
        /// The other map.
        map: u64,
        /// Its row that the batch's first row reads.
        first: u32,
    },
}

impl BatchDescriptor {
    /// Rows of the map whose first row of these is `work`, without arguments.
    ///
    /// # Errors
    ///
    /// `work` is a single run.
    pub fn new(
        work: WorkDescriptor,
        name_seed: u64,
        rows: Range<u32>,
        columns: Vec<ColumnDescriptor>,
    ) -> Result<Self> {
        let RunReference::Row(map, _) = work.run else {
            return Err(Error::invalid("a single run is no batch"));
        };
        Ok(Self {
            work,
            name_seed,
            map,
            rows,
            columns,
        })
    }
}

/// How many rows go together, one number for each piece, so that their own
/// values take at most so many bytes. What all rows share is in each piece.
pub(super) fn cut_by_size(columns: &[ColumnDescriptor], rows: usize, most: usize) -> Vec<u32> {
    let mut counts = Vec::new();
    let (mut count, mut size) = (0, 0);
    for index in 0..rows {
        let own: usize = columns.iter().map(|column| column.size_of(index)).sum();
        if count > 0 && size + own > most {
            counts.push(count);
            (count, size) = (0, 0);
        }
        count += 1;
        size += own;
    }
    if count > 0 {
        counts.push(count);
    }
    counts
}

impl ColumnDescriptor {
    /// How many bytes of values only this row has.
    fn size_of(&self, index: usize) -> usize {
        match self {
            Self::Each(rows) => rows.get(index).map_or(0, ArgumentDescriptor::size),
            Self::Repeat(_) | Self::Rows { .. } => 0,
        }
    }

    /// Takes so many rows off the front.
    pub(super) fn take(&mut self, count: u32) -> Self {
        match self {
            Self::Each(rows) => {
                let rest = rows.split_off(rows.len().min(count as usize));
                Self::Each(std::mem::replace(rows, rest))
            }
            Self::Repeat(value) => Self::Repeat(value.clone()),
            Self::Rows { map, first } => {
                let taken = Self::Rows {
                    map: *map,
                    first: *first,
                };
                *first += count;
                taken
            }
        }
    }

    /// What the batch's row number `index` reads.
    pub(crate) fn row(&self, index: u32) -> Option<ArgumentDescriptor> {
        match self {
            Self::Each(rows) => rows.get(index as usize).cloned(),
            Self::Repeat(value) => Some(value.clone()),
            Self::Rows { map, first } => {
                let row = RunReference::Row(*map, first.checked_add(index)?);
                Some(ArgumentDescriptor::Result(row))
            }
        }
    }
}

/// A batch in the process that executes it.
pub(crate) trait BatchJob: Send + Sync {
    /// The batch's row number `index`, ready to run.
    ///
    /// # Errors
    ///
    /// An argument of this row cannot be had.
    fn row(&self, index: u32) -> Result<Box<dyn Execution + '_>>;
}

struct Batch<D: TaskDefinition> {
    job: MapExecution<D>,
    output: Arc<RowStore<D::Output>>,
    options: OptionsSource,
    /// Rows that lack an argument.
    broken: HashMap<u32, Error>,
}

/// A batch from its descriptor.
pub(crate) fn batch_of<D: TaskDefinition>(
    batch: &BatchDescriptor,
    values: &dyn ValueSource,
) -> Result<Box<dyn BatchJob>> {
    let options = OptionsSource::Changed(Arc::new(options_of(D::info(), &batch.work)?));
    let count = u32::try_from(batch.rows.len())?;
    let mut broken = HashMap::new();
    let columns =
        D::Parameters::decode_columns(&batch.columns, count, values, &D::access(), &mut broken)?;
    let output = Arc::new(RowStore::new());
    output.allocate(count);
    let persists = batch.work.results.is_some();
    Ok(Box::new(Batch::<D> {
        job: MapExecution::new(columns, options.clone(), Arc::clone(&output), persists),
        output,
        options,
        broken,
    }))
}

impl<D: TaskDefinition> BatchJob for Batch<D> {
    fn row(&self, index: u32) -> Result<Box<dyn Execution + '_>> {
        match self.broken.get(&index) {
            Some(error) => Err(error.clone()),
            None => Ok(Box::new(BatchRow { batch: self, index })),
        }
    }
}

/// One row of a batch, as a run.
struct BatchRow<'a, D: TaskDefinition> {
    batch: &'a Batch<D>,
    index: u32,
}

impl<D: TaskDefinition> Execution for BatchRow<'_, D> {
    fn info(&self) -> &'static TaskInfo {
        D::info()
    }

    fn options(&self) -> &OptionsSource {
        &self.batch.options
    }

    fn is_local(&self) -> bool {
        true
    }

    fn fetches(&self) -> Vec<RunnerFuture<Result<()>>> {
        Vec::new()
    }

    fn attempt(&self, control: &Arc<AttemptControl>) -> AttemptBody<'static> {
        self.batch.job.attempt_row(self.index, control)
    }

    fn describe(&self) -> Result<Vec<ArgumentDescriptor>> {
        Err(Error::invalid("a row of a batch does not travel on"))
    }

    fn has_output(&self) -> bool {
        let cell = self.batch.output.row(self.index);
        cell.is_some_and(|cell| !cell.is_empty())
    }

    fn output(&self) -> Result<EncodedValue> {
        let cell = self.batch.output.row(self.index);
        let cell = cell.ok_or_else(|| Error::invalid("the batch has no such row"))?;
        encoded_output::<D>(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::CodecTag;

    fn each(sizes: &[usize]) -> ColumnDescriptor {
        let value = |size: &usize| {
            ArgumentDescriptor::Inline(EncodedValue {
                codec: CodecTag::MessagePack,
                bytes: vec![0; *size],
            })
        };
        ColumnDescriptor::Each(sizes.iter().map(value).collect())
    }

    #[test]
    fn pieces_hold_as_many_rows_as_there_is_room_for() {
        let shared = ColumnDescriptor::Rows { map: 7, first: 2 };
        let mut columns = vec![each(&[4, 4, 4, 30, 1, 1]), shared];
        assert_eq!(cut_by_size(&columns, 6, 10), [2, 1, 1, 2]);
        assert_eq!(cut_by_size(&columns, 6, 100), [6]);
        assert_eq!(cut_by_size(&columns, 0, 100), [0; 0]);
        let pieces = columns.iter_mut().map(|column| column.take(2));
        let first = ColumnDescriptor::Rows { map: 7, first: 2 };
        assert_eq!(pieces.collect::<Vec<_>>(), [each(&[4, 4]), first]);
        let rest = ColumnDescriptor::Rows { map: 7, first: 4 };
        assert_eq!(columns, [each(&[4, 30, 1, 1]), rest]);
    }
}
