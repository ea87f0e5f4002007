//! The lanes of an embedded session: async tasks of the user runtime that poll
//! one run after the other.
//!
//! When its run has to wait, a lane starts another lane, so that concurrency
//! grows only as runs really wait, up to the limit.

use std::sync::Arc;

use super::super::attempt::Ending;
use super::super::drive::run_attempt;
use super::super::waiting::{Lending, Slot};
use super::super::{Caught, catch};
use super::threads::LANE;
use super::work::{Attempt, Facts, Item, Job};
use super::{EmbeddedSession, Queues};

impl EmbeddedSession {
    pub(super) fn add_lane(self: &Arc<Self>, queues: &mut Queues) {
        if queues.asynchronous.is_empty() || queues.lanes >= self.slots.lanes + queues.lent_lanes {
            return;
        }
        queues.lanes += 1;
        crate::runtime::user().spawn(Arc::clone(self).lane());
    }

    /// A lane's run waits for another run: another lane may go on.
    pub(super) fn lend_lane(self: &Arc<Self>) {
        let mut queues = self.queues.lock();
        queues.lent_lanes += 1;
        self.add_lane(&mut queues);
    }

    pub(super) fn take_lane_back(&self) {
        self.queues.lock().lent_lanes -= 1;
    }

    async fn lane(self: Arc<Self>) {
        loop {
            let Some(Attempt { facts, job }) = self.next_async() else {
                return;
            };
            let run = Caught(std::pin::pin!(self.run_async(&facts, job)));
            let mut run = std::pin::pin!(Lending::new(run, LaneSlot(&self)));
            let mut is_first = true;
            let ended = std::future::poll_fn(|context| {
                let outer = LANE.replace(Some(Arc::clone(&self)));
                let poll = run.as_mut().poll(context);
                LANE.set(outer);
                if is_first && poll.is_pending() {
                    is_first = false;
                    // This run waits: somebody else shall take the next one.
                    self.add_lane(&mut self.queues.lock());
                }
                poll
            })
            .await;
            if let Err(report) = ended {
                facts.lost(&report);
            }
        }
    }

    /// The next async attempt; without one, or if there are too many lanes
    /// because a run no longer waits, the lane ends.
    fn next_async(&self) -> Option<Attempt> {
        let mut queues = self.queues.lock();
        if queues.lanes > self.slots.lanes + queues.lent_lanes {
            queues.lanes -= 1;
            return None;
        }
        while let Some(item) = queues.asynchronous.pop() {
            match item {
                Item::Attempt(attempt) => return Some(attempt),
                Item::Rows(mut rows) => {
                    let attempt = rows.first();
                    if !rows.rows.is_empty() {
                        queues.asynchronous.put_first(Item::Rows(rows));
                    }
                    if attempt.is_some() {
                        return attempt;
                    }
                }
            }
        }
        queues.lanes -= 1;
        None
    }

    async fn run_async(self: &Arc<Self>, facts: &Facts, job: Job) {
        let control = facts.control();
        if !facts.flow.begin(facts.run, &control) {
            return;
        }
        let ending = facts
            .context(&control)
            .scope(async {
                match catch(|| job.start(&control)) {
                    Ok(body) => run_attempt(body, &control, facts.options.timeout).await,
                    Err(report) => Ending::Panicked(report),
                }
            })
            .await;
        self.finish_attempt(facts, job, control, ending);
    }
}

/// The slot of a lane's run.
struct LaneSlot<'a>(&'a Arc<EmbeddedSession>);

impl Slot for LaneSlot<'_> {
    fn lend(&self) {
        self.0.lend_lane();
    }

    fn take_back(&self) {
        self.0.take_lane_back();
    }
}
