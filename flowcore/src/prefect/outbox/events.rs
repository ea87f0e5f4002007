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
/// After so many events it is asked whether the socket lives.
const PING_AFTER: usize = 700;
const PING_LIMIT: Duration = Duration::from_secs(30);
/// As often a socket may fail before events go by requests.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) async fn send(shared: Arc<Shared>) {
    let mut line = Line::new(Arc::clone(&shared));
    loop {
        let events = shared.with(|ledger, _| ledger.next_events(BATCH));
        if !events.is_empty() {
            line.send(events).await;
            continue;
        }
        let question = shared.with(super::Ledger::next_question);
        match question {
            NextQuestion::Wait(until) => news(&shared.for_events, until).await,
            NextQuestion::Ask(question) => {
                line.confirm().await;
                if let Err(error) = ask(&shared, &question).await
                    && !shared.is_shut_by(&error)
                {
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
        state: row.state_name.unwrap_or_default(),
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
        Question::Rows(ids) => {
            let seen = rows(&shared.client, ids).await?;
            shared.with(|ledger, now| ledger.seen(ids, &seen, now));
        }
    }
    Ok(())
}

/// The way of events to the server.
struct Line {
    shared: Arc<Shared>,
    client: ApiClient,
    way: Way,
    /// Sent since the other side last showed that it lives: sent again, with
    /// the same ids, when the socket breaks.
    unconfirmed: VecDeque<Value>,
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

impl Line {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            client: shared.client.clone(),
            shared,
            way: Way::Unknown,
            unconfirmed: VecDeque::new(),
        }
    }

    /// Sends events, however long it takes.
    async fn send(&mut self, events: Vec<Value>) {
        let mut fresh = events.len();
        self.unconfirmed.extend(events);
        while !self.unconfirmed.is_empty() {
            match &mut self.way {
                Way::Open(socket) => {
                    let first = self.unconfirmed.len() - fresh;
                    let texts = self.unconfirmed.iter().skip(first).map(Value::to_string);
                    let texts: Vec<String> = texts.collect();
                    let sent = socket.send_all(texts).await;
                    if let Err(error) = sent {
                        self.broken(&error);
                        continue;
                    }
                    if self.unconfirmed.len() >= PING_AFTER {
                        self.confirm().await;
                    }
                    return;
                }
                Way::Requests => {
                    if self.post().await {
                        return;
                    }
                }
                Way::Runs(_) => return self.tell_runs().await,
                Way::Unknown => self.ask_version().await,
                Way::Closed { .. } => {
                    // What was on its way may be lost with the old socket.
                    fresh = self.unconfirmed.len();
                    self.open().await;
                }
            }
        }
    }

    /// Makes sure that the other side has what was sent.
    async fn confirm(&mut self) {
        while !self.unconfirmed.is_empty() {
            match &mut self.way {
                Way::Open(socket) => match socket.ping(PING_LIMIT).await {
                    Ok(()) => self.unconfirmed.clear(),
                    Err(error) => {
                        self.broken(&error);
                        Box::pin(self.send(Vec::new())).await;
                    }
                },
                Way::Requests => {
                    self.post().await;
                }
                Way::Runs(_) => self.tell_runs().await,
                Way::Unknown => self.ask_version().await,
                Way::Closed { .. } => Box::pin(self.send(Vec::new())).await,
            }
        }
    }

    fn broken(&mut self, error: &ApiError) {
        tracing::debug!(target: "flowcore::prefect", "{error}: the socket is opened again");
        self.way = Way::Closed { failures: 0 };
    }

    /// Finds out how this server is told of task runs.
    async fn ask_version(&mut self) {
        let version = match self.client.version().await {
            Ok(version) => version,
            Err(error) if error.may_pass() => {
                tracing::debug!(target: "flowcore::prefect", "{error}");
                tokio::time::sleep(PAUSE).await;
                return;
            }
            Err(error) if self.shared.is_shut_by(&error) => {
                self.unconfirmed.clear();
                return;
            }
            Err(error) => {
                tracing::warn!(
                    target: "flowcore::prefect",
                    "{error}; it is taken for a server of the newest version that is known"
                );
                self.way = Way::Closed { failures: 0 };
                return;
            }
        };
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
    }

    /// Tells all, however long it takes.
    async fn tell_runs(&mut self) {
        while let (Way::Runs(way), Some(event)) = (&mut self.way, self.unconfirmed.front()) {
            match way.tell(&self.client, event).await {
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
        let is_blocked = !matches!(error, ApiError::Unreachable { .. }) && failures >= ATTEMPTS;
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

    /// Whether all is sent.
    async fn post(&mut self) -> bool {
        let count = self.unconfirmed.len().min(BATCH);
        let batch: Vec<&Value> = self.unconfirmed.iter().take(count).collect();
        let posted = self.client.post::<Option<Value>>("/events", &batch).await;
        match posted {
            Ok(_) => {
                self.unconfirmed.drain(..count);
            }
            Err(error) if error.may_pass() => {
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
        self.unconfirmed.is_empty()
    }
}
