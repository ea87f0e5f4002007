//! How runs end, in words: console lines and the errors that readers get.

use std::ops::Range;
use std::sync::Arc;

use tracing::field::display;
use uuid::Uuid;

use super::FlowRun;
use crate::console::printable;
use crate::definition::Failure;
use crate::engine::{Map, RunView};
use crate::error::{Error, ErrorKind};
use crate::runner::{LogLevel, LogRecord, MapJob, RunReference};
use crate::state::{StateName, describe_state};

/// Lines of a map's rows that are written one by one; of a larger map only
/// this many failures are, and one line sums up the rest.
const ROW_LINES: u32 = 100;

/// Whether anybody listens to the lines about runs.
pub(super) fn is_heard() -> bool {
    tracing::enabled!(target: "flowcore::runs", tracing::Level::ERROR)
}

/// One line about a run, written under its name.
pub(super) struct Line {
    /// `None`: under the flow run's own name.
    task_run: Option<(String, RunReference)>,
    is_error: bool,
    text: String,
}

impl Line {
    pub(super) fn finished(name: String, run: RunReference, view: &RunView) -> Self {
        Self {
            task_run: Some((name, run)),
            is_error: !view.name.is_completed(),
            text: format!("Finished in state {}", describe_view(view)),
        }
    }

    pub(super) fn retry(name: String, run: RunReference, message: &str) -> Self {
        Self {
            task_run: Some((name, run)),
            is_error: false,
            text: message.to_owned(),
        }
    }

    pub(super) fn write(self, flow: &FlowRun) {
        let who = match &self.task_run {
            Some((name, _)) => format!("Task run '{name}'"),
            None => format!("Flow run '{}'", flow.name()),
        };
        if let Some(line) = flow.line() {
            // The thread that tells of an end is not always the run's own.
            let level = if self.is_error {
                LogLevel::Error
            } else {
                LogLevel::Info
            };
            let target = "flowcore::runs".to_owned();
            line.log(LogRecord::new(level, target, who, self.text));
            return;
        }
        let id = self.task_run.map(|(_, run)| flow.task_run_id(run));
        write(flow, id, self.is_error, &who, &self.text);
    }
}

/// The state of a run as a line shows it.
fn describe_view(view: &RunView) -> String {
    describe_state(view.name, state_message(view).as_deref())
}

/// How many lines a map has written.
#[derive(Default)]
pub(super) struct MapLog {
    written: u32,
    retries: u32,
}

impl MapLog {
    pub(super) fn rows(
        &mut self,
        map: &Map,
        rows: &Range<u32>,
        name: impl Fn(u32) -> (String, RunReference),
        lines: &mut Vec<Line>,
    ) {
        let all = map.length.is_some_and(|length| length <= ROW_LINES);
        if !all && map.failures.is_empty() {
            return;
        }
        for row in rows.clone() {
            if self.written >= ROW_LINES {
                break;
            }
            if let Some(view) = map.view(row)
                && (all || !view.name.is_completed())
            {
                self.written += 1;
                let (name, run) = name(row);
                lines.push(Line::finished(name, run, &view));
            }
        }
    }

    /// Whether a retry of one more row gets a line.
    pub(super) fn may_say_retry(&mut self, map: &Map) -> bool {
        self.retries = self.retries.saturating_add(1);
        map.length.is_some_and(|length| length <= ROW_LINES) || self.retries <= ROW_LINES
    }

    /// The line at the end of a map that has not written every row.
    pub(super) fn summary(&self, job: &dyn MapJob, map: Option<&Map>) -> Option<Line> {
        let map = map?;
        let length = map.length?;
        if length <= ROW_LINES || !is_heard() {
            return None;
        }
        let failed = map.failures.len();
        let completed = length as usize - failed;
        let is_error = failed > 0;
        let others = if is_error {
            format!(", {failed} did not complete")
        } else {
            String::new()
        };
        Some(Line {
            task_run: None,
            is_error,
            text: format!(
                "Finished {length} runs of '{}': {completed} completed{others}",
                job.options().labels.name
            ),
        })
    }
}

/// The end of something that was asked to stop.
pub(super) fn cancelled(message: &str) -> Failure {
    Failure::new(
        StateName::Cancelled,
        Some(message.to_owned()),
        Error::build(ErrorKind::Cancelled, message).finish(),
    )
}

/// The end of a run whose arguments were refused.
pub(super) fn refused(task_key: &str, error: Error) -> Failure {
    let message = format!("`{task_key}`: {error}");
    Failure::new(StateName::Failed, Some(message), error)
}

/// An upstream that never was: the call that should have made it was refused.
pub(super) fn refused_upstream(error: &Error) -> Failure {
    Failure::new(StateName::Failed, Some(error.to_string()), error.clone())
}

/// Writes a line about a call that was refused: nobody may ever read its
/// handle.
pub(super) fn say_refused(error: &Error) {
    tracing::error!(target: "flowcore::runs", "{error}");
}

/// Writes a line under the flow run's own name.
pub(super) fn say(flow: &FlowRun, text: &str) {
    // A run in which nothing runs has nothing to say.
    if flow.symbolic().is_none() {
        let who = format!("Flow run '{}'", flow.name());
        write(flow, None, false, &who, text);
    }
}

/// Writes a line; readers of `tracing` events find the runs' ids in it.
fn write(flow: &FlowRun, task_run: Option<Uuid>, is_error: bool, who: &str, text: &str) {
    let flow_run = (!flow.is_standalone()).then(|| display(flow.id()));
    let task_run = task_run.map(display);
    if is_error {
        tracing::error!(
            target: "flowcore::runs",
            who,
            flow_run.id = flow_run,
            task_run.id = task_run,
            "{text}"
        );
    } else {
        tracing::info!(
            target: "flowcore::runs",
            who,
            flow_run.id = flow_run,
            task_run.id = task_run,
            "{text}"
        );
    }
}

/// Writes a line about a failure that is not the flow run's end.
pub(super) fn say_failed(flow: &FlowRun, failure: &Failure) {
    let message = failure.0.message.as_deref();
    let text = describe_state(failure.0.name, message);
    let who = format!("Flow run '{}'", flow.name());
    write(flow, None, true, &who, &text);
}

/// The message of a settled run's state.
pub(super) fn state_message(view: &RunView) -> Option<Arc<str>> {
    match (view.name, &view.failure) {
        (StateName::NotReady, Some(failure)) => {
            let text = unready(&failure.0.error);
            Some(format!("{}.", text.replacen('u', "U", 1)).into())
        }
        (_, Some(failure)) => failure.0.message.clone(),
        (name, None) => name.own_message().map(Arc::from),
    }
}

/// The error that readers of a run that did not complete get. A run that
/// never started names the first cause.
pub(super) fn error_of(view: &RunView) -> Error {
    let Some(failure) = &view.failure else {
        return Error::build(
            ErrorKind::NotReady,
            format!("run is {}, its result is not available", view.name),
        )
        .finish();
    };
    let cause = &failure.0.error;
    if view.name != StateName::NotReady {
        return cause.clone();
    }
    Error::build(ErrorKind::NotReady, unready(cause))
        .because(cause.clone())
        .finish()
}

/// Why a run never started, in Prefect's words.
fn unready(cause: &Error) -> String {
    let task = || cause.task_key().and_then(|key| key.rsplit("::").next());
    let upstream = match cause.run_name() {
        Some(name) => format!(" '{}'", printable(name)),
        // Of a map that was cancelled as a whole no row is named.
        None => task().map_or_else(String::new, |task| format!(" of '{}'", printable(task))),
    };
    format!("upstream task run{upstream} did not reach a 'COMPLETED' state")
}
