//! Executing descriptors in a process that did not submit them.

mod earlier;
mod rows;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use self::earlier::Earlier;
use self::rows::Rows;
use super::attempt::{Ending, Next, cancelled, next};
use super::batch::BatchDescriptor;
use super::channel::{Line, Lines, Submitting, ToHome, ToWorker};
use super::control::AttemptControl;
use super::descriptor::{RunReference, ValueSource, WorkDescriptor};
use super::drive::run_attempt;
use super::execution::{AttemptBody, Execution};
use super::interleaving::Seats;
use super::seam::{Home, RunEvent, RunFailure};
use super::waiting::{Lending, Slot, in_slot};
use super::{catch, install_hook, lend_while};
use crate::context::RunContext;
use crate::definition::{Failure, TaskError, find_task};
use crate::engine::End;
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::records::{FlowResults, ResultDescriptor};
use crate::state::StateName;
use crate::value::EncodedValue;

/// A worker's way to the flows' processes, and its slots.
///
/// All methods return quickly; they are called from any thread.
pub trait WorkerLink: Send + Sync + 'static {
    /// Sends a message to the process of this flow run; there
    /// [`Home::receive`] takes it. Messages of one run keep their order.
    fn send(&self, flow_run: u128, message: ToHome);

    /// Whether a run was cancelled before it was executed. Whoever brings
    /// [`ToWorker::Cancel`] to [`Worker::receive`] notes it for this first, so
    /// that a run which is just beginning misses none.
    fn is_cancelled(&self, _flow_run: u128, _run: RunReference) -> bool {
        false
    }

    /// The run that the calling thread executes waits for another: something
    /// else may be executed in its slot.
    fn lend(&self) {}

    /// That run goes on.
    fn take_back(&self) {}

    /// The calling thread executes a batch, and another one is about to execute
    /// rows of it: the function is called there first. It makes that thread
    /// one whose slot [`lend`](Self::lend) lends.
    fn companion(&self) -> Box<dyn FnOnce() + Send> {
        Box::new(|| {})
    }
}

/// Executes runs of flows of other processes.
///
/// One for the process; the bridge brings descriptors and messages, and calls
/// [`Worker::execute`] on threads of its own.
///
/// ```
/// use std::sync::mpsc;
/// use flowcore::bridge::{ToHome, Worker, WorkerLink};
///
/// /// Whatever brings messages to the flows' processes.
/// struct Outgoing(mpsc::Sender<(u128, ToHome)>);
///
/// impl WorkerLink for Outgoing {
///     fn send(&self, flow_run: u128, message: ToHome) {
///         // Without a receiver the process is about to end.
///         let _ = self.0.send((flow_run, message));
///     }
/// }
///
/// let (sender, outgoing) = mpsc::channel();
/// let worker = Worker::new(Outgoing(sender));
/// // For each descriptor that comes: `worker.execute(&work, &values, |event| ..)`,
/// // for each message: `worker.receive(flow_run, message)`.
/// # drop((worker, outgoing));
/// ```
pub struct Worker {
    lines: Arc<Lines>,
    running: Mutex<Running>,
    seats: Seats,
}

/// The attempts of each run of each flow run; a run may be executed twice.
type Running = HashMap<(u128, RunReference), Vec<Arc<AttemptControl>>>;

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({} runs)", self.running.lock().len())
    }
}

impl Worker {
    /// A worker with this way home. Log lines of its runs go home too, unless
    /// the program has a `tracing` subscriber of its own.
    #[must_use]
    pub fn new(link: impl WorkerLink) -> Self {
        install_hook();
        crate::console::install();
        Self {
            lines: Arc::new(Lines::new(Box::new(link))),
            running: Mutex::default(),
            seats: Seats::new(0),
        }
    }

    /// Async runs that wait let others run meanwhile, so many at once: a single
    /// run lends its slot, a row lets the rows behind it in its batch begin on
    /// another thread. By default each keeps its place to its end.
    #[must_use]
    pub fn async_runs(mut self, most: usize) -> Self {
        self.seats = Seats::new(most);
        self
    }

    /// Takes a message of the process of a flow run; a message that comes
    /// twice does nothing more.
    pub fn receive(&self, flow_run: u128, message: ToWorker) {
        match message {
            ToWorker::Answer(id, answer) => self.lines.answered(id, answer),
            ToWorker::Cancel(run) => {
                let controls = self.running.lock().get(&(flow_run, run)).cloned();
                for control in controls.unwrap_or_default() {
                    control.cancel();
                }
            }
        }
    }

    /// No message comes any more: whoever waits for an answer gets an error.
    pub fn hang_up(&self) {
        self.lines.hang_up();
    }

    /// Runs a descriptor to its end on this thread, retries and timeouts
    /// included, and gives the value. `report` gets every event, the last one
    /// included; an error is told to it as well.
    ///
    /// A sync task that runs into its timeout keeps this thread until it
    /// returns; the event is reported then. What the run submitted has settled
    /// when this returns.
    ///
    /// # Errors
    ///
    /// The run did not complete.
    pub fn execute(
        &self,
        work: &WorkDescriptor,
        values: &dyn ValueSource,
        mut report: impl FnMut(RunEvent),
    ) -> Result<EncodedValue> {
        let run = work.run;
        let execution = find_task(&work.task_key).and_then(|entry| entry.execution(work, values));
        let lend = || self.lines.link.lend();
        let ended = match execution {
            Ok(execution) => {
                let earlier = Earlier::of_run();
                self.run(work, &*execution, &earlier, &lend, &mut report)
            }
            Err(error) => {
                Err(TaskError::from_flow(error).into_failure(&work.task_key, &work.run_name, false))
            }
        };
        told(run, ended, &mut report).map_err(|failure| failure.0.error.clone())
    }

    /// Runs the rows of a batch, each as [`execute`](Self::execute) runs one, and
    /// gives what became of each. They run one after the other, but that async
    /// rows [do not wait for each other](Self::async_runs); then other threads
    /// than this one report as well.
    pub fn execute_batch(
        &self,
        batch: &BatchDescriptor,
        values: &dyn ValueSource,
        report: impl FnMut(RunEvent) + Send,
    ) -> Vec<Result<EncodedValue, RunFailure>> {
        let job = find_task(&batch.work.task_key).and_then(|entry| entry.batch(batch, values));
        Rows::new(self, batch, job.as_deref(), report).execute()
    }

    fn run(
        &self,
        work: &WorkDescriptor,
        execution: &dyn Execution,
        earlier: &Earlier,
        leave: &dyn Fn(),
        report: &mut impl FnMut(RunEvent),
    ) -> Result<(EncodedValue, bool), Failure> {
        let line = Line::new(&self.lines, work.flow_run_id, work.run, work.tells_name);
        let id = Uuid::from_u128(work.flow_run_id);
        let results = work.results.as_ref();
        let results = results.map_or_else(FlowResults::of_process, ResultDescriptor::flow);
        let flow = FlowRun::elsewhere(id, work.flow_run_name.clone(), &line, results);
        flow.set_session(Arc::new(Submitting::new(
            &line,
            Home(Arc::downgrade(&flow)),
        )));
        let slot: Arc<dyn Slot> = Arc::new(WorkerSlot(Arc::clone(&self.lines)));
        let ended = in_slot(slot, || {
            let number = |control: &_| earlier.attempt(&line, control);
            let ended = self.attempts(work, execution, &flow, &number, leave, report);
            // Home hears of all that was submitted before it hears of the end.
            flow.finish(ended.as_ref().err());
            ended
        });
        line.end();
        ended
    }

    fn attempts(
        &self,
        work: &WorkDescriptor,
        execution: &dyn Execution,
        flow: &Arc<FlowRun>,
        number_at_home: &dyn Fn(&AttemptControl) -> Option<u32>,
        leave: &dyn Fn(),
        report: &mut impl FnMut(RunEvent),
    ) -> Result<(EncodedValue, bool), Failure> {
        let run = work.run;
        let mut attempt = work.attempt;
        loop {
            let control = Arc::new(AttemptControl::new(attempt, work.retries));
            if work.run_name_template.is_none() {
                control.rename(work.run_name.clone());
            }
            let registered = Registered::new(self, (work.flow_run_id, run), &control);
            let ending = if control.is_cancelled() {
                Ending::Cancelled
            } else {
                report(RunEvent::Started { run, attempt });
                self.one_attempt(work, execution, flow, &control, leave)
            };
            let mut ending = ending.of_attempt(&control);
            let name = control.name().unwrap_or(&work.run_name);
            let info = execution.info();
            if ending.may_be_retried() && work.retries > 0 {
                match number_at_home(&control) {
                    // A dead worker had made some: this one had a number that
                    // is not its own, and is made again with the right one.
                    Some(number) if number > attempt => {
                        attempt = number;
                        continue;
                    }
                    Some(_) => {}
                    None => ending = Ending::Cancelled,
                }
            }
            let random = || flow.random(run, attempt);
            match next(ending, attempt, info, execution.options(), name, random) {
                Next::Settle(end @ (End::Completed | End::Cached)) => {
                    let value = execution.output().map_err(|error| {
                        TaskError::from_flow(error).into_failure(&work.task_key, name, false)
                    })?;
                    return Ok((value, matches!(end, End::Cached)));
                }
                Next::Settle(End::Ended(failure) | End::NotReady(failure)) => return Err(failure),
                Next::Retry { delay, log } => {
                    report(RunEvent::AwaitingRetry { run, message: log });
                    let stopped = crate::runtime::timeout(delay, control.cancelled());
                    if lend_while(|| crate::runtime::block_on(stopped)).is_some() {
                        return Err(cancelled(info, Some(name)));
                    }
                    drop(registered);
                    attempt += 1;
                }
            }
        }
    }

    fn one_attempt(
        &self,
        work: &WorkDescriptor,
        execution: &dyn Execution,
        flow: &Arc<FlowRun>,
        control: &Arc<AttemptControl>,
        leave: &dyn Fn(),
    ) -> Ending {
        let info = execution.info();
        let context = RunContext::of_run(flow, info, execution.options(), work.run, control);
        let started = crate::runtime::now();
        let body = context
            .clone()
            .enter(|| catch(|| execution.attempt(control)));
        match body {
            Err(panic) => Ending::Panicked(panic),
            Ok(AttemptBody::Done(result)) => Ending::of_sync(
                result,
                crate::runtime::now().duration_since(started),
                work.timeout,
            ),
            Ok(body @ AttemptBody::Future(_)) => {
                let attempt = run_attempt(body, control, work.timeout);
                let attempt = std::pin::pin!(context.scope(attempt));
                let slot = WorkerSlot(Arc::clone(&self.lines));
                let attempt = self.seats.seat(Lending::new(attempt, slot), leave);
                crate::runtime::user().block_on(attempt)
            }
        }
    }
}

/// An attempt that can be cancelled.
struct Registered<'a> {
    worker: &'a Worker,
    key: (u128, RunReference),
    control: Arc<AttemptControl>,
}

impl<'a> Registered<'a> {
    fn new(worker: &'a Worker, key: (u128, RunReference), control: &Arc<AttemptControl>) -> Self {
        let mut running = worker.running.lock();
        running.entry(key).or_default().push(Arc::clone(control));
        drop(running);
        if worker.lines.link.is_cancelled(key.0, key.1) {
            control.cancel();
        }
        Self {
            worker,
            key,
            control: Arc::clone(control),
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut running = self.worker.running.lock();
        if let Some(controls) = running.get_mut(&self.key) {
            controls.retain(|control| !Arc::ptr_eq(control, &self.control));
            if controls.is_empty() {
                running.remove(&self.key);
            }
        }
    }
}

/// The slot of a run in a worker.
struct WorkerSlot(Arc<Lines>);

impl Slot for WorkerSlot {
    fn lend(&self) {
        self.0.link.lend();
    }

    fn take_back(&self) {
        self.0.link.take_back();
    }
}

/// Tells how a run ended.
fn told(
    run: RunReference,
    ended: Result<(EncodedValue, bool), Failure>,
    report: &mut impl FnMut(RunEvent),
) -> Result<EncodedValue, Failure> {
    match ended {
        Ok((value, is_cached)) => {
            report(if is_cached {
                RunEvent::Cached { run }
            } else {
                RunEvent::Completed { run }
            });
            Ok(value)
        }
        Err(failure) => {
            let RunFailure {
                state,
                message,
                error,
            } = failure_of(&failure);
            report(RunEvent::Ended {
                run,
                state,
                message,
                error,
            });
            Err(failure)
        }
    }
}

fn failure_of(failure: &Failure) -> RunFailure {
    RunFailure {
        state: match failure.0.name {
            StateName::NotReady => StateName::Failed,
            name => name,
        },
        message: failure.0.message.as_deref().map(str::to_owned),
        error: Error::clone(&failure.0.error),
    }
}
