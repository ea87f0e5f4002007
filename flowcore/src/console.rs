//! What a program prints of its runs: Prefect's lines, on stderr.
//!
//! `13:24:05.117 | INFO    | Task run 'inc-9c2' - Finished in state
//! Completed()`. The engine's own lines carry who they are about; any other
//! `tracing` event stands under the run whose code wrote it.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::ZonedDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::context::RunContext;
use crate::runner::LogRecord;
use crate::settings;

/// Starts printing, unless the program has a subscriber of its own.
pub(crate) fn install() {
    // A program that has set its own subscriber keeps it.
    let _ = Registry::default().with(layer()).try_init();
}

/// The console's lines as a layer, for a program with a `tracing` subscriber
/// of its own: runs' lines and whatever runs log, each under its run, on
/// stderr.
///
/// Whose an event is follows from the code that emits it, not from spans, so
/// spans and filters of other layers play no part. It has a filter of its own:
/// `RUST_LOG` if it is set, else the level in `PREFECT_LOGGING_LEVEL`, else
/// INFO. A layer of your own finds the run of an event in
/// [`run_info`](crate::run_info).
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// tracing_subscriber::registry()
///     .with(flowcore::layer())
///     // and your own: files, OpenTelemetry, …
///     .init();
/// // Keeps the subscriber that is there.
/// flowcore::init();
/// ```
pub fn layer<S>() -> impl Layer<S> + Send + Sync + 'static
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let level = settings::text("PREFECT_LOGGING_LEVEL");
    let console = Console.with_filter(filter(
        std::env::var("RUST_LOG").ok().as_deref(),
        level.as_deref(),
    ));
    #[cfg(feature = "prefect")]
    let console = console
        .and_then(crate::prefect::reporter::lines().with_filter(filter(None, level.as_deref())));
    console
}

/// `RUST_LOG` decides if it is there, else Prefect's setting; others' crates
/// speak up from WARNING on, as in Prefect.
fn filter(rust_log: Option<&str>, level: Option<&str>) -> Targets {
    if let Some(targets) = rust_log.and_then(|text| text.parse::<Targets>().ok()) {
        return targets;
    }
    let level = match level.map(str::to_ascii_uppercase).as_deref() {
        Some("DEBUG" | "NOTSET") => LevelFilter::DEBUG,
        Some("WARNING" | "WARN") => LevelFilter::WARN,
        Some("ERROR" | "CRITICAL") => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    Targets::new().with_default(level)
}

/// Begins a line that somebody else is told anyway, where that matters.
pub(crate) const TOLD: char = '\u{1e}';

static MARKS_LINES: AtomicBool = AtomicBool::new(false);

/// From now on lines begin with [`TOLD`]: who reads them takes it away, and
/// knows that the server has them.
#[cfg(feature = "prefect")]
pub(crate) fn mark_lines() {
    MARKS_LINES.store(true, Ordering::Relaxed);
}

fn mark(line: String) -> String {
    if MARKS_LINES.load(Ordering::Relaxed) {
        // Each of a text with several.
        let line = line
            .trim_end_matches('\n')
            .replace('\n', &format!("\n{TOLD}"));
        format!("{TOLD}{line}\n")
    } else {
        line
    }
}

struct Console;

impl<S: Subscriber> Layer<S> for Console {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut text = EventText::default();
        event.record(&mut text);
        let context = RunContext::current();
        let who = text
            .who
            .or_else(|| context.as_ref().map(RunContext::who))
            .unwrap_or_else(|| event.metadata().target().to_owned());
        if let Some(line) = context.as_ref().and_then(|context| context.flow().line()) {
            // The flow's process shows it.
            let level = (*event.metadata().level()).into();
            let target = event.metadata().target().to_owned();
            return line.log(LogRecord::new(level, target, who, text.message));
        }
        let line = line(
            &ZonedDateTime::now(),
            *event.metadata().level(),
            &who,
            &text.message,
        );
        let line = mark(line);
        crate::progress::suspended(|| {
            // Nobody is left to tell if stderr is closed.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        });
    }
}

fn line(now: &ZonedDateTime, level: Level, who: &str, message: &str) -> String {
    let level = match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    };
    let milliseconds = now.subsec_nanosecond() / 1_000_000;
    format!(
        "{}.{milliseconds:03} | {level:<7} | {} - {message}\n",
        now.strftime("%H:%M:%S"),
        printable(who)
    )
}

/// A name that may hold anything, on one line and without a terminal's control
/// characters.
pub(crate) fn printable(name: &str) -> Cow<'_, str> {
    if !name.contains(char::is_control) {
        return Cow::Borrowed(name);
    }
    let mut text = String::with_capacity(name.len());
    for char in name.chars() {
        if char.is_control() {
            text.extend(char.escape_debug());
        } else {
            text.push(char);
        }
    }
    Cow::Owned(text)
}

/// The message, and the other fields behind it.
#[derive(Default)]
pub(crate) struct EventText {
    who: Option<String>,
    pub(crate) message: String,
}

impl EventText {
    fn field(&mut self, name: &str, value: fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = match name {
            "who" => {
                self.who = Some(value.to_string());
                Ok(())
            }
            // Whose line it is, for others, and of one from another process
            // where it was written there.
            "flow_run.id" | "task_run.id" | "log.target" => Ok(()),
            "message" => {
                self.message.insert_str(0, &value.to_string());
                Ok(())
            }
            _ => write!(self.message, " {name}={value}"),
        };
    }
}

impl Visit for EventText {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field.name(), format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field.name(), format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_prefects() {
        let now: ZonedDateTime = "2026-11-24T13:04:05.0071[UTC]".parse().unwrap();
        assert_eq!(
            line(
                &now,
                Level::INFO,
                "Task run 'inc-9c2'",
                "Finished in state Completed()"
            ),
            "13:04:05.007 | INFO    | Task run 'inc-9c2' - Finished in state Completed()\n"
        );
    }

    #[test]
    fn names_stay_on_their_line() {
        assert_eq!(printable("load-it's-1a2"), "load-it's-1a2");
        assert_eq!(printable("it's\x1b[31m\nb"), r"it's\u{1b}[31m\nb");
    }

    #[test]
    fn levels_come_from_prefects_setting_unless_rust_log_is_set() {
        let shows = |filter: &Targets, level: &Level| filter.would_enable("my_crate", level);
        let default = filter(None, None);
        assert!(shows(&default, &Level::INFO) && !shows(&default, &Level::DEBUG));
        assert!(shows(&filter(None, Some("debug")), &Level::DEBUG));
        assert!(!shows(&filter(Some("error"), Some("DEBUG")), &Level::WARN));
    }
}
