//! What our workers execute: payloads of flows, by the tasks of this program.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use bytes::Bytes;
use flowcore::Error;
use flowcore::bridge::{
    Answer, EncodedValue, NoValues, RequestId, RunReference, ToHome, ToWorker, Worker, WorkerLink,
};
use parking_lot::Mutex;

use super::called;
use super::home::{self, HomeBody, HomeMessage, Order};
use super::inputs::Inputs;
use super::io;
use super::length::Question;
use super::mailbag::{Mailbag, Unsent};
use super::payload::{Job, Payload};
use super::row_report::RowReport;
use super::runs::Runs;
use super::shared_value;
use crate::coded;
use crate::graph::Call;
use crate::values::{self, Outcomes, PythonType, ValueError};
use crate::wire::Key;
use crate::worker::{Assignment, Executor, Outcome, Slot, Stored, StreamHandle};

/// Runs the tasks that are registered in this program.
pub(crate) struct TaskExecutor {
    runs: Arc<Worker>,
    shared: Arc<Shared>,
}

/// What the executor and its way home share.
struct Shared {
    /// Names the worker's numberings; no other process has the same.
    sources: AtomicU64,
    state: Mutex<State>,
    /// Set when the executor is made.
    runs: OnceLock<Weak<Worker>>,
}

#[derive(Default)]
struct State {
    /// Flows whose runs are executed here now.
    flows: HashMap<u128, FlowHome>,
    executing: HashMap<Key, Vec<(u128, Runs)>>,
    /// Single rows of batches.
    cancelled_rows: HashSet<(u128, RunReference)>,
}

/// The way to the process of a flow.
struct FlowHome {
    topic: String,
    stream: StreamHandle,
    mailbag: Mailbag,
    /// Somebody looks whether what waits in the bag is due.
    is_watched: bool,
    executions: usize,
}

impl FlowHome {
    /// Under the lock, so that numbers and stream have one order. Without a
    /// scheduler there is nobody to tell: the runs are executed again, here or
    /// elsewhere.
    fn send(&self, messages: impl IntoIterator<Item = HomeMessage>) {
        for message in messages {
            match home::encode(&message) {
                Ok(event) => {
                    let _ = self.stream.log_event(&self.topic, event);
                }
                Err(error) => tracing::error!(%error, "a message to a flow cannot be encoded"),
            }
        }
    }

    fn empty_mailbag(&mut self) {
        let message = self.mailbag.take();
        self.send(message);
    }
}

thread_local! {
    /// The slot of the execution on this thread.
    static SLOT: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

impl TaskExecutor {
    /// Async runs wait beside the worker's slots, so many at once.
    pub(crate) fn new(async_runs: usize) -> Arc<Self> {
        let (sources, _) = uuid::Uuid::new_v4().as_u64_pair();
        let shared = Arc::new(Shared {
            sources: AtomicU64::new(sources),
            state: Mutex::default(),
            runs: OnceLock::new(),
        });
        let runs = Worker::new(HomeLink(Arc::clone(&shared))).async_runs(async_runs);
        let runs = Arc::new(runs);
        let _ = shared.runs.set(Arc::downgrade(&runs));
        Arc::new(Self { runs, shared })
    }

    fn execute_call(&self, call: &Call, assignment: &Assignment, slot: &Slot) -> Outcome {
        let work = match called::work(call, &assignment.inputs) {
            Ok(work) => work,
            Err(error) => return erred(&error),
        };
        let runs = (work.flow_run_id, Runs::Run(work.run));
        let executing = Executing::begin(&self.shared, runs, &assignment.key);
        let value = in_slot(slot, || self.runs.execute(&work, &NoValues, drop));
        drop(executing);
        match value {
            Ok(value) => Outcome::Finished(stored(value)),
            Err(error) => erred(&error),
        }
    }

    fn execute_payload(&self, assignment: &Assignment, payload: &Payload) -> Outcome {
        let inputs = match Inputs::new(payload, &assignment.inputs) {
            Ok(inputs) => inputs,
            Err(error) => return erred(&error),
        };
        let flow_run = payload.job.work().flow_run_id;
        let tell = |event| self.shared.tell(flow_run, HomeBody::Event(event));
        match &payload.job {
            Job::Run(work) => match self.runs.execute(work, &inputs, tell) {
                Ok(value) => Outcome::Finished(stored(value)),
                Err(error) => erred(&error),
            },
            Job::Batch(batch) => {
                let mut report = RowReport::new(batch.map, tell);
                let told = |event| report.event(event, Instant::now());
                let outcomes = self.runs.execute_batch(batch, &inputs, told);
                report.flush();
                match stored_rows(outcomes) {
                    Ok(stored) => Outcome::Finished(stored),
                    Err(error) => erred(&error.into()),
                }
            }
        }
    }
}

/// To Python a batch is a list.
fn stored_rows(outcomes: Outcomes) -> Result<Stored, ValueError> {
    let python = PythonType::list();
    Ok(Stored {
        type_name: python.name.into(),
        pickled_type: python.pickle,
        value: values::rows_to_wire(outcomes)?,
        typed: None,
    })
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
        if let Some(call) = Call::from_payload(&assignment.payload) {
            return match call {
                Ok(call) => self.execute_call(&call, assignment, slot),
                Err(error) => erred(&error.into()),
            };
        }
        if let Some(question) = Question::from_payload(&assignment.payload) {
            return match &assignment.inputs[..] {
                [(_, list)] => match question.answer(&list.value) {
                    Ok(length) => Outcome::Finished(stored(length)),
                    Err(error) => erred(&error),
                },
                _ => erred(&Error::msg("the length of one list can be asked for")),
            };
        }
        if let Some(value) = shared_value::from_payload(&assignment.payload) {
            return Outcome::Finished(stored(value));
        }
        let payload = match Payload::from_bytes(&assignment.payload) {
            Ok(payload) => payload,
            Err(error) => return erred(&error.into()),
        };
        let flow = FlowExecuting::begin(&self.shared, &payload, slot);
        let runs = (payload.job.work().flow_run_id, payload.job.runs());
        let executing = Executing::begin(&self.shared, runs, &assignment.key);
        let outcome = in_slot(slot, || self.execute_payload(assignment, &payload));
        drop(executing);
        drop(flow);
        outcome
    }

    fn cancel(&self, key: &Key) {
        let runs = self.shared.state.lock().executing.get(key).cloned();
        // One that has not begun to listen sees it by its slot.
        for (flow_run, runs) in runs.unwrap_or_default() {
            for run in runs.iter() {
                self.runs.receive(flow_run, ToWorker::Cancel(run));
            }
        }
    }

    fn order(&self, body: Bytes) -> Bytes {
        match coded::from_bytes::<Order>(&body) {
            Ok(order) => {
                for message in order.messages {
                    if let ToWorker::Cancel(run) = message {
                        self.shared.state.lock().cancel_row(order.flow_run, run);
                    }
                    self.runs.receive(order.flow_run, message);
                }
            }
            Err(error) => tracing::warn!(%error, "an order that cannot be read"),
        }
        Bytes::new()
    }
}

/// What this thread executes may lend its slot.
fn in_slot<T>(slot: &Slot, execute: impl FnOnce() -> T) -> T {
    let before = SLOT.replace(Some(slot.clone()));
    let value = execute();
    SLOT.set(before);
    value
}

/// An execution can be cancelled while this lives.
struct Executing<'a> {
    shared: &'a Shared,
    runs: (u128, Runs),
    key: Key,
}

impl<'a> Executing<'a> {
    fn begin(shared: &'a Shared, runs: (u128, Runs), key: &Key) -> Self {
        let mut state = shared.state.lock();
        let executing = state.executing.entry(key.clone()).or_default();
        executing.push(runs.clone());
        Self {
            shared,
            runs,
            key: key.clone(),
        }
    }
}

impl Drop for Executing<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if let Some(runs) = state.executing.get_mut(&self.key) {
            if let Some(place) = runs.iter().position(|run| *run == self.runs) {
                runs.swap_remove(place);
            }
            if runs.is_empty() {
                state.executing.remove(&self.key);
                let (flow_run, own) = &self.runs;
                state
                    .cancelled_rows
                    .retain(|(flow, run)| flow != flow_run || own.index(*run).is_none());
            }
        }
    }
}

/// The way to a flow's process is known while executions of it live. What one
/// has told is on its way before the scheduler hears of its end.
struct FlowExecuting<'a> {
    shared: &'a Shared,
    flow_run: u128,
}

impl<'a> FlowExecuting<'a> {
    fn begin(shared: &'a Shared, payload: &Payload, slot: &Slot) -> Self {
        let flow_run = payload.job.work().flow_run_id;
        let mut state = shared.state.lock();
        let flow = state.flows.entry(flow_run).or_insert_with(|| FlowHome {
            topic: payload.home.clone(),
            stream: slot.stream().clone(),
            mailbag: Mailbag::new(shared.sources.fetch_add(1, Ordering::Relaxed), flow_run),
            is_watched: false,
            executions: 0,
        });
        flow.executions += 1;
        Self { shared, flow_run }
    }
}

impl Drop for FlowExecuting<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if let Some(flow) = state.flows.get_mut(&self.flow_run) {
            flow.empty_mailbag();
            flow.executions -= 1;
            if flow.executions == 0 {
                state.flows.remove(&self.flow_run);
            }
        }
    }
}

impl State {
    /// A row that its flow does not want, while others of its batch are. Rows
    /// of batches that are not executed here have ended.
    fn cancel_row(&mut self, flow_run: u128, run: RunReference) {
        let is_here = self
            .executing
            .values()
            .flatten()
            .any(|(flow, runs)| *flow == flow_run && runs.index(run).is_some());
        if is_here {
            self.cancelled_rows.insert((flow_run, run));
        }
    }
}

impl Shared {
    /// Tells home, at once or soon. If that cannot be told, who asked gets an
    /// answer, and a text is cut.
    fn tell(self: &Arc<Self>, flow_run: u128, body: HomeBody) {
        let Err(error) = self.put(flow_run, &body) else {
            return;
        };
        if let HomeBody::Control(ToHome::Request(id, request)) = &body {
            let answer = called::refused(request, error.into());
            return self.answer(flow_run, *id, answer);
        }
        let told = match body.shortened() {
            Some(body) => self.put(flow_run, &body),
            None => Err(error),
        };
        if let Err(error) = told {
            tracing::error!(%error, "a message to a flow is lost");
        }
    }

    fn put(self: &Arc<Self>, flow_run: u128, body: &HomeBody) -> Result<(), Unsent> {
        let mut state = self.state.lock();
        let Some(flow) = state.flows.get_mut(&flow_run) else {
            return Ok(());
        };
        let messages = flow.mailbag.put(body, Instant::now())?;
        flow.send(messages);
        if flow.mailbag.due().is_some() && !flow.is_watched {
            flow.is_watched = true;
            io().spawn(watch_mailbag(Arc::clone(self), flow_run));
        }
        Ok(())
    }

    fn answer(&self, flow_run: u128, id: RequestId, answer: Answer) {
        if let Some(runs) = self.runs.get().and_then(Weak::upgrade) {
            runs.receive(flow_run, ToWorker::Answer(id, answer));
        }
    }
}

/// Sends what waits in a flow's mailbag when it is due, until nothing waits.
async fn watch_mailbag(shared: Arc<Shared>, flow_run: u128) {
    loop {
        let due = {
            let mut state = shared.state.lock();
            let Some(flow) = state.flows.get_mut(&flow_run) else {
                return;
            };
            match flow.mailbag.due() {
                Some(due) if due > Instant::now() => due,
                _ => {
                    flow.empty_mailbag();
                    flow.is_watched = false;
                    return;
                }
            }
        };
        tokio::time::sleep_until(due.into()).await;
    }
}

/// The way home, for the runs.
struct HomeLink(Arc<Shared>);

impl WorkerLink for HomeLink {
    fn send(&self, flow_run: u128, message: ToHome) {
        let is_of_flow = self.0.state.lock().flows.contains_key(&flow_run);
        if let (false, ToHome::Request(id, request)) = (is_of_flow, &message) {
            return self.0.answer(flow_run, *id, called::refusal(request));
        }
        self.0.tell(flow_run, HomeBody::Control(message));
    }

    fn is_cancelled(&self, flow_run: u128, run: RunReference) -> bool {
        let is_unwanted = SLOT.with_borrow(|slot| slot.as_ref().is_some_and(Slot::is_cancelled));
        is_unwanted
            || self
                .0
                .state
                .lock()
                .cancelled_rows
                .contains(&(flow_run, run))
    }

    fn lend(&self) {
        SLOT.with_borrow(|slot| {
            if let Some(slot) = slot {
                slot.lend();
            }
        });
    }

    fn companion(&self) -> Box<dyn FnOnce() + Send> {
        let slot = SLOT.with_borrow(Clone::clone);
        Box::new(move || SLOT.set(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_to_stop_that_came_early_is_seen() {
        let executor = TaskExecutor::new(1);
        let run = RunReference::Run(4);
        let key = Key::from("key");
        let link = HomeLink(Arc::clone(&executor.shared));
        let is_cancelled = || link.is_cancelled(3, run);
        executor.cancel(&key);
        assert!(!is_cancelled(), "nobody knows whose key that is");
        assert!(in_slot(&Slot::cancelled(), is_cancelled));
        assert!(!is_cancelled(), "it may be executed again");
    }
}
