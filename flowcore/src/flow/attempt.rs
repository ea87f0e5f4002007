//! One attempt of a flow run: its function runs, and what comes between it and
//! the next.
//!
//! Invariant: the next attempt begins only when nothing of the one before runs
//! any longer, a thread that was left behind included.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

#[cfg(feature = "prefect")]
use super::Interrupt;
use super::{FlowRun, end};
use crate::context::RunContext;
use crate::definition::{Failure, FlowAttempt, FlowBody, FlowCode, InvalidParameters, TaskError};
use crate::error::Error;
use crate::flag::Flag;
#[cfg(feature = "prefect")]
use crate::prefect::verdict::{self, Verdict};
use crate::runner::{Caught, PanicReport, catch, drop_caught, install_hook};
use crate::runtime::now;
use crate::state::StateName;

/// How a flow's body ended.
pub(super) enum BodyEnd<T> {
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

/// An attempt after its end.
pub(super) struct Ran<T> {
    pub(super) end: BodyEnd<T>,
    /// Ends when the thread returns that was left behind.
    pub(super) left: Option<Left>,
}

type Left = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<T> From<BodyEnd<T>> for Ran<T> {
    fn from(end: BodyEnd<T>) -> Self {
        Self { end, left: None }
    }
}

/// Makes the body: code of the user's looks at the arguments and clones them.
pub(super) fn make_body<'a, T>(
    flow: &Arc<FlowRun>,
    code: &mut FlowCode<'a, T>,
    attempt: FlowAttempt,
) -> Result<Result<FlowBody<'a, T>, PanicReport>, InvalidParameters> {
    install_hook();
    let made = RunContext::of_flow(flow).enter(|| catch(|| code.body(attempt)));
    match made {
        Ok(Ok(body)) => Ok(Ok(body)),
        Ok(Err(invalid)) => Err(invalid),
        Err(report) => Ok(Err(report)),
    }
}

/// Runs the body, if it could be made.
pub(super) async fn run_body<T: Send + 'static>(
    flow: &Arc<FlowRun>,
    body: Result<FlowBody<'_, T>, PanicReport>,
    limit: Option<Duration>,
) -> Ran<T> {
    let body = match body {
        Ok(body) => body,
        Err(report) => return BodyEnd::Panicked(report).into(),
    };
    let context = RunContext::of_flow(flow);
    let started = now();
    match body {
        FlowBody::Future(future) => {
            let code = context.scope(Caught(future));
            let stopping = flow.stopping();
            limited(limit, ended_by(&stopping, async { code.await.into() }))
                .await
                .into()
        }
        FlowBody::Blocking(function) => {
            let ended = context.enter(|| catch(function));
            match limit {
                // Code on the caller's own thread cannot be left behind.
                Some(limit) if now().duration_since(started) > limit => {
                    BodyEnd::TimedOut(limit).into()
                }
                _ => BodyEnd::from(ended).into(),
            }
        }
        FlowBody::Thread(function) => {
            let thread = crate::runtime::on_a_thread(|| context.enter(|| catch(function)));
            let mut thread = match thread {
                Ok(thread) => thread,
                Err(error) => return BodyEnd::NoRunner(error.into()).into(),
            };
            let code = async {
                (&mut thread)
                    .await
                    .map_or_else(|error| BodyEnd::NoRunner(error.into()), Into::into)
            };
            let end = limited(limit, ended_by(flow.aborted(), code)).await;
            let is_left = matches!(end, BodyEnd::TimedOut(_));
            let left = is_left.then(|| Box::pin(async { drop_caught(thread.await) }) as Left);
            Ran { end, left }
        }
    }
}

/// Waits for code until the flag is set: async code is dropped where it waits,
/// a thread is left behind. The flag comes first, here and wherever code is
/// stopped: what woke the code may be the error of a run that was stopped too,
/// and code that handles errors would go on with it.
async fn ended_by<T>(flag: &Flag, code: impl Future<Output = BodyEnd<T>>) -> BodyEnd<T> {
    let mut code = Box::pin(code);
    let stopped = pin!(flag.wait());
    if let Either::Right((ended, _)) = select(stopped, &mut code).await {
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

/// What comes before another attempt.
pub(super) struct Again<'a> {
    /// Of the attempt before.
    pub(super) failure: &'a Failure,
    pub(super) delay: Duration,
    pub(super) left: Option<Left>,
}

/// What came of the time between two attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Begins,
    /// A server says that there is no other attempt.
    Ends,
    /// The flow run was ended from outside.
    IsInterrupted,
}

/// Whether a server that the flow run is told to lets it be tried again.
pub(super) async fn may_be_retried(flow: &Arc<FlowRun>, failure: &Failure) -> bool {
    #[cfg(feature = "prefect")]
    if flow.is_observed() {
        let asked = verdict::after_failure(flow.id(), failure);
        return !matches!(until_interrupted(flow, asked).await, Some(Verdict::Ends));
    }
    let _ = (flow, failure);
    true
}

/// What a server says to the attempt that is about to begin.
#[cfg(feature = "prefect")]
async fn may_begin(flow: &Arc<FlowRun>) -> Waited {
    if flow.is_observed() {
        let asked = verdict::before_attempt(flow.id());
        if until_interrupted(flow, asked).await == Some(Verdict::Ends) {
            return Waited::Ends;
        }
    }
    Waited::Begins
}

/// A verdict, unless the flow run is ended from outside; one that says that it
/// is cancelled ends it so.
#[cfg(feature = "prefect")]
async fn until_interrupted(
    flow: &Arc<FlowRun>,
    asked: impl Future<Output = Verdict>,
) -> Option<Verdict> {
    let interrupted = flow.interrupted().wait();
    let verdict = match select(pin!(asked), pin!(interrupted)).await {
        Either::Left((verdict, _)) => verdict,
        Either::Right(_) => return None,
    };
    if verdict == Verdict::IsCancelled {
        flow.interrupt(Interrupt::Cancelled);
    }
    Some(verdict)
}

/// Waits until another attempt may begin.
pub(super) async fn wait_for_retry(flow: &Arc<FlowRun>, again: Again<'_>) -> Waited {
    let Again {
        failure,
        delay,
        left,
    } = again;
    if !flow
        .life()
        .await_retry(failure, |state| flow.tell_state(state))
    {
        return Waited::IsInterrupted;
    }
    end::say_failed(flow, failure);
    end::say(
        flow,
        &format!(
            "Received non-final state '{}' when proposing final state '{}' and will attempt to \
             run again...",
            StateName::AwaitingRetry,
            failure.0.name
        ),
    );
    let waits = async {
        if !delay.is_zero() {
            crate::runtime::sleep(delay).await;
        }
        if let Some(left) = left {
            left.await;
        }
    };
    select(pin!(waits), pin!(flow.interrupted().wait())).await;
    #[cfg(feature = "prefect")]
    if may_begin(flow).await == Waited::Ends {
        return Waited::Ends;
    }
    if flow.reopen() {
        Waited::Begins
    } else {
        Waited::IsInterrupted
    }
}
