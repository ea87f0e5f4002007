//! The worker without sockets, threads and clock: events in, commands out.
//!
//! It owns which run is in which state and which value is where; it knows
//! neither what a run does nor what a value is. Its rules are those of the
//! protocol, section 7.6:
//!
//! * a run is reported once, with the latest `run_id` it was sent with;
//! * nothing is reported of a run that the scheduler took back;
//! * a key is never executed twice at the same time;
//! * slots and resources in use never exceed what there is;
//! * what the scheduler freed is dropped.

mod data;
mod event;
mod flights;
#[cfg(test)]
mod model_tests;
mod priority;
mod queue;
mod replicas;
mod run;
mod status;

use std::collections::HashMap;

use self::data::Data;
pub(crate) use self::event::{
    Command, ComputeTask, Event, Execution, Message, Peer, Remote, Request, Resources,
};
pub(crate) use self::priority::Priority;
use self::queue::Queue;
use self::run::{Executing, Run};
pub(crate) use self::status::Status;
use crate::wire::Key;

/// What a worker is made with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Its own address: no peer to fetch from.
    pub(crate) address: Peer,
    pub(crate) nthreads: usize,
    pub(crate) resources: Resources,
    /// How much data may be on its way here at a time.
    pub(crate) incoming_limit: Option<u64>,
    /// Chooses among peers that have the same to offer.
    pub(crate) seed: u64,
}

/// The order of runs: by priority, then as they came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    priority: Priority,
    arrival: u64,
}

impl Rank {
    fn new(priority: Priority, arrival: u64) -> Self {
        Self { priority, arrival }
    }
}

/// The state of a worker. `W` is the work of a run, whatever that is.
#[derive(Debug)]
pub(crate) struct State<W> {
    status: Status,
    memory_full: bool,
    runs: HashMap<Key, Run<W>>,
    executions: HashMap<Execution, Executing>,
    /// Executions whose run was taken back: their keys wait for their end.
    abandoned: HashMap<Key, Execution>,
    queue: Queue,
    data: Data,
    /// What the worker offers in total.
    offered: Resources,
    arrivals: u64,
    next_execution: u64,
    seed: u64,
    commands: Vec<Command<W>>,
}

impl<W: Clone> State<W> {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            status: Status::Running,
            memory_full: false,
            runs: HashMap::new(),
            executions: HashMap::new(),
            abandoned: HashMap::new(),
            queue: Queue::new(settings.nthreads, &settings.resources),
            data: Data::new(settings.address, settings.incoming_limit),
            offered: settings.resources,
            arrivals: 0,
            next_execution: 0,
            seed: settings.seed,
            commands: Vec::new(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// Whether the value of this key is here.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.data.holds(key)
    }

    /// Whether a run of this key is wanted.
    pub(crate) fn has_run(&self, key: &Key) -> bool {
        self.runs.contains_key(key)
    }

    /// The keys that are executing and wanted.
    pub(crate) fn executing(&self) -> impl Iterator<Item = (&Key, Execution)> {
        self.runs
            .iter()
            .filter_map(|(key, run)| Some((key, run.phase.execution()?)))
    }

    /// Whether nothing executes, not even what nobody wants any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.executions.is_empty()
    }

    /// How many runs are in each state, by Dask's names.
    pub(crate) fn task_counts(&self) -> HashMap<&'static str, usize> {
        let mut counts = HashMap::new();
        for run in self.runs.values() {
            *counts.entry(run.phase_name()).or_default() += 1;
        }
        counts
    }

    /// How much data is on its way here.
    pub(crate) fn incoming_bytes(&self) -> u64 {
        self.data.incoming()
    }

    /// Whether a run with these needs could ever start here.
    pub(crate) fn offers(&self, resources: &Resources) -> bool {
        resources.iter().all(|(name, needed)| {
            self.offered
                .iter()
                .any(|(offered, amount)| offered == name && amount >= needed)
        })
    }

    /// Takes in what happened; what is to be done, in order.
    pub(crate) fn handle(&mut self, event: Event<W>) -> Vec<Command<W>> {
        if self.status == Status::Closing {
            self.after_closing(&event);
            return std::mem::take(&mut self.commands);
        }
        match event {
            Event::ComputeTask(task) => self.compute_task(task),
            Event::FreeKeys(keys) => self.free_keys(&keys),
            Event::RemoveReplicas(keys) => self.remove_replicas(keys),
            Event::AcquireReplicas(remotes) => self.acquire_replicas(&remotes),
            Event::RefreshWhoHas(remotes) => self.refresh_who_has(&remotes),
            Event::StealRequest { key, stimulus_id } => self.steal(key, stimulus_id),
            Event::StatusChange(status) => self.status_change(status),
            Event::RemoveWorker(peer) => self.data.lost_peer(&peer),
            Event::Close => self.close(),
            Event::Finished { execution, nbytes } => self.finished(execution, nbytes),
            Event::Erred(execution) => self.erred(execution),
            Event::Rescheduled(execution) => self.rescheduled(execution),
            Event::InputsLost { execution, keys } => self.inputs_lost(execution, &keys),
            Event::Lent(execution) => self.lent(execution),
            Event::Fetched { request, found } => self.fetched(request, &found),
            Event::PeerBusy(request) => self.peer_busy(request),
            Event::PeerFailed(request) => self.peer_failed(request),
            Event::PeerRested(peer) => self.data.flights().rested(&peer),
            Event::DataReceived(values) => {
                for (key, nbytes) in values {
                    self.arrived(&key, nbytes);
                }
            }
            Event::DataLost(key) => self.lost(&key),
            Event::MemoryFull(full) => self.memory_full(full),
            Event::Tick => self.data.tick(),
            Event::SchedulerLost => self.scheduler_lost(),
        }
        self.go_on();
        std::mem::take(&mut self.commands)
    }

    /// Starts, fetches and asks for what is due.
    fn go_on(&mut self) {
        if self.status == Status::Running {
            self.start_runs();
            self.fetch();
        }
        let missing = self.data.take_unasked();
        if !missing.is_empty() {
            self.send(Message::RequestRefreshWhoHas(missing));
        }
    }

    fn status_change(&mut self, status: Status) {
        if status == Status::Closing {
            self.close();
            return;
        }
        self.status = match status {
            Status::Running if self.memory_full => Status::Paused,
            status => status,
        };
        self.send(Message::StatusChange(self.status));
    }

    fn memory_full(&mut self, full: bool) {
        self.memory_full = full;
        let status = match (self.status, full) {
            (Status::Running, true) => Status::Paused,
            (Status::Paused, false) => Status::Running,
            _ => return,
        };
        self.status = status;
        self.send(Message::StatusChange(status));
    }

    /// The worker ends: whatever runs is not wanted any more.
    fn close(&mut self) {
        self.abandon_all();
        self.status = Status::Closing;
        self.send(Message::StatusChange(Status::Closing));
        self.commands.push(Command::Leave);
    }

    /// Executions still end; nothing else matters.
    fn after_closing(&mut self, event: &Event<W>) {
        match event {
            Event::Finished { execution, .. }
            | Event::Erred(execution)
            | Event::Rescheduled(execution)
            | Event::InputsLost { execution, .. } => {
                self.end(*execution);
            }
            _ => {}
        }
    }

    /// The scheduler that comes back knows nothing: all begins anew. What
    /// executes keeps its slot until it ends.
    fn scheduler_lost(&mut self) {
        self.abandon_all();
        for key in self.data.clear() {
            self.commands.push(Command::Drop(key));
        }
        self.status = if self.memory_full {
            Status::Paused
        } else {
            Status::Running
        };
    }

    fn rank(&mut self, priority: Priority) -> Rank {
        self.arrivals += 1;
        Rank::new(priority, self.arrivals)
    }

    fn send(&mut self, message: Message) {
        self.commands.push(Command::Send(message));
    }
}
