//! How many events are on their way: no more than the server's queue holds.
//!
//! Events of a flow run have numbers, in the order in which they are sent, and
//! leave the queue in that order.

use std::collections::VecDeque;

use uuid::Uuid;

/// Events on their way that are not known to be recorded. The server's queue
/// holds 10,000 for all its clients, and drops what comes beyond.
const WINDOW: u64 = 3_000;

/// What is on its way for one flow run.
#[derive(Debug, Default)]
pub(super) struct Sent {
    events: u64,
    /// Up to this one they are no longer in the server's queue.
    pub(super) consumed: u64,
    /// Up to this one half of each may be recorded, see
    /// [`may_have_died`](super::Ledger::may_have_died).
    pub(super) halves: u64,
    /// Runs whose terminal state was sent, once each.
    pub(super) finals: u64,
    /// For each of these that was not counted: `events` after it.
    marks: VecDeque<u64>,
    counted: u64,
    /// Runs that are known to be recorded, and forgotten.
    pub(super) gone: u64,
}

#[derive(Debug, Default)]
pub(super) struct Window {
    /// Of all flow runs.
    pub(super) out: u64,
    /// Runs that are told again although it is full.
    pub(super) probes: Vec<Uuid>,
}

/// With more on its way a server is some seconds behind, as far as is known.
const BEHIND: u64 = 200;

impl Window {
    pub(super) fn is_behind(&self) -> bool {
        self.out > BEHIND
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.out > WINDOW / 2
    }

    pub(super) fn is_full(&self) -> bool {
        self.out >= WINDOW
    }
}

impl Sent {
    /// One more event goes out; its number.
    pub(super) fn event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    /// The event that went out last has ended a run; how many have ended.
    pub(super) fn ends(&mut self) -> u64 {
        self.finals += 1;
        self.marks.push_back(self.events);
        self.finals
    }

    /// So many of its runs are recorded in a terminal state; how many events
    /// that are fewer on their way.
    pub(super) fn count(&mut self, recorded: u64) -> u64 {
        let mut number = 0;
        while self.counted < recorded
            && let Some(mark) = self.marks.pop_front()
        {
            self.counted += 1;
            number = mark;
        }
        self.pass(number)
    }

    /// How many were counted and are not gone.
    pub(super) fn counted_open(&self) -> usize {
        usize::try_from(self.counted.saturating_sub(self.gone)).unwrap_or(usize::MAX)
    }

    /// Events up to this one are recorded or lost: the server takes them in
    /// their order. How many that are fewer on their way.
    pub(super) fn pass(&mut self, number: u64) -> u64 {
        let before = self.consumed;
        self.consumed = self.consumed.max(number);
        self.consumed - before
    }

    /// How many are on their way.
    pub(super) fn out(&self) -> u64 {
        self.events - self.consumed
    }

    pub(super) fn doubt_all(&mut self) {
        self.halves = self.events;
    }
}
