//! What our workers execute: payloads of flows, by the tasks of this program.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use flowcore::bridge::{
    EncodedValue, RunReference, ToHome, ToWorker, ValueSource, Worker as Runs, WorkerLink,
};
use flowcore::{Error, Result};
use parking_lot::Mutex;

use super::home::{self, HomeBody, HomeMessage, Order};
use super::payload::{Input, Payload};
use crate::values::{self, PythonType};
use crate::wire::{Key, Serialized};
use crate::worker::{Assignment, Executor, Outcome, Slot, Stored, StreamHandle};

/// Runs the tasks that are registered in this program.
pub(crate) struct TaskExecutor {
    runs: Runs,
    shared: Arc<Shared>,
}

/// What the executor and its way home share.
struct Shared {
    /// Names the worker's numberings; no other process has the same.
    sources: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Flows whose runs are executed here now.
    flows: HashMap<u128, FlowHome>,
    executing: HashMap<Key, Vec<(u128, RunReference)>>,
    cancelled: HashSet<(u128, RunReference)>,
}

/// The way to the process of a flow.
struct FlowHome {
    topic: String,
    stream: StreamHandle,
    source: u64,
    next: u64,
    executions: usize,
}

thread_local! {
    /// The slot of the execution on this thread.
    static SLOT: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

impl TaskExecutor {
    pub(crate) fn new() -> Self {
        let (sources, _) = uuid::Uuid::new_v4().as_u64_pair();
        let shared = Arc::new(Shared {
            sources: AtomicU64::new(sources),
            state: Mutex::default(),
        });
        Self {
            runs: Runs::new(HomeLink(Arc::clone(&shared))),
            shared,
        }
    }

    fn execute_payload(&self, assignment: &Assignment, payload: &Payload) -> Outcome {
        let inputs = match Inputs::new(payload, &assignment.inputs) {
            Ok(inputs) => inputs,
            Err(error) => return erred(&error),
        };
        let flow_run = payload.work.flow_run_id;
        let value = self.runs.execute(&payload.work, &inputs, |event| {
            self.shared.tell(flow_run, HomeBody::Event(event));
        });
        match value {
            Ok(value) => Outcome::Finished(stored(value)),
            Err(error) => erred(&error),
        }
    }
}

fn stored(value: EncodedValue) -> Stored {
    let python = PythonType::of(&value);
    Stored {
        type_name: python.name.into(),
        pickled_type: python.pickle,
        value: values::to_wire(value),
        typed: None,
    }
}

/// With the chain of its causes: that is what a Python client sees.
fn erred(error: &Error) -> Outcome {
    let mut text = error.to_string();
    for cause in std::iter::successors(std::error::Error::source(&**error), |cause| cause.source())
    {
        text.push_str("\ncaused by: ");
        text.push_str(&cause.to_string());
    }
    Outcome::Erred { text }
}

impl Executor for TaskExecutor {
    fn execute(&self, assignment: &Assignment, slot: &Slot) -> Outcome {
        let payload = match Payload::from_bytes(&assignment.payload) {
            Ok(payload) => payload,
            Err(error) => {
                return Outcome::Erred {
                    text: error.to_string(),
                };
            }
        };
        let _executing = Executing::begin(&self.shared, &payload, &assignment.key, slot);
        let before = SLOT.replace(Some(slot.clone()));
        let outcome = self.execute_payload(assignment, &payload);
        SLOT.set(before);
        outcome
    }

    fn cancel(&self, key: &Key) {
        let runs = {
            let mut state = self.shared.state.lock();
            let runs = state.executing.get(key).cloned().unwrap_or_default();
            // For one that has not begun to listen.
            state.cancelled.extend(runs.iter().copied());
            runs
        };
        for (flow_run, run) in runs {
            self.runs.receive(flow_run, ToWorker::Cancel(run));
        }
    }

    fn order(&self, body: Bytes) -> Bytes {
        match home::from_bytes::<Order>(&body) {
            Ok(order) => self.runs.receive(order.flow_run, order.message),
            Err(error) => tracing::warn!(%error, "an order that cannot be read"),
        }
        Bytes::new()
    }
}

/// An execution is known here while this lives.
struct Executing<'a> {
    shared: &'a Shared,
    flow_run: u128,
    run: RunReference,
    key: Key,
}

impl<'a> Executing<'a> {
    fn begin(shared: &'a Shared, payload: &Payload, key: &Key, slot: &Slot) -> Self {
        let flow_run = payload.work.flow_run_id;
        let run = payload.work.run;
        let mut state = shared.state.lock();
        let flow = state.flows.entry(flow_run).or_insert_with(|| FlowHome {
            topic: payload.home.clone(),
            stream: slot.stream().clone(),
            source: shared.sources.fetch_add(1, Ordering::Relaxed),
            next: 0,
            executions: 0,
        });
        flow.executions += 1;
        let executing = state.executing.entry(key.clone()).or_default();
        executing.push((flow_run, run));
        Self {
            shared,
            flow_run,
            run,
            key: key.clone(),
        }
    }
}

impl Drop for Executing<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        let own = (self.flow_run, self.run);
        if let Some(runs) = state.executing.get_mut(&self.key) {
            if let Some(place) = runs.iter().position(|run| *run == own) {
                runs.swap_remove(place);
            }
            if runs.is_empty() {
                state.executing.remove(&self.key);
                state.cancelled.remove(&own);
            }
        }
        if let Some(flow) = state.flows.get_mut(&self.flow_run) {
            flow.executions -= 1;
            if flow.executions == 0 {
                state.flows.remove(&self.flow_run);
            }
        }
    }
}

impl Shared {
    /// Sends home. Without a scheduler there is nobody to tell: the runs are
    /// executed again, here or elsewhere.
    fn tell(&self, flow_run: u128, body: HomeBody) {
        let mut state = self.state.lock();
        let Some(flow) = state.flows.get_mut(&flow_run) else {
            return;
        };
        let message = HomeMessage {
            source: flow.source,
            number: flow.next,
            flow_run,
            body,
        };
        flow.next += 1;
        match home::encode(&message) {
            // Under the lock, so that numbers and stream have one order.
            Ok(event) => {
                let _ = flow.stream.log_event(&flow.topic, event);
            }
            Err(error) => tracing::error!(%error, "a message to a flow cannot be encoded"),
        }
    }
}

/// The way home, for the runs.
struct HomeLink(Arc<Shared>);

impl WorkerLink for HomeLink {
    fn send(&self, flow_run: u128, message: ToHome) {
        self.0.tell(flow_run, HomeBody::Control(message));
    }

    fn is_cancelled(&self, flow_run: u128, run: RunReference) -> bool {
        self.0.state.lock().cancelled.contains(&(flow_run, run))
    }

    fn lend(&self) {
        SLOT.with_borrow(|slot| {
            if let Some(slot) = slot {
                slot.lend();
            }
        });
    }
}

/// The outcomes that a payload reads.
struct Inputs(HashMap<RunReference, Result<Serialized, Error>>);

impl Inputs {
    fn new(payload: &Payload, values: &[(Key, Stored)]) -> Result<Self> {
        let mut values = values.iter();
        let outcomes = payload
            .inputs
            .iter()
            .map(|(run, input)| {
                let outcome = match input {
                    Input::Failed(error) => Err(error.clone()),
                    Input::Dependency => {
                        let (_, stored) = values
                            .next()
                            .ok_or_else(|| Error::msg(format!("the input {run:?} is missing")))?;
                        Ok(stored.value.clone())
                    }
                };
                Ok((*run, outcome))
            })
            .collect::<Result<_>>()?;
        Ok(Self(outcomes))
    }
}

impl ValueSource for Inputs {
    fn outcome(&self, run: RunReference) -> Result<Result<EncodedValue, Error>> {
        match self.0.get(&run) {
            Some(Ok(value)) => Ok(Ok(values::from_wire(value).map_err(Error::from)?)),
            Some(Err(error)) => Ok(Err(error.clone())),
            None => Err(Error::msg(format!("the result of {run:?} is not here"))),
        }
    }
}
