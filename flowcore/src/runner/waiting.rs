//! Whether the code that is polled on this thread waits for another run.
//!
//! A run that waits for a run must give its slot away, or a small pool would
//! stand still for ever; one that waits for anything else (a socket, a timer)
//! keeps it. Handles note here that they are pending; whoever polls a run
//! looks.
//!
//! Code does not poll all its handles each time: `FuturesUnordered`, and
//! `join_all` of many, poll only those that were woken. So the wakers that a
//! flow run keeps hold a [`Wait`] each, and a run waits as long as there is one.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

thread_local! {
    static WAITS: Cell<bool> = const { Cell::new(false) };

    /// The slot that this thread fills.
    static SLOT: RefCell<Option<Arc<dyn Slot>>> = const { RefCell::new(None) };

    /// What the waits of the run that is polled hold; `None` outside of runs.
    static POLLED: RefCell<Option<Waits>> = const { RefCell::new(None) };
}

/// Counts the waits of one run; made when there is a first one.
#[derive(Default)]
struct Waits(Option<Arc<()>>);

impl Waits {
    fn any(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|waits| Arc::strong_count(waits) > 1)
    }
}

/// The run that was polled when this was made waits as long as it lives.
pub(crate) struct Wait(#[expect(dead_code, reason = "only counted")] Arc<()>);

/// A handle is pending and has left its waker: the code around it waits for a
/// run until the waker is gone. `None` outside of runs that give slots away.
pub(crate) fn wait() -> Option<Wait> {
    note();
    POLLED.with_borrow_mut(|polled| {
        let waits = polled.as_mut()?.0.get_or_insert_default();
        Some(Wait(Arc::clone(waits)))
    })
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
    waits: Waits,
}

impl<F, S: Slot> Lending<F, S> {
    pub(super) fn new(run: F, slot: S) -> Self {
        Self {
            run,
            slot,
            is_lent: false,
            waits: Waits::default(),
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
        let outer_polled = POLLED.replace(Some(std::mem::take(&mut self.waits)));
        let poll = Pin::new(&mut self.run).poll(context);
        self.waits = POLLED.replace(outer_polled).unwrap_or_default();
        let waits = WAITS.replace(outer) || self.waits.any();
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
