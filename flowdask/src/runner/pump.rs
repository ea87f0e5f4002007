//! A session's one task: graphs go out, keys and events come in.
//!
//! Invariant: what a worker tells of a run is heard before what Dask says of its
//! key.

use std::collections::HashMap;
use std::sync::Arc;

use flowcore::bridge::{RunEvent, ToWorker};
use futures_util::FutureExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::annotations::Annotations;
use super::home::{self, Arrivals, HomeBody, Order};
use super::io;
use super::ledger::Ready;
use super::shared::{Cancellation, Outgoing, Shared};
use crate::client::{Cancelled, Changes, Client, KeyState, TopicEvent, TopicEvents};
use crate::coded;
use crate::graph::TaskNode;
use crate::wire::{self, Key};
use crate::worker::ORDER;

/// How many runs go out at one go at most.
const BATCH: usize = 5000;

/// The session's one task.
pub(super) struct Pump {
    shared: Arc<Shared>,
    changes: Changes,
    cancellations: UnboundedSender<Cancellation>,
    /// The flow run that the runs are of, once a worker has named it.
    flow_run: Option<u128>,
    arrivals: Arrivals,
}

impl Pump {
    pub(super) fn new(shared: Arc<Shared>, cancellations: UnboundedSender<Cancellation>) -> Self {
        Self {
            changes: shared.client.changes(),
            shared,
            cancellations,
            flow_run: None,
            arrivals: Arrivals::default(),
        }
    }

    pub(super) async fn run(
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

    /// Tasks that have the same annotations one after the other go out as one
    /// graph; keys are released after them, which does no harm.
    fn send_out(&mut self, batch: &mut Vec<Outgoing>) {
        let mut graph = Vec::new();
        let mut annotations = None;
        let mut unneeded = Vec::new();
        for outgoing in batch.drain(..) {
            let (own, node) = match outgoing {
                Outgoing::Value(node, priority) => (Annotations::of_value(priority), node),
                Outgoing::Submit(ready) => {
                    let own = Annotations::of(ready.payload.job.work());
                    match self.task(*ready) {
                        Some(node) => (own, node),
                        None => continue,
                    }
                }
                Outgoing::Release(key) => {
                    unneeded.push(key);
                    continue;
                }
            };
            if annotations.as_ref() != Some(&own) {
                self.send(std::mem::take(&mut graph), annotations.replace(own));
            }
            graph.push(node);
        }
        self.send(graph, annotations);
        self.shared.let_go(unneeded);
    }

    /// The task of a run, unless nobody wants it or it cannot be encoded.
    fn task(&self, ready: Ready) -> Option<TaskNode> {
        if self.shared.is_cancelled(&ready.key) {
            return None;
        }
        match ready.payload.to_bytes() {
            Ok(payload) => Some(TaskNode {
                key: ready.key,
                payload: payload.into(),
                dependencies: ready.dependencies,
            }),
            Err(error) => {
                let reason = format!("the run cannot be encoded: {error}");
                self.shared.lost(&ready.key, &reason);
                None
            }
        }
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
        let flow_run = message.flow_run;
        self.flow_run = Some(flow_run);
        let arrived = self.arrivals.arrived(message);
        if arrived.missing > 0 {
            let missing = arrived.missing;
            tracing::warn!(worker, missing, "messages of a worker were lost");
        }
        for body in arrived.bodies {
            self.told(flow_run, &worker, body);
        }
    }

    fn told(&self, flow_run: u128, worker: &str, body: HomeBody) {
        match body {
            HomeBody::Event(event) => {
                let mut state = self.shared.state.lock();
                if let RunEvent::Started { run, .. } = &event {
                    let unwanted = state.executed_by(*run, worker);
                    for run in unwanted {
                        // The receiver is this task's own.
                        let _ = self.cancellations.send((worker.to_owned(), run));
                    }
                }
                let consequences = state.ledger.told(event);
                drop(state);
                self.shared.follow(consequences);
            }
            HomeBody::Control(message) => {
                let client = self.shared.client.clone();
                let worker = worker.to_owned();
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

/// An answer to a worker's request, or an order. Whoever asks for the numbers of
/// attempts asks again if it does not come.
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
