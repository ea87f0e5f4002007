//! The life of one flow run: begin, run the body, join, end.
//!
//! A normal return waits for all that was submitted; an error, a panic, a
//! timeout and a dropped call cancel what is queued and wait for what runs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::aggregate::{Aggregate, FlowOutcome};
use super::call::{Call, Ended};
use super::{FlowRun, end};
use crate::context::RunContext;
use crate::definition::{Failure, FlowBody, FlowConfiguration, FlowInfo, TaskError, render};
use crate::error::{Error, ErrorKind, TextChain};
use crate::runner::{Caught, Home, PanicReport, catch, install_hook};
use crate::state::{State, StateName, StateOutcome, describe_state};

/// Calls a flow: a run of it, from beginning to end.
#[doc(hidden)]
pub fn call_flow<'a, T: Send + Sync + 'static>(
    info: &'static FlowInfo,
    configuration: &FlowConfiguration,
    parameters: Vec<(&'static str, String)>,
    body: FlowBody<'a, T>,
    outcome: FlowOutcome<T>,
) -> Call<'a, T> {
    let configuration = configuration.clone();
    Call::new(async move {
        let options = configuration.options();
        let name = options.run_name_template().map(|template| {
            render(template, |wanted| {
                let (_, text) = parameters.iter().find(|(name, _)| *name == wanted)?;
                Some(text.clone())
            })
        });
        let is_subflow =
            RunContext::current().is_some_and(|context| !context.flow().is_standalone());
        let flow = FlowRun::new(name);
        let kind = if is_subflow { "subflow" } else { "flow" };
        end::say(
            &flow,
            &format!(
                "Beginning {kind} run '{}' for flow '{}'",
                flow.name(),
                options.name_in_force()
            ),
        );
        // From here on a dropped call is a cancelled flow run.
        let mut guard = StopOnDrop(Some(Arc::clone(&flow)));
        let started = options.runner().start(Home(Arc::downgrade(&flow))).await;
        let returned = match started {
            Ok(session) => {
                flow.set_session(session);
                run_body(&flow, body, options.time_limit()).await
            }
            Err(error) => BodyEnd::NoRunner(error),
        };
        let ended = settle(info, &flow, returned, outcome).await;
        guard.0 = None;
        flow.end().await;
        let message = ended.state.message();
        end::say(
            &flow,
            &format!(
                "Finished in state {}",
                describe_state(ended.state.name(), message)
            ),
        );
        ended
    })
}

/// How a flow's body ended.
enum BodyEnd<T> {
    Returned(Result<T, TaskError>),
    Panicked(PanicReport),
    TimedOut(Duration),
    /// Its task runner did not start, so the body has not either.
    NoRunner(Error),
}

impl<T> From<Result<Result<T, TaskError>, PanicReport>> for BodyEnd<T> {
    fn from(caught: Result<Result<T, TaskError>, PanicReport>) -> Self {
        match caught {
            Ok(result) => Self::Returned(result),
            Err(report) => Self::Panicked(report),
        }
    }
}

async fn run_body<T: Send + 'static>(
    flow: &Arc<FlowRun>,
    body: FlowBody<'_, T>,
    limit: Option<Duration>,
) -> BodyEnd<T> {
    install_hook();
    let context = RunContext::of_flow(flow);
    let started = std::time::Instant::now();
    match body {
        FlowBody::Future(future) => {
            let code = context.scope(Caught(future));
            limited(limit, async { code.await.into() }).await
        }
        FlowBody::Blocking(function) => {
            let ended = context.enter(|| catch(function));
            match limit {
                // Code on the caller's own thread cannot be left behind.
                Some(limit) if started.elapsed() > limit => BodyEnd::TimedOut(limit),
                _ => ended.into(),
            }
        }
        FlowBody::Thread(function) => {
            let thread = crate::runtime::on_a_thread(|| context.enter(|| catch(function)));
            let code = async {
                match thread {
                    Ok(ended) => ended
                        .await
                        .map_or_else(|error| BodyEnd::NoRunner(error.into()), Into::into),
                    Err(error) => BodyEnd::NoRunner(error.into()),
                }
            };
            limited(limit, code).await
        }
    }
}

async fn limited<T>(limit: Option<Duration>, code: impl Future<Output = BodyEnd<T>>) -> BodyEnd<T> {
    match limit {
        None => code.await,
        Some(limit) => crate::runtime::timeout(limit, code)
            .await
            .unwrap_or(BodyEnd::TimedOut(limit)),
    }
}

/// Waits for what was submitted and finds the final state.
async fn settle<T: Send + Sync + 'static>(
    info: &'static FlowInfo,
    flow: &Arc<FlowRun>,
    returned: BodyEnd<T>,
    outcome: FlowOutcome<T>,
) -> Ended<T> {
    let failure = match returned {
        BodyEnd::Returned(Ok(value)) => {
            flow.joined().await;
            let aggregate = match outcome {
                Some(outcome) => outcome(&value).aggregate(),
                None => Aggregate {
                    message: None,
                    failure: None,
                    is_raised: false,
                },
            };
            return ended_well(value, aggregate);
        }
        BodyEnd::Returned(Err(error)) => error.into_failure(info.key, flow.name(), true),
        BodyEnd::Panicked(report) => failed(
            info,
            flow,
            (StateName::Failed, ErrorKind::Failed),
            &format!("Flow run encountered an exception: {report}"),
            report.to_string(),
            report.chain(),
        ),
        BodyEnd::TimedOut(limit) => {
            let message = format!(
                "Flow run exceeded timeout of {:?} second(s)",
                limit.as_secs_f64()
            );
            let kind = (StateName::TimedOut, ErrorKind::TimedOut);
            failed(info, flow, kind, &message, message.clone(), None)
        }
        BodyEnd::NoRunner(error) => {
            let message = format!("Flow run could not start its task runner: {error}");
            Failure::new(StateName::Crashed, Some(message), error)
        }
    };
    flow.stop("Flow run ended before this task run did.");
    flow.joined().await;
    Ended {
        state: state_of_failure(&failure),
        value: None,
        cell: None,
    }
}

fn failed(
    info: &FlowInfo,
    flow: &FlowRun,
    (name, kind): (StateName, ErrorKind),
    message: &str,
    text: String,
    chain: Option<Box<TextChain>>,
) -> Failure {
    let error = Error::build(kind, text)
        .chain(chain)
        .task(info.key)
        .run(flow.name())
        .finish();
    Failure::new(name, Some(message.to_owned()), error)
}

fn state_of_failure<T>(failure: &Failure) -> State<T> {
    State::new(
        failure.0.name,
        failure.0.message.clone(),
        crate::runtime::now(),
        StateOutcome::Error(failure.0.error.clone()),
    )
}

fn ended_well<T>(value: T, aggregate: Aggregate) -> Ended<T> {
    let Aggregate {
        message,
        failure,
        is_raised,
    } = aggregate;
    match failure {
        Some(failure) => Ended {
            state: state_of_failure(&failure),
            value: (!is_raised).then_some(value),
            cell: None,
        },
        None => Ended {
            state: State::new(
                StateName::Completed,
                message.map(Arc::from),
                crate::runtime::now(),
                StateOutcome::Open,
            ),
            value: Some(value),
            cell: None,
        },
    }
}

/// A flow call that is dropped half-way stops its runs.
struct StopOnDrop(Option<Arc<FlowRun>>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(flow) = self.0.take() {
            flow.stop("Flow run was dropped before it ended.");
            end::say(&flow, "Flow run was dropped before it ended");
            crate::runtime::service().spawn(async move {
                flow.joined().await;
                flow.end().await;
            });
        }
    }
}
