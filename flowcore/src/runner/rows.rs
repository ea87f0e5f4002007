//! Rows of a map on their way through one thread.
//!
//! Invariant: every row is handed out once. Knows nothing of queues.
//!
//! A thread *claims* a range of rows and takes them one by one; an idle
//! thread takes half of what is left of another's claim, so a slow row holds
//! up nobody but itself. What completed goes home in blocks: a lock per block
//! and not per row.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::attempt::Ending;
use crate::clock::Timestamp;
use crate::context::CurrentRow;
use crate::engine::MapId;
use crate::flow::FlowRun;

/// Feeds rows to a map's loop and takes their outcomes.
pub(crate) trait RowSink {
    fn next(&mut self) -> Option<u32>;
    fn completed(&mut self, row: u32);
    fn ended(&mut self, row: u32, ending: Ending);
}

/// The rows that one thread has taken for itself.
#[derive(Debug)]
pub(crate) struct Claim(Mutex<Range<u32>>);

impl Claim {
    pub(crate) fn new(rows: Range<u32>) -> Self {
        Self(Mutex::new(rows))
    }

    fn next(&self) -> Option<u32> {
        self.0.lock().next()
    }

    /// The back half of what is left, for another thread.
    pub(crate) fn split(&self) -> Option<Range<u32>> {
        let mut rows = self.0.lock();
        let left = rows.end - rows.start;
        if left == 0 {
            return None;
        }
        let stolen = rows.end - left.div_ceil(2)..rows.end;
        rows.end = stolen.start;
        Some(stolen)
    }
}

/// Rows of one map that shall not start any more.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    any: AtomicBool,
    rows: Mutex<StoppedRows>,
}

#[derive(Debug, Default)]
struct StoppedRows {
    all: bool,
    some: HashSet<u32>,
}

impl Stops {
    pub(crate) fn stop_all(&self) {
        self.rows.lock().all = true;
        self.any.store(true, Ordering::Release);
    }

    pub(crate) fn stop(&self, row: u32) {
        self.rows.lock().some.insert(row);
        self.any.store(true, Ordering::Release);
    }

    #[inline]
    fn contains(&self, row: u32) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let rows = self.rows.lock();
        rows.all || rows.some.contains(&row)
    }
}

/// After this time what completed is told home, so that dependents and
/// watchers wait no longer.
const REPORT_AFTER: u64 = 1_000_000;
/// Rows faster than this are reported when they end; for slower ones their
/// start is told too, so that they are seen running.
const SEEN_RUNNING: u64 = 50_000;
/// At most so many rows are told at once.
const REPORT_ROWS: usize = 4096;

/// One thread's claim at work.
pub(crate) struct ClaimedRows<'a, E> {
    pub(crate) flow: &'a Arc<FlowRun>,
    pub(crate) map: MapId,
    pub(crate) claim: Arc<Claim>,
    pub(crate) stops: &'a Stops,
    pub(crate) current: &'a CurrentRow,
    /// Takes rows that did not complete.
    pub(crate) on_ended: E,
    first: u32,
    /// When each noted row started, and when the last one ended.
    times: Vec<Timestamp>,
    last_duration: u64,
}

impl<'a, E: FnMut(u32, Ending)> ClaimedRows<'a, E> {
    pub(crate) fn new(
        flow: &'a Arc<FlowRun>,
        map: MapId,
        claim: Arc<Claim>,
        stops: &'a Stops,
        current: &'a CurrentRow,
        on_ended: E,
    ) -> Self {
        Self {
            flow,
            map,
            claim,
            stops,
            current,
            on_ended,
            first: 0,
            times: Vec::with_capacity(64),
            last_duration: u64::MAX,
        }
    }

    /// Tells home of all that is noted.
    pub(crate) fn flush(&mut self) {
        if self.times.len() > 1 {
            self.flow.rows_completed(self.map, self.first, &self.times);
        }
        self.times.clear();
    }

    fn begin(&mut self, row: u32, now: Timestamp) {
        self.first = row;
        self.times.clear();
        self.times.push(now);
    }
}

impl<E: FnMut(u32, Ending)> RowSink for ClaimedRows<'_, E> {
    fn next(&mut self) -> Option<u32> {
        loop {
            let row = self.claim.next()?;
            if self.stops.contains(row) {
                continue;
            }
            self.current.set(row);
            let follows =
                !self.times.is_empty() && self.first + (self.times.len() as u32 - 1) == row;
            if !follows {
                self.flush();
                self.begin(row, crate::runtime::now());
            }
            if self.last_duration > SEEN_RUNNING {
                self.flush();
                let now = crate::runtime::now();
                self.begin(row, now);
                if !self.flow.row_started(self.map, row) {
                    self.times.clear();
                    continue;
                }
            }
            return Some(row);
        }
    }

    fn completed(&mut self, _row: u32) {
        let now = crate::runtime::now();
        let started = self.times.last().copied().unwrap_or(now);
        self.last_duration = now.nanoseconds().saturating_sub(started.nanoseconds());
        self.times.push(now);
        let since = now.nanoseconds() - self.times[0].nanoseconds();
        if since > REPORT_AFTER || self.times.len() > REPORT_ROWS {
            self.flush();
        }
    }

    fn ended(&mut self, row: u32, ending: Ending) {
        self.flush();
        (self.on_ended)(row, ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_shared_without_loss() {
        let claim = Claim::new(0..10);
        assert_eq!(claim.next(), Some(0));
        let stolen = claim.split().unwrap();
        assert_eq!(stolen, 5..10);
        let rest: Vec<_> = std::iter::from_fn(|| claim.next()).collect();
        assert_eq!(rest, [1, 2, 3, 4]);
        assert_eq!(claim.split(), None);
        let one = Claim::new(3..4);
        assert_eq!(one.split(), Some(3..4));
    }
}
