//! What the end of an attempt makes ready, on the thread that ended it.
//!
//! That thread goes on with the first of it at once, in most cases, and else looks
//! for work next. The others it puts into the queue in one go, before what waits
//! there already, and wakes no other for what it takes itself. So graphs are
//! worked off in their depth: inputs are still in the processor's cache, and
//! values go early. Invariant: nothing is kept while user code may run for long;
//! who lends its slot out queues it before.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::execution::Execution;
use super::work::Item;
use super::{EmbeddedSession, Queues};
use crate::engine::RunId;
use crate::flow::FlowRun;

/// So often in a row a thread prefers what it made ready itself; then what has
/// waited for longer comes before it.
const IN_A_ROW: u32 = 64;

std::thread_local! {
    static KEPT: RefCell<Kept> = const {
        RefCell::new(Kept { session: None, items: Vec::new(), in_a_row: 0 })
    };
}

struct Kept {
    /// Whose thread this is, while an attempt of it ends.
    session: Option<*const EmbeddedSession>,
    items: Vec<Item>,
    in_a_row: u32,
}

impl EmbeddedSession {
    /// From now until the thread looks for work, what becomes ready is kept.
    pub(super) fn keep_following(self: &Arc<Self>) {
        KEPT.with_borrow_mut(|kept| kept.session = Some(Arc::as_ptr(self)));
    }

    /// Keeps a sync attempt, or gives the item back.
    pub(super) fn kept(self: &Arc<Self>, item: Item, is_sync: bool) -> Option<Item> {
        // Rows are for all threads at once.
        if !is_sync || matches!(item, Item::Rows(_)) {
            return Some(item);
        }
        KEPT.with_borrow_mut(|kept| {
            if kept.session != Some(Arc::as_ptr(self)) {
                return Some(item);
            }
            kept.items.push(item);
            None
        })
    }

    /// Whether this thread goes on with such a run at once: nothing more urgent
    /// waits, and no thread has to end.
    pub(super) fn goes_on_with(&self, job: &dyn Execution) -> bool {
        let is_next = !job.info().is_async
            && job.options().priority >= self.urgency.load(Ordering::Relaxed)
            && !self.is_crowded.load(Ordering::Relaxed);
        is_next
            && KEPT.with_borrow_mut(|kept| {
                let is_preferred = kept.in_a_row < IN_A_ROW;
                kept.in_a_row += u32::from(is_preferred);
                is_preferred
            })
    }

    /// The run at the head of the queue, if this thread goes on with it: a run of
    /// this flow run that no other thread would have to be woken for.
    pub(super) fn next_of(&self, flow: &Arc<FlowRun>) -> Option<(RunId, Arc<dyn Execution>)> {
        if self.is_crowded.load(Ordering::Relaxed) || !self.has_work.load(Ordering::Relaxed) {
            return None;
        }
        let mut queues = self.queues.lock();
        let is_woken = queues.waiting == 0 || queues.is_waking || queues.is_searching;
        if !is_woken && queues.sync.len() > 1 {
            return None;
        }
        let item = queues.sync.pop_if(|item| match item {
            Item::Attempt(attempt) => attempt.is_first_of(flow),
            Item::Rows(_) => false,
        })?;
        self.note_urgency(&queues);
        if queues.sync.is_empty() {
            queues.hold = None;
        }
        match item {
            Item::Attempt(attempt) => attempt.into_run(),
            Item::Rows(_) => None,
        }
    }

    /// Puts what was kept on this thread into the queue, whose work goes on with
    /// a run that became ready before that.
    pub(super) fn queue_others(self: &Arc<Self>) {
        KEPT.with_borrow_mut(|kept| {
            kept.session = None;
            if kept.items.is_empty() {
                return;
            }
            let mut queues = self.queues.lock();
            self.queue_all_first(&mut queues, &mut kept.items);
            self.add_threads(&mut queues, false);
        });
    }

    fn queue_all_first(&self, queues: &mut Queues, items: &mut Vec<Item>) {
        for item in items.drain(..).rev() {
            self.queue_first(queues, item);
        }
    }

    /// Puts into the queue what was kept on this thread.
    pub(super) fn queue_following(self: &Arc<Self>, queues: &mut Queues) {
        KEPT.with_borrow_mut(|kept| {
            if kept.session == Some(Arc::as_ptr(self)) {
                kept.session = None;
                let is_preferred = !kept.items.is_empty() && kept.in_a_row < IN_A_ROW;
                kept.in_a_row = if is_preferred { kept.in_a_row + 1 } else { 0 };
                if is_preferred {
                    self.queue_all_first(queues, &mut kept.items);
                } else {
                    for item in kept.items.drain(..) {
                        self.queue(queues, item);
                    }
                }
            }
        });
    }
}
