//! The task that sends events, and asks whether they were recorded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::by_requests::ByRequests;
use super::ledger::{NextQuestion, Question, Seen};
use super::{Shared, bodies, news, terminal_runs_of};
use crate::prefect::client::{ApiClient, ApiError, EventSocket};
use crate::prefect::on_server::TypeOnServer;

const PATH: &str = "/events/in";
/// Sent at once: between batches newer states may melt with older ones.
const BATCH: usize = 100;
/// So long states gather: runs that end soon are told once.
const GATHER: Duration = Duration::from_millis(25);
/// The most events after which it is asked whether the socket lives.
const PING_AFTER: usize = 700;
const PING_LIMIT: Duration = Duration::from_secs(30);
/// As often a socket may fail before events go by requests.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) async fn send(shared: Arc<Shared>) {
    let mut line = Line::new(Arc::clone(&shared));
    loop {
        // How events are written depends on it.
        if line.way.is_unknown() && shared.with(|ledger, _| ledger.has_events()) {
            let has_answered = line.ask_version().await;
            if !has_answered {
                continue;
            }
        }
        let events = shared.with(|ledger, _| ledger.next_events(BATCH));
        if !events.is_empty() {
            line.send(events).await;
            continue;
        }
        let question = shared.with(super::Ledger::next_question);
        match question {
            NextQuestion::Wait(until) => {
                news(&shared.for_events, until).await;
                tokio::time::sleep(GATHER).await;
            }
            NextQuestion::Ask(question) => {
                line.confirm().await;
                if let Err(error) = ask(&shared, &question).await
                    && !shared.is_shut_by(&error)
                {
                    shared.was_away(&error);
                    tracing::debug!(target: "flowcore::prefect", "{error}");
                    tokio::time::sleep(PAUSE).await;
                }
                shared.progress.notify_waiters();
                shared.for_calls.notify_one();
            }
        }
    }
}

#[derive(Deserialize)]
struct SeenRun {
    id: Uuid,
    state_name: Option<String>,
    state: Option<SeenState>,
}

#[derive(Deserialize)]
struct SeenState {
    #[serde(rename = "type")]
    kind: TypeOnServer,
    timestamp: Timestamp,
}

/// How the server shows these task runs, at most 200.
pub(super) async fn rows(client: &ApiClient, ids: &[Uuid]) -> Result<Vec<Seen>, ApiError> {
    let filter = json!({"task_runs": {"id": {"any_": ids}}, "limit": ids.len()});
    // Elsewhere it is the server's time at which it was told, which says
    // nothing.
    let has_our_times = !matches!(client.version().await, Ok(version) if !version.records_events());
    let rows: Vec<SeenRun> = client.ask("/task_runs/filter", &filter).await?;
    let seen = rows.into_iter().map(|row| Seen {
        id: row.id,
        // A server that is killed may leave the name of a state without it.
        state: row
            .state_name
            .filter(|_| row.state.is_some())
            .unwrap_or_default(),
        is_final: row
            .state
            .as_ref()
            .is_some_and(|state| state.kind.0.is_terminal()),
        at: row
            .state
            .filter(|_| has_our_times)
            .map(|state| state.timestamp),
    });
    Ok(seen.collect())
}

async fn ask(shared: &Shared, question: &Question) -> Result<(), ApiError> {
    match question {
        Question::Count {
            flow,
            server,
            sent,
            since,
        } => {
            let mut filter = terminal_runs_of(*server);
            if let Some(since) = since {
                let since = json!({"after_": bodies::time(*since)});
                filter["task_runs"]["expected_start_time"] = since;
            }
            let count: u64 = shared.client.ask("/task_runs/count", &filter).await?;
            shared.with(|ledger, now| ledger.counted(*flow, *sent, count, now));
        }
        Question::Rows { flow, ids } => {
            let seen = rows(&shared.client, ids).await?;
            shared.with(|ledger, now| ledger.seen(*flow, ids, &seen, now));
        }
    }
    Ok(())
}

/// An event as others than a socket want it.
fn as_value(event: &str) -> Value {
    serde_json::from_str(event).expect("events are written as JSON")
}

/// The way of events to the server.
struct Line {
    shared: Arc<Shared>,
    client: ApiClient,
    way: Way,
    /// Not known to have arrived: sent again, with the same ids, when the
    /// socket breaks.
    unconfirmed: VecDeque<String>,
    /// So many of them went through the open socket.
    sent: usize,
    /// After so many events it is asked whether the socket lives.
    ping_after: usize,
}

enum Way {
    /// Nobody has asked the server what it can do.
    Unknown,
    Closed {
        failures: u32,
    },
    Open(Box<EventSocket>),
    /// Something between us and the server lets no sockets through.
    Requests,
    /// The server records no events.
    Runs(ByRequests),
}

impl Way {
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl Line {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            client: shared.client.clone(),
            shared,
            way: Way::Unknown,
            unconfirmed: VecDeque::new(),
            sent: 0,
            ping_after: PING_AFTER,
        }
    }

    /// Sends events, however long it takes.
    async fn send(&mut self, events: Vec<String>) {
        self.unconfirmed.extend(events);
        self.tell(false).await;
    }

    /// Makes sure that the other side has what was sent.
    async fn confirm(&mut self) {
        self.tell(true).await;
    }

    /// Until all is sent, or even known to have arrived.
    async fn tell(&mut self, confirms: bool) {
        while !self.unconfirmed.is_empty() {
            match &mut self.way {
                Way::Open(_) => {
                    let is_sent = self.sent == self.unconfirmed.len();
                    if is_sent && !confirms && self.sent < self.ping_after {
                        return;
                    }
                    self.tell_socket().await;
                }
                Way::Requests => self.post().await,
                Way::Runs(_) => self.tell_runs().await,
                Way::Unknown => {
                    self.ask_version().await;
                }
                Way::Closed { .. } => self.open().await,
            }
        }
    }

    /// Sends some, or asks whether what was sent has arrived.
    async fn tell_socket(&mut self) {
        let Way::Open(socket) = &mut self.way else {
            return;
        };
        let room = self.ping_after.saturating_sub(self.sent);
        let texts = self.unconfirmed.iter().skip(self.sent).take(room);
        let texts: Vec<String> = texts.cloned().collect();
        let count = texts.len();
        let done = if count == 0 {
            socket.ping(PING_LIMIT).await
        } else {
            socket.send_all(texts).await
        };
        match done {
            Ok(()) if count == 0 => {
                self.unconfirmed.drain(..self.sent);
                self.sent = 0;
                self.ping_after = (self.ping_after * 2).min(PING_AFTER);
            }
            Ok(()) => self.sent += count,
            Err(error) => self.broken(&error),
        }
    }

    fn broken(&mut self, error: &ApiError) {
        tracing::debug!(target: "flowcore::prefect", "{error}: the socket is opened again");
        self.shared.with(|ledger, _| ledger.may_have_died());
        // What was on its way may be lost with the old socket. Should the next
        // one break as early, part of it has arrived.
        self.sent = 0;
        self.ping_after = (self.ping_after / 2).max(1);
        self.way = Way::Closed { failures: 0 };
    }

    /// Finds out how this server is told of task runs; whether it has answered.
    async fn ask_version(&mut self) -> bool {
        let version = match self.client.version().await {
            Ok(version) => version,
            Err(error) if error.may_pass() => {
                tracing::debug!(target: "flowcore::prefect", "{error}");
                tokio::time::sleep(PAUSE).await;
                return false;
            }
            Err(error) if self.shared.is_shut_by(&error) => {
                self.unconfirmed.clear();
                return true;
            }
            Err(error) => {
                tracing::warn!(
                    target: "flowcore::prefect",
                    "{error}; it is taken for a server of the newest version that is known"
                );
                self.shared
                    .with(|ledger, _| ledger.has_fractional_delays = true);
                self.way = Way::Closed { failures: 0 };
                return true;
            }
        };
        let has_fractions = version.has_fractional_delays();
        self.shared
            .with(|ledger, _| ledger.has_fractional_delays = has_fractions);
        if version.is_unknown() {
            tracing::warn!(
                target: "flowcore::prefect",
                "the Prefect server is of version {version}, with which nobody has tried this: \
                 it is taken for the newest version that is known"
            );
        }
        self.way = if version.records_events() || version.is_unknown() {
            Way::Closed { failures: 0 }
        } else {
            Way::Runs(ByRequests::default())
        };
        true
    }

    /// Tells all, however long it takes.
    async fn tell_runs(&mut self) {
        while let (Way::Runs(way), Some(event)) = (&mut self.way, self.unconfirmed.front()) {
            match way.tell(&self.client, &as_value(event)).await {
                Ok(()) => {}
                Err(error) if error.may_pass() => {
                    tracing::debug!(target: "flowcore::prefect", "{error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) if self.shared.is_shut_by(&error) => {
                    self.unconfirmed.clear();
                    return;
                }
                Err(error) => tracing::error!(
                    target: "flowcore::prefect",
                    "{error}: a state of a task run is not reported"
                ),
            }
            self.unconfirmed.pop_front();
        }
    }

    async fn open(&mut self) {
        let Way::Closed { failures } = self.way else {
            return;
        };
        let error = match EventSocket::connect(&self.client, PATH).await {
            Ok(socket) => {
                self.way = Way::Open(Box::new(socket));
                return;
            }
            Err(error) => error,
        };
        let failures = failures + 1;
        let is_blocked = !error.is_unreached() && failures >= ATTEMPTS;
        tracing::debug!(target: "flowcore::prefect", "{error}");
        if is_blocked {
            tracing::debug!(target: "flowcore::prefect", "events go by requests");
            self.way = Way::Requests;
            return;
        }
        self.way = Way::Closed { failures };
        let pause = PAUSE.saturating_mul(failures).min(LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
    }

    async fn post(&mut self) {
        let count = self.unconfirmed.len().min(BATCH);
        let batch: Vec<Value> = self
            .unconfirmed
            .iter()
            .take(count)
            .map(|event| as_value(event))
            .collect();
        let posted = self.client.post::<Option<Value>>("/events", &batch).await;
        match posted {
            Ok(_) => {
                self.unconfirmed.drain(..count);
            }
            Err(error) if error.may_pass() => {
                self.shared.was_away(&error);
                tracing::debug!(target: "flowcore::prefect", "{error}");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) if self.shared.is_shut_by(&error) => self.unconfirmed.clear(),
            Err(error) => {
                tracing::error!(
                    target: "flowcore::prefect",
                    "{error}: {count} states of task runs are not reported"
                );
                self.unconfirmed.drain(..count);
            }
        }
    }
}
