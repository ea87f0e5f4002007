//! The threads of an embedded session: they run sync tasks, and in a
//! one-by-one session async ones too.
//!
//! Invariant: no more threads run user code than there are slots. A thread
//! whose run waits for another run, or that a timeout left behind, does not
//! count.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::attempt::Ending;
use super::super::catch;
use super::super::rows::{Claim, ClaimedRows, REPORT_AFTER};
use super::super::waiting::{Slot, in_slot, slot_here};
use super::work::{Attempt, Facts, Item, Job, Rows, Task};
use super::{EmbeddedSession, Queues};
use crate::context::{CurrentRow, RunContext};
use crate::flow::Begun;
use crate::world::Hold;
use tokio::runtime::RuntimeFlavor;

/// A thread without work ends after this time.
const IDLE: Duration = Duration::from_secs(10);

/// So often a thread looks for work before it waits: some microseconds, as much
/// as it costs to wake it.
const SEARCHES: u32 = 200;

std::thread_local! {
    /// The session whose lane is polled on this thread.
    pub(super) static LANE: std::cell::RefCell<Option<Arc<EmbeddedSession>>> =
        const { std::cell::RefCell::new(None) };
}

impl EmbeddedSession {
    pub(super) fn add_threads(self: &Arc<Self>, queues: &mut Queues, many: bool) {
        if queues.idle > 0 && many {
            self.work.notify_all();
        } else if queues.idle > 0 && !queues.is_waking && !queues.is_searching {
            // One at a time: to wake a thread costs more than a short run, and
            // the one on its way wakes the next if there is more to do.
            queues.is_waking = queues.waiting > 0;
            if queues.is_waking {
                self.work.notify_one();
            }
        }
        while queues.threads < self.slots.threads + queues.lent
            && queues.idle < queues.sync.len() + usize::from(many)
        {
            queues.threads += 1;
            // A new thread counts as idle until it has looked for work.
            queues.idle += 1;
            let session = Arc::clone(self);
            let spawned = crate::runtime::start_thread("flow-task", move || {
                let slot: Arc<dyn Slot> = Arc::new(OwnSlot(Arc::clone(&session)));
                in_slot(slot, || session.thread());
            });
            if let Err(error) = spawned {
                queues.threads -= 1;
                queues.idle -= 1;
                tracing::warn!("cannot start another thread for tasks: {error}");
                break;
            }
        }
    }

    fn thread(self: Arc<Self>) {
        let mut queues = self.queues.lock();
        queues.idle -= 1;
        let mut has_searched = false;
        loop {
            if self.is_too_many(&queues) {
                if !queues.sync.is_empty() {
                    // What this thread may have been woken for is another's.
                    self.add_threads(&mut queues, false);
                }
                break;
            }
            if let Some(task) = self.next_task(&mut queues) {
                has_searched = false;
                // From here this thread holds the clock, and no longer the queue.
                let hold = crate::runtime::hold();
                if queues.sync.is_empty() {
                    queues.hold = None;
                } else {
                    // This thread may be busy for long: the next one goes on.
                    self.add_threads(&mut queues, false);
                }
                drop(queues);
                queues = Hold::keep(hold, || {
                    self.work_on(task);
                    let mut queues = self.queues.lock();
                    self.queue_following(&mut queues);
                    queues
                });
                continue;
            }
            if queues.is_closed {
                break;
            }
            queues.idle += 1;
            if !has_searched && !queues.is_searching {
                queues.is_searching = true;
                drop(queues);
                self.search();
                queues = self.queues.lock();
                queues.is_searching = false;
                queues.idle -= 1;
                has_searched = true;
                continue;
            }
            has_searched = false;
            queues.waiting += 1;
            let timed_out;
            (queues, timed_out) = self.work.wait_for(queues, IDLE);
            queues.waiting -= 1;
            queues.idle -= 1;
            // Also where the time was over: who notified it meanwhile counts on it.
            queues.is_waking = false;
            if timed_out && queues.sync.is_empty() {
                break;
            }
        }
        queues.threads -= 1;
        self.note_crowd(&queues);
    }

    /// Waits for a moment, without a system call, until there is work.
    fn search(&self) {
        for _ in 0..SEARCHES {
            if self.has_work.load(Ordering::Relaxed) {
                return;
            }
            std::hint::spin_loop();
        }
    }

    fn work_on(self: &Arc<Self>, task: Task) {
        match task {
            Task::Attempt(Attempt { mut facts, job }) => {
                let mut next = facts.guard(|| self.run_attempt(&facts, job));
                while let Some(Begun { run, job, control }) = next {
                    self.queue_others();
                    facts = Facts::first(facts.flow, run, &job);
                    let job = Job::Single(job);
                    next = facts.guard(|| self.run_begun(&facts, job, control));
                }
            }
            Task::Rows(claim, rows) => self.run_rows(&claim, &rows),
        }
    }

    fn next_task(self: &Arc<Self>, queues: &mut Queues) -> Option<Task> {
        let threads = u32::try_from(self.slots.threads).unwrap_or(1);
        while let Some(item) = queues.sync.pop() {
            self.note_urgency(queues);
            match item {
                Item::Attempt(attempt) => return Some(Task::Attempt(attempt)),
                Item::Rows(mut rows) => {
                    if !rows.goes_through_the_loop() {
                        let attempt = rows.first();
                        if !rows.rows.is_empty() {
                            queues.sync.put_first(Item::Rows(rows));
                        }
                        match attempt {
                            Some(attempt) => return Some(Task::Attempt(attempt)),
                            None => continue,
                        }
                    }
                    // A share for this thread; others find the rest, and when
                    // nothing is left they split claims.
                    let count = rows.rows.end - rows.rows.start;
                    let share = count.div_ceil(threads).max(1);
                    let mine = rows.rows.start..rows.rows.start + share;
                    rows.rows.start = mine.end;
                    let claimed = rows.part(mine);
                    if !rows.rows.is_empty() {
                        queues.sync.put_first(Item::Rows(rows));
                    }
                    return Some(self.claim(queues, claimed));
                }
            }
        }
        let stolen = queues.claims.iter().find_map(|(claim, rows)| {
            let range = claim.split()?;
            Some(rows.part(range))
        })?;
        Some(self.claim(queues, stolen))
    }

    fn claim(self: &Arc<Self>, queues: &mut Queues, rows: Rows) -> Task {
        if !queues.is_ticking {
            queues.is_ticking = true;
            crate::runtime::service().spawn(Arc::clone(self).tick());
        }
        let claim = Arc::new(Claim::new(rows.rows.clone()));
        queues.claims.push((Arc::clone(&claim), rows.clone()));
        Task::Rows(claim, rows)
    }

    /// Tells home what threads that are busy with a slow row have noted, for
    /// as long as there are claims.
    async fn tick(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REPORT_AFTER).await;
            let claims = {
                let mut queues = self.queues.lock();
                if queues.claims.is_empty() {
                    queues.is_ticking = false;
                    return;
                }
                queues.claims.clone()
            };
            let now = crate::runtime::now();
            for (claim, rows) in claims {
                let (block, running) = claim.overdue(now);
                if let Some(block) = block {
                    block.report(&rows.flow, rows.map);
                }
                if let Some((row, started)) = running {
                    rows.flow.row_started(rows.map, row, started);
                }
            }
        }
    }

    fn run_rows(self: &Arc<Self>, claim: &Arc<Claim>, rows: &Rows) {
        let current = CurrentRow::default();
        let info = rows.job.info();
        let options = rows.job.options();
        let context = RunContext::of_rows(&rows.flow, info, options, rows.map, &current, &rows.job);
        let on_ended = |row: u32, ending: Ending| {
            let Attempt { facts, job } = rows.single(row);
            let control = facts.control();
            if rows.job.stops().contains(row) {
                control.cancel();
            }
            if facts.flow.begin(facts.run, &control) {
                self.finish_attempt(&facts, job, control, ending);
            }
        };
        let mut sink = ClaimedRows {
            flow: &rows.flow,
            map: rows.map,
            claim,
            stops: rows.job.stops(),
            current: &current,
            urgency: &self.urgency,
            priority: options.priority,
            has_yielded: false,
            on_ended,
            last: None,
        };
        let ended = catch(|| {
            context.enter(|| {
                rows.job.run_rows(&mut sink);
                sink.finish()
            })
        });
        let left = ended.unwrap_or_else(|report| {
            if let Some(block) = claim.rest() {
                block.report(&rows.flow, rows.map);
            }
            for row in std::iter::once(current.row()).chain(claim.give_up()) {
                rows.single(row).facts.lost(&report);
            }
            0..0
        });
        let mut queues = self.queues.lock();
        queues
            .claims
            .retain(|(other, _)| !Arc::ptr_eq(other, claim));
        if !left.is_empty() {
            self.queue_first(&mut queues, Item::Rows(rows.part(left)));
        }
    }

    /// The current thread does not count while it waits.
    pub(super) fn lend(self: &Arc<Self>) {
        let mut queues = self.queues.lock();
        self.queue_following(&mut queues);
        queues.lent += 1;
        self.note_crowd(&queues);
        let many = queues.sync.has_rows() || !queues.claims.is_empty();
        self.add_threads(&mut queues, many);
    }

    pub(super) fn take_back(&self) {
        let mut queues = self.queues.lock();
        queues.lent -= 1;
        self.note_crowd(&queues);
    }

    /// The number of threads or of slots has changed.
    fn note_crowd(&self, queues: &Queues) {
        let is_crowded = self.is_too_many(queues);
        self.is_crowded.store(is_crowded, Ordering::Relaxed);
    }

    /// Whether a thread has to end.
    fn is_too_many(&self, queues: &Queues) -> bool {
        queues.threads > self.slots.threads + queues.lent
    }
}

/// The slot of an async run that a thread polls.
pub(super) struct ThreadSlot<'a>(pub(super) &'a Arc<EmbeddedSession>);

impl Slot for ThreadSlot<'_> {
    fn lend(&self) {
        self.0.lend();
    }

    fn take_back(&self) {
        self.0.take_back();
    }
}

/// The slot that a thread of a session fills.
struct OwnSlot(Arc<EmbeddedSession>);

impl Slot for OwnSlot {
    fn lend(&self) {
        self.0.lend();
    }

    fn take_back(&self) {
        self.0.take_back();
    }
}

/// Blocks in async code: other tasks of a worker thread move to another one.
fn blocking<R>(wait: impl FnOnce() -> R) -> R {
    let is_worker = tokio::runtime::Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if is_worker {
        tokio::task::block_in_place(wait)
    } else {
        wait()
    }
}

/// Blocks this thread on something that other runs have to do first. A thread
/// of a session lends its slot out meanwhile.
pub(crate) fn lend_while<R>(wait: impl FnOnce() -> R) -> R {
    if let Some(slot) = slot_here() {
        slot.lend();
        let result = wait();
        slot.take_back();
        return result;
    }
    if let Some(session) = LANE.with_borrow(Clone::clone) {
        session.lend_lane();
        let result = blocking(wait);
        session.take_lane_back();
        return result;
    }
    blocking(wait)
}
