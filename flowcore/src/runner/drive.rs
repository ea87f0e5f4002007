//! Driving attempts of async code, and of direct calls in place.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Ending, Next, next};
use super::catch;
use super::control::AttemptControl;
use super::descriptor::RunReference;
use super::execution::AttemptBody;
use super::panic::Caught;
use crate::context::RunContext;
use crate::definition::{OptionsSource, TaskInfo};
use crate::engine::RunId;
use crate::flow::FlowRun;
use crate::runtime::now;

/// Polls an attempt to its end, or until its time is up or it is cancelled:
/// then the future is dropped where it stands.
pub(crate) async fn run_attempt(
    body: AttemptBody<'_>,
    control: &AttemptControl,
    limit: Option<Duration>,
) -> Ending {
    let future = match body {
        AttemptBody::Done(result) => return result.into(),
        AttemptBody::Future(future) => future,
    };
    let code = async {
        match Caught(future).await {
            Ok(result) => result.into(),
            Err(report) => Ending::Panicked(report),
        }
    };
    let code = std::pin::pin!(code);
    let cancelled = std::pin::pin!(control.cancelled());
    let stoppable = async {
        match futures_util::future::select(cancelled, code).await {
            futures_util::future::Either::Left(_) => Ending::Cancelled,
            futures_util::future::Either::Right((ending, _)) => ending,
        }
    };
    match limit {
        None => stoppable.await,
        Some(limit) => crate::runtime::timeout(limit, stoppable)
            .await
            .unwrap_or(Ending::TimedOut(limit)),
    }
}

/// A run that its caller executes in place.
pub(crate) struct InPlace {
    pub(crate) flow: Arc<FlowRun>,
    pub(crate) run: RunId,
    pub(crate) info: &'static TaskInfo,
    pub(crate) options: OptionsSource,
}

/// Runs all attempts of a direct call in the caller's task, and settles the
/// run. Dropping the future cancels the run.
pub(crate) async fn drive_in_place<'a>(
    place: InPlace,
    mut attempts: impl FnMut(&Arc<AttemptControl>) -> AttemptBody<'a> + Send + 'a,
) {
    let InPlace {
        flow,
        run,
        info,
        options,
    } = place;
    let id = run;
    let run = RunReference::from(id);
    let mut guard = CancelOnDrop {
        flow: Arc::clone(&flow),
        run,
        is_armed: true,
    };
    flow.may_begin(id).await;
    let mut attempt = 1;
    loop {
        let control = Arc::new(AttemptControl::new(attempt, options.retries_in_force()));
        if !flow.begin(run, &control) {
            break;
        }
        let context = RunContext::of_run(&flow, info, &options, run, &control);
        let started = now();
        let ending = context
            .scope(async {
                match catch(|| attempts(&control)) {
                    Err(report) => Ending::Panicked(report),
                    Ok(AttemptBody::Done(result)) => {
                        Ending::of_sync(result, now().duration_since(started), options.timeout)
                    }
                    Ok(body) => run_attempt(body, &control, options.timeout).await,
                }
            })
            .await;
        let ending = ending.of_attempt(&control);
        let name = flow.attempt_name(&options.labels.name, run, &control);
        match next(ending, attempt, info, &options, &name, || {
            flow.random(run, attempt)
        }) {
            Next::Settle(end) => {
                flow.settled(run, end);
                break;
            }
            Next::Retry { delay, log } => {
                flow.retry(run, &control, &log);
                // Cancelled meanwhile, it has settled and waits no longer.
                let settled = std::pin::pin!(std::future::poll_fn(|context| {
                    flow.poll_settled(run, context.waker())
                }));
                let _ = crate::runtime::timeout(delay, settled).await;
                attempt += 1;
            }
        }
    }
    guard.is_armed = false;
}

/// A direct call that is dropped half-way is a cancelled run.
struct CancelOnDrop {
    flow: Arc<FlowRun>,
    run: RunReference,
    is_armed: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.is_armed {
            self.flow.dropped(self.run);
        }
    }
}
