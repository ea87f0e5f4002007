//! How long the end of a flow run waits for its server, and what it says
//! meanwhile.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::flow::FlowRun;
use crate::prefect::outbox::Finished;
use crate::settings;

/// The setting of the longest wait, in seconds.
const SETTING: &str = "PREFECT_REPORTING_DRAIN_TIMEOUT";
const LIMIT: Duration = Duration::from_mins(5);

/// Nothing is said of a wait that is shorter.
const QUIET: Duration = Duration::from_secs(2);
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// How long the end of a flow run may wait for the server.
pub(super) fn limit() -> Duration {
    settings::of_process()
        .seconds(SETTING, LIMIT)
        .unwrap_or_else(|error| {
            tracing::warn!(target: "flowcore::prefect", "{error}: it does not count");
            LIMIT
        })
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

/// Says what the server does not know.
pub(super) fn say(flow: &FlowRun, finished: &Finished, limit: Duration) {
    let name = flow.name();
    if let Some(refused) = &finished.refused {
        tracing::warn!(
            target: "flowcore::prefect",
            "the server does not know how flow run '{name}' ended: {refused}"
        );
    } else if finished.left > 0 {
        tracing::warn!(
            target: "flowcore::prefect",
            "flow run '{name}' goes on before its server knows all of it: {} left after {} s \
             ({SETTING})",
            finished.left,
            limit.as_secs_f64()
        );
    }
}
