//! What follows an attempt: the run's end, or another attempt.
//!
//! The outcome of one attempt, the options and a random number go in, the next
//! step comes out. The same for every runner, since retries happen where the
//! task runs. Of users' code it calls only the task's `retry_if`.

use std::time::Duration;

use super::catch;
use super::control::AttemptControl;
use super::panic::PanicReport;
use crate::definition::{Failure, TaskError, TaskInfo, TaskOptions, jittered};
use crate::engine::End;
use crate::error::{Error, ErrorKind};
use crate::state::StateName;

/// How one attempt went.
#[derive(Debug)]
pub(crate) enum Ending {
    Completed,
    /// The value came from a record.
    Cached,
    Failed(TaskError),
    Panicked(PanicReport),
    TimedOut(Duration),
    Cancelled,
}

impl Ending {
    /// The ending, with what the attempt's control knows of it.
    ///
    /// Code that was asked to stop and did not complete has stopped, in
    /// whatever way: it is not tried again.
    pub(crate) fn of_attempt(self, control: &AttemptControl) -> Self {
        match self {
            Self::Completed | Self::Cached if control.is_cached() => Self::Cached,
            Self::Completed => Self::Completed,
            _ if control.was_asked_to_stop() => Self::Cancelled,
            ending => ending,
        }
    }
}

/// What follows.
#[derive(Debug)]
pub(crate) enum Next {
    Settle(End),
    /// Another attempt after the delay; `log` is the line that says so.
    Retry {
        delay: Duration,
        log: String,
    },
}

/// Decides what follows attempt number `attempt` (from 1).
pub(crate) fn next(
    ending: Ending,
    attempt: u32,
    info: &TaskInfo,
    options: &TaskOptions,
    run_name: &str,
    random: f64,
) -> Next {
    let is_final = matches!(&ending, Ending::Failed(error) if error.is_final());
    let brief = match &ending {
        Ending::Completed => return Next::Settle(End::Completed),
        Ending::Cached => return Next::Settle(End::Cached),
        Ending::Cancelled => return Next::Settle(End::Ended(cancelled(info, run_name))),
        Ending::Failed(error) => error.brief(),
        Ending::Panicked(report) => report.to_string(),
        Ending::TimedOut(limit) => timeout_message(*limit),
    };
    let may_retry = attempt <= options.retries && !is_final;
    let failure = match &options.retry_if {
        // Only a condition needs the whole error before it is clear that the
        // run has failed.
        Some(_) if may_retry => Some(failure(ending, info, run_name)),
        _ if may_retry => None,
        _ => return Next::Settle(End::Ended(failure(ending, info, run_name))),
    };
    let refused = failure.filter(|failure| !is_retriable(failure, options));
    if let Some(failure) = refused {
        Next::Settle(End::Ended(failure))
    } else {
        let delay = options.retry_delay.before(attempt);
        let delay = jittered(delay, options.retry_jitter, random);
        let when = if delay.is_zero() {
            "immediately".to_owned()
        } else {
            format!("{} second(s) from now", delay.as_secs_f64())
        };
        Next::Retry {
            delay,
            log: format!(
                "Task run failed with exception: {brief} - Retry {attempt}/{} will start {when}",
                options.retries
            ),
        }
    }
}

/// Asks the task's `retry_if`; a panic in it is a "no", as in Prefect.
fn is_retriable(failure: &Failure, options: &TaskOptions) -> bool {
    let Some(condition) = &options.retry_if else {
        return true;
    };
    catch(|| (condition.is_retriable)(&failure.0.error)).unwrap_or_else(|report| {
        tracing::error!(
            target: "flowcore::runs",
            "An error was encountered while running `retry_if` check '{}' for task '{}': {report}",
            condition.name,
            options.labels.name,
        );
        false
    })
}

/// The run's end, if no attempt follows.
fn failure(ending: Ending, info: &TaskInfo, run_name: &str) -> Failure {
    let failed = |name: StateName, message: String, kind: ErrorKind, text: String, chain| {
        Failure::new(
            name,
            Some(message),
            Error::build(kind, text)
                .task(info.key)
                .run(run_name)
                .chain(chain)
                .finish(),
        )
    };
    match ending {
        Ending::Failed(error) => error.into_failure(info.key, run_name, false),
        Ending::Panicked(report) => failed(
            StateName::Failed,
            format!("Task run encountered an exception {report}"),
            ErrorKind::Failed,
            report.to_string(),
            report.chain(),
        ),
        Ending::TimedOut(limit) => failed(
            StateName::TimedOut,
            timeout_message(limit),
            ErrorKind::TimedOut,
            timeout_message(limit),
            None,
        ),
        Ending::Cancelled => cancelled(info, run_name),
        Ending::Completed | Ending::Cached => {
            unreachable!("a run that completed has not failed")
        }
    }
}

fn timeout_message(limit: Duration) -> String {
    format!(
        "Task run exceeded timeout of {:?} second(s)",
        limit.as_secs_f64()
    )
}

/// The end of a run that was asked to stop.
fn cancelled(info: &TaskInfo, run_name: &str) -> Failure {
    let message = "Task run was cancelled.";
    Failure::new(
        StateName::Cancelled,
        Some(message.to_owned()),
        Error::build(ErrorKind::Cancelled, message)
            .task(info.key)
            .run(run_name)
            .finish(),
    )
}
