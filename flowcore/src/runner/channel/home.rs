//! The end of the channel in the flow's process: serves requests.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::Calls;
use super::calls::Seen;
use super::messages::{Answer, LogLevel, LogRecord, Request, RequestId, ToHome, ToWorker};
use crate::context::RunContext;
use crate::definition::find_task;
use crate::engine::RunId;
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::limits::SlotRequest;
use crate::runner::{Execution, Home, NoValues, RunReference, WorkDescriptor};
use crate::state::StateName;
use crate::value::EncodedValue;

/// The way back to a worker.
pub(crate) type Reply = Arc<dyn Fn(ToWorker) + Send + Sync>;

/// The requests that a flow run serves.
pub(crate) type Served = Calls<AbortHandle, Reply>;

impl Home {
    /// Takes a message of a process that executes runs of this flow run.
    /// `reply` brings answers to it; it is called later, from any thread, and
    /// must return quickly.
    ///
    /// A message that comes twice does nothing more.
    pub fn receive(&self, message: ToHome, reply: impl Fn(ToWorker) + Send + Sync + 'static) {
        let Some(flow) = self.0.upgrade() else {
            return;
        };
        match message {
            ToHome::Log(record) => print(&flow, &record),
            ToHome::Request(id, request) => {
                let reply: Reply = Arc::new(reply);
                serve(&flow, id, request, &reply);
            }
            ToHome::Record { run, metadata } => match serde_json::from_str(&metadata) {
                Ok(metadata) => flow.note_record(run, metadata),
                Err(error) => tracing::warn!(%error, "a record that cannot be read is not told"),
            },
            ToHome::Name { run, name } => flow.note_name(run, name),
            ToHome::Dismiss(id) => {
                let work = flow.served().lock().dismiss(id);
                work.iter().for_each(AbortHandle::abort);
            }
            ToHome::Ended { run, execution } => {
                let works = flow.served().lock().end(run, execution);
                works.iter().for_each(AbortHandle::abort);
            }
        }
    }
}

/// The process that executed a run is gone: nobody needs what it asked for.
pub(crate) fn lose(flow: &FlowRun, run: RunReference) {
    let works = flow.served().lock().lose(run);
    works.iter().for_each(AbortHandle::abort);
}

/// The flow run has ended.
pub(crate) fn close(flow: &FlowRun) {
    let works = flow.served().lock().clear();
    works.iter().for_each(AbortHandle::abort);
}

fn serve(flow: &Arc<FlowRun>, id: RequestId, request: Request, reply: &Reply) {
    let start = || {
        let work = work_on(Arc::clone(flow), id, request);
        crate::runtime::service().spawn(work).abort_handle()
    };
    let seen = flow.served().lock().request(id, Arc::clone(reply), start);
    if let Seen::Answered(answer) = seen {
        reply(ToWorker::Answer(id, answer));
    }
}

/// Serves one request; what it holds goes when this is dropped.
async fn work_on(flow: Arc<FlowRun>, id: RequestId, request: Request) {
    match request {
        Request::Slots {
            names,
            occupy,
            is_rate,
            is_strict,
            is_quiet,
        } => {
            let taken = SlotRequest::for_task(names, occupy, is_rate, is_strict, is_quiet);
            let taken = RunContext::of_flow(&flow).scope(taken.into_future());
            let (answer, slots) = match taken.await {
                Ok(slots) => (Ok(()), Some(slots)),
                Err(error) => (Err(error), None),
            };
            answer_with(&flow, id, Answer::Slots(answer));
            // Not the flow run: it ends whoever holds slots.
            drop(flow);
            if slots.is_some() {
                // Until it is dismissed.
                std::future::pending::<()>().await;
            }
        }
        Request::Submit(work) => {
            let answer = run_of_task(&flow, id.run, &work).await;
            answer_with(&flow, id, answer);
        }
        Request::Attempts(rows) => {
            let attempts = flow.attempts_under_way(id.run, rows);
            answer_with(&flow, id, Answer::Attempts(attempts));
        }
        Request::Server(question) => {
            let answer = ask_server(&flow, id.run, question).await;
            answer_with(&flow, id, Answer::Server(answer));
        }
    }
}

#[cfg(feature = "prefect")]
async fn ask_server(flow: &Arc<FlowRun>, run: RunReference, question: String) -> Result<String> {
    crate::prefect::answer_from_home(Arc::clone(flow), run, question).await
}

#[cfg(not(feature = "prefect"))]
async fn ask_server(_: &Arc<FlowRun>, _: RunReference, _: String) -> Result<String> {
    let text = "the flow's program is built without the feature `prefect`";
    Err(Error::invalid(text))
}

fn answer_with(flow: &FlowRun, id: RequestId, answer: Answer) {
    let reply = flow.served().lock().answer(id, &answer);
    if let Some(reply) = reply {
        reply(ToWorker::Answer(id, answer));
    }
}

/// A run that the code of another one submits in another process: from its
/// descriptor to its outcome.
async fn run_of_task(flow: &Arc<FlowRun>, by: RunReference, work: &WorkDescriptor) -> Answer {
    let submitted = find_task(&work.task_key)
        .and_then(|entry| entry.submission(work, &NoValues))
        .and_then(|job| flow.submit_job(&job, by).map(|run| (run, job)));
    let (run, job) = match submitted {
        Ok(submitted) => submitted,
        Err(error) => {
            return Answer::Settled {
                state: StateName::Failed,
                message: Some(error.to_string()),
                value: Err(error),
            };
        }
    };
    let mut guard = Submitted {
        flow: Arc::clone(flow),
        run,
        is_open: true,
    };
    let reference = RunReference::from(run);
    let view = std::future::poll_fn(|context| flow.poll_settled(reference, context.waker())).await;
    guard.is_open = false;
    let value = match view.name {
        name if name.is_completed() => value_of(flow, reference, &*job).await,
        _ => Err(view.error()),
    };
    Answer::Settled {
        state: view.name,
        message: view.message(),
        value,
    }
}

async fn value_of(
    flow: &FlowRun,
    run: RunReference,
    job: &dyn Execution,
) -> Result<EncodedValue, Error> {
    match flow.session().filter(|session| session.keeps_values()) {
        Some(session) if !job.is_local() => session.fetch(run).await,
        _ => job.output(),
    }
}

/// The handle of a run that a task in another process submitted. Dismissed
/// before it has settled it is cancelled.
struct Submitted {
    flow: Arc<FlowRun>,
    run: RunId,
    is_open: bool,
}

impl Drop for Submitted {
    fn drop(&mut self) {
        if self.is_open {
            self.flow.cancel(self.run.into());
        }
        self.flow.release_run(self.run);
    }
}

/// A line of a task in another process, under its run.
fn print(flow: &FlowRun, record: &LogRecord) {
    let LogRecord {
        level,
        target,
        who,
        message,
        run,
    } = record;
    let run = run.map(|run| tracing::field::display(flow.task_run_id(run)));
    let flow = (!flow.is_standalone()).then(|| tracing::field::display(flow.id()));
    macro_rules! write {
        ($level:ident) => {
            tracing::event!(
                tracing::Level::$level,
                who,
                log.target = target,
                flow_run.id = flow,
                task_run.id = run,
                "{message}"
            )
        };
    }
    match level {
        LogLevel::Error => write!(ERROR),
        LogLevel::Warning => write!(WARN),
        LogLevel::Info => write!(INFO),
        LogLevel::Debug => write!(DEBUG),
        LogLevel::Trace => write!(TRACE),
    }
}
