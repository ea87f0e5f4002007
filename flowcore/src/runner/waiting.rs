//! Whether the code that is polled on this thread waits for another run.
//!
//! A run that waits for a run must give its slot away, or a small pool would
//! stand still for ever; one that waits for anything else (a socket, a timer)
//! keeps it. Handles note here that they are pending; whoever polls a run
//! looks.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

thread_local! {
    static WAITS: Cell<bool> = const { Cell::new(false) };

    /// The slot that this thread fills.
    static SLOT: RefCell<Option<Arc<dyn Slot>>> = const { RefCell::new(None) };
}

/// This thread runs code in a slot: code that blocks lends it out.
pub(super) fn in_slot<R>(slot: Arc<dyn Slot>, code: impl FnOnce() -> R) -> R {
    let outer = SLOT.replace(Some(slot));
    let result = code();
    SLOT.set(outer);
    result
}

pub(super) fn slot_here() -> Option<Arc<dyn Slot>> {
    SLOT.with_borrow(Clone::clone)
}

/// A handle is pending: the code around it waits for a run.
pub(crate) fn note() {
    WAITS.set(true);
}

/// Where a run's slot goes while the run waits for another one.
pub(super) trait Slot {
    fn lend(&self);
    fn take_back(&self);
}

/// Polls a run to its end; its slot is lent out while it waits for another
/// run.
pub(super) struct Lending<F, S: Slot> {
    run: F,
    slot: S,
    is_lent: bool,
}

impl<F, S: Slot> Lending<F, S> {
    pub(super) fn new(run: F, slot: S) -> Self {
        Self {
            run,
            slot,
            is_lent: false,
        }
    }
}

impl<F: Future + Unpin, S: Slot + Unpin> Future for Lending<F, S> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if std::mem::take(&mut self.is_lent) {
            self.slot.take_back();
        }
        let outer = WAITS.replace(false);
        let poll = Pin::new(&mut self.run).poll(context);
        let waits = WAITS.replace(outer);
        if poll.is_pending() && waits {
            self.is_lent = true;
            self.slot.lend();
        }
        poll
    }
}

impl<F, S: Slot> Drop for Lending<F, S> {
    fn drop(&mut self) {
        if self.is_lent {
            self.slot.take_back();
        }
    }
}
