//! Lines that a server is told: what runs log, and the engine's own about them.
//!
//! Whose a line is follows from the code that writes it, or from the ids that
//! the engine's own lines have. Invariant: no two lines of a process have one
//! time, since a server sorts them by it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use uuid::Uuid;

use super::REPORTER;
use crate::console::EventText;
use crate::context::RunContext;
use crate::prefect::client::{ApiSettings, Secret};
use crate::prefect::message::{LogLine, Message};
use crate::settings;

/// The engine's own lines about runs.
const RUNS: &str = "flowcore::runs";
/// What is said of reporting itself is not reported.
const OURS: &str = "flowcore::prefect";

/// Tells the process's server of events in runs.
pub(crate) struct Lines {
    secrets: Vec<Secret>,
}

/// The layer, if a server is told of lines.
pub(crate) fn lines() -> Option<Lines> {
    if crate::mode::is_entered() {
        return None;
    }
    // A mistake in it is told where runs begin.
    let server = ApiSettings::of_process().ok().flatten()?;
    let is_on = settings::of_process().flag("PREFECT_LOGGING_TO_API_ENABLED", true);
    is_on.unwrap_or(true).then(|| Lines {
        secrets: server.secrets().cloned().collect(),
    })
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        // Not made here: that may itself say something.
        let Some(Some(reporter)) = REPORTER.get() else {
            return;
        };
        if metadata.target().starts_with(OURS) {
            return;
        }
        let mut read = Read::default();
        event.record(&mut read);
        if read.flow_run.is_none() && read.task_run.is_none() {
            let Some(context) = RunContext::current() else {
                return;
            };
            let flow = context.flow();
            // Those of another process go there, those of no run nowhere.
            if flow.is_elsewhere() || flow.symbolic().is_some() {
                return;
            }
            read.flow_run = (!flow.is_standalone()).then(|| flow.id());
            read.task_run = context.run().map(|run| flow.task_run_id(run));
        }
        let logger = match (metadata.target(), read.task_run) {
            (RUNS, Some(_)) => "prefect.task_runs".to_owned(),
            (RUNS, None) => "prefect.flow_runs".to_owned(),
            (target, _) => read.target.unwrap_or_else(|| target.to_owned()),
        };
        let line = LogLine {
            logger,
            level: level(*metadata.level()),
            message: without(read.text.message, &self.secrets),
            at: next_time(),
            flow: read.flow_run,
            task_run: read.task_run,
        };
        reporter.outbox.put(Message::Log(Box::new(line)));
    }
}

/// Levels as Python has them.
fn level(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG | Level::TRACE => 10,
    }
}

/// The text with asterisks for what nobody shall see.
fn without(mut text: String, secrets: &[Secret]) -> String {
    for secret in secrets {
        let secret = secret.expose();
        if !secret.is_empty() && text.contains(secret) {
            text = text.replace(secret, "********");
        }
    }
    text
}

fn next_time() -> Timestamp {
    static LAST: Mutex<Timestamp> = Mutex::new(Timestamp::UNIX_EPOCH);
    let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond());
    let now = now.unwrap_or(Timestamp::UNIX_EPOCH);
    let mut last = LAST.lock();
    let after = last.checked_add(SignedDuration::from_micros(1));
    *last = now.max(after.unwrap_or(now));
    *last
}

/// What an event says.
#[derive(Default)]
struct Read {
    text: EventText,
    target: Option<String>,
    flow_run: Option<Uuid>,
    task_run: Option<Uuid>,
}

impl Read {
    /// Whether the field is one of ours.
    fn takes(&mut self, name: &str, value: &dyn fmt::Display) -> bool {
        match name {
            "flow_run.id" => self.flow_run = value.to_string().parse().ok(),
            "task_run.id" => self.task_run = value.to_string().parse().ok(),
            "log.target" => self.target = Some(value.to_string()),
            _ => return false,
        }
        true
    }
}

impl Visit for Read {
    fn record_str(&mut self, field: &Field, value: &str) {
        if !self.takes(field.name(), &value) {
            self.text.record_str(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !self.takes(field.name(), &format_args!("{value:?}")) {
            self.text.record_debug(field, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_leave_and_times_differ() {
        let secrets = [Secret::new("pnu_123"), Secret::new("")];
        assert_eq!(
            without("key pnu_123, not pnu_12".to_owned(), &secrets),
            "key ********, not pnu_12"
        );
        let times: Vec<_> = (0..100).map(|_| next_time()).collect();
        assert!(times.is_sorted_by(|one, other| one < other));
    }
}
