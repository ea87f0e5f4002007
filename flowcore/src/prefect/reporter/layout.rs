//! How many rows of a map stand in one task run.

use std::ops::Range;

use uuid::Uuid;

use crate::definition::MapReport;
use crate::engine::MapId;
use crate::flow::task_run_id;
use crate::runner::RunReference;

/// Maps that are not longer tell every row, unless their task says otherwise. A
/// stock server records about a hundred events a second.
const ROWS_AT_MOST: u32 = 2000;
/// Task runs of a longer one.
const BATCHES_AT_MOST: u32 = 1000;
/// Rows of a batch that a task asks for.
const ROWS_AT_LEAST: u32 = 100;

/// A map's rows as task runs of `size` rows each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) length: u32,
    size: u32,
    /// A batch of one row is none.
    of_rows: bool,
}

impl Layout {
    pub(super) fn of(length: u32, report: Option<MapReport>) -> Self {
        let size = match report {
            None if length <= ROWS_AT_MOST => None,
            None => Some(length.div_ceil(BATCHES_AT_MOST)),
            Some(MapReport::Rows) => None,
            Some(MapReport::Batches) => Some(length.div_ceil(BATCHES_AT_MOST).max(ROWS_AT_LEAST)),
            Some(MapReport::Summary) => Some(length.max(1)),
        };
        Self {
            length,
            size: size.unwrap_or(1),
            of_rows: size.is_none(),
        }
    }

    /// Whether each row is a task run of its own.
    pub(super) fn is_of_rows(&self) -> bool {
        self.of_rows
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
        assert!(Layout::of(2000, None).is_of_rows());
        let layout = Layout::of(1_000_001, None);
        assert_eq!((layout.size, layout.count()), (1001, 1000));
        assert_eq!(layout.rows(999), 999_999..1_000_001);
        assert_eq!(layout.runs_of(&(1000..1002)), 0..2);
        assert_eq!(layout.runs_of(&(5..5)), 0..0);
    }

    #[test]
    fn tasks_say_how_their_maps_are_told() {
        let of = |length, report| {
            let layout = Layout::of(length, Some(report));
            (layout.is_of_rows(), layout.count())
        };
        assert_eq!(of(10_000, MapReport::Rows), (true, 10_000));
        assert_eq!(of(250, MapReport::Batches), (false, 3));
        assert_eq!(of(1_000_000, MapReport::Batches), (false, 1000));
        for length in [1, 2, u32::MAX] {
            assert_eq!(of(length, MapReport::Summary), (false, 1));
        }
        assert_eq!(of(0, MapReport::Summary), (false, 0));
        let (flow, map) = (Uuid::nil(), MapId::from_bits(7));
        let row = Layout::of(1, Some(MapReport::Rows)).id(flow, map, 0);
        let whole = Layout::of(1, Some(MapReport::Summary)).id(flow, map, 0);
        assert_ne!(row, whole, "the row may have failed, and stand beside it");
    }
}
