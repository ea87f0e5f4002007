//! The embedded runners' session: a queue of ready work, threads for sync
//! tasks, lanes for async ones.

mod attempts;
mod following;
mod lanes;
mod ready;
mod threads;
mod work;

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use super::descriptor::RunReference;
use super::rows::Claim;
use super::seam::{RunnerFuture, RunnerSession, Work, WorkKind};
use crate::error::{Error, Result};
use crate::limits::OfferedResources;
use crate::lock::{Condvar, Mutex};
use crate::value::EncodedValue;
use crate::world::{Hold, World};

use ready::Ready;
pub(crate) use threads::lend_while;
use work::{Attempt, Item, Rows};

/// How many runs may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots {
    pub(crate) threads: usize,
    pub(crate) lanes: usize,
    /// Async runs use the threads too, so that one run runs at a time.
    pub(crate) one_by_one: bool,
}

#[derive(Default)]
struct Queues {
    sync: Ready,
    asynchronous: Ready,
    /// Claims that threads work on, for idle ones to share.
    claims: Vec<(Arc<Claim>, Rows)>,
    is_ticking: bool,
    threads: usize,
    idle: usize,
    /// Of the idle threads, those that wait to be notified.
    waiting: usize,
    /// A thread was woken and has not looked for work yet.
    is_waking: bool,
    /// A thread without work looks for some before it waits.
    is_searching: bool,
    /// Threads that wait inside a task, or were left behind.
    lent: usize,
    lanes: usize,
    /// Lanes whose run waits for another run.
    lent_lanes: usize,
    /// A paused clock stands still while sync work waits.
    hold: Option<Hold>,
    is_closed: bool,
}

pub(crate) struct EmbeddedSession {
    slots: Slots,
    /// The highest priority of sync work that waits; threads on their way
    /// through rows of a lower one look at it.
    urgency: AtomicI32,
    /// Sync work waits, for the thread that looks for some.
    has_work: AtomicBool,
    /// A thread has to end: none goes on without a look at the queue.
    is_crowded: AtomicBool,
    queues: Mutex<Queues>,
    work: Condvar,
}

impl EmbeddedSession {
    pub(crate) fn new(slots: Slots) -> Arc<Self> {
        super::install_hook();
        Arc::new(Self {
            slots,
            urgency: AtomicI32::new(i32::MIN),
            has_work: AtomicBool::new(false),
            is_crowded: AtomicBool::new(false),
            queues: Mutex::new(Queues::default()),
            work: Condvar::new(),
        })
    }

    /// Takes work; unlike the trait's method it needs the `Arc`.
    pub(crate) fn take(self: &Arc<Self>, work: Work) {
        let Work { flow, kind, .. } = work;
        let item = match kind {
            WorkKind::Run(id, job) => Item::Attempt(Attempt::first(flow, id, job)),
            WorkKind::Rows(map, rows, job) => Item::Rows(Rows {
                flow,
                map,
                rows,
                job,
            }),
        };
        self.push(item);
    }

    fn push(self: &Arc<Self>, item: Item) {
        let is_async = match &item {
            Item::Attempt(attempt) => attempt.facts.info.is_async,
            Item::Rows(rows) => rows.job.info().is_async,
        };
        let is_sync = !is_async || self.slots.one_by_one;
        let Some(item) = self.kept(item, is_sync) else {
            return;
        };
        let mut queues = self.queues.lock();
        if !is_sync {
            queues.asynchronous.push(item);
            self.add_lane(&mut queues);
        } else {
            let many = matches!(item, Item::Rows(_));
            self.queue(&mut queues, item);
            self.add_threads(&mut queues, many);
        }
    }

    fn queue(&self, queues: &mut Queues, item: Item) {
        queues.sync.push(item);
        self.is_queued(queues);
    }

    /// Before all others of its priority.
    fn queue_first(&self, queues: &mut Queues, item: Item) {
        queues.sync.put_first(item);
        self.is_queued(queues);
    }

    fn is_queued(&self, queues: &mut Queues) {
        if queues.hold.is_none() {
            queues.hold = crate::runtime::hold();
        }
        self.note_urgency(queues);
    }
}

impl EmbeddedSession {
    /// The queue of sync work has changed.
    fn note_urgency(&self, queues: &Queues) {
        self.urgency.store(queues.sync.urgency(), Ordering::Relaxed);
        let has_work = !queues.sync.is_empty();
        if self.has_work.load(Ordering::Relaxed) != has_work {
            self.has_work.store(has_work, Ordering::Relaxed);
        }
    }
}

/// The session as the seam sees it.
pub(crate) struct Embedded {
    pub(crate) session: Arc<EmbeddedSession>,
    pub(crate) resources: OfferedResources,
}

impl RunnerSession for Embedded {
    fn keeps_values(&self) -> bool {
        false
    }

    fn resources(&self) -> Option<&OfferedResources> {
        Some(&self.resources)
    }

    fn submit(&self, work: Work) {
        self.session.take(work);
    }

    fn cancel(&self, _run: RunReference) {
        // The attempt's own control, which the flow run holds, stops it.
    }

    fn fetch(&self, _run: RunReference) -> RunnerFuture<Result<EncodedValue>> {
        Box::pin(async { Err(Error::invalid("the value is in this process already")) })
    }

    fn length(&self, _run: RunReference) -> RunnerFuture<Result<u32>> {
        Box::pin(async { Err(Error::invalid("the value is in this process already")) })
    }

    fn close(&self) -> RunnerFuture<()> {
        let session = Arc::clone(&self.session);
        Box::pin(async move { session.close() })
    }
}

impl EmbeddedSession {
    /// Its threads end when no work is left.
    pub(crate) fn close(&self) {
        self.queues.lock().is_closed = true;
        self.work.notify_all();
    }

    /// One for all flow runs here that ask for nothing else.
    pub(crate) fn shared() -> Arc<Self> {
        static OF_PROCESS: OnceLock<Arc<EmbeddedSession>> = OnceLock::new();
        World::here(|world| {
            let shared = world.map_or(&OF_PROCESS, World::session);
            Arc::clone(shared.get_or_init(|| {
                Self::new(Slots {
                    threads: crate::runtime::cores(),
                    lanes: 1024,
                    one_by_one: false,
                })
            }))
        })
    }
}
