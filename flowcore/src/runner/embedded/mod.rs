//! The embedded runners' session: a queue of ready work, threads for sync
//! tasks, lanes for async ones.

mod attempts;
mod lanes;
mod threads;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::descriptor::RunReference;
use super::rows::Claim;
use super::seam::{RunnerFuture, RunnerSession, Work, WorkKind};
use crate::error::{Error, Result};
use crate::value::EncodedValue;

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
    sync: VecDeque<Item>,
    asynchronous: VecDeque<Item>,
    /// Claims that threads work on, for idle ones to share.
    claims: Vec<(Arc<Claim>, Rows)>,
    is_ticking: bool,
    threads: usize,
    idle: usize,
    /// Threads that wait inside a task, or were left behind.
    lent: usize,
    lanes: usize,
    /// Lanes whose run waits for another run.
    lent_lanes: usize,
    is_closed: bool,
}

pub(crate) struct EmbeddedSession {
    slots: Slots,
    queues: Mutex<Queues>,
    work: Condvar,
}

impl EmbeddedSession {
    pub(crate) fn new(slots: Slots) -> Arc<Self> {
        super::install_hook();
        Arc::new(Self {
            slots,
            queues: Mutex::new(Queues::default()),
            work: Condvar::new(),
        })
    }

    /// Takes work; unlike the trait's method it needs the `Arc`.
    pub(crate) fn take(self: &Arc<Self>, work: Work) {
        let Work { flow, kind } = work;
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
        let mut queues = self.queues.lock();
        if is_async && !self.slots.one_by_one {
            queues.asynchronous.push_back(item);
            self.add_lane(&mut queues);
        } else {
            let many = matches!(item, Item::Rows(_));
            queues.sync.push_back(item);
            self.add_threads(&mut queues, many);
        }
    }
}

/// The session as the seam sees it.
pub(crate) struct Embedded(pub(crate) Arc<EmbeddedSession>);

impl RunnerSession for Embedded {
    fn keeps_values(&self) -> bool {
        false
    }

    fn submit(&self, work: Work) {
        self.0.take(work);
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
        let session = Arc::clone(&self.0);
        Box::pin(async move {
            session.queues.lock().is_closed = true;
            session.work.notify_all();
        })
    }
}

impl EmbeddedSession {
    /// One for all flow runs of the process that ask for nothing else.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: std::sync::OnceLock<Arc<EmbeddedSession>> = std::sync::OnceLock::new();
        Arc::clone(SHARED.get_or_init(|| {
            Self::new(Slots {
                threads: crate::runtime::cores(),
                lanes: 1024,
                one_by_one: false,
            })
        }))
    }
}
