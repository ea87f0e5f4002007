//! Rows of a map on their way through one thread.
//!
//! A thread *claims* a range of rows and takes them one by one; an idle
//! thread takes half of what is left of another's claim, so a slow row holds
//! up nobody but itself. What completed goes home in blocks: a lock of the
//! engine per block and not per row. The thread sends a block when it is old
//! or long enough; while it is busy with a slow row, the session's ticker
//! sends what is noted in its place.
//!
//! Invariant: every row is handed out once, and every completed row is in
//! exactly one block. Knows nothing of queues.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::attempt::Ending;
use super::stops::Stops;
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

/// After this time what completed is told home, so that dependents and
/// watchers wait no longer.
pub(super) const REPORT_AFTER: Duration = Duration::from_millis(1);
/// At most so many rows are told at once.
const REPORT_ROWS: usize = 4096;

/// Consecutive rows that completed: row `first + i` ran from `times[i]` to
/// `times[i + 1]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    first: u32,
    times: Vec<Timestamp>,
}

impl Block {
    pub(crate) fn report(self, flow: &Arc<FlowRun>, map: MapId) {
        flow.rows_completed(map, self.first, &self.times);
    }
}

/// The rows that one thread has taken for itself.
#[derive(Debug)]
pub(crate) struct Claim(Mutex<Claimed>);

#[derive(Debug)]
struct Claimed {
    left: Range<u32>,
    /// The first row that is noted and not told.
    first: u32,
    /// When it started, and when it and those after it ended.
    times: Vec<Timestamp>,
    running: Running,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    Nothing,
    /// A row runs that home still sees as pending.
    Unseen,
    Seen,
}

impl Claim {
    pub(crate) fn new(rows: Range<u32>) -> Self {
        Self(Mutex::new(Claimed {
            first: rows.start,
            left: rows,
            times: Vec::new(),
            running: Running::Nothing,
        }))
    }

    /// The back half of what is left, for another thread.
    pub(crate) fn split(&self) -> Option<Range<u32>> {
        let mut claimed = self.0.lock();
        // A thread between two rows has the arguments, and may have told of all
        // that it ran: without another row it would hold them while others
        // settle the map.
        let kept = u32::from(claimed.running == Running::Nothing);
        let rows = &mut claimed.left;
        let left = rows.end - rows.start;
        let count = left.div_ceil(2).min(left.saturating_sub(kept));
        if count == 0 {
            return None;
        }
        let stolen = rows.end - count..rows.end;
        rows.end = stolen.start;
        Some(stolen)
    }

    /// Hands out a row; `now` is asked for if nothing says when it starts.
    fn next(&self, now: impl FnOnce() -> Timestamp) -> Option<u32> {
        let mut claimed = self.0.lock();
        let row = claimed.left.next()?;
        if claimed.times.is_empty() {
            claimed.first = row;
            claimed.times.push(now());
        }
        claimed.running = Running::Unseen;
        Some(row)
    }

    /// The row that was handed out completed; a block if it is time to tell.
    fn completed(&self, now: Timestamp) -> Option<Block> {
        let mut claimed = self.0.lock();
        claimed.times.push(now);
        claimed.running = Running::Nothing;
        // The last rows are told when the thread has let go of the arguments.
        let more = !claimed.left.is_empty();
        if more && (claimed.is_due(now) || claimed.times.len() > REPORT_ROWS) {
            claimed.take()
        } else {
            None
        }
    }

    /// The row that was handed out did not complete: it is told by itself.
    fn broken(&self) -> Option<Block> {
        let mut claimed = self.0.lock();
        let block = claimed.take();
        claimed.times.clear();
        claimed.running = Running::Nothing;
        block
    }

    /// The rows that nobody has taken; nobody will.
    pub(crate) fn give_up(&self) -> Range<u32> {
        let left = &mut self.0.lock().left;
        std::mem::replace(left, left.end..left.end)
    }

    fn is_empty(&self) -> bool {
        self.0.lock().left.is_empty()
    }

    /// What is noted, at the end of the claim.
    pub(crate) fn rest(&self) -> Option<Block> {
        self.0.lock().take()
    }

    /// What a busy thread should have told: a block, and the row that runs
    /// since when.
    pub(crate) fn overdue(&self, now: Timestamp) -> (Option<Block>, Option<(u32, Timestamp)>) {
        let mut claimed = self.0.lock();
        if claimed.running == Running::Nothing || !claimed.is_due(now) {
            return (None, None);
        }
        let block = claimed.take();
        let row = claimed.first;
        let running = match (claimed.running, claimed.times.first()) {
            (Running::Unseen, Some(&started)) => Some((row, started)),
            _ => None,
        };
        claimed.running = Running::Seen;
        (block, running)
    }
}

impl Claimed {
    fn is_due(&self, now: Timestamp) -> bool {
        self.times
            .first()
            .is_some_and(|&first| first + REPORT_AFTER < now)
    }

    /// Takes the rows that ended; the last end is the next start.
    fn take(&mut self) -> Option<Block> {
        let &last = self.times.last()?;
        if self.times.len() < 2 {
            return None;
        }
        let mut next = Vec::with_capacity(self.times.len().min(REPORT_ROWS));
        next.push(last);
        let times = std::mem::replace(&mut self.times, next);
        let first = self.first;
        self.first += u32::try_from(times.len() - 1).unwrap_or(u32::MAX);
        Some(Block { first, times })
    }
}

/// One thread's claim at work.
pub(crate) struct ClaimedRows<'a, E> {
    pub(crate) flow: &'a Arc<FlowRun>,
    pub(crate) map: MapId,
    pub(crate) claim: &'a Claim,
    pub(crate) stops: &'a Stops,
    pub(crate) current: &'a CurrentRow,
    /// The highest priority that waits for a thread.
    pub(crate) urgency: &'a AtomicI32,
    pub(crate) priority: i32,
    /// Whether it stopped for something more urgent.
    pub(crate) has_yielded: bool,
    /// Takes rows that did not complete.
    pub(crate) on_ended: E,
    /// The claim's last row, if it did not complete.
    pub(crate) last: Option<(u32, Ending)>,
}

impl<E: FnMut(u32, Ending)> ClaimedRows<'_, E> {
    /// Tells home of all that is left, when the thread has let go of the
    /// arguments. Gives the rows that are left because something more urgent
    /// came between.
    pub(crate) fn finish(mut self) -> Range<u32> {
        let left = match self.has_yielded {
            true => self.claim.give_up(),
            false => 0..0,
        };
        self.tell(self.claim.rest());
        if let Some((row, ending)) = self.last.take() {
            (self.on_ended)(row, ending);
        }
        left
    }

    fn tell(&self, block: Option<Block>) {
        if let Some(block) = block {
            block.report(self.flow, self.map);
        }
    }
}

impl<E: FnMut(u32, Ending)> RowSink for ClaimedRows<'_, E> {
    fn next(&mut self) -> Option<u32> {
        loop {
            if self.urgency.load(Ordering::Relaxed) > self.priority {
                self.has_yielded = true;
                return None;
            }
            let row = self.claim.next(crate::runtime::now)?;
            if self.stops.contains(row) {
                self.tell(self.claim.broken());
                continue;
            }
            self.current.set(row);
            return Some(row);
        }
    }

    fn completed(&mut self, _row: u32) {
        self.tell(self.claim.completed(crate::runtime::now()));
    }

    fn ended(&mut self, row: u32, ending: Ending) {
        self.tell(self.claim.broken());
        if self.claim.is_empty() {
            self.last = Some((row, ending));
        } else {
            (self.on_ended)(row, ending);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_nanoseconds(milliseconds * 1_000_000)
    }

    #[test]
    fn a_claim_is_shared_without_loss() {
        let claim = Claim::new(0..10);
        let next = || claim.next(|| at(1));
        assert_eq!(next(), Some(0));
        let stolen = claim.split().unwrap();
        assert_eq!(stolen, 5..10);
        let rest: Vec<_> = std::iter::from_fn(next).collect();
        assert_eq!(rest, [1, 2, 3, 4]);
        assert_eq!(claim.split(), None);
    }

    #[test]
    fn a_thread_between_two_rows_finds_another_one() {
        let claim = Claim::new(3..5);
        assert_eq!(claim.split(), Some(4..5));
        assert_eq!(claim.split(), None, "its owner has yet to begin");
        let claim = Claim::new(3..5);
        assert_eq!(claim.next(|| at(1)), Some(3));
        // While a row runs, which may take long, all others can go.
        assert_eq!(claim.split(), Some(4..5));
        let claim = Claim::new(3..5);
        assert_eq!(claim.next(|| at(1)), Some(3));
        assert!(claim.completed(at(9)).is_some(), "all that ran is told");
        assert_eq!(claim.split(), None);
        assert_eq!(claim.next(|| at(9)), Some(4));
    }

    #[test]
    fn every_completed_row_is_in_one_block() {
        let claim = Claim::new(7..12);
        for row in 7..9 {
            assert_eq!(claim.next(|| at(1)), Some(row));
            assert_eq!(claim.completed(at(1)), None);
        }
        // The third row is slow: the ticker tells of the first two.
        assert_eq!(claim.next(|| at(1)), Some(9));
        assert_eq!(claim.overdue(at(2)), (None, None));
        let (block, running) = claim.overdue(at(5));
        assert_eq!(
            block.map(|block| (block.first, block.times.len())),
            Some((7, 3))
        );
        assert_eq!(running, Some((9, at(1))));
        assert_eq!(claim.overdue(at(6)), (None, None));
        // It fails; the next two complete.
        assert_eq!(claim.broken(), None);
        assert_eq!(claim.next(|| at(7)), Some(10));
        assert_eq!(claim.completed(at(7)), None);
        assert_eq!(claim.next(|| at(7)), Some(11));
        // The last rows wait for the end of the claim.
        assert_eq!(claim.completed(at(9)), None);
        assert_eq!(claim.next(|| at(9)), None);
        let block = claim.rest().unwrap();
        assert_eq!((block.first, block.times), (10, vec![at(7), at(7), at(9)]));
        assert_eq!(claim.rest(), None);
    }
}
