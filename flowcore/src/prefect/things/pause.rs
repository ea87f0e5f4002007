//! Flow runs that wait for people: paused on the server until somebody resumes
//! them there, with input if they ask for some.
//!
//! The process of a flow run that is paused waits with it, and nothing of it
//! ends; that of one that is suspended [leaves](super::suspend). Source:
//! `api.md` 12.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::wait;
use super::{PrefectError, suspend};
use crate::cancellation::block_on;
use crate::context::RunContext;
use crate::error::Result;
use crate::prefect::client::{ApiClient, ApiError};
use crate::prefect::message::StateUpdate;
use crate::prefect::outbox::Outbox;
use crate::prefect::transition::Answer;
use crate::state::StateType;

/// Prefect's default.
const TIMEOUT: Duration = Duration::from_hours(1);
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Pauses the flow run until somebody resumes it, on its page or by the API.
///
/// ```no_run
/// use flowcore::prelude::*;
///
/// #[flow]
/// async fn careful() -> Result<()> {
///     println!("all is ready");
///     flowcore::pause_flow_run().description("Look at the figures first.").await?;
///     println!("on it goes");
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// # Errors
///
/// Awaiting it fails with a [`PrefectError`]: outside of a flow's own code, if
/// the flow run is not reported to a server, if nobody resumes it
/// [in time](Pause::timeout), or if the server says no.
pub fn pause_flow_run() -> Pause<()> {
    Pause::new(None, |_| Ok(()))
}

/// Pauses the flow run until somebody resumes it with this input; the page of
/// the run shows a form for it, and the server checks it.
///
/// ```no_run
/// use flowcore::prelude::*;
///
/// #[derive(schemars::JsonSchema, serde::Deserialize)]
/// struct Approval {
///     /// Who says so.
///     by: String,
///     amount: u32,
/// }
///
/// #[flow]
/// async fn pays() -> Result<u32> {
///     let approval: Approval = flowcore::pause_for_input().await?;
///     println!("approved by {}", approval.by);
///     Ok(approval.amount)
/// }
/// # fn main() {}
/// ```
///
/// # Errors
///
/// As [`pause_flow_run`], and if the input is no value of the type after all.
pub fn pause_for_input<T>() -> Pause<T>
where
    T: JsonSchema + DeserializeOwned + Send + 'static,
{
    let schema = schemars::SchemaGenerator::default().into_root_schema_for::<T>();
    Pause::new(Some(schema.to_value()), |input| {
        serde_json::from_value(input).map_err(|error| PrefectError::OfAnotherType {
            what: "input",
            name: std::any::type_name::<T>().to_owned(),
            problem: format!("not what its schema says: {error}"),
        })
    })
}

/// A pause that is about to begin: await it, or [`block`](Self::block) in sync
/// code.
#[must_use = "nothing is paused until it is awaited"]
pub struct Pause<T> {
    schema: Option<Value>,
    description: Option<String>,
    key: Option<String>,
    timeout: Duration,
    poll_interval: Duration,
    /// Whether the process leaves.
    suspends: bool,
    read: fn(Value) -> Result<T, PrefectError>,
}

impl<T> fmt::Debug for Pause<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pause")
            .field("key", &self.key)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Pause<T> {
    fn new(schema: Option<Value>, read: fn(Value) -> Result<T, PrefectError>) -> Self {
        Self {
            schema,
            description: None,
            key: None,
            timeout: TIMEOUT,
            poll_interval: POLL_INTERVAL,
            suspends: false,
            read,
        }
    }

    pub(super) fn suspends(self) -> Self {
        Self {
            suspends: true,
            ..self
        }
    }

    /// What the form says above its fields, in Markdown.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// How long it waits at most. Default: an hour, as in Prefect.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How often it is looked whether somebody has resumed; only where the
    /// process waits. Default: every two seconds.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(Duration::from_millis(50));
        self
    }

    /// Tells this pause from others of the flow run: one that was suspended and
    /// resumed goes on behind those that it had. One that is retried comes by all
    /// of them once more. Default: the number of the pause.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Waits in sync code.
    ///
    /// # Errors
    ///
    /// Those of awaiting it, and an error of kind `Cancelled` if the flow run
    /// is cancelled meanwhile.
    pub fn block(self) -> Result<T> {
        block_on(self.run())
    }

    async fn run(self) -> Result<T> {
        self.paused().await.map_err(PrefectError::into_error)
    }

    async fn paused(self) -> Result<T, PrefectError> {
        let refused = |problem| match self.suspends {
            false => PrefectError::NotPaused { problem },
            true => PrefectError::NotSuspended { problem },
        };
        let context =
            RunContext::caller().ok_or_else(|| refused("it is called outside of a flow"))?;
        if context.run().is_some() {
            return Err(refused("a task calls it: call it in the flow's own code"));
        }
        let flow = context.flow().id();
        let outbox = Outbox::of_process()?.filter(|outbox| outbox.reports(flow));
        let (Some(outbox), Some(client)) = (outbox, ApiClient::of_process()?) else {
            return Err(PrefectError::NoServer { what: "pauses" });
        };
        let server = outbox.server_id(flow).await?;
        if self.suspends && !outbox.has_deployment(flow) {
            return Err(refused(
                "it is no run of a deployment, so nobody would start it again: `serve` or \
                 `deploy` the flow, or use `pause_flow_run`, which waits in the process",
            ));
        }
        let attempt = context.flow().attempt();
        let mut key = match &self.key {
            Some(key) => key.clone(),
            None => outbox.next_pause(flow, attempt).to_string(),
        };
        if attempt > 1 {
            // The server keeps what was answered in attempts before.
            key = format!("{key}-attempt-{attempt}");
        }
        let asks = Asks {
            client,
            server,
            keys: format!("{}-{key}", self.state_name().to_lowercase()),
        };
        self.announce(&asks).await?;
        let begin = Instant::now();
        let answer = outbox.propose(flow, &self.state(&key, &asks)).await?;
        let is_over = match answer {
            Answer::Accept => false,
            // It was resumed before: the process is another one.
            Answer::Reject {
                kind: Some(StateType::Running),
                ..
            } => true,
            Answer::Reject { reason, .. } | Answer::Abort { reason } => {
                return Err(PrefectError::Server(format!(
                    "the Prefect server does not let the flow run wait: {reason}"
                )));
            }
            Answer::Wait { .. } => {
                let text = "the Prefect server does not let the flow run wait now";
                return Err(PrefectError::Server(text.to_owned()));
            }
        };
        if !is_over && self.suspends {
            return Err(suspend::leave(context.flow()).await);
        }
        if !is_over {
            tracing::info!("Pausing flow, execution will continue when this flow run is resumed.");
            self.until_resumed(&asks, begin).await?;
            tracing::info!("Resuming flow run execution!");
        }
        let input = match self.schema {
            Some(_) => asks.response().await?,
            None => Value::Null,
        };
        (self.read)(input)
    }

    /// Says which input is wanted, before anybody can give it.
    async fn announce(&self, asks: &Asks) -> Result<(), PrefectError> {
        if let Some(schema) = &self.schema {
            asks.tell("schema", schema).await?;
        }
        if let Some(text) = &self.description {
            asks.tell("description", &json!(text)).await?;
        }
        Ok(())
    }

    fn state_name(&self) -> &'static str {
        if self.suspends { "Suspended" } else { "Paused" }
    }

    fn state(&self, key: &str, asks: &Asks) -> StateUpdate {
        let now = Timestamp::now();
        let end = now.checked_add(self.timeout).unwrap_or(Timestamp::MAX);
        let mut keys = Map::new();
        for (name, is_there) in [
            ("schema", self.schema.is_some()),
            ("description", self.description.is_some()),
            ("response", self.schema.is_some()),
        ] {
            if is_there {
                keys.insert(name.to_owned(), json!(asks.key(name)));
            }
        }
        let mut details = Map::new();
        details.insert("pause_timeout".to_owned(), json!(end));
        details.insert("pause_key".to_owned(), json!(key));
        details.insert("pause_reschedule".to_owned(), json!(self.suspends));
        if !keys.is_empty() {
            details.insert("run_input_keyset".to_owned(), Value::Object(keys));
        }
        StateUpdate {
            kind: StateType::Paused,
            name: self.state_name().to_owned(),
            message: None,
            at: now,
            details,
            data: None,
        }
    }

    async fn until_resumed(&self, asks: &Asks, begin: Instant) -> Result<(), PrefectError> {
        loop {
            let left = self.timeout.saturating_sub(begin.elapsed());
            wait(left.min(self.poll_interval)).await;
            match asks.state().await {
                Ok(state) if state == "RUNNING" => return Ok(()),
                Ok(state) if state != "PAUSED" => {
                    return Err(PrefectError::Server(format!(
                        "the flow run is {state} on the Prefect server, and was not resumed"
                    )));
                }
                Err(error) if !error.may_pass() => return Err(error.into()),
                // It goes on waiting while the server is away.
                Ok(_) | Err(_) => {}
            }
            if begin.elapsed() >= self.timeout {
                return Err(PrefectError::PauseTimedOut {
                    limit: self.timeout,
                });
            }
        }
    }
}

impl<T: Send + 'static> IntoFuture for Pause<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// What is asked of the server for one pause.
struct Asks {
    client: ApiClient,
    /// The flow run's id there.
    server: Uuid,
    /// What all its keys begin with.
    keys: String,
}

impl Asks {
    fn key(&self, name: &str) -> String {
        format!("{}-{name}", self.keys)
    }

    /// The server keeps JSON as text.
    async fn tell(&self, name: &str, value: &Value) -> Result<(), ApiError> {
        let path = format!("/flow_runs/{}/input", self.server);
        let body = json!({"key": self.key(name), "value": value.to_string()});
        match self.client.post::<Option<Value>>(&path, &body).await {
            // Said before: by a request whose answer got lost, or by the
            // attempt before this one.
            Ok(_) | Err(ApiError::Invalid { status: 409, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn state(&self) -> Result<String, ApiError> {
        #[derive(Deserialize)]
        struct Run {
            state_type: String,
        }
        let path = format!("/flow_runs/{}", self.server);
        let run: Run = self.client.get(&path).await?;
        Ok(run.state_type)
    }

    async fn response(&self) -> Result<Value, ApiError> {
        let path = format!("/flow_runs/{}/input/{}", self.server, self.key("response"));
        self.client.get(&path).await
    }
}
