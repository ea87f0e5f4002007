//! The shell around one flow run's engine: a lock, jobs, wakers, the runner's
//! session.
//!
//! Every change is one short critical section that collects the engine's
//! commands; they are carried out after the lock is released, so that
//! runners, wakers and destructors of users' values never run under it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::end;
use super::names;
use crate::clock::Timestamp;
use crate::definition::{Failure, OptionsSource, TaskConfiguration};
use crate::engine::{Command, End, Engine, Map, MapId, Run, RunId, RunView, Side, Waits};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::runner::{
    AttemptControl, EmbeddedSession, Execution, MapJob, RunReference, RunnerSession, Work,
    WorkKind, note_waiting,
};
use crate::runtime::now;
use crate::state::{State, StateName, StateOutcome};
use crate::value::StoredValue;

/// One run of a flow, or the unnamed run around a task that is called outside
/// of flows.
pub(crate) struct FlowRun {
    id: Uuid,
    name: String,
    seed: u64,
    is_standalone: bool,
    shell: Mutex<Shell>,
    session: OnceLock<Arc<dyn RunnerSession>>,
    /// Runs what must stay in this process.
    local: Arc<EmbeddedSession>,
    is_stopping: AtomicBool,
    has_ended: AtomicBool,
    idle: Notify,
}

#[derive(Default)]
pub(super) struct Shell {
    pub(super) engine: Engine,
    pub(super) jobs: Side<Run, RunEntry>,
    pub(super) maps: Side<Map, MapEntry>,
    run_wakers: Side<Run, Vec<Waker>>,
    map_wakers: Side<Map, Vec<Waker>>,
    /// Attempts that run and can be stopped.
    controls: HashMap<RunReference, Arc<AttemptControl>>,
}

/// What the shell keeps for a run until it has settled.
pub(super) enum RunEntry {
    /// A runner executes it.
    Job(Arc<dyn Execution>),
    /// Its caller executes it in place.
    InPlace(OptionsSource),
}

impl RunEntry {
    fn task_name(&self) -> &Cow<'static, str> {
        match self {
            Self::Job(job) => &job.options().name,
            Self::InPlace(options) => &options.name,
        }
    }
}

impl MapEntry {
    pub(super) fn new(job: Arc<dyn MapJob>, progress: Option<Progress>) -> Self {
        Self {
            job,
            log: end::MapLog::default(),
            progress,
        }
    }
}

/// What the shell keeps for a map until it has settled.
pub(super) struct MapEntry {
    pub(super) job: Arc<dyn MapJob>,
    pub(super) log: end::MapLog,
    pub(super) progress: Option<Progress>,
}

/// What one critical section leaves to do.
#[derive(Default)]
struct Todo {
    work: Vec<WorkKind>,
    measure: Vec<(MapId, Arc<dyn MapJob>)>,
    wakers: Vec<Waker>,
    stop: Vec<Arc<AttemptControl>>,
    stop_remote: Vec<RunReference>,
    lines: Vec<end::Line>,
    jobs: Vec<RunEntry>,
    maps: Vec<MapEntry>,
    progress: Vec<(Progress, u64)>,
    is_idle: bool,
}

impl FlowRun {
    pub(super) fn new(name: Option<String>, is_standalone: bool) -> Arc<Self> {
        let id = Uuid::now_v7();
        let (high, low) = id.as_u64_pair();
        Arc::new(Self {
            id,
            name: name.unwrap_or_else(|| names::flow_run_name(low ^ high.rotate_left(17))),
            seed: low,
            is_standalone,
            shell: Mutex::new(Shell::default()),
            session: OnceLock::new(),
            local: EmbeddedSession::shared(),
            is_stopping: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            idle: Notify::new(),
        })
    }

    /// The run around a task that is called outside of flows.
    pub(super) fn standalone() -> Arc<Self> {
        Self::new(None, true)
    }

    pub(super) fn set_session(&self, session: Arc<dyn RunnerSession>) {
        if self.session.set(session).is_err() {
            unreachable!("a flow run starts its runner once");
        }
    }

    pub(crate) fn session(&self) -> Option<&Arc<dyn RunnerSession>> {
        self.session.get()
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_standalone(&self) -> bool {
        self.is_standalone
    }

    /// Whether the flow run was asked to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Whether nothing can be submitted any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    pub(crate) fn task_run_id(&self, run: RunReference) -> Uuid {
        names::task_run_id(self.id, run)
    }

    pub(crate) fn task_run_name(&self, task: &str, run: RunReference) -> String {
        names::task_run_name(task, self.seed, run)
    }

    /// The name that an attempt goes by: from its template, or the usual one.
    pub(crate) fn attempt_name(
        &self,
        task: &str,
        run: RunReference,
        control: &AttemptControl,
    ) -> String {
        match control.name() {
            Some(name) => name.to_owned(),
            None => self.task_run_name(task, run),
        }
    }

    // ----- changes --------------------------------------------------------

    /// Changes the engine and does what it asks for.
    pub(super) fn update<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Shell, Timestamp) -> R,
    ) -> R {
        let mut todo = Todo::default();
        let result = {
            let mut shell = self.shell.lock();
            let result = change(&mut shell, now());
            self.collect(&mut shell, &mut todo);
            result
        };
        self.carry_out(todo);
        result
    }

    fn collect(&self, shell: &mut Shell, todo: &mut Todo) {
        while let Some(command) = shell.engine.next_command() {
            match command {
                Command::Dispatch(id) => {
                    match shell.jobs.get(id) {
                        Some(RunEntry::Job(job)) => {
                            todo.work.push(WorkKind::Run(id, Arc::clone(job)));
                        }
                        // Its caller waits for this.
                        Some(RunEntry::InPlace(_)) | None => todo
                            .wakers
                            .extend(shell.run_wakers.remove(id).unwrap_or_default()),
                    }
                }
                Command::DispatchRows(id, rows) => {
                    if let Some(entry) = shell.maps.get(id) {
                        todo.work
                            .push(WorkKind::Rows(id, rows, Arc::clone(&entry.job)));
                    }
                }
                Command::Measure(id) => {
                    if let Some(entry) = shell.maps.get(id) {
                        todo.measure.push((id, Arc::clone(&entry.job)));
                    }
                }
                Command::Settled(id) => {
                    self.collect_settled(shell, todo, id);
                    shell.engine.noted_run(id);
                }
                Command::RowsSettled(id, rows) => self.collect_rows(shell, todo, id, &rows),
                Command::MapSettled(id) => {
                    todo.wakers
                        .extend(shell.map_wakers.remove(id).unwrap_or_default());
                    if let Some(mut entry) = shell.maps.remove(id) {
                        todo.lines
                            .extend(entry.log.summary(entry.job.as_ref(), shell.engine.map(id)));
                        entry.progress = None;
                        todo.maps.push(entry);
                    }
                    shell.engine.noted_map(id);
                }
                Command::Cancel(id) => Self::collect_stop(shell, todo, id.into()),
                Command::CancelRow(id, row) => {
                    Self::collect_stop(shell, todo, RunReference::row(id, row));
                }
                Command::Idle => todo.is_idle = true,
            }
        }
    }

    fn collect_stop(shell: &Shell, todo: &mut Todo, run: RunReference) {
        match shell.controls.get(&run) {
            Some(control) => todo.stop.push(Arc::clone(control)),
            None => todo.stop_remote.push(run),
        }
    }

    fn collect_settled(&self, shell: &mut Shell, todo: &mut Todo, id: RunId) {
        todo.wakers
            .extend(shell.run_wakers.remove(id).unwrap_or_default());
        let control = shell.controls.remove(&id.into());
        let Some(entry) = shell.jobs.remove(id) else {
            return;
        };
        if end::is_heard()
            && let Some(view) = shell.engine.run(id)
        {
            let name = control
                .as_ref()
                .and_then(|control| control.name().map(str::to_owned))
                .unwrap_or_else(|| self.task_run_name(entry.task_name(), id.into()));
            todo.lines.push(end::Line::finished(name, &view));
        }
        todo.jobs.push(entry);
    }

    fn collect_rows(&self, shell: &mut Shell, todo: &mut Todo, id: MapId, rows: &Range<u32>) {
        if let Some(wakers) = shell.map_wakers.get_mut(id) {
            todo.wakers.append(wakers);
        }
        let Some(entry) = shell.maps.get_mut(id) else {
            return;
        };
        if let Some(progress) = &entry.progress {
            todo.progress.push((progress.clone(), rows.len() as u64));
        }
        let heard = end::is_heard();
        let names = |row| self.task_run_name(&entry.job.options().name, RunReference::row(id, row));
        if heard && let Some(map) = shell.engine.map(id) {
            entry.log.rows(map, rows, names, &mut todo.lines);
        }
        if !shell.controls.is_empty() {
            for row in rows.clone() {
                shell.controls.remove(&RunReference::row(id, row));
            }
        }
    }

    fn carry_out(self: &Arc<Self>, todo: Todo) {
        for line in todo.lines {
            line.write(self);
        }
        for (progress, rows) in todo.progress {
            progress.advance(rows);
        }
        for kind in todo.work {
            self.dispatch(kind);
        }
        for (id, job) in todo.measure {
            self.measure(id, job);
        }
        for control in todo.stop {
            control.cancel();
        }
        if let Some(session) = self.session() {
            for run in todo.stop_remote {
                session.cancel(run);
            }
        }
        for waker in todo.wakers {
            waker.wake();
        }
        if todo.is_idle {
            self.idle.notify_waiters();
        }
        // Users' values, dropped here and not under the lock.
        drop((todo.jobs, todo.maps));
    }

    fn dispatch(self: &Arc<Self>, kind: WorkKind) {
        let work = Work {
            flow: Arc::clone(self),
            kind,
        };
        match self.session() {
            Some(session) if !work.is_local() => session.submit(work),
            Some(session) if session.keeps_values() => self.dispatch_here(work),
            _ => self.local.take(work),
        }
    }

    /// Local work beside a runner that keeps values: they come here first.
    fn dispatch_here(self: &Arc<Self>, work: Work) {
        let fetches = match &work.kind {
            WorkKind::Run(_, job) => job.fetches(),
            WorkKind::Rows(_, rows, job) => job.fetches(rows.clone()),
        };
        if fetches.is_empty() {
            return self.local.take(work);
        }
        let flow = Arc::clone(self);
        crate::runtime::service().spawn(async move {
            for fetch in fetches {
                if let Err(error) = fetch.await {
                    return flow.cannot_start(&work, &error);
                }
            }
            flow.local.take(work);
        });
    }

    /// Inputs of this work could not be had.
    fn cannot_start(self: &Arc<Self>, work: &Work, error: &Error) {
        for (run, key) in work.runs() {
            self.settled(run, End::Ended(end::refused(key, error.clone())));
        }
    }

    /// Finds out how many rows a map has, here or, if its list lies with the
    /// runner, there.
    fn measure(self: &Arc<Self>, id: MapId, job: Arc<dyn MapJob>) {
        let lists = job.lists_elsewhere();
        let session = self.session().filter(|_| !lists.is_empty());
        let Some(session) = session else {
            let length = job.measure(&[]);
            return self.length_known(id, job.info().key, length);
        };
        let lengths: Vec<_> = lists.into_iter().map(|list| session.length(list)).collect();
        let flow = Arc::clone(self);
        crate::runtime::service().spawn(async move {
            let mut known = Vec::new();
            for length in lengths {
                known.push(length.await);
            }
            let known: Result<Vec<u32>> = known.into_iter().collect();
            let length = known.and_then(|lengths| job.measure(&lengths));
            flow.length_known(id, job.info().key, length);
        });
    }

    fn length_known(self: &Arc<Self>, id: MapId, task_key: &str, length: Result<u32>) {
        let length = length.map_err(|error| end::refused(task_key, error));
        self.update(|shell, now| {
            if let (Ok(rows), Some(entry)) = (&length, shell.maps.get_mut(id)) {
                entry.progress = Progress::of_map(&entry.job.options().name, u64::from(*rows));
            }
            shell.engine.length_known(id, length, now);
            // Whoever waited for the length looks again.
            shell.map_wakers.remove(id).unwrap_or_default()
        })
        .into_iter()
        .for_each(Waker::wake);
    }

    /// A run that its caller executes in place, once its inputs are there.
    pub(super) fn enter_inline(self: &Arc<Self>, configuration: &TaskConfiguration) -> RunId {
        let (here, foreign) = super::submit::dependencies(self, configuration);
        let id = self.update(|shell, now| {
            let id = shell.engine.reserve_run();
            let entry = RunEntry::InPlace(configuration.source());
            shell.jobs.insert(id, entry);
            shell.engine.submit_run(id, here, now);
            id
        });
        for input in foreign {
            input.watch(self, Waits::Run(id));
        }
        id
    }

    /// Ends when a run in place may begin.
    pub(crate) async fn may_begin(&self, id: RunId) {
        std::future::poll_fn(|context| {
            let mut shell = self.shell.lock();
            if shell.engine.is_dispatched(id) {
                return Poll::Ready(());
            }
            shell.note_waker(id.into(), context.waker());
            note_waiting();
            Poll::Pending
        })
        .await;
    }

    // ----- events from runners --------------------------------------------

    /// An attempt begins; `false` if the run has settled.
    pub(crate) fn begin(
        self: &Arc<Self>,
        run: RunReference,
        control: &Arc<AttemptControl>,
    ) -> bool {
        self.update(|shell, now| {
            let begins = start(&mut shell.engine, run, control.attempt(), now);
            if begins {
                shell.controls.insert(run, Arc::clone(control));
            }
            begins
        })
    }

    /// An attempt begins somewhere else.
    pub(crate) fn started(self: &Arc<Self>, run: RunReference, attempt: u32) -> bool {
        self.update(|shell, now| start(&mut shell.engine, run, attempt, now))
    }

    /// A row has been running for a while.
    pub(crate) fn row_started(self: &Arc<Self>, map: MapId, row: u32, started: Timestamp) {
        self.update(|shell, _| shell.engine.row_started(map, row, 1, started));
    }

    pub(crate) fn rows_completed(self: &Arc<Self>, map: MapId, first: u32, times: &[Timestamp]) {
        self.update(|shell, _| shell.engine.rows_completed(map, first, times));
    }

    /// Another attempt will follow.
    pub(crate) fn retry(
        self: &Arc<Self>,
        run: RunReference,
        control: &AttemptControl,
        message: &str,
    ) {
        let name = control.name().map(str::to_owned);
        self.say_retry(run, name, message);
    }

    /// Another attempt will follow, somewhere else.
    pub(crate) fn awaits_retry(self: &Arc<Self>, run: RunReference, message: &str) {
        self.say_retry(run, None, message);
    }

    fn say_retry(self: &Arc<Self>, run: RunReference, name: Option<String>, message: &str) {
        let task = self.update(|shell, _| {
            match run {
                RunReference::Run(id) => shell.engine.run_awaits_retry(RunId::from_bits(id)),
                RunReference::Row(id, row) => {
                    shell.engine.row_awaits_retry(MapId::from_bits(id), row)
                }
            };
            shell.task_name(run)
        });
        if let Some(task) = task {
            let name = name.unwrap_or_else(|| self.task_run_name(&task, run));
            end::Line::retry(name, message).write(self);
        }
    }

    /// The run ends.
    pub(crate) fn settled(self: &Arc<Self>, run: RunReference, end: End) {
        self.update(|shell, now| match run {
            RunReference::Run(id) => shell.engine.run_settled(RunId::from_bits(id), end, now),
            RunReference::Row(id, row) => {
                shell
                    .engine
                    .row_settled(MapId::from_bits(id), row, end, now);
            }
        });
    }

    /// A direct call was dropped before it ended.
    pub(crate) fn dropped(self: &Arc<Self>, run: RunReference) {
        let failure = end::cancelled("Task run was dropped before it ended.");
        self.settled(run, End::Ended(failure));
    }

    // ----- what handles ask -----------------------------------------------

    pub(crate) fn map_length(&self, id: MapId) -> Option<u32> {
        self.shell.lock().engine.map(id)?.length
    }

    /// Looks at a map as it stands.
    pub(crate) fn with_map<R>(&self, id: MapId, look: impl FnOnce(&Map) -> R) -> Option<R> {
        self.shell.lock().engine.map(id).map(look)
    }

    pub(crate) fn view(&self, run: RunReference) -> Option<RunView> {
        self.shell.lock().view(run)
    }

    /// The settled run, or a note to wake the caller when it is.
    pub(crate) fn poll_settled(&self, run: RunReference, waker: &Waker) -> Poll<RunView> {
        let mut shell = self.shell.lock();
        match shell.view(run) {
            Some(view) if view.name.is_settled() => Poll::Ready(view),
            None if shell.has_no_such_row(run) => {
                let RunReference::Row(id, row) = run else {
                    unreachable!("only rows can be missing from a live map");
                };
                let length = shell
                    .engine
                    .map(MapId::from_bits(id))
                    .and_then(|map| map.length)
                    .unwrap_or(0);
                Poll::Ready(RunView::missing_row(row, length))
            }
            _ => {
                shell.note_waker(run, waker);
                note_waiting();
                Poll::Pending
            }
        }
    }

    /// Whether a map (or a part of its rows) has settled.
    pub(crate) fn poll_map_settled(
        &self,
        id: MapId,
        rows: Option<&Range<u32>>,
        waker: &Waker,
    ) -> Poll<()> {
        let mut shell = self.shell.lock();
        let settled = match (shell.engine.map(id), rows) {
            (None, _) => true,
            (Some(map), None) => map.is_settled(),
            (Some(map), Some(rows)) => {
                map.is_settled()
                    || (map.length.is_some() && map.settled_in(rows) as usize == rows.len())
            }
        };
        if settled {
            return Poll::Ready(());
        }
        note(&mut shell.map_wakers, id, waker);
        note_waiting();
        Poll::Pending
    }

    /// Whether a map's length is known, or it ended without one.
    pub(crate) fn poll_length(&self, id: MapId, waker: &Waker) -> Poll<Result<u32>> {
        let mut shell = self.shell.lock();
        match shell.engine.map(id) {
            Some(map) if map.length.is_some() => Poll::Ready(Ok(map.length.unwrap_or(0))),
            Some(map) if map.ended_whole.is_some() => {
                let view = map.view(0);
                Poll::Ready(Err(view.map_or_else(
                    || Error::invalid("the map ended without rows"),
                    |view| view.error(),
                )))
            }
            None => Poll::Ready(Err(Error::invalid("the map is gone"))),
            Some(_) => {
                note(&mut shell.map_wakers, id, waker);
                note_waiting();
                Poll::Pending
            }
        }
    }

    /// How these rows of a settled map ended: the first that did not complete
    /// stands for all.
    pub(super) fn rows_end(
        &self,
        id: MapId,
        rows: Option<&Range<u32>>,
    ) -> (StateName, Option<Failure>) {
        let end = self.with_map(id, |map| {
            if map.ended_whole.is_some() {
                return map.view(0);
            }
            let failed = map.failures.keys();
            let first = failed
                .filter(|row| rows.is_none_or(|rows| rows.contains(row)))
                .min()?;
            map.view(*first)
        });
        match end.flatten() {
            Some(view) => (view.name, view.failure),
            None => (StateName::Completed, None),
        }
    }

    // ----- ending ---------------------------------------------------------

    /// Ends when all that was submitted has settled.
    pub(super) async fn joined(&self) {
        loop {
            let notified = self.idle.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.shell.lock().engine.is_idle() {
                return;
            }
            notified.await;
        }
    }

    /// Nothing is submitted any more: the runner's session closes.
    pub(super) async fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        if let Some(session) = self.session() {
            session.close().await;
        }
    }

    /// Cancels what is queued and asks what runs to stop.
    pub(super) fn stop(self: &Arc<Self>, reason: &str) {
        self.is_stopping.store(true, Ordering::Release);
        let failure = end::cancelled(reason);
        self.update(|shell, now| {
            for entry in shell.maps.values() {
                entry.job.stops().stop_all();
            }
            shell.engine.cancel_all(&failure, now);
        });
    }

    pub(crate) fn cancel(self: &Arc<Self>, run: RunReference) {
        let failure = end::cancelled("Task run was cancelled.");
        self.update(|shell, now| match run {
            RunReference::Run(id) => {
                shell.engine.cancel_run(RunId::from_bits(id), &failure, now);
            }
            RunReference::Row(id, row) => {
                let id = MapId::from_bits(id);
                if let Some(entry) = shell.maps.get(id) {
                    entry.job.stops().stop(row);
                }
                shell.engine.cancel_row(id, row, &failure, now);
            }
        });
    }

    pub(crate) fn cancel_map(self: &Arc<Self>, id: MapId) {
        let failure = end::cancelled("Task run was cancelled.");
        self.update(|shell, now| {
            if let Some(entry) = shell.maps.get(id) {
                entry.job.stops().stop_all();
            }
            shell.engine.cancel_map(id, &failure, now);
        });
    }

    pub(crate) fn release_run(&self, id: RunId) {
        self.shell.lock().engine.release_run(id);
    }

    pub(crate) fn release_map(&self, id: MapId) {
        self.shell.lock().engine.release_map(id);
    }

    /// Entries that are still held, for tests of memory.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        self.shell.lock().engine.entries()
    }
}

fn start(engine: &mut Engine, run: RunReference, attempt: u32, now: Timestamp) -> bool {
    match run {
        RunReference::Run(id) => engine.run_started(RunId::from_bits(id), attempt, now),
        RunReference::Row(id, row) => engine.row_started(MapId::from_bits(id), row, attempt, now),
    }
}

impl Shell {
    fn view(&self, run: RunReference) -> Option<RunView> {
        match run {
            RunReference::Run(id) => self.engine.run(RunId::from_bits(id)),
            RunReference::Row(id, row) => self.engine.row(MapId::from_bits(id), row),
        }
    }

    fn has_no_such_row(&self, run: RunReference) -> bool {
        match run {
            RunReference::Run(_) => false,
            RunReference::Row(id, _) => self
                .engine
                .map(MapId::from_bits(id))
                .is_some_and(|map| map.length.is_some()),
        }
    }

    fn task_name(&self, run: RunReference) -> Option<String> {
        match run {
            RunReference::Run(id) => {
                let entry = self.jobs.get(RunId::from_bits(id))?;
                Some(entry.task_name().clone().into_owned())
            }
            RunReference::Row(id, _) => {
                let entry = self.maps.get(MapId::from_bits(id))?;
                Some(entry.job.options().name.clone().into_owned())
            }
        }
    }

    fn note_waker(&mut self, run: RunReference, waker: &Waker) {
        match run {
            RunReference::Run(id) => note(&mut self.run_wakers, RunId::from_bits(id), waker),
            RunReference::Row(id, _) => note(&mut self.map_wakers, MapId::from_bits(id), waker),
        }
    }
}

fn note<K>(wakers: &mut Side<K, Vec<Waker>>, id: crate::engine::Key<K>, waker: &Waker) {
    match wakers.get_mut(id) {
        Some(wakers) => {
            if !wakers.iter().any(|known| known.will_wake(waker)) {
                wakers.push(waker.clone());
            }
        }
        None => wakers.insert(id, vec![waker.clone()]),
    }
}

/// The state of a run as handles show it.
pub(crate) fn state_of<T>(view: &RunView, value: impl FnOnce() -> StoredValue<T>) -> State<T> {
    let (message, outcome) = match (view.name, &view.failure) {
        (StateName::Completed, _) => (None, StateOutcome::Value(value())),
        (name, Some(_)) if name.is_settled() => {
            (end::state_message(view), StateOutcome::Error(view.error()))
        }
        _ => (None, StateOutcome::Open),
    };
    let timestamp = [view.ended, view.started]
        .into_iter()
        .find(|time| time.is_some())
        .unwrap_or_else(now);
    State::new(view.name, message, timestamp, outcome)
}

impl RunView {
    /// What a reader of a row gets that a map turned out not to have.
    fn missing_row(row: u32, length: u32) -> Self {
        let failure = Failure::missing_row(row, length);
        Self {
            name: failure.0.name,
            attempt: 0,
            started: Timestamp::NONE,
            ended: Timestamp::NONE,
            failure: Some(failure),
        }
    }

    /// Why the run did not complete, for its readers.
    pub(crate) fn error(&self) -> Error {
        end::error_of(self)
    }
}
