//! How many rows of a map stand in one task run.

use std::ops::Range;

use uuid::Uuid;

use crate::engine::MapId;
use crate::flow::task_run_id;
use crate::runner::RunReference;

/// Maps that are not longer tell every row. A stock server records about a
/// hundred events a second.
const ROWS_AT_MOST: u32 = 2000;
/// Task runs of a longer one.
const BATCHES_AT_MOST: u32 = 1000;

/// A map's rows as task runs of `size` rows each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) length: u32,
    pub(super) size: u32,
}

impl Layout {
    pub(super) fn of(length: u32) -> Self {
        let size = if length <= ROWS_AT_MOST {
            1
        } else {
            length.div_ceil(BATCHES_AT_MOST)
        };
        Self { length, size }
    }

    /// Whether each row is a task run of its own.
    pub(super) fn is_of_rows(&self) -> bool {
        self.size == 1
    }

    /// How many task runs there are.
    pub(super) fn count(&self) -> u32 {
        self.length.div_ceil(self.size)
    }

    /// The task runs that these rows are in.
    pub(super) fn runs_of(&self, rows: &Range<u32>) -> Range<u32> {
        if rows.is_empty() {
            return 0..0;
        }
        rows.start / self.size..(rows.end - 1) / self.size + 1
    }

    /// The rows of a task run.
    pub(super) fn rows(&self, run: u32) -> Range<u32> {
        let start = run * self.size;
        start..start.saturating_add(self.size).min(self.length)
    }

    /// The id of a task run. A batch has one that no row has: a failed row is
    /// told beside its batch.
    pub(super) fn id(&self, flow: Uuid, map: MapId, run: u32) -> Uuid {
        let row = if self.is_of_rows() {
            run
        } else {
            u32::MAX - 1 - run
        };
        task_run_id(flow, RunReference::row(map, row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_maps_are_told_in_at_most_a_thousand_batches() {
        assert!(Layout::of(2000).is_of_rows());
        let layout = Layout::of(1_000_001);
        assert_eq!((layout.size, layout.count()), (1001, 1000));
        assert_eq!(layout.rows(999), 999_999..1_000_001);
        assert_eq!(layout.runs_of(&(1000..1002)), 0..2);
        assert_eq!(layout.runs_of(&(5..5)), 0..0);
    }
}
