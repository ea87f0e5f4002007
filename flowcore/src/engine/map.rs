//! A map in the engine: one entry, its rows in columns.
//!
//! A row costs one byte of state, four of missing inputs (only where rows
//! wait for rows) and two times; what only few rows have (failures, second
//! attempts, dependents of single rows) lies in side tables.

use std::collections::HashMap;
use std::ops::Range;

use smallvec::{SmallVec, smallvec};

use super::MapId;
use super::graph::RunInput;
use super::run::{Dependent, End, RunView};
use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::state::StateName;

/// A map of runs.
#[derive(Debug, Default)]
pub(crate) struct Map {
    /// Known once the lists it maps over are.
    pub(crate) length: Option<u32>,
    /// Why the map has no rows at all.
    pub(crate) ended_whole: Option<End>,
    pub(crate) states: Vec<StateName>,
    pub(crate) started: Vec<Timestamp>,
    pub(crate) ended: Vec<Timestamp>,
    /// Row inputs that have not settled; empty if no row waits for rows.
    pub(crate) missing: Vec<u32>,
    /// Inputs of all rows that have not settled, and lengths not known.
    pub(crate) gates: u32,
    pub(crate) unsettled: u32,
    pub(crate) failures: HashMap<u32, Failure>,
    pub(crate) attempts: HashMap<u32, u32>,
    /// Rows cancelled before the length was known.
    pub(crate) cancelled_early: Vec<(u32, Failure)>,
    /// Row inputs noted before the length was known.
    pub(crate) aligned_inputs: Vec<AlignedInput>,
    pub(crate) row_inputs: Vec<(u32, RunInput)>,
    pub(crate) aligned: Vec<AlignedDependent>,
    pub(crate) row_dependents: HashMap<u32, Vec<Dependent>>,
    pub(crate) range_dependents: Vec<RangeDependent>,
    /// Maps that learn their length from this one.
    pub(crate) length_dependents: Vec<MapId>,
    pub(crate) is_held: bool,
    /// Its rows are handed to the flow's runner, not to this process's
    /// threads.
    pub(crate) goes_out: bool,
    /// All rows have been dispatched.
    pub(crate) is_handed_out: bool,
    /// Some of its rows had to wait for slots.
    pub(crate) has_waited: bool,
}

/// Row i of the map waits for row `first + i` of `upstream`.
#[derive(Clone, Debug)]
pub(crate) struct AlignedInput {
    pub(crate) upstream: MapId,
    pub(crate) first: u32,
    pub(crate) allow_failure: bool,
}

/// Row `row - first` of `map` waits for row `row` of this one.
#[derive(Clone, Debug)]
pub(crate) struct AlignedDependent {
    pub(crate) map: MapId,
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) allow_failure: bool,
}

/// Something waits for all rows of a range.
#[derive(Clone, Debug)]
pub(crate) struct RangeDependent {
    pub(crate) rows: Range<u32>,
    pub(crate) unsettled: u32,
    pub(crate) dependent: Dependent,
}

impl Map {
    pub(crate) fn is_settled(&self) -> bool {
        self.ended_whole.is_some() || (self.length.is_some() && self.unsettled == 0)
    }

    pub(crate) fn allocate(&mut self, length: u32) {
        let rows = length as usize;
        self.length = Some(length);
        self.states = vec![StateName::Pending; rows];
        self.started = vec![Timestamp::NONE; rows];
        self.ended = vec![Timestamp::NONE; rows];
        self.unsettled = length;
    }

    /// Counts one more input of a row.
    pub(crate) fn expect_input(&mut self, row: u32) {
        if self.missing.is_empty() {
            self.missing = vec![0; self.states.len()];
        }
        self.missing[row as usize] += 1;
    }

    pub(crate) fn is_row_ready(&self, row: u32) -> bool {
        self.gates == 0
            && self.states[row as usize] == StateName::Pending
            && self
                .missing
                .get(row as usize)
                .is_none_or(|&missing| missing == 0)
    }

    /// The row's attempts so far.
    pub(crate) fn attempt(&self, row: u32) -> u32 {
        let has_started = || u32::from(self.started[row as usize].is_some());
        self.attempts.get(&row).copied().unwrap_or_else(has_started)
    }

    /// Rows that began, in parts that made as many attempts.
    pub(crate) fn by_attempts(&self, rows: Range<u32>) -> SmallVec<[(Range<u32>, u32); 1]> {
        if self.attempts.is_empty() {
            return smallvec![(rows, 1)];
        }
        let mut parts: SmallVec<[(Range<u32>, u32); 1]> = SmallVec::new();
        for row in rows {
            let attempt = self.attempt(row);
            match parts.last_mut() {
                Some((part, same)) if *same == attempt => part.end = row + 1,
                _ => parts.push((row..row + 1, attempt)),
            }
        }
        parts
    }

    pub(crate) fn view(&self, row: u32) -> Option<RunView> {
        if let Some(end) = &self.ended_whole {
            return Some(RunView {
                name: end.name(),
                attempt: 0,
                started: Timestamp::NONE,
                ended: Timestamp::NONE,
                failure: end.clone().failure(),
            });
        }
        let index = row as usize;
        let name = *self.states.get(index)?;
        Some(RunView {
            name,
            attempt: self.attempt(row),
            started: self.started[index],
            ended: self.ended[index],
            failure: self.failures.get(&row).cloned(),
        })
    }

    /// What a dependent of a row that does not exist learns; `None` while the
    /// length is not known.
    pub(crate) fn missing_row(&self, row: u32) -> Option<(StateName, Failure)> {
        let failure = match (&self.ended_whole, self.length) {
            (Some(end), _) => return Some((end.name(), end.clone().failure()?)),
            (None, Some(length)) => Failure::missing_row(row, length),
            (None, None) => return None,
        };
        Some((failure.0.name, failure))
    }

    /// How many rows of `rows` have settled.
    pub(crate) fn settled_in(&self, rows: &Range<u32>) -> u32 {
        let end = self.states.len().min(rows.end as usize);
        let settled = self.states[end.min(rows.start as usize)..end]
            .iter()
            .filter(|name| name.is_settled())
            .count();
        u32::try_from(settled).unwrap_or(u32::MAX)
    }
}

/// Groups consecutive numbers into ranges.
#[derive(Debug, Default)]
pub(crate) struct Ranges(Vec<Range<u32>>);

impl Ranges {
    pub(crate) fn push(&mut self, row: u32) {
        match self.0.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => self.0.push(row..row + 1),
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Range<u32>> {
        self.0
    }
}
