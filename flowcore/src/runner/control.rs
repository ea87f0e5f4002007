//! One attempt seen from outside: who ended it, and whether it was asked to
//! stop.
//!
//! An attempt ends once. Either its code returns and *finishes* it, or a
//! timer *abandons* it; whoever comes second sees that and does nothing.

use std::sync::{Arc, OnceLock};

use super::attempt::Next;
use crate::flag::Flag;
use crate::sync::{AtomicBool, AtomicU8, Notify, Ordering};

const OPEN: u8 = 0;
const FINISHED: u8 = 1;
const ABANDONED: u8 = 2;

#[derive(Debug)]
pub(crate) struct AttemptControl {
    attempt: u32,
    is_last: bool,
    phase: AtomicU8,
    /// The code of an abandoned attempt has returned.
    has_returned: AtomicBool,
    cancelled: Flag,
    /// Cancelled by somebody, and not merely because its time was up.
    was_asked_to_stop: AtomicBool,
    ended: Notify,
    /// The value came from a record, and no code ran.
    is_cached: AtomicBool,
    /// The run's name, if a template made one.
    name: OnceLock<String>,
    /// What follows an abandoned attempt.
    next: OnceLock<Next>,
}

impl AttemptControl {
    /// Attempt number `attempt` (from 1) of a run that has `retries` retries.
    pub(crate) fn new(attempt: u32, retries: u32) -> Self {
        Self {
            attempt,
            is_last: attempt > retries,
            phase: AtomicU8::new(OPEN),
            has_returned: AtomicBool::new(false),
            cancelled: Flag::default(),
            was_asked_to_stop: AtomicBool::new(false),
            ended: Notify::new(),
            is_cached: AtomicBool::new(false),
            name: OnceLock::new(),
            next: OnceLock::new(),
        }
    }

    /// A new control, in the place of one that nobody else has any more.
    pub(crate) fn instead_of(mut used: Arc<Self>, attempt: u32, retries: u32) -> Arc<Self> {
        let new = Self::new(attempt, retries);
        match Arc::get_mut(&mut used) {
            Some(place) => {
                *place = new;
                used
            }
            None => Arc::new(new),
        }
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether no other attempt can follow, so that arguments may be taken.
    pub(crate) fn is_last(&self) -> bool {
        self.is_last
    }

    fn end(&self, phase: u8) -> bool {
        let ends = self
            .phase
            .compare_exchange(OPEN, phase, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if ends {
            // Kept for a waiter that comes later.
            self.ended.notify_one();
        }
        ends
    }

    /// The code returned; `false` if the attempt was abandoned before.
    pub(crate) fn finish(&self) -> bool {
        self.end(FINISHED)
    }

    /// Nobody waits for the code any more; `false` if it had returned.
    pub(crate) fn abandon(&self) -> bool {
        let abandoned = self.end(ABANDONED);
        if abandoned {
            self.cancelled.set();
        }
        abandoned
    }

    /// Ends when the attempt has; for one waiter.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Nothing of an abandoned attempt runs any more.
    pub(crate) fn note_return(&self) {
        self.has_returned.store(true, Ordering::Release);
    }

    pub(crate) fn has_returned(&self) -> bool {
        self.has_returned.load(Ordering::Acquire)
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.phase.load(Ordering::Acquire) == ABANDONED
    }

    /// What follows an abandoned attempt: its timer and its code both ask, and
    /// it is decided once.
    pub(crate) fn decided(&self, decide: impl FnOnce() -> Next) -> Next {
        self.next.get_or_init(decide).clone()
    }

    /// Asks the code to stop: async code ends at its next await, sync code
    /// when it looks.
    pub(crate) fn cancel(&self) {
        self.was_asked_to_stop.store(true, Ordering::Release);
        self.cancelled.set();
    }

    /// Whether somebody wants the run to stop: no other attempt follows.
    pub(crate) fn was_asked_to_stop(&self) -> bool {
        self.was_asked_to_stop.load(Ordering::Acquire)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.is_set()
    }

    /// Ends when the attempt is asked to stop.
    pub(crate) async fn cancelled(&self) {
        self.cancelled.wait().await;
    }

    /// The value came from a record.
    pub(crate) fn note_cached(&self) {
        self.is_cached.store(true, Ordering::Release);
    }

    pub(crate) fn is_cached(&self) -> bool {
        self.is_cached.load(Ordering::Acquire)
    }

    pub(crate) fn rename(&self, name: String) {
        let _ = self.name.set(name);
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.get().map(String::as_str)
    }
}
