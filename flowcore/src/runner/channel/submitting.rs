//! The session of tasks that submit tasks in another process: everything goes
//! home, and results come back as values.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::line::Line;
use super::messages::{Answer, Request};
use crate::error::{Error, Result};
use crate::runner::descriptor::encoded;
use crate::runner::{
    ArgumentDescriptor, Home, RunEvent, RunReference, RunnerFuture, RunnerSession, ValueSource,
    Work, WorkDescriptor, list_length,
};
use crate::state::StateName;
use crate::value::EncodedValue;

pub(crate) struct Submitting {
    line: Arc<Line>,
    home: Home,
    values: Arc<Values>,
    /// Runs on their way.
    asked: Mutex<HashMap<RunReference, AbortHandle>>,
}

/// Results that came back.
#[derive(Default)]
struct Values(Mutex<HashMap<RunReference, Result<EncodedValue>>>);

impl ValueSource for Values {
    fn outcome(&self, run: RunReference) -> Result<Result<EncodedValue>> {
        let outcome = self.0.lock().get(&run).cloned();
        outcome.ok_or_else(|| Error::invalid("the run has not settled"))
    }
}

impl Submitting {
    /// `home` is the run's own side of the flow run, in this process.
    pub(crate) fn new(line: &Arc<Line>, home: Home) -> Self {
        Self {
            line: Arc::clone(line),
            home,
            values: Arc::default(),
            asked: Mutex::default(),
        }
    }

    /// The descriptor with values for results: home knows no runs of here.
    fn with_values(&self, mut work: WorkDescriptor) -> Result<WorkDescriptor> {
        for argument in &mut work.arguments {
            *argument = ArgumentDescriptor::Inline(encoded(argument, &*self.values)?);
        }
        Ok(work)
    }

    fn ask(&self, run: RunReference, work: WorkDescriptor) {
        let asking = self.line.ask(Request::Submit(Box::new(work)));
        let (home, values) = (self.home.clone(), Arc::clone(&self.values));
        let waiting = crate::runtime::service().spawn(async move {
            let event = match asking.await {
                Ok(Answer::Settled {
                    state,
                    message,
                    value,
                }) => {
                    let error = value.as_ref().err().cloned();
                    values.0.lock().insert(run, value);
                    match error {
                        None if state == StateName::Cached => RunEvent::Cached { run },
                        None => RunEvent::Completed { run },
                        Some(error) => RunEvent::Ended {
                            run,
                            state,
                            message,
                            error,
                        },
                    }
                }
                Ok(Answer::Slots(_) | Answer::Attempts(_) | Answer::Server(_)) => {
                    failed(run, Error::invalid("a run was asked for"))
                }
                Err(error) => failed(run, error),
            };
            home.report(event);
        });
        self.asked.lock().insert(run, waiting.abort_handle());
    }
}

fn failed(run: RunReference, error: Error) -> RunEvent {
    RunEvent::Ended {
        run,
        state: StateName::Failed,
        message: Some(error.to_string()),
        error,
    }
}

impl RunnerSession for Submitting {
    fn submit(&self, work: Work) {
        for (run, descriptor) in work.describe() {
            match descriptor.and_then(|work| self.with_values(work)) {
                Ok(work) => self.ask(run, work),
                Err(error) => self.home.report(failed(run, error)),
            }
        }
    }

    fn cancel(&self, run: RunReference) {
        // Dropped, the request is dismissed, and home cancels the run.
        if let Some(waiting) = self.asked.lock().remove(&run) {
            waiting.abort();
        }
    }

    fn fetch(&self, run: RunReference) -> RunnerFuture<Result<EncodedValue>> {
        let outcome = self.values.outcome(run);
        Box::pin(async move { outcome? })
    }

    fn length(&self, run: RunReference) -> RunnerFuture<Result<u32>> {
        let outcome = self.values.outcome(run);
        Box::pin(async move { list_length(&outcome??) })
    }

    fn close(&self) -> RunnerFuture<()> {
        Box::pin(std::future::ready(()))
    }
}
