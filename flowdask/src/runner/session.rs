//! One flow run's work with a Dask cluster.
//!
//! The shell around the [`Ledger`]: graphs go out, keys and events come in,
//! and what follows goes to the flow. One task does all of it, so that what a
//! worker tells of a run is heard before what Dask says of its key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flowcore::bridge::{
    EncodedValue, Feed, Home, Released, RunEvent, RunReference, RunnerFuture, RunnerSession,
    ToWorker, Work, WorkDescriptor,
};
use flowcore::{Error, Result, StateName};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;

use super::batches;
use super::fetched::{Fetched, FetchedRows};
use super::home::{self, Arrival, Gaps, HomeBody, Order};
use super::io;
use super::ledger::{Cancelling, Consequences, Ledger, Ready};
use super::length::{self, Question};
use super::payload::Job;
use super::performance_report::PerformanceReport;
use super::placement::Placement;
use super::task_runner::{Cluster, Connected};
use crate::client::{
    Cancelled, Changes, Client, Future, KeyState, SubmitOptions, TopicEvent, TopicEvents,
};
use crate::coded;
use crate::graph::TaskNode;
use crate::values;
use crate::wire::{self, Key};
use crate::worker::ORDER;

/// How many runs go out at one go at most.
const BATCH: usize = 5000;

/// How often it is looked whether the worker of a cancelled run still lives.
const WATCH: Duration = Duration::from_secs(1);

pub(super) struct DaskSession {
    shared: Arc<Shared>,
    /// Single runs of keys that are with a worker.
    cancellations: UnboundedSender<Cancellation>,
    /// How many tasks the cluster executed at once when the session began.
    threads: usize,
    cluster: Mutex<Option<Cluster>>,
    pump: AbortHandle,
}

struct Shared {
    home: Home,
    client: Client,
    placement: Placement,
    report: Option<PerformanceReport>,
    outgoing: UnboundedSender<Outgoing>,
    state: Mutex<State>,
}

struct State {
    ledger: Ledger,
    /// The keys that this client holds.
    futures: HashMap<Key, Future>,
    /// Where keys were last executed, as their workers say.
    workers: HashMap<Key, String>,
    fetched: Fetched,
    /// Why nothing can be executed any more.
    refusal: Option<String>,
}

/// What goes to the scheduler, in this order.
enum Outgoing {
    Submit(Box<Ready>),
    /// The last handle of a key is to go, so that Dask forgets it once nothing
    /// that was submitted needs it.
    Release(Key),
}

/// A run that is to stop, with the worker that executes its key.
type Cancellation = (String, RunReference);

impl DaskSession {
    pub(super) fn start(
        home: Home,
        connected: Connected,
        cluster: Cluster,
        report: Option<PerformanceReport>,
    ) -> Self {
        let Connected {
            client,
            events,
            placement,
            threads,
        } = connected;
        let (outgoing, to_send) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            home,
            outgoing,
            placement,
            report,
            state: Mutex::new(State {
                ledger: Ledger::new(client.id().to_owned()),
                futures: HashMap::new(),
                workers: HashMap::new(),
                fetched: Fetched::default(),
                refusal: None,
            }),
            client,
        });
        let (cancellations, cancelled) = mpsc::unbounded_channel();
        let pump = Pump {
            cancellations: cancellations.clone(),
            flow_run: None,
            shared: Arc::clone(&shared),
            changes: shared.client.changes(),
            gaps: Gaps::default(),
        };
        let pump = io()
            .spawn(pump.run(events, to_send, cancelled))
            .abort_handle();
        io().spawn(look_for_workers(Arc::clone(&shared)));
        Self {
            shared,
            cancellations,
            threads,
            cluster: Mutex::new(Some(cluster)),
            pump,
        }
    }
}

impl Shared {
    /// Tells the flow what follows, and hands over what became ready. Never
    /// under the lock: the flow may call back.
    fn follow(&self, consequences: Consequences) {
        let ready = consequences.ready.into_iter().map(Box::new);
        let unneeded = consequences.unneeded.into_iter();
        let ready = ready.map(Outgoing::Submit);
        for outgoing in ready.chain(unneeded.map(Outgoing::Release)) {
            // Without a receiver the session is closed.
            let _ = self.outgoing.send(outgoing);
        }
        for event in consequences.events {
            if let Some(report) = &self.report {
                report.told(&event);
            }
            self.home.report(event);
        }
    }

    fn lost(&self, key: &Key, reason: &str) {
        let consequences = self.state.lock().ledger.lost(key, reason);
        self.follow(consequences);
    }

    fn is_cancelled(&self, key: &Key) -> bool {
        self.state.lock().ledger.is_cancelled(key)
    }

    /// Lets the handles of these go: of keys that have ended.
    fn let_go(&self, keys: Vec<Key>) {
        let mut futures = Vec::new();
        let mut state = self.state.lock();
        for key in keys {
            state.workers.remove(&key);
            futures.extend(state.futures.remove(&key));
        }
        drop(state);
        drop(futures);
    }

    /// Keeps the handles, but of what was cancelled meanwhile.
    fn hold(&self, futures: Vec<Future>) {
        let mut state = self.state.lock();
        let mut unwanted = Vec::new();
        for future in futures {
            if state.ledger.is_cancelled(future.key()) {
                unwanted.push(future);
            } else {
                state.futures.insert(future.key().clone(), future);
            }
        }
        drop(state);
        drop(unwanted);
    }

    /// How many elements a run's result has: the answer is on its way.
    fn ask_for_length(&self, run: RunReference) -> Result<Future> {
        let state = self.state.lock();
        let place = state.ledger.place(run);
        let place = place.and_then(|(key, row)| Some((state.futures.get(key)?.clone(), row)));
        drop(state);
        let (list, row) = place.ok_or_else(|| no_value(run))?;
        let question = Question::of(list.key().clone(), row);
        let key = question.key.clone();
        let options = self.placement.options([]);
        let mut futures = self.client.submit_graph(vec![question], &[key], &options)?;
        futures.pop().ok_or_else(|| no_value(run))
    }

    /// Where the value of a run is.
    fn place(&self, run: RunReference) -> Result<Value> {
        let mut state = self.state.lock();
        let State {
            ledger,
            futures,
            fetched,
            ..
        } = &mut *state;
        let place = ledger.place(run);
        let place = place.and_then(|(key, index)| Some((futures.get(key)?.clone(), index)));
        match place {
            Some((future, None)) => Ok(Value::Own(future)),
            Some((future, Some(index))) => Ok(Value::Row(fetched.rows(future), index)),
            None => Err(no_value(run)),
        }
    }
}

fn no_value(run: RunReference) -> Error {
    Error::msg(format!("{run:?} has no value with Dask"))
}

/// Where the value of a run is.
enum Value {
    Own(Future),
    /// In a batch, at this place.
    Row(FetchedRows, u32),
}

impl Value {
    async fn fetch(self) -> Result<EncodedValue> {
        let (rows, index) = match self {
            Self::Own(future) => {
                let fetched = io().spawn(async move { future.result().await });
                return Ok(values::from_wire(&fetched.await??)?);
            }
            Self::Row(rows, index) => (rows.await?, index),
        };
        match rows.outcome(index) {
            Some(Ok(value)) => Ok(value),
            Some(Err(failure)) => Err(failure.error.clone()),
            None => Err(Error::msg(format!("the batch has no row number {index}"))),
        }
    }
}

impl DaskSession {
    /// Each run goes alone.
    fn submit_each(&self, work: &Work) {
        for (run, descriptor) in work.describe() {
            match descriptor {
                Ok(descriptor) => self.take(Job::Run(descriptor)),
                Err(error) => self.shared.home.report(RunEvent::Ended {
                    run,
                    state: StateName::Failed,
                    message: Some(error.to_string()),
                    error,
                }),
            }
        }
    }

    fn take(&self, job: Job) {
        if let Some(report) = &self.shared.report {
            report.submitted(job.work());
        }
        let ready = self.shared.state.lock().ledger.submit(job);
        if let Some(ready) = ready {
            // Without a receiver the session is closed.
            let _ = self.shared.outgoing.send(Outgoing::Submit(Box::new(ready)));
        }
    }
}

impl RunnerSession for DaskSession {
    fn feed(&self) -> Feed {
        Feed::Submitted
    }

    fn submit(&self, work: Work) {
        let batches = work.rows().and_then(|(_, rows)| {
            let size = batches::size(&work.outline(), rows.len(), self.threads)?;
            Some(batches::cut(rows, size))
        });
        let Some(batches) = batches else {
            return self.submit_each(&work);
        };
        for rows in batches {
            let part = work.part(rows);
            match part.describe_batches(batches::MOST_BYTES) {
                Ok(batches) => {
                    for batch in batches {
                        self.take(Job::Batch(batch));
                    }
                }
                // Only the rows whose arguments cannot travel shall fail.
                Err(_) => self.submit_each(&part),
            }
        }
    }

    fn cancel(&self, run: RunReference) {
        let mut state = self.shared.state.lock();
        let (cancelling, consequences) = state.ledger.cancel(run);
        let key = match cancelling {
            Cancelling::Nothing => {
                drop(state);
                return self.shared.follow(consequences);
            }
            Cancelling::Order(key) => {
                if let Some(worker) = state.workers.get(&key) {
                    // Without a receiver the session is closed.
                    let _ = self.cancellations.send((worker.clone(), run));
                }
                return;
            }
            Cancelling::Release(key) => key,
        };
        // The last handle: the scheduler takes the key from its worker, which
        // tells the run's token.
        let future = state.futures.remove(&key);
        let worker = state.workers.get(&key).cloned();
        drop(state);
        drop(future);
        self.shared.follow(consequences);
        if let Some(worker) = worker {
            let shared = Arc::clone(&self.shared);
            io().spawn(watch_cancelled(shared, key, worker));
        }
    }

    fn release(&self, released: Released) {
        let consequences = self.shared.state.lock().ledger.release_results(released);
        self.shared.follow(consequences);
    }

    fn fetch(&self, run: RunReference) -> RunnerFuture<Result<EncodedValue>> {
        let place = self.shared.place(run);
        Box::pin(async move { place?.fetch().await })
    }

    fn length(&self, run: RunReference) -> RunnerFuture<Result<u32>> {
        let answer = self.shared.ask_for_length(run);
        Box::pin(async move {
            let answer = answer?;
            let answer = io().spawn(async move { answer.result().await });
            length::read(&answer.await??)
        })
    }

    fn close(&self) -> RunnerFuture<()> {
        self.pump.abort();
        let futures = std::mem::take(&mut self.shared.state.lock().futures);
        let shared = Arc::clone(&self.shared);
        let cluster = self.cluster.lock().take();
        let closed = io().spawn(async move {
            if let Some(report) = &shared.report {
                report.write(&shared.client).await;
            }
            drop(futures);
            shared.client.clone().close().await;
            if let Some(cluster) = cluster {
                cluster.stop().await;
            }
        });
        Box::pin(async move {
            if let Err(error) = closed.await {
                tracing::error!(%error, "a Dask cluster was not closed in order");
            }
        })
    }
}

impl Drop for DaskSession {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// The session's one task.
struct Pump {
    shared: Arc<Shared>,
    changes: Changes,
    cancellations: UnboundedSender<Cancellation>,
    /// The flow run that the runs are of, once a worker has named it.
    flow_run: Option<u128>,
    gaps: Gaps,
}

impl Pump {
    async fn run(
        mut self,
        mut events: TopicEvents,
        mut to_send: UnboundedReceiver<Outgoing>,
        mut cancelled: UnboundedReceiver<Cancellation>,
    ) {
        let mut batch = Vec::new();
        let mut cancellations = Vec::new();
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.event(event),
                    // The client is closed: its keys say so.
                    None => break,
                },
                _ = to_send.recv_many(&mut batch, BATCH) => self.send_out(&mut batch),
                _ = cancelled.recv_many(&mut cancellations, BATCH) => {
                    self.order_cancellations(cancellations.drain(..));
                }
                (key, state) = self.changes.next() => {
                    self.events_so_far(&mut events);
                    self.change(&key, &state);
                }
            }
        }
        loop {
            tokio::select! {
                _ = to_send.recv_many(&mut batch, BATCH) => self.send_out(&mut batch),
                (key, state) = self.changes.next() => self.change(&key, &state),
            }
        }
    }

    /// What the scheduler sent before a change of a key lies in its queue when
    /// the change comes.
    fn events_so_far(&mut self, events: &mut TopicEvents) {
        while let Some(Some(event)) = events.next().now_or_never() {
            self.event(event);
        }
    }

    /// Runs that have the same annotations one after the other go out as one
    /// graph; keys are released after them, which does no harm.
    fn send_out(&mut self, batch: &mut Vec<Outgoing>) {
        let mut graph = Vec::new();
        let mut annotations = None;
        let mut unneeded = Vec::new();
        for outgoing in batch.drain(..) {
            let ready = match outgoing {
                Outgoing::Submit(ready) => ready,
                Outgoing::Release(key) => {
                    unneeded.push(key);
                    continue;
                }
            };
            if self.shared.is_cancelled(&ready.key) {
                continue;
            }
            let own = Annotations::of(ready.payload.job.work());
            if annotations.as_ref() != Some(&own) {
                self.send(std::mem::take(&mut graph), annotations.replace(own));
            }
            match ready.payload.to_bytes() {
                Ok(payload) => graph.push(TaskNode {
                    key: ready.key,
                    payload: payload.into(),
                    dependencies: ready.dependencies,
                }),
                Err(error) => {
                    let reason = format!("the run cannot be encoded: {error}");
                    self.shared.lost(&ready.key, &reason);
                }
            }
        }
        self.send(graph, annotations);
        self.shared.let_go(unneeded);
    }

    fn send(&self, graph: Vec<TaskNode>, annotations: Option<Annotations>) {
        let (false, Some(annotations)) = (graph.is_empty(), annotations) else {
            return;
        };
        let keys: Vec<Key> = graph.iter().map(|node| node.key.clone()).collect();
        if let Some(reason) = self.shared.state.lock().refusal.clone() {
            return self.refuse(&keys, &reason);
        }
        let options = annotations.options(&self.shared.placement);
        let sent = self.shared.client.submit_graph(graph, &keys, &options);
        match sent {
            Ok(futures) => {
                self.changes.watch(&futures);
                self.shared.hold(futures);
            }
            Err(error) => self.refuse(&keys, &error.to_string()),
        }
    }

    fn refuse(&self, keys: &[Key], reason: &str) {
        for key in keys {
            self.shared.lost(key, reason);
        }
    }

    fn event(&mut self, event: TopicEvent) {
        let Some((worker, message)) = home::decode(event.message) else {
            return;
        };
        match self.gaps.arrived(&message) {
            Arrival::InOrder => {}
            Arrival::Repeated => return,
            Arrival::After(missing) => {
                tracing::warn!(worker, missing, "messages of a worker were lost");
            }
        }
        let flow_run = message.flow_run;
        self.flow_run = Some(flow_run);
        match message.body {
            HomeBody::Event(event) => {
                let mut state = self.shared.state.lock();
                if let RunEvent::Started { run, .. } = &event {
                    let unwanted = state.executed_by(*run, &worker);
                    for run in unwanted {
                        // The receiver is this task's own.
                        let _ = self.cancellations.send((worker.clone(), run));
                    }
                }
                let consequences = state.ledger.told(event);
                drop(state);
                self.shared.follow(consequences);
            }
            HomeBody::Control(message) => {
                let client = self.shared.client.clone();
                self.shared.home.receive(message, move |message| {
                    let messages = vec![message];
                    let order = Order { flow_run, messages };
                    io().spawn(send_order(client.clone(), worker.clone(), order));
                });
            }
        }
    }

    /// One message for each worker.
    fn order_cancellations(&self, cancellations: impl Iterator<Item = Cancellation>) {
        let Some(flow_run) = self.flow_run else {
            return;
        };
        let mut orders: HashMap<String, Vec<ToWorker>> = HashMap::new();
        for (worker, run) in cancellations {
            let messages = orders.entry(worker).or_default();
            messages.push(ToWorker::Cancel(run));
        }
        for (worker, messages) in orders {
            let order = Order { flow_run, messages };
            io().spawn(send_order(self.shared.client.clone(), worker, order));
        }
    }

    fn change(&self, key: &Key, state: &KeyState) {
        match state {
            KeyState::Memory => {
                let consequences = self.shared.state.lock().ledger.in_memory(key);
                if let Some(key) = consequences.incomplete.clone() {
                    let shared = Arc::clone(&self.shared);
                    io().spawn(look_up(shared, key));
                }
                self.shared.follow(consequences);
            }
            KeyState::Erred(exception) => {
                self.shared.lost(key, &exception.to_string());
            }
            KeyState::Cancelled(cancelled) => {
                let reason = why(cancelled, &self.shared.client);
                self.shared.lost(key, &reason);
            }
            // Dask computes it again, which is no new state.
            _ => {}
        }
    }
}

impl State {
    /// A worker executes a run. Gives those of the key's runs that it must
    /// hear are not wanted.
    fn executed_by(&mut self, run: RunReference, worker: &str) -> Vec<RunReference> {
        let Some(key) = self.ledger.key(run).cloned() else {
            return Vec::new();
        };
        let before = self.workers.insert(key.clone(), worker.to_owned());
        match before {
            Some(before) if before == worker => Vec::new(),
            _ => self.ledger.cancelled_rows(&key),
        }
    }
}

/// Messages about a batch were lost: what became of its rows is in its value.
async fn look_up(shared: Arc<Shared>, key: Key) {
    let future = shared.state.lock().futures.get(&key).cloned();
    // Without it nobody wants the batch.
    let Some(future) = future else {
        return;
    };
    let rows = shared.state.lock().fetched.rows(future);
    match rows.await {
        Ok(rows) => {
            let failures: Vec<_> = rows
                .failures()
                .map(|(index, failure)| (index, failure.clone()))
                .collect();
            let consequences = shared.state.lock().ledger.looked_up(&key, &failures);
            shared.follow(consequences);
        }
        Err(error) => {
            let reason = format!("what became of its rows cannot be read: {error}");
            shared.lost(&key, &reason);
        }
    }
}

fn why(cancelled: &Cancelled, client: &Client) -> String {
    let address = client.scheduler_address();
    match cancelled {
        Cancelled::ConnectionLost => {
            format!("the link to the Dask scheduler at {address} is lost, and with it all results")
        }
        Cancelled::Closed => format!("the Dask scheduler at {address} is gone"),
        Cancelled::Restarted => format!("somebody restarted the Dask cluster at {address}"),
        other => format!("the Dask scheduler at {address} cancelled the run: {other:?}"),
    }
}

/// What runs of one graph have in common.
#[derive(PartialEq)]
struct Annotations {
    priority: i32,
    resources: Vec<(String, f64)>,
    tags: Vec<String>,
}

impl Annotations {
    fn of(work: &WorkDescriptor) -> Self {
        Self {
            priority: work.priority,
            resources: work.resources.clone(),
            tags: work.tags.clone(),
        }
    }

    fn options(&self, placement: &Placement) -> SubmitOptions {
        let resources = self.resources.iter();
        let resources = resources.map(|(name, amount)| (name.as_str(), *amount));
        let options = placement.options(resources);
        let options = match self.priority {
            0 => options,
            priority => options.priority(priority.into()),
        };
        if self.tags.is_empty() {
            return options;
        }
        let tags: wire::Value = self.tags.iter().map(String::as_str).collect();
        options.annotation("tags", tags)
    }
}

/// An answer to a worker's request; whoever does not get it asks again or is
/// gone.
async fn send_order(client: Client, worker: String, order: Order) {
    let body = match coded::to_bytes(&order) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "an answer to a worker cannot be encoded");
            return;
        }
    };
    let message = wire::Value::map([("op", ORDER.into()), ("body", body.into())]);
    let sent = match worker.parse() {
        Ok(address) => client.proxy(&address, message).await.map(drop),
        Err(error) => {
            tracing::error!(worker, %error, "a worker without an address");
            return;
        }
    };
    if let Err(error) = sent {
        tracing::warn!(worker, %error, "a worker did not get an answer");
    }
}

/// A run that was cancelled tells its end, unless its worker is gone.
async fn watch_cancelled(shared: Arc<Shared>, key: Key, worker: String) {
    loop {
        tokio::time::sleep(WATCH).await;
        if !shared.state.lock().ledger.is_cancelled(&key) {
            return;
        }
        let lives = match shared.client.scheduler_info().await {
            Ok(info) => info.workers.contains_key(&worker),
            Err(_) => false,
        };
        if !lives {
            let consequences = shared.state.lock().ledger.cancelled(&key);
            return shared.follow(consequences);
        }
    }
}

/// Without a worker of this build nothing would ever run.
async fn look_for_workers(shared: Arc<Shared>) {
    let Err(reason) = shared.placement.find_worker(&shared.client).await else {
        return;
    };
    let keys = {
        let mut state = shared.state.lock();
        state.refusal = Some(reason.clone());
        state.ledger.open_keys()
    };
    for key in keys {
        shared.lost(&key, &reason);
    }
}
