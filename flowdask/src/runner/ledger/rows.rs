//! What is known of the rows of one batch until its value is in memory.

use std::collections::HashSet;
use std::ops::Range;

use flowcore::bridge::{RunEvent, RunReference};

#[derive(Debug)]
pub(super) struct BatchRows {
    first: u32,
    /// Which rows' ends were told.
    told: Vec<bool>,
    missing: usize,
    /// Ends that are told when the values are there.
    pub(super) completed: Vec<RunEvent>,
    cancelled: HashSet<u32>,
}

impl BatchRows {
    pub(super) fn new(rows: &Range<u32>) -> Self {
        Self {
            first: rows.start,
            told: vec![false; rows.len()],
            missing: rows.len(),
            completed: Vec::new(),
            cancelled: HashSet::new(),
        }
    }

    /// A row's end is told; whether that is news.
    pub(super) fn tell(&mut self, row: u32) -> bool {
        let index = row.checked_sub(self.first);
        let told = index.and_then(|index| self.told.get_mut(index as usize));
        let Some(told) = told else {
            return false;
        };
        let is_news = !std::mem::replace(told, true);
        self.missing -= usize::from(is_news);
        is_news
    }

    /// A row that had completed ended otherwise, where a batch whose values were
    /// lost was executed once more; whether its end was not passed on.
    pub(super) fn withdraw(&mut self, row: u32) -> bool {
        let of_row = |event: &RunEvent| rows_of(event).any(|one| one == row);
        let Some(place) = self.completed.iter().position(of_row) else {
            return false;
        };
        if let RunEvent::RowsCompleted { map, first, took } = self.completed.remove(place) {
            let (before, after) = took.split_at((row - first) as usize);
            let parts = [(first, before), (row + 1, &after[1..])];
            let parts = parts.into_iter().filter(|(_, took)| !took.is_empty());
            self.completed
                .extend(parts.map(|(first, took)| RunEvent::RowsCompleted {
                    map,
                    first,
                    took: took.to_vec(),
                }));
        }
        true
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// The rows whose ends were not told.
    pub(super) fn untold(&self) -> Vec<u32> {
        let rows = (self.first..).zip(&self.told);
        rows.filter(|(_, told)| !**told)
            .map(|(row, _)| row)
            .collect()
    }

    /// The rows that completed and whose ends were not passed on.
    pub(super) fn take_completed(&mut self) -> Vec<u32> {
        let completed = std::mem::take(&mut self.completed);
        completed.iter().flat_map(rows_of).collect()
    }

    /// A row is not wanted any more; whether none is.
    pub(super) fn cancel(&mut self, row: u32) -> bool {
        self.cancelled.insert(row);
        self.cancelled.len() == self.told.len()
    }

    pub(super) fn cancelled(&self) -> impl Iterator<Item = u32> {
        self.cancelled.iter().copied()
    }
}

/// The rows that completed, as this says.
fn rows_of(event: &RunEvent) -> impl Iterator<Item = u32> + use<> {
    let (first, count) = match event {
        RunEvent::RowsCompleted { first, took, .. } => (*first, took.len()),
        RunEvent::Completed { run } | RunEvent::Cached { run } => match run {
            RunReference::Row(_, row) => (*row, 1),
            RunReference::Run(_) => (0, 0),
        },
        _ => (0, 0),
    };
    (first..).take(count)
}
