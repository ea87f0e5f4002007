//! The embedded runners' session: a queue of ready work, threads for sync
//! tasks, lanes for async ones.
//!
//! Threads are started when work waits and none is idle, up to the limit; a
//! thread whose task blocks on another run, or that was left behind by a
//! timeout, does not count. A *lane* is an async task that polls one run
//! after the other; when its run has to wait, it starts another lane, so that
//! concurrency grows only as runs really wait.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::attempt::{Ending, Next, next};
use super::catch;
use super::control::AttemptControl;
use super::descriptor::RunReference;
use super::drive::run_attempt;
use super::execution::{AttemptBody, Execution, MapJob};
use super::rows::{Claim, ClaimedRows, REPORT_AFTER};
use super::seam::{RunnerFuture, RunnerSession, Work, WorkKind};
use super::waiting::{Lending, Slot};
use crate::context::{CurrentRow, RunContext};
use crate::definition::{TaskInfo, TaskOptions};
use crate::engine::MapId;
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::value::EncodedValue;

/// How many runs may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots {
    pub(crate) threads: usize,
    pub(crate) lanes: usize,
    /// Async runs use the threads too, so that one run runs at a time.
    pub(crate) one_by_one: bool,
}

/// One attempt of one run, or many rows of a map.
enum Item {
    Attempt(Attempt),
    Rows(Rows),
}

#[derive(Clone)]
struct Attempt {
    flow: Arc<FlowRun>,
    run: RunReference,
    job: Job,
    number: u32,
}

#[derive(Clone)]
enum Job {
    Single(Arc<dyn Execution>),
    Row(Arc<dyn MapJob>, u32),
}

impl Job {
    fn info(&self) -> &'static TaskInfo {
        match self {
            Self::Single(job) => job.info(),
            Self::Row(job, _) => job.info(),
        }
    }

    fn options(&self) -> &TaskOptions {
        match self {
            Self::Single(job) => job.options(),
            Self::Row(job, _) => job.options(),
        }
    }

    fn attempt(&self, control: &AttemptControl) -> AttemptBody<'static> {
        match self {
            Self::Single(job) => job.attempt(control),
            Self::Row(job, row) => job.attempt_row(*row, control),
        }
    }
}

#[derive(Clone)]
struct Rows {
    flow: Arc<FlowRun>,
    map: MapId,
    rows: Range<u32>,
    job: Arc<dyn MapJob>,
}

impl Rows {
    /// The first row, by itself.
    fn first(&mut self) -> Option<Attempt> {
        let row = self.rows.next()?;
        Some(self.single(row, 1))
    }

    fn single(&self, row: u32, number: u32) -> Attempt {
        Attempt {
            flow: Arc::clone(&self.flow),
            run: RunReference::row(self.map, row),
            job: Job::Row(Arc::clone(&self.job), row),
            number,
        }
    }

    /// Other rows of the same map.
    fn part(&self, rows: Range<u32>) -> Self {
        Self {
            rows,
            ..self.clone()
        }
    }

    /// Rows go through a loop of their own if nothing has to be done for each
    /// one beside calling it.
    fn goes_through_the_loop(&self) -> bool {
        let options = self.job.options();
        !self.job.info().is_async && options.timeout.is_none() && options.task_run_name.is_none()
    }
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

/// A thread without work ends after this time.
const IDLE: Duration = Duration::from_secs(10);

std::thread_local! {
    /// The session whose thread this is.
    static SLOT: std::cell::RefCell<Option<Arc<EmbeddedSession>>> =
        const { std::cell::RefCell::new(None) };
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
            WorkKind::Run(id, job) => Item::Attempt(Attempt {
                flow,
                run: id.into(),
                job: Job::Single(job),
                number: 1,
            }),
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
            Item::Attempt(attempt) => attempt.job.info().is_async,
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

    // ----- threads --------------------------------------------------------

    fn add_threads(self: &Arc<Self>, queues: &mut Queues, many: bool) {
        if queues.idle > 0 {
            if many {
                self.work.notify_all();
            } else {
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
            let spawned = std::thread::Builder::new()
                .name("flow-task".to_owned())
                .spawn(move || session.thread());
            if let Err(error) = spawned {
                queues.threads -= 1;
                queues.idle -= 1;
                tracing::warn!("cannot start another thread for tasks: {error}");
                break;
            }
        }
    }

    fn thread(self: Arc<Self>) {
        SLOT.with_borrow_mut(|slot| *slot = Some(Arc::clone(&self)));
        let mut queues = self.queues.lock();
        queues.idle -= 1;
        loop {
            if queues.threads > self.slots.threads + queues.lent {
                break;
            }
            if let Some(task) = self.next_task(&mut queues) {
                drop(queues);
                match task {
                    Task::Attempt(attempt) => self.run_attempt(attempt),
                    Task::Rows(claim, rows) => self.run_rows(&claim, &rows),
                }
                queues = self.queues.lock();
                continue;
            }
            if queues.is_closed {
                break;
            }
            queues.idle += 1;
            let timed_out = self.work.wait_for(&mut queues, IDLE).timed_out();
            queues.idle -= 1;
            if timed_out && queues.sync.is_empty() {
                break;
            }
        }
        queues.threads -= 1;
    }

    fn next_task(self: &Arc<Self>, queues: &mut Queues) -> Option<Task> {
        let threads = u32::try_from(self.slots.threads).unwrap_or(1);
        while let Some(item) = queues.sync.pop_front() {
            match item {
                Item::Attempt(attempt) => return Some(Task::Attempt(attempt)),
                Item::Rows(mut rows) => {
                    if !rows.goes_through_the_loop() {
                        let attempt = rows.first();
                        if !rows.rows.is_empty() {
                            queues.sync.push_front(Item::Rows(rows));
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
                        queues.sync.push_front(Item::Rows(rows));
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
        let context =
            RunContext::of_rows(&rows.flow, info, options.name.clone(), rows.map, &current);
        let on_ended = |row: u32, ending: Ending| {
            let attempt = rows.single(row, 1);
            let control = Arc::new(AttemptControl::new(1, options.retries));
            if attempt.flow.begin(attempt.run, &control) {
                self.finish_attempt(attempt, &control, ending);
            }
        };
        let mut sink = ClaimedRows {
            flow: &rows.flow,
            map: rows.map,
            claim,
            stops: rows.job.stops(),
            current: &current,
            on_ended,
        };
        context.enter(|| {
            rows.job.run_rows(&mut sink);
            sink.finish();
        });
        let mut queues = self.queues.lock();
        queues
            .claims
            .retain(|(other, _)| !Arc::ptr_eq(other, claim));
    }

    /// One attempt on this thread.
    fn run_attempt(self: &Arc<Self>, attempt: Attempt) {
        let options = attempt.job.options();
        let control = Arc::new(AttemptControl::new(attempt.number, options.retries));
        if !attempt.flow.begin(attempt.run, &control) {
            return;
        }
        let context = attempt.context(&control);
        let limit = options.timeout;
        if attempt.job.info().is_async {
            let ending = self.poll_to_its_end(&attempt, &control, context);
            return self.finish_attempt(attempt, &control, ending);
        }
        if let Some(limit) = limit {
            self.watch(&attempt, &control, limit);
        }
        let ending = match context.enter(|| catch(|| attempt.job.attempt(&control))) {
            Ok(AttemptBody::Done(Ok(()))) => Ending::Completed,
            Ok(AttemptBody::Done(Err(error))) => Ending::Failed(error),
            Ok(AttemptBody::Future(_)) => unreachable!("a sync task gives no future"),
            Err(report) => Ending::Panicked(report),
        };
        // A completed attempt has marked itself as it stored its value.
        let in_time = match &ending {
            Ending::Completed => !control.is_abandoned(),
            _ => control.finish(),
        };
        if in_time {
            self.finish_attempt(attempt, &control, ending);
        } else {
            self.returned_late(attempt, &control);
        }
    }

    /// One by one: this thread polls an async attempt.
    fn poll_to_its_end(
        self: &Arc<Self>,
        attempt: &Attempt,
        control: &AttemptControl,
        context: RunContext,
    ) -> Ending {
        let run = std::pin::pin!(context.scope(async {
            match catch(|| attempt.job.attempt(control)) {
                Ok(body) => run_attempt(body, control, attempt.job.options().timeout).await,
                Err(report) => Ending::Panicked(report),
            }
        }));
        let _runtime = crate::runtime::user().enter();
        pollster::block_on(Lending::new(run, ThreadSlot(self)))
    }

    /// Settles the run, or queues its next attempt.
    fn finish_attempt(
        self: &Arc<Self>,
        attempt: Attempt,
        control: &Arc<AttemptControl>,
        ending: Ending,
    ) {
        let flow = Arc::clone(&attempt.flow);
        match self.decide(&attempt, control, ending) {
            Next::Settle(end) => {
                let run = attempt.run;
                // The arguments go before the run is told to have settled, so
                // that whoever comes next may be their last reader.
                drop(attempt);
                flow.settled(run, end);
            }
            Next::Retry { delay, log } => {
                flow.retry(attempt.run, control, &log);
                self.again(attempt, delay);
            }
        }
    }

    fn decide(&self, attempt: &Attempt, control: &AttemptControl, ending: Ending) -> Next {
        let options = attempt.job.options();
        let name = match ending {
            // Nobody reads the name of a run that completed.
            Ending::Completed => String::new(),
            _ => attempt
                .flow
                .attempt_name(&options.name, attempt.run, control),
        };
        next(ending, attempt.number, attempt.job.info(), options, &name)
    }

    /// Queues the next attempt; the slot is free until then.
    fn again(self: &Arc<Self>, mut attempt: Attempt, delay: Duration) {
        attempt.number += 1;
        if delay.is_zero() {
            return self.push(Item::Attempt(attempt));
        }
        let session = Arc::clone(self);
        crate::runtime::later(delay, move || session.push(Item::Attempt(attempt)));
    }

    // ----- timeouts of sync code ------------------------------------------

    /// Ends the attempt at its limit, wherever its code is: the run is
    /// TimedOut at once, and the thread that is still busy is replaced. If
    /// there will be a retry it starts when the old call has returned.
    fn watch(self: &Arc<Self>, attempt: &Attempt, control: &Arc<AttemptControl>, limit: Duration) {
        let session = Arc::downgrade(self);
        let control = Arc::clone(control);
        let attempt = attempt.clone();
        crate::runtime::service().spawn(async move {
            // When the code returns in time nothing of it is kept any longer.
            if crate::runtime::timeout(limit, control.ended())
                .await
                .is_some()
            {
                return;
            }
            let Some(session) = session.upgrade() else {
                return;
            };
            if !control.abandon() {
                return;
            }
            session.lend();
            match session.decide(&attempt, &control, Ending::TimedOut(limit)) {
                Next::Settle(end) => attempt.flow.settled(attempt.run, end),
                Next::Retry { log, .. } => attempt.flow.retry(attempt.run, &control, &log),
            }
        });
    }

    /// The code of an abandoned attempt returned at last.
    fn returned_late(self: &Arc<Self>, attempt: Attempt, control: &Arc<AttemptControl>) {
        let limit = attempt.job.options().timeout.unwrap_or_default();
        if let Next::Retry { delay, .. } = self.decide(&attempt, control, Ending::TimedOut(limit)) {
            self.again(attempt, delay);
        }
        self.take_back();
    }

    /// The current thread does not count while it waits.
    fn lend(self: &Arc<Self>) {
        let mut queues = self.queues.lock();
        queues.lent += 1;
        let many = queues.sync.iter().any(|item| matches!(item, Item::Rows(_)))
            || !queues.claims.is_empty();
        self.add_threads(&mut queues, many);
    }

    fn take_back(&self) {
        self.queues.lock().lent -= 1;
    }

    // ----- lanes ----------------------------------------------------------

    fn add_lane(self: &Arc<Self>, queues: &mut Queues) {
        if queues.asynchronous.is_empty() || queues.lanes >= self.slots.lanes + queues.lent_lanes {
            return;
        }
        queues.lanes += 1;
        crate::runtime::user().spawn(Arc::clone(self).lane());
    }

    async fn lane(self: Arc<Self>) {
        loop {
            let Some(attempt) = self.next_async() else {
                return;
            };
            let run = std::pin::pin!(self.run_async(attempt));
            let mut run = std::pin::pin!(Lending::new(run, LaneSlot(&self)));
            let mut is_first = true;
            std::future::poll_fn(|context| {
                let poll = run.as_mut().poll(context);
                if is_first && poll.is_pending() {
                    is_first = false;
                    // This run waits: somebody else shall take the next one.
                    self.add_lane(&mut self.queues.lock());
                }
                poll
            })
            .await;
        }
    }

    /// The next async attempt; without one the lane ends.
    fn next_async(&self) -> Option<Attempt> {
        let mut queues = self.queues.lock();
        while let Some(item) = queues.asynchronous.pop_front() {
            match item {
                Item::Attempt(attempt) => return Some(attempt),
                Item::Rows(mut rows) => {
                    let attempt = rows.first();
                    if !rows.rows.is_empty() {
                        queues.asynchronous.push_front(Item::Rows(rows));
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

    async fn run_async(self: &Arc<Self>, attempt: Attempt) {
        let options = attempt.job.options();
        let control = Arc::new(AttemptControl::new(attempt.number, options.retries));
        if !attempt.flow.begin(attempt.run, &control) {
            return;
        }
        let limit = options.timeout;
        let ending = attempt
            .context(&control)
            .scope(async {
                match catch(|| attempt.job.attempt(&control)) {
                    Ok(body) => run_attempt(body, &control, limit).await,
                    Err(report) => Ending::Panicked(report),
                }
            })
            .await;
        self.finish_attempt(attempt, &control, ending);
    }
}

impl Attempt {
    fn context(&self, control: &Arc<AttemptControl>) -> RunContext {
        let options = self.job.options();
        RunContext::of_run(
            &self.flow,
            self.job.info(),
            options.name.clone(),
            self.run,
            control,
        )
    }
}

/// The slot of an async run that a thread polls.
struct ThreadSlot<'a>(&'a Arc<EmbeddedSession>);

impl Slot for ThreadSlot<'_> {
    fn lend(&self) {
        self.0.lend();
    }

    fn take_back(&self) {
        self.0.take_back();
    }
}

/// The slot of a lane's run.
struct LaneSlot<'a>(&'a Arc<EmbeddedSession>);

impl Slot for LaneSlot<'_> {
    fn lend(&self) {
        let mut queues = self.0.queues.lock();
        queues.lent_lanes += 1;
        self.0.add_lane(&mut queues);
    }

    fn take_back(&self) {
        self.0.queues.lock().lent_lanes -= 1;
    }
}

enum Task {
    Attempt(Attempt),
    Rows(Arc<Claim>, Rows),
}

/// Blocks this thread on something that other runs have to do first. A thread
/// of a session lends its slot out meanwhile.
pub(crate) fn lend_while<R>(wait: impl FnOnce() -> R) -> R {
    let session = SLOT.with_borrow(Clone::clone);
    let Some(session) = session else {
        return wait();
    };
    session.lend();
    let result = wait();
    session.take_back();
    result
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
