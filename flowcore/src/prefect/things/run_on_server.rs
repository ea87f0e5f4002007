//! Runs of flows and tasks as a server has them, for who asked for them and
//! looks what becomes of them.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::answer::wait;
use crate::error::{Error, ErrorKind, Result};
use crate::prefect::client::{ApiClient, ApiError};
use crate::prefect::on_server::is_terminal;

#[derive(Deserialize)]
pub(in crate::prefect) struct RunOnServer {
    pub(super) id: Uuid,
    name: String,
    state_type: Option<String>,
    state_name: Option<String>,
    state: Option<StateOnServer>,
}

#[derive(Deserialize)]
struct StateOnServer {
    message: Option<String>,
}

impl RunOnServer {
    fn has_ended(&self) -> bool {
        self.state_type.as_deref().is_some_and(is_terminal)
    }

    /// What who asked for it is given.
    pub(in crate::prefect) fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "state_type": self.state_type,
            "state_name": self.state_name,
            "message": self.state.as_ref().and_then(|state| state.message.as_deref()),
        })
    }
}

/// The run at this path when it has ended, or as it is after this time; `run`
/// is how it was seen before.
pub(in crate::prefect) async fn until_ended(
    client: &ApiClient,
    path: &str,
    mut run: Option<RunOnServer>,
    limit: Option<Duration>,
    every: Duration,
) -> Result<RunOnServer, ApiError> {
    let begin = Instant::now();
    let mut is_looked_at_once = run.is_none();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(begin.elapsed()));
        let is_over = left.is_some_and(|left| left.is_zero());
        if let Some(run) = run.take_if(|run| is_over || run.has_ended()) {
            return Ok(run);
        }
        if !std::mem::take(&mut is_looked_at_once) {
            wait(left.map_or(every, |left| left.min(every))).await;
        }
        match client.get(path).await {
            Ok(seen) => run = Some(seen),
            // It goes on without our looking.
            Err(error) if error.may_pass() && !is_over => {
                tracing::debug!(target: "flowcore::prefect", "{error}");
            }
            Err(error) => return Err(error),
        }
    }
}

/// Nothing if a run in this state completed; else an error that names run and
/// state.
pub(in crate::prefect) fn result_of(
    what: &str,
    name: &str,
    state_type: Option<&str>,
    state_name: Option<&str>,
    message: Option<&str>,
) -> Result<()> {
    let kind = match state_type {
        Some("COMPLETED") => return Ok(()),
        Some("FAILED") => ErrorKind::Failed,
        Some("CANCELLED") => ErrorKind::Cancelled,
        Some("CRASHED") => ErrorKind::Crashed,
        _ => ErrorKind::TimedOut,
    };
    let state = state_name.unwrap_or("in no state");
    let message = message.map_or_else(String::new, |text| format!(": {text}"));
    let text = format!("{what} '{name}' is {state}{message}");
    Err(Error::build(kind, text).finish())
}
