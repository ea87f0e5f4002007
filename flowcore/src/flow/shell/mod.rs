//! The shell around one flow run's engine: a lock, jobs, wakers, the runner's
//! session.
//!
//! Every change is one short critical section that collects the engine's
//! commands; they are carried out after the lock is released, so that
//! runners, wakers and destructors of users' values never run under it.

mod commands;
mod controls;
mod dispatch;
mod ending;
mod events;
mod handles;
mod held;
mod hooked;
mod in_turn;
mod moment;
mod observed;
mod outbox;
mod permits;
mod records;
mod releases;
mod transacted;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) use events::Begun;
pub(crate) use handles::state_of;
pub(in crate::flow) use held::CodeAtWork;
pub(crate) use held::Held;
pub(crate) use hooked::{in_hook, in_hook_thread};

use super::end;
use super::life::Life;
use super::names;
use super::observer::Observers;
use super::symbolic::Symbolic;
use crate::clock::Timestamp;
use crate::definition::{FlowConfiguration, FlowInfo, OptionsSource, TaskInfo, TaskOptions};
use crate::engine::{End, Engine, Map, MapId, Run, RunId, RunView, Side};
use crate::flag::Flag;
use crate::lock;
use crate::progress::Progress;
use crate::records::FlowResults;
use crate::runner::{
    AttemptControl, EmbeddedSession, Execution, Line, MapJob, RunReference, RunnerSession, Served,
    Wait, waiting,
};

/// One run of a flow, or the unnamed run around a task that is called outside
/// of flows.
pub(crate) struct FlowRun {
    id: Uuid,
    name: String,
    seed: u64,
    kind: Kind,
    shell: lock::Mutex<Shell>,
    session: OnceLock<Arc<dyn RunnerSession>>,
    /// Runs what must stay in this process.
    local: Arc<EmbeddedSession>,
    life: Life,
    /// Of the attempt that runs: each has its own.
    stopping: Mutex<Arc<Flag>>,
    interrupted: Flag,
    aborted: Flag,
    tags: OnceLock<Vec<String>>,
    has_ended: AtomicBool,
    idle: Notify,
    outbox: outbox::Outbox,
    /// Set when the run begins, if no task shall run in it.
    symbolic: OnceLock<Arc<Symbolic>>,
    /// Set when the run begins, if anybody watches.
    observers: OnceLock<Observers>,
    /// What tasks in other processes ask for.
    served: Mutex<Served>,
    results: FlowResults,
    /// The flow with its options, if it has hooks.
    flow_hooks: OnceLock<(&'static FlowInfo, FlowConfiguration)>,
    /// Some run has a transaction.
    transacts: AtomicBool,
}

/// What a flow run stands for.
enum Kind {
    Flow,
    /// The run around a task that is called outside of flows.
    Standalone,
    /// A flow run of another process, which this is the way to.
    Elsewhere(Arc<Line>),
}

#[derive(Default)]
pub(super) struct Shell {
    pub(super) engine: Engine,
    pub(super) jobs: Side<Run, RunEntry>,
    pub(super) maps: Side<Map, MapEntry>,
    run_wakers: Side<Run, Vec<Waiter>>,
    map_wakers: Side<Map, Vec<Waiter>>,
    /// Maps that have settled and whose arguments are still being dropped.
    leaving: Vec<MapId>,
    /// Spawned code and subflows that the end waits for.
    held: usize,
    /// Attempts that run and can be stopped.
    controls: controls::Controls,
    permits: permits::Permits,
    records: records::Records,
    hooks: hooked::HookQueue,
    transacted: transacted::Transacted,
}

/// What the shell keeps for a run until it has settled.
pub(super) enum RunEntry {
    /// It waits for its inputs; then a runner executes it.
    Job(Arc<dyn Execution>),
    /// A runner has it, and its arguments; whether in this process.
    Dispatched(&'static TaskInfo, OptionsSource, bool),
    /// Its caller executes it in place.
    InPlace(&'static TaskInfo, OptionsSource),
}

impl RunEntry {
    fn task_name(&self) -> &Cow<'static, str> {
        &self.options().labels.name
    }

    fn options(&self) -> &TaskOptions {
        self.source()
    }

    fn source(&self) -> &OptionsSource {
        match self {
            Self::Job(job) => job.options(),
            Self::Dispatched(_, options, _) | Self::InPlace(_, options) => options,
        }
    }

    /// Whether something of users' goes with it: arguments, or what options
    /// hold.
    fn has_users_values(&self) -> bool {
        match self {
            Self::Job(_) => true,
            Self::Dispatched(..) | Self::InPlace(..) => !self.source().is_static(),
        }
    }

    /// Whether it never leaves this process.
    fn is_local(&self) -> bool {
        match self {
            Self::Job(job) => job.is_local(),
            Self::Dispatched(_, _, is_local) => *is_local,
            Self::InPlace(..) => true,
        }
    }

    fn info(&self) -> &'static TaskInfo {
        match self {
            Self::Job(job) => job.info(),
            Self::Dispatched(info, ..) | Self::InPlace(info, _) => info,
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

impl FlowRun {
    /// A run of a flow; without a name it gets one.
    pub(in crate::flow) fn new(id: Uuid, name: Option<String>, results: FlowResults) -> Arc<Self> {
        let (high, low) = id.as_u64_pair();
        let name = name.unwrap_or_else(|| names::flow_run_name(low ^ high.rotate_left(17)));
        Self::of_kind(id, name, Kind::Flow, results)
    }

    /// What stands for a flow run in another process, where one of its task
    /// runs is executed.
    pub(crate) fn elsewhere(
        id: Uuid,
        name: String,
        line: &Arc<Line>,
        results: FlowResults,
    ) -> Arc<Self> {
        Self::of_kind(id, name, Kind::Elsewhere(Arc::clone(line)), results)
    }

    fn of_kind(id: Uuid, name: String, kind: Kind, results: FlowResults) -> Arc<Self> {
        let (_, low) = id.as_u64_pair();
        Arc::new(Self {
            id,
            name,
            seed: low,
            kind,
            shell: lock::Mutex::new(Shell::default()),
            session: OnceLock::new(),
            local: EmbeddedSession::shared(),
            life: Life::new(),
            stopping: Mutex::default(),
            interrupted: Flag::default(),
            aborted: Flag::default(),
            tags: OnceLock::new(),
            has_ended: AtomicBool::new(false),
            idle: Notify::new(),
            outbox: outbox::Outbox::default(),
            symbolic: OnceLock::new(),
            observers: OnceLock::new(),
            served: Mutex::default(),
            results,
            flow_hooks: OnceLock::new(),
            transacts: AtomicBool::new(false),
        })
    }

    /// The run around a task that is called outside of flows.
    pub(in crate::flow) fn standalone(id: Option<Uuid>) -> Arc<Self> {
        let results = FlowResults::of_process();
        Self::of_kind(
            id.unwrap_or_else(Uuid::now_v7),
            String::new(),
            Kind::Standalone,
            results,
        )
    }

    pub(crate) fn set_session(&self, session: Arc<dyn RunnerSession>) {
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

    /// What its tasks' values are instead, if none of them runs.
    pub(crate) fn symbolic(&self) -> Option<&Arc<Symbolic>> {
        self.symbolic.get()
    }

    pub(in crate::flow) fn set_symbolic(&self, symbolic: Arc<Symbolic>) {
        let _ = self.symbolic.set(symbolic);
    }

    /// What it says of its tasks' results.
    pub(crate) fn results(&self) -> &FlowResults {
        &self.results
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_standalone(&self) -> bool {
        matches!(self.kind, Kind::Standalone)
    }

    /// Whether the flow run itself is in another process.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.line().is_some()
    }

    /// The way to the process of the flow run, if that is another one.
    pub(crate) fn line(&self) -> Option<&Arc<Line>> {
        match &self.kind {
            Kind::Elsewhere(line) => Some(line),
            Kind::Flow | Kind::Standalone => None,
        }
    }

    /// What tasks in other processes ask of this flow run.
    pub(crate) fn served(&self) -> &Mutex<Served> {
        &self.served
    }

    /// Tells runs of this process apart from those of the flow's own.
    fn salt(&self) -> u64 {
        self.line().map_or(0, |line| line.execution())
    }

    /// Set when the flow run's code is asked to stop: it is ended from outside,
    /// or this attempt has failed.
    pub(crate) fn stopping(&self) -> Arc<Flag> {
        Arc::clone(&self.stopping.lock())
    }

    /// Set when the flow run is ended from outside.
    pub(in crate::flow) fn interrupted(&self) -> &Flag {
        &self.interrupted
    }

    /// Which attempt of the flow's function runs, from 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.life.attempt().max(1)
    }

    /// How many attempts were made in processes before this one; only while it
    /// begins.
    #[cfg(feature = "prefect")]
    pub(crate) fn attempts_before(&self) -> u32 {
        self.life.attempt()
    }

    pub(in crate::flow) fn had_attempts(&self, attempts: u32) {
        self.life.had_attempts(attempts);
    }

    /// The run's tags: the flow's, and those of the scope that it begins in.
    pub(crate) fn tags(&self) -> &[String] {
        self.tags.get().map_or(&[], Vec::as_slice)
    }

    pub(in crate::flow) fn set_tags(&self, tags: Vec<String>) {
        let _ = self.tags.set(tags);
    }

    /// Set when nobody waits any longer for code that does not stop.
    pub(in crate::flow) fn aborted(&self) -> &Flag {
        &self.aborted
    }

    pub(super) fn life(&self) -> &Life {
        &self.life
    }

    /// Whether nothing can be submitted any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    pub(crate) fn task_run_id(&self, run: RunReference) -> Uuid {
        let id = self.id.as_u128() ^ u128::from(self.salt());
        names::task_run_id(Uuid::from_u128(id), run)
    }

    /// A number in [0, 1) for what an attempt leaves to chance.
    pub(crate) fn random(&self, run: RunReference, attempt: u32) -> f64 {
        names::random(self.seed, run, attempt)
    }

    pub(crate) fn task_run_name(&self, task: &str, run: RunReference) -> String {
        names::task_run_name(task, self.name_seed(), run)
    }

    /// What the names of its runs are drawn from.
    pub(crate) fn name_seed(&self) -> u64 {
        self.seed ^ self.salt()
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
}

impl Shell {
    /// What a run is one of, with its options, and whether it stays in this
    /// process. `None` if it has settled and was let go.
    fn definition_of(
        &self,
        run: RunReference,
    ) -> Option<(&'static TaskInfo, &OptionsSource, bool)> {
        Some(match run {
            RunReference::Run(id) => {
                let entry = self.jobs.get(RunId::from_bits(id))?;
                (entry.info(), entry.source(), entry.is_local())
            }
            RunReference::Row(id, _) => {
                let job = &self.maps.get(MapId::from_bits(id))?.job;
                (job.info(), job.options(), job.info().is_local)
            }
        })
    }

    fn view(&self, run: RunReference) -> Option<RunView> {
        match run {
            RunReference::Run(id) => self.engine.run(RunId::from_bits(id)),
            RunReference::Row(id, row) => self.engine.row(MapId::from_bits(id), row),
        }
    }

    fn settle(&mut self, run: RunReference, end: End, now: Timestamp) {
        match run {
            RunReference::Run(id) => self.engine.run_settled(RunId::from_bits(id), end, now),
            RunReference::Row(id, row) => {
                self.engine.row_settled(MapId::from_bits(id), row, end, now);
            }
        }
    }

    fn is_leaving(&self, run: RunReference) -> bool {
        match run {
            RunReference::Run(_) => false,
            RunReference::Row(id, _) => self.leaving.contains(&MapId::from_bits(id)),
        }
    }

    /// What readers of a row see that a map turned out not to have.
    fn missing_row(&self, run: RunReference) -> Option<RunView> {
        let RunReference::Row(id, row) = run else {
            return None;
        };
        let length = self.engine.map(MapId::from_bits(id))?.length?;
        Some(RunView::missing_row(row, length))
    }

    /// A large map says only so much about its rows.
    fn may_say_retry(&mut self, run: RunReference) -> bool {
        let RunReference::Row(id, _) = run else {
            return true;
        };
        let id = MapId::from_bits(id);
        match (self.maps.get_mut(id), self.engine.map(id)) {
            (Some(entry), Some(map)) => entry.log.may_say_retry(map),
            _ => true,
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
                Some(entry.job.options().labels.name.clone().into_owned())
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

/// Who is woken when something settles, and its run's wait for that.
struct Waiter {
    waker: Waker,
    wait: Option<Wait>,
}

impl Waiter {
    fn wake(self) {
        // Woken, its run waits no longer.
        drop(self.wait);
        self.waker.wake();
    }
}

/// Notes whom to wake; the run that is polled waits until then.
fn note<K>(waiters: &mut Side<K, Vec<Waiter>>, id: crate::engine::Key<K>, waker: &Waker) {
    let wait = waiting();
    let is_known = |known: &Waiter| known.waker.will_wake(waker);
    let waiter = || Waiter {
        waker: waker.clone(),
        wait,
    };
    match waiters.get_mut(id) {
        Some(known) if known.iter().any(is_known) => {}
        Some(known) => known.push(waiter()),
        None => waiters.insert(id, vec![waiter()]),
    }
}
