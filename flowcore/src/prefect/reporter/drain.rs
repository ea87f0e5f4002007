//! How long the end of a flow run waits for its server, and what it says
//! meanwhile.

use std::pin::pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::flow::FlowRun;
use crate::prefect::ApiError;
use crate::prefect::outbox::Outbox;
use crate::{runtime, settings};

/// The setting of the longest wait, in seconds.
const SETTING: &str = "PREFECT_REPORTING_DRAIN_TIMEOUT";
const LIMIT: Duration = Duration::from_mins(5);

/// How long all ends of flow runs together wait for a server that has never
/// answered, unless the setting says how long: its address may be wrong.
const UNANSWERED: Duration = Duration::from_secs(10);

/// Nothing is said of a wait that is shorter.
const QUIET: Duration = Duration::from_secs(2);
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// How long the end of a flow run may wait for the server.
struct Limits {
    once_answered: Duration,
    unanswered: Duration,
}

impl Limits {
    fn of_process() -> Self {
        let wanted = settings::of_process()
            .get(SETTING)
            .map(|wanted| wanted.seconds());
        let wanted = wanted.transpose().unwrap_or_else(|error| {
            tracing::warn!(target: "flowcore::prefect", "{error}: it does not count");
            None
        });
        Self {
            once_answered: wanted.unwrap_or(LIMIT),
            unanswered: wanted.unwrap_or(UNANSWERED),
        }
    }
}

/// Says from time to time how much is left.
pub(super) struct Progress {
    name: String,
    next: Mutex<Instant>,
}

impl Progress {
    pub(super) fn new(flow: &FlowRun) -> Self {
        Self {
            name: flow.name().to_owned(),
            next: Mutex::new(Instant::now() + QUIET),
        }
    }

    pub(super) fn left(&self, left: usize) {
        let mut next = self.next.lock();
        let now = Instant::now();
        if left == 0 || now < *next {
            return;
        }
        *next = now + BETWEEN_LINES;
        tracing::info!(
            target: "flowcore::prefect",
            "Flow run '{}' has ended; its server is still being told: {left} left",
            self.name
        );
    }
}

/// Why nobody waits any longer.
pub(super) struct GaveUp {
    after: Duration,
    was_answered: bool,
}

/// Waits for something to be told: as long as the setting says, but for a
/// server that has never answered a short time, all waits of the process
/// together.
pub(super) async fn wait<T>(outbox: &Outbox, told: impl Future<Output = T>) -> Result<T, GaveUp> {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let limits = Limits::of_process();
    let begin = Instant::now();
    let waited = FIRST.get_or_init(|| begin).elapsed();
    let short = limits.unanswered.saturating_sub(waited);
    let mut told = pin!(told);
    if let Some(told) = runtime::timeout(short, told.as_mut()).await {
        return Ok(told);
    }
    let was_answered = outbox.was_answered();
    if was_answered {
        let rest = limits.once_answered.saturating_sub(short);
        if let Some(told) = runtime::timeout(rest, told).await {
            return Ok(told);
        }
    }
    Err(GaveUp {
        after: begin.elapsed(),
        was_answered,
    })
}

/// The server did not want the flow run, and there was a warning then.
pub(super) fn say_refused(flow: &FlowRun, refused: &ApiError) {
    tracing::debug!(
        target: "flowcore::prefect",
        "the server does not know how flow run '{}' ended: {refused}",
        flow.name()
    );
}

/// The flow run's end has waited long enough.
pub(super) fn say_left(flow: &FlowRun, gave_up: &GaveUp, outbox: &Outbox) {
    tracing::warn!(
        target: "flowcore::prefect",
        "flow run '{}' goes on before its server knows all of it: {} left{}",
        flow.name(),
        outbox.left(flow.id()),
        gave_up.rest(outbox)
    );
}

/// The same of task runs outside of flows.
pub(super) fn say_left_alone(gave_up: &GaveUp, outbox: &Outbox) {
    tracing::warn!(
        target: "flowcore::prefect",
        "the server does not know all task runs outside of flows{}",
        gave_up.rest(outbox)
    );
}

impl GaveUp {
    /// How long it was waited, and what can be done: the end of a line.
    fn rest(&self, outbox: &Outbox) -> String {
        let after = self.after.as_secs_f64();
        let mut text = if self.was_answered {
            format!(" after {after:.0} s ({SETTING})")
        } else {
            format!(
                ", as the Prefect server at {} has never answered; is it running, and does \
                 PREFECT_API_URL name it?",
                outbox.shown_url()
            )
        };
        if let Some(file) = outbox.kept() {
            text.push_str(&format!(
                "; what the server does not know when this process ends stays in {}: the command \
                 `replay`, or `flowcore::replay()`, tells it",
                file.display()
            ));
        }
        text
    }
}
