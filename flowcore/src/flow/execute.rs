//! The life of one flow run: begin, run the body, join, end.
//!
//! A normal return waits for all that was submitted; an error, a panic, a
//! timeout and a dropped call cancel what is queued and wait for what runs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use uuid::Uuid;

use super::aggregate::{Aggregate, FlowOutcome};
use super::call::{Call, Ended, Startable};
use super::observer::Began;
use super::running::Registration;
use super::{FlowRun, Interrupt, end};
use crate::context::RunContext;
use crate::definition::{
    Failure, FlowBody, FlowConfiguration, FlowInfo, FlowOptions, TaskError, render,
};
use crate::engine::Stop;
use crate::error::{Error, ErrorKind, TextChain};
use crate::flag::Flag;
use crate::records::{FlowParameters, FlowResults};
use crate::runner::{Caught, Home, PanicReport, catch, drop_caught, install_hook};
use crate::runtime::now;
use crate::scope::Scope;
use crate::state::{State, StateName, StateOutcome};

/// Calls a flow: a run of it, from beginning to end.
#[doc(hidden)]
pub fn call_flow<'a, T: Send + Sync + 'static>(
    info: &'static FlowInfo,
    configuration: &FlowConfiguration,
    parameters: &[(&'static str, String)],
    written: FlowParameters,
    body: FlowBody<'a, T>,
    outcome: FlowOutcome<T>,
) -> Call<'a, T> {
    let configuration = configuration.clone();
    let name = configuration.options().run_name_template().map(|template| {
        render(template, |wanted| {
            let (_, text) = parameters.iter().find(|(name, _)| *name == wanted)?;
            Some(text.clone())
        })
    });
    let id = configuration
        .options()
        .resumed()
        .unwrap_or_else(Uuid::now_v7);
    let results = {
        let around = RunContext::current();
        let parent = around.as_ref().map(|context| &**context.flow());
        let parent = parent.filter(|flow| !flow.is_standalone());
        FlowResults::of_flow(configuration.options(), parent, written)
    };
    let flow = FlowRun::new(id, name, results);
    let startable = Startable {
        flow: Arc::clone(&flow),
        blocks: matches!(body, FlowBody::Blocking(_)),
    };
    Call::of_flow(startable, async move {
        let options = configuration.options();
        let parent = RunContext::current().map(|context| Arc::clone(context.flow()));
        let is_subflow = parent.as_ref().is_some_and(|flow| !flow.is_standalone());
        let kind = if is_subflow { "subflow" } else { "flow" };
        end::say(
            &flow,
            &format!(
                "Beginning {kind} run '{}' for flow '{}'",
                flow.name(),
                options.name_in_force()
            ),
        );
        if flow.results().persists() {
            end::say(
                &flow,
                &format!(
                    "Its id is {}: `{}.resume(id)` finds its finished tasks again",
                    flow.id(),
                    info.function
                ),
            );
        }
        // From here on a dropped call is a cancelled flow run.
        let mut guard = StopOnDrop(Some(Dropped {
            registration: Registration::new(&flow, parent.as_ref()),
            flow: Arc::clone(&flow),
            parent,
            info,
        }));
        flow.set_tags(tags_of(options));
        flow.begin_observed(&Began {
            flow: Some((info, options)),
            parent: RunContext::current().map(|context| (context.flow().id(), context.run())),
            at: now(),
        });
        flow.life().begin(|state| flow.tell_state(state));
        flow.set_hooks(info, &configuration);
        flow.call_hooks().await;
        let started = options.runner().start(Home(Arc::downgrade(&flow))).await;
        let returned = match started {
            Ok(session) => {
                flow.set_session(session);
                run_body(&flow, body, options.time_limit()).await
            }
            Err(error) => BodyEnd::NoRunner(error),
        };
        if let Some(dropped) = &guard.0 {
            dropped.registration.code_has_ended();
        }
        let ended = settle(info, &flow, returned, outcome).await;
        let registration = guard.0.take();
        conclude(&flow, ended.message.as_deref(), ended.failure.as_ref()).await;
        drop(registration);
        flow.life().return_to_caller().await;
        Ended {
            state: match &ended.failure {
                Some(failure) => State::of_failure(failure, now()),
                None => State::new(
                    StateName::Completed,
                    ended.message.map(Arc::from),
                    now(),
                    StateOutcome::Open,
                ),
            },
            value: ended.value,
            cell: None,
        }
    })
}

/// The flow's tags, and those of the scope around the call.
fn tags_of(options: &FlowOptions) -> Vec<String> {
    let mut tags: Vec<_> = options.all_tags().map(str::to_owned).collect();
    if let Some(scope) = Scope::current() {
        let new: Vec<_> = scope.all_tags().filter(|tag| !tags.contains(tag)).collect();
        tags.extend(new.into_iter().cloned());
    }
    tags
}

/// The flow run has ended: its state is final.
async fn conclude(flow: &Arc<FlowRun>, message: Option<&str>, failure: Option<&Failure>) {
    flow.end().await;
    flow.has_final_state(message, failure);
    flow.call_hooks().await;
    end::say(flow, &format!("Finished in state {}", flow.state()));
}

/// How a flow's body ended.
enum BodyEnd<T> {
    Returned(Result<T, TaskError>),
    Panicked(PanicReport),
    TimedOut(Duration),
    /// It was left where it waited.
    Stopped,
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
    let started = now();
    match body {
        FlowBody::Future(future) => {
            let code = context.scope(Caught(future));
            limited(
                limit,
                ended_by(flow.stopping(), async { code.await.into() }),
            )
            .await
        }
        FlowBody::Blocking(function) => {
            let ended = context.enter(|| catch(function));
            match limit {
                // Code on the caller's own thread cannot be left behind.
                Some(limit) if now().duration_since(started) > limit => BodyEnd::TimedOut(limit),
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
            limited(limit, ended_by(flow.aborted(), code)).await
        }
    }
}

/// Waits for code until the flag is set: async code is dropped where it waits,
/// a thread is left behind.
async fn ended_by<T>(flag: &Flag, code: impl Future<Output = BodyEnd<T>>) -> BodyEnd<T> {
    let mut code = Box::pin(code);
    let stopped = std::pin::pin!(flag.wait());
    if let Either::Left((ended, _)) = select(&mut code, stopped).await {
        return ended;
    }
    drop_caught(code);
    BodyEnd::Stopped
}

async fn limited<T>(limit: Option<Duration>, code: impl Future<Output = BodyEnd<T>>) -> BodyEnd<T> {
    match limit {
        None => code.await,
        Some(limit) => crate::runtime::timeout(limit, code)
            .await
            .unwrap_or(BodyEnd::TimedOut(limit)),
    }
}

/// How a flow run ended.
struct FlowEnd<T> {
    message: Option<String>,
    /// `None`: completed.
    failure: Option<Failure>,
    value: Option<T>,
}

impl<T> FlowEnd<T> {
    fn failed(failure: Failure) -> Self {
        Self {
            message: None,
            failure: Some(failure),
            value: None,
        }
    }
}

/// Waits for what was submitted and finds the final state.
async fn settle<T: Send + Sync + 'static>(
    info: &'static FlowInfo,
    flow: &Arc<FlowRun>,
    returned: BodyEnd<T>,
    outcome: FlowOutcome<T>,
) -> FlowEnd<T> {
    let ended = match judge(info, flow, returned) {
        Ok(value) => {
            flow.joined().await;
            let aggregate = match outcome {
                Some(outcome) => outcome(&value).aggregate(),
                None => Aggregate {
                    message: None,
                    failure: None,
                    is_raised: false,
                },
            };
            FlowEnd {
                value: (!aggregate.is_raised || aggregate.failure.is_none()).then_some(value),
                message: aggregate.message,
                failure: aggregate.failure,
            }
        }
        Err(failure) => {
            if flow.life().interrupt().is_none() {
                let failure = end::cancelled("Flow run ended before this task run did.");
                flow.stop(&failure, Stop::Ask);
            }
            flow.joined().await;
            FlowEnd::failed(failure)
        }
    };
    // Whatever its function made of it, it was ended from outside.
    match flow.life().interrupt() {
        Some(interrupt) => FlowEnd::failed(interrupt.of_flow(info.key, flow.name())),
        None => ended,
    }
}

/// What the flow's function gave, or what stands in its place.
fn judge<T>(info: &FlowInfo, flow: &FlowRun, returned: BodyEnd<T>) -> Result<T, Failure> {
    Err(match returned {
        BodyEnd::Returned(Ok(value)) => return Ok(value),
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
        BodyEnd::Stopped => Interrupt::Cancelled.of_flow(info.key, flow.name()),
        BodyEnd::NoRunner(error) => {
            let message = format!("Flow run could not start its task runner: {error}");
            Failure::new(StateName::Crashed, Some(message), error)
        }
    })
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

/// A flow call that is dropped half-way stops its runs.
struct StopOnDrop(Option<Dropped>);

struct Dropped {
    registration: Registration,
    flow: Arc<FlowRun>,
    parent: Option<Arc<FlowRun>>,
    info: &'static FlowInfo,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let Some(dropped) = self.0.take() else {
            return;
        };
        let Dropped {
            registration,
            flow,
            parent,
            info,
        } = dropped;
        flow.interrupt(Interrupt::Dropped);
        // Its parent, which may be ending too, waits for what still runs here.
        let held = parent.map(|parent| parent.hold());
        crate::runtime::service().spawn(async move {
            flow.joined().await;
            let interrupt = flow.life().interrupt().unwrap_or(Interrupt::Dropped);
            let failure = interrupt.of_flow(info.key, flow.name());
            conclude(&flow, None, Some(&failure)).await;
            drop((registration, held));
        });
    }
}
