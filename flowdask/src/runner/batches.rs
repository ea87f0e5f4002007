//! How the rows of a map are cut into batches, one task of Dask each.
//!
//! The cut depends on nothing but the rows and the cluster's size when the
//! flow began, so that maps of equal length are cut alike and batch i of one
//! needs only batch i of the other.

use std::ops::Range;
use std::time::Duration;

use flowcore::bridge::WorkDescriptor;

/// So many batches are there for each thread: enough for the threads to end
/// at about the same time.
const PER_THREAD: usize = 32;

/// The values of a batch's rows take about so many bytes at most: the scheduler
/// keeps them until the batch is done, and passes them on in one message.
pub(super) const MOST_BYTES: usize = 4 << 20;

/// A row that waits longer for its retry goes alone, so that it holds nobody
/// up.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// So many retries are looked at; delays that double are long by then.
const RETRIES: u32 = 32;

/// How many rows go together; nothing if each goes alone.
pub(super) fn size(work: &WorkDescriptor, rows: usize, threads: usize) -> Option<u32> {
    if let Some(size) = work.batch {
        return Some(size).filter(|size| *size > 1);
    }
    let batches = threads.max(1) * PER_THREAD;
    if rows <= batches || !work.resources.is_empty() || waits_long(work) {
        return None;
    }
    u32::try_from(rows.div_ceil(batches)).ok()
}

fn waits_long(work: &WorkDescriptor) -> bool {
    let mut retries = 1..=work.retries.min(RETRIES);
    retries.any(|retry| work.retry_delay.before(retry) > LONGEST_WAIT)
}

/// The batches of these rows, on a grid that begins with the map.
pub(super) fn cut(rows: Range<u32>, size: u32) -> impl Iterator<Item = Range<u32>> {
    let mut start = rows.start;
    std::iter::from_fn(move || {
        if start >= rows.end {
            return None;
        }
        let end = (start / size + 1).saturating_mul(size).min(rows.end);
        let batch = start..end;
        start = end;
        Some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::super::ledger::tests::work;
    use super::*;

    #[test]
    fn only_many_rows_are_cut() {
        let work = work(1, Vec::new());
        assert_eq!(size(&work, 64, 2), None);
        assert_eq!(size(&work, 65, 2), Some(2));
        assert_eq!(size(&work, 1_000_000, 2), Some(15_625));
        let with = |batch| WorkDescriptor {
            batch: Some(batch),
            ..work.clone()
        };
        assert_eq!(size(&with(1), 1_000_000, 2), None);
        assert_eq!(size(&with(10), 3, 2), Some(10));
    }

    #[test]
    fn rows_that_wait_or_need_something_go_alone() {
        let mut slow = work(1, Vec::new());
        slow.retries = 1;
        slow.retry_delay = Duration::from_secs(10).into();
        assert_eq!(size(&slow, 1000, 2), None);
        slow.retry_delay = Duration::from_millis(10).into();
        assert_eq!(size(&slow, 1000, 2), Some(16));
        slow.resources = vec![("gpu".into(), 1.0)];
        assert_eq!(size(&slow, 1000, 2), None);
    }

    #[test]
    fn batches_cover_all_rows_once_on_one_grid() {
        let all: Vec<_> = cut(0..10, 4).collect();
        assert_eq!(all, [0..4, 4..8, 8..10]);
        let some: Vec<_> = cut(3..9, 4).collect();
        assert_eq!(some, [3..4, 4..8, 8..9]);
        assert_eq!(cut(0..0, 4).count(), 0);
    }
}
