//! Executing a descriptor in a process that did not submit it.

use std::sync::Arc;

use uuid::Uuid;

use super::attempt::{Ending, Next, next};
use super::control::AttemptControl;
use super::descriptor::{ValueSource, WorkDescriptor};
use super::drive::run_attempt;
use super::execution::AttemptBody;
use super::seam::RunEvent;
use super::{catch, install_hook};
use crate::context::RunContext;
use crate::definition::{Failure, TaskError, find_task};
use crate::engine::End;
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::state::StateName;
use crate::value::EncodedValue;

/// Runs a descriptor to its end on this thread, retries and timeouts
/// included, and gives the value. `report` gets every event, the last one
/// included; an error is told to it as well.
///
/// A sync task that runs into its timeout keeps this thread until it returns;
/// the event is reported then.
///
/// # Errors
///
/// The run did not complete.
pub fn execute(
    work: &WorkDescriptor,
    values: &dyn ValueSource,
    mut report: impl FnMut(RunEvent),
) -> Result<EncodedValue> {
    install_hook();
    let run = work.run;
    let mut ended = |failure: Failure| {
        report_end(&mut report, run, &failure);
        failure.0.error.clone()
    };
    let execution = find_task(&work.task_key).and_then(|entry| entry.execution(work, values));
    let execution = match execution {
        Ok(execution) => execution,
        Err(error) => {
            let failure =
                TaskError::from_flow(error).into_failure(&work.task_key, &work.run_name, false);
            return Err(ended(failure));
        }
    };
    let flow = FlowRun::elsewhere(
        Uuid::from_u128(work.flow_run_id),
        work.flow_run_name.clone(),
    );
    let info = execution.info();
    let mut attempt = work.attempt;
    loop {
        let control = Arc::new(AttemptControl::new(attempt, work.retries));
        let context = RunContext::of_run(&flow, info, execution.options(), run, &control);
        report(RunEvent::Started { run, attempt });
        let started = std::time::Instant::now();
        let ending = match context
            .clone()
            .enter(|| catch(|| execution.attempt(&control)))
        {
            Err(panic) => Ending::Panicked(panic),
            Ok(AttemptBody::Done(result)) => match (work.timeout, result) {
                (Some(limit), _) if started.elapsed() > limit => Ending::TimedOut(limit),
                (_, Ok(())) => Ending::Completed,
                (_, Err(error)) => Ending::Failed(error),
            },
            Ok(body @ AttemptBody::Future(_)) => {
                let attempt = run_attempt(body, &control, work.timeout);
                crate::runtime::user().block_on(context.scope(attempt))
            }
        };
        let name = control.name().unwrap_or(&work.run_name);
        match next(ending, attempt, info, execution.options(), name) {
            Next::Settle(End::Completed) => match execution.output() {
                Ok(value) => {
                    report(RunEvent::Completed { run });
                    return Ok(value);
                }
                Err(error) => {
                    let failure =
                        TaskError::from_flow(error).into_failure(&work.task_key, name, false);
                    report_end(&mut report, run, &failure);
                    return Err(failure.0.error.clone());
                }
            },
            Next::Settle(End::Ended(failure) | End::NotReady(failure)) => {
                report_end(&mut report, run, &failure);
                return Err(failure.0.error.clone());
            }
            Next::Retry { delay, log } => {
                report(RunEvent::AwaitingRetry { run, message: log });
                std::thread::sleep(delay);
                attempt += 1;
            }
        }
    }
}

fn report_end(report: &mut impl FnMut(RunEvent), run: super::RunReference, failure: &Failure) {
    report(RunEvent::Ended {
        run,
        state: match failure.0.name {
            StateName::NotReady => StateName::Failed,
            name => name,
        },
        message: failure.0.message.as_deref().map(str::to_owned),
        error: Error::clone(&failure.0.error),
    });
}
