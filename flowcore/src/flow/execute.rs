//! The life of one flow run: begin, run the body, join, perhaps do it again,
//! end.
//!
//! A normal return waits for all that was submitted; an error, a panic, a
//! timeout and a dropped call cancel what is queued and wait for what runs.
//! Only then another attempt may follow, of the same flow run.

use std::sync::Arc;

use uuid::Uuid;

use super::aggregate::{Aggregate, FlowOutcome};
use super::attempt::{Again, BodyEnd, Waited, make_body, may_be_retried, run_body, wait_for_retry};
use super::call::{Call, Ended, Startable};
use super::observer::Began;
use super::required::unreported;
use super::running::Registration;
use super::symbolic::Symbolic;
use super::{FlowRun, Interrupt, end};
use crate::context::RunContext;
use crate::definition::{
    Failure, FlowAttempt, FlowCode, FlowConfiguration, FlowInfo, FlowOptions, render,
};
use crate::engine::Stop;
use crate::error::{Error, ErrorKind, TextChain};
use crate::records::{FlowParameters, FlowResults};
use crate::runner::{Home, drop_caught};
use crate::runtime::now;
use crate::scope::Scope;
use crate::state::{State, StateName, StateOutcome, StateType};

/// Calls a flow: a run of it, from beginning to end.
#[doc(hidden)]
pub fn call_flow<'a, T: Send + Sync + 'static>(
    info: &'static FlowInfo,
    configuration: &FlowConfiguration,
    parameters: &[(&'static str, String)],
    written: FlowParameters,
    mut code: FlowCode<'a, T>,
    outcome: FlowOutcome<T>,
) -> Call<'a, T> {
    let configuration = configuration.clone();
    let name = configuration.options().run_name_template().map(|template| {
        render(template, |wanted| {
            let (_, text) = parameters.iter().find(|(name, _)| *name == wanted)?;
            Some(text.clone())
        })
    });
    let Identity {
        id,
        name,
        attempts: before,
    } = Identity::of(configuration.options(), name);
    let results = {
        let around = RunContext::caller();
        let parent = around.as_ref().map(|context| &**context.flow());
        let parent = parent.filter(|flow| !flow.is_standalone());
        FlowResults::of_flow(configuration.options(), parent, written)
    };
    let flow = FlowRun::new(id, name, results);
    flow.had_attempts(before);
    let startable = Startable {
        flow: Arc::clone(&flow),
        blocks: code.blocks(),
    };
    Call::of_flow(startable, async move {
        let options = configuration.options();
        if let Some(symbolic) = Symbolic::here() {
            flow.set_symbolic(symbolic);
        }
        let parent = RunContext::caller().map(|context| Arc::clone(context.flow()));
        let is_subflow = parent.as_ref().is_some_and(|flow| !flow.is_standalone());
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
            parent: RunContext::caller().map(|context| (context.flow().id(), context.run())),
            at: now(),
        });
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
        if flow.symbolic().is_none() {
            flow.set_hooks(info, &configuration);
        }
        if options.resumed().is_some() && !flow.results().persists() {
            tracing::warn!(
                target: "flowcore::runs",
                who = format!("Flow run '{}'", flow.name()),
                "`{}` keeps no results, so resuming it finds none: `persist_result` keeps them",
                info.function,
            );
        }
        let refused = match refusal(info, options, &flow, &code, &guard) {
            None => unreported(info, options, &flow).await,
            refused => refused,
        };
        let ended = match refused {
            Some(failure) => FlowEnd::failed(failure),
            None => attempts(info, options, &flow, &mut code, outcome, &guard).await,
        };
        drop_caught(code);
        guard.code_has_ended(true);
        let run = guard.0.take();
        conclude(&flow, ended.message.as_deref(), ended.failure.as_ref()).await;
        let parent = run.and_then(|run| run.parent);
        flow.life().return_to_caller().await;
        if let Some(parent) = parent {
            parent.yield_if_stopping().await;
        }
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

/// Who a run is: one that a server has scheduled is the same there and here.
struct Identity {
    id: Uuid,
    name: Option<String>,
    /// How many attempts were made in processes before this one.
    attempts: u32,
}

impl Identity {
    fn of(options: &FlowOptions, name: Option<String>) -> Self {
        #[cfg(feature = "prefect")]
        if let Some(adopted) = crate::prefect::adoption::take() {
            return Self {
                id: adopted.id,
                name: name.or_else(|| Some(adopted.name.clone())),
                attempts: adopted.attempts,
            };
        }
        Self {
            id: options.resumed().unwrap_or_else(Uuid::now_v7),
            name,
            attempts: 0,
        }
    }
}

/// Why the run cannot begin.
fn refusal<T>(
    info: &FlowInfo,
    options: &FlowOptions,
    flow: &FlowRun,
    code: &FlowCode<'_, T>,
    guard: &StopOnDrop,
) -> Option<Failure> {
    let is_second = guard
        .0
        .as_ref()
        .is_some_and(|run| run.registration.is_none());
    let second = is_second.then(|| {
        Error::invalid(format!(
            "flow run {} runs in this process: resume it when it has ended",
            flow.id()
        ))
    });
    let error = second
        .or_else(|| options.check(info.parameters).err())
        .or_else(|| {
            let (name, type_name) = code
                .taken_once()
                .filter(|_| options.retries_in_force() > 0)?;
            Some(Error::invalid(format!(
                "parameter `{name}` is of type `{type_name}`, which is not `Clone`, so there is no \
             value for a second attempt: derive `Clone` for it, take it as `&{type_name}`, or say \
             `retries = 0`"
            )))
        })?;
    let message = format!("`{}`: {error}", info.key);
    let error = error.into_failed(info.key, flow.name());
    Some(Failure::new(StateName::Failed, Some(message), error))
}

/// Runs the flow's function, as often as it fails and may be tried again.
async fn attempts<T: Send + Sync + 'static>(
    info: &'static FlowInfo,
    options: &FlowOptions,
    flow: &Arc<FlowRun>,
    code: &mut FlowCode<'_, T>,
    outcome: FlowOutcome<T>,
    guard: &StopOnDrop,
) -> FlowEnd<T> {
    let mut is_first = true;
    loop {
        let before = flow.life().attempt();
        let attempt = FlowAttempt {
            is_first: std::mem::take(&mut is_first),
            // Without its tasks it would only fail in the same way again.
            is_last: before >= options.retries_in_force() || flow.symbolic().is_some(),
        };
        let body = match make_body(flow, code, attempt) {
            Ok(body) => body,
            Err(invalid) => return FlowEnd::failed(invalid.into_failure(info.key, flow.name())),
        };
        let number = flow.life().begin(|state| flow.tell_state(state));
        flow.call_hooks().await;
        if attempt.is_first && flow.symbolic().is_none() {
            match options.runner().start(Home(Arc::downgrade(flow))).await {
                Ok(session) => flow.set_session(session),
                Err(error) => return settle(info, flow, BodyEnd::NoRunner(error), outcome).await,
            }
        }
        let ran = run_body(flow, body, options.time_limit()).await;
        guard.code_has_ended(true);
        let ended = settle(info, flow, ran.end, outcome).await;
        let failure = match &ended.failure {
            Some(failure) if !attempt.is_last && is_failed(failure) => failure,
            _ => return ended,
        };
        if !may_be_retried(flow, failure).await {
            return ended;
        }
        guard.code_has_ended(false);
        let again = Again {
            failure,
            delay: options.retry_delay_in_force().before(number),
            left: ran.left,
        };
        match wait_for_retry(flow, again).await {
            Waited::Begins => {}
            Waited::Ends => {
                guard.code_has_ended(true);
                return ended;
            }
            Waited::IsInterrupted => {
                let interrupt = flow.life().interrupt().unwrap_or(Interrupt::Cancelled);
                return FlowEnd::failed(interrupt.of_flow(info.key, flow.name()));
            }
        }
    }
}

fn is_failed(failure: &Failure) -> bool {
    failure.0.name.state_type() == StateType::Failed
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
    #[cfg(feature = "prefect")]
    if flow.is_observed() {
        crate::prefect::reporter::finish(flow).await;
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
    /// None if a run with its id runs already: then this one does not begin.
    registration: Option<Registration>,
    flow: Arc<FlowRun>,
    parent: Option<Arc<FlowRun>>,
    info: &'static FlowInfo,
}

impl StopOnDrop {
    /// Notes whether the flow's function has ended or runs again.
    fn code_has_ended(&self, has_ended: bool) {
        if let Some(registration) = self.0.as_ref().and_then(|run| run.registration.as_ref()) {
            registration.code_has_ended(has_ended);
        }
    }
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
