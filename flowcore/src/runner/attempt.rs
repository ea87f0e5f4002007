//! What follows an attempt: the run's end, or another attempt.
//!
//! The outcome of one attempt, the options and a random number go in, the next
//! step comes out. The same for every runner, since retries happen where the
//! task runs. Of users' code it calls only the task's `retry_if`.

use std::time::Duration;

use super::catch;
use super::control::AttemptControl;
use super::panic::PanicReport;
use crate::definition::{Failure, RetryCondition, TaskError, TaskInfo, TaskOptions, jittered};
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

impl From<Result<(), TaskError>> for Ending {
    fn from(result: Result<(), TaskError>) -> Self {
        match result {
            Ok(()) => Self::Completed,
            Err(error) => Self::Failed(error),
        }
    }
}

impl Ending {
    /// Sync code that could not be left behind returned after `took`: that
    /// its time was up shows only now.
    pub(crate) fn of_sync(
        result: Result<(), TaskError>,
        took: Duration,
        limit: Option<Duration>,
    ) -> Self {
        match limit {
            Some(limit) if took > limit => Self::TimedOut(limit),
            _ => result.into(),
        }
    }

    /// Whether another attempt may follow, if any is left.
    pub(crate) fn may_be_retried(&self) -> bool {
        match self {
            Self::Failed(error) => !error.is_final(),
            Self::Panicked(_) | Self::TimedOut(_) => true,
            Self::Completed | Self::Cached | Self::Cancelled => false,
        }
    }

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
#[derive(Clone, Debug)]
pub(crate) enum Next {
    Settle(End),
    /// Another attempt after the delay; `log` is the line that says so.
    Retry {
        delay: Duration,
        log: String,
    },
}

/// Decides what follows attempt number `attempt` (from 1); `random` is drawn
/// only for a retry.
pub(crate) fn next(
    ending: Ending,
    attempt: u32,
    info: &TaskInfo,
    options: &TaskOptions,
    run_name: &str,
    random: impl FnOnce() -> f64,
) -> Next {
    let is_final = matches!(&ending, Ending::Failed(error) if error.is_final());
    let brief = match &ending {
        Ending::Completed => return Next::Settle(End::Completed),
        Ending::Cached => return Next::Settle(End::Cached),
        Ending::Cancelled => return Next::Settle(End::Ended(cancelled(info, Some(run_name)))),
        Ending::Failed(error) => error.brief(),
        Ending::Panicked(report) => report.to_string(),
        Ending::TimedOut(limit) => timeout_message(*limit),
    };
    if is_final || attempt > options.retries_in_force() {
        return Next::Settle(End::Ended(failure(ending, info, run_name)));
    }
    if let Some(condition) = &options.retry_if {
        let failure = failure(ending, info, run_name);
        if !is_retriable(condition, &failure, attempt, options, run_name) {
            return Next::Settle(End::Ended(failure));
        }
    }
    let delay = options.retry_delay_in_force().before(attempt);
    let delay = jittered(delay, options.retry_jitter, random());
    let when = if delay.is_zero() {
        "immediately".to_owned()
    } else {
        format!("{} second(s) from now", delay.as_secs_f64())
    };
    Next::Retry {
        delay,
        log: format!(
            "Task run failed with exception: {brief} - Retry {attempt}/{} will start {when}",
            options.retries_in_force()
        ),
    }
}

/// Asks the task's `retry_if`; a panic in it is a "no", as in Prefect.
fn is_retriable(
    condition: &RetryCondition,
    failure: &Failure,
    attempt: u32,
    options: &TaskOptions,
    run_name: &str,
) -> bool {
    catch(|| (condition.is_retriable)(&failure.0.error, attempt)).unwrap_or_else(|report| {
        tracing::error!(
            target: "flowcore::runs",
            who = format!("Task run '{run_name}'"),
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
        Ending::Cancelled => cancelled(info, Some(run_name)),
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

/// The end of a run that was asked to stop; without a name, of a whole map.
pub(crate) fn cancelled(info: &TaskInfo, run_name: Option<&str>) -> Failure {
    let message = "Task run was cancelled.";
    let error = Error::build(ErrorKind::Cancelled, message).task(info.key);
    let error = match run_name {
        Some(name) => error.run(name),
        None => error,
    };
    Failure::new(
        StateName::Cancelled,
        Some(message.to_owned()),
        error.finish(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{TaskAttributes, exponential_backoff};

    static INFO: TaskInfo = TaskInfo {
        key: "m::load",
        function: "load",
        module: "m",
        file: "m.rs",
        line: 1,
        parameters: &[],
        fingerprint: 0,
        is_async: false,
        is_local: false,
        options: TaskOptions::from_attributes(TaskAttributes::new("load", "")),
    };

    fn after(attempt: u32, options: &TaskOptions, random: f64) -> Next {
        let ending = Ending::Failed(TaskError::from_display("gone"));
        next(ending, attempt, &INFO, options, "load-1", || random)
    }

    fn wait(next: Next) -> (Duration, String) {
        match next {
            Next::Retry { delay, log } => (delay, log),
            Next::Settle(end) => panic!("no retry: {end:?}"),
        }
    }

    #[test]
    fn waits_follow_the_options() {
        let second = Duration::from_secs(1);
        let options = INFO.options.clone().retries(9);
        let each = options.clone().retry_delay([second, second * 10]);
        let waits = [1, 2, 3].map(|attempt| wait(after(attempt, &each, 0.0)).0.as_secs());
        assert_eq!(waits, [1, 10, 10]);
        let doubling = options.clone().retry_delay(exponential_backoff(second));
        let (delay, log) = wait(after(4, &doubling, 0.0));
        assert_eq!(delay, second * 8);
        assert_eq!(
            log,
            "Task run failed with exception: Error(\"gone\") - Retry 4/9 will start 8 second(s) \
             from now"
        );
        let (_, log) = wait(after(1, &options, 0.0));
        assert!(log.ends_with("will start immediately"), "{log}");
    }

    #[test]
    fn jitter_is_drawn_from_what_comes_in() {
        let options = INFO.options.clone().retries(1).retry_jitter(0.5);
        let spread = options.clone().retry_delay(Duration::from_secs(10));
        let [low, high] = [0.0, 1.0].map(|random| wait(after(1, &spread, random)).0);
        assert!(low < Duration::from_secs(7) && high > Duration::from_millis(14_999));
        // Nothing is spread to something.
        assert!(wait(after(1, &options, 1.0)).0.is_zero());
    }

    #[test]
    fn a_condition_decides_and_its_panic_is_a_no() {
        let asked = |is_retriable| {
            let mut options = INFO.options.clone().retries(5);
            options.retry_if = Some(RetryCondition {
                name: "f",
                is_retriable,
            });
            options
        };
        let gone = asked(|error, _| error.to_string() == "gone");
        assert!(matches!(after(2, &gone, 0.0), Next::Retry { .. }));
        let early = asked(|_, attempt| attempt < 3);
        assert!(matches!(after(2, &early, 0.0), Next::Retry { .. }));
        assert!(matches!(after(3, &early, 0.0), Next::Settle(_)));
        let never = asked(|_, _| false);
        let Next::Settle(End::Ended(failure)) = after(2, &never, 0.0) else {
            panic!("a retry");
        };
        assert_eq!(failure.0.name, StateName::Failed);
        let panics = asked(|_, _| panic!("no idea"));
        assert!(matches!(after(1, &panics, 0.0), Next::Settle(_)));
        // Nobody is asked where no retry is left.
        let unasked = asked(|_, _| unreachable!("asked"));
        assert!(matches!(
            after(6, &unasked, 0.0),
            Next::Settle(End::Ended(_))
        ));
    }
}
