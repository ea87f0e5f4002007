//! The task that makes requests, one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::ledger::{Call, Next, Reply, SentLine};
use super::{ServerFlowRun, Shared, artifacts, bodies, news};
use crate::prefect::client::{ApiClient, ApiError};
use crate::prefect::message::NewFlowRun;
use crate::prefect::naming::is_taken;
use crate::prefect::transition::{Answer, propose};
use crate::state::StateType;

pub(super) async fn make(shared: Arc<Shared>) {
    let mut flows = HashMap::new();
    loop {
        match shared.with(super::Ledger::next_call) {
            Next::Wait(until) => {
                // That there is nothing to ask for can be what somebody waits for.
                shared.progress.notify_waiters();
                news(&shared.for_calls, until).await;
            }
            Next::Call(call) => {
                let reply = match perform(&shared, &call, &mut flows).await {
                    Ok(reply) => reply,
                    Err(error) if is_at_this(&shared.client, &call, &error).await => {
                        Reply::FailedAtThis(error)
                    }
                    Err(error) => Reply::Failed(error),
                };
                shared.with(|ledger, now| ledger.answered(*call, reply, now));
                shared.progress.notify_waiters();
                shared.for_events.notify_one();
            }
        }
    }
}

/// Whether the server fails at a call and not as a whole: it gives what the call
/// is about.
async fn is_at_this(client: &ApiClient, call: &Call, error: &ApiError) -> bool {
    if !matches!(error, ApiError::Failing { .. }) {
        return false;
    }
    let path = match call {
        Call::Begin { .. } => return false,
        Call::Rename { server, .. } | Call::State { server, .. } => format!("/flow_runs/{server}"),
        Call::Artifact(call) => artifacts::path_of(call),
        Call::Lines(lines) | Call::FindLines(lines) => {
            match lines.iter().find_map(|line| line.flow_run) {
                Some(flow_run) => format!("/flow_runs/{flow_run}"),
                None => return false,
            }
        }
    };
    let given: Result<IgnoredAny, _> = client.get(&path).await;
    given.map_or_else(|error| !error.may_pass(), |_| true)
}

async fn perform(
    shared: &Shared,
    call: &Call,
    flows: &mut HashMap<String, Uuid>,
) -> Result<Reply, ApiError> {
    let client = &shared.client;
    match call {
        Call::Begin { new, parent } => {
            let flow = match flows.get(&new.flow_name) {
                Some(known) => *known,
                None => {
                    let name = &new.flow_name;
                    if !is_taken(name) {
                        let name = name.clone();
                        return Err(ApiError::FlowName { name });
                    }
                    let made: Made = client
                        .post("/flows/", &json!({"name": new.flow_name, "tags": []}))
                        .await?;
                    flows.insert(new.flow_name.clone(), made.id);
                    made.id
                }
            };
            begin(shared, new, flow, *parent).await.map(Reply::Began)
        }
        Call::Rename { server, name } => {
            let path = format!("/flow_runs/{server}");
            client.patch(&path, &json!({"name": name})).await?;
            Ok(Reply::Done)
        }
        Call::State {
            server,
            state,
            transition,
        } => {
            // A run that was asked to stop may crash instead.
            let force = state.kind == StateType::Crashed;
            let body = bodies::state(state);
            let answer = propose(client, *server, body, *transition, force).await?;
            if let Answer::Reject { reason, .. } | Answer::Abort { reason } = answer {
                let name = &state.name;
                tracing::debug!(
                    target: "flowcore::prefect",
                    "the server does not take the state {name} of flow run {server}: {reason}"
                );
            }
            Ok(Reply::Done)
        }
        Call::Artifact(call) => artifacts::perform(shared, call).await,
        Call::Lines(lines) => {
            let body: Vec<Value> = lines
                .iter()
                .map(|line| bodies::log_line(&line.line, line.flow_run))
                .collect();
            let done: Option<Value> = client.post_once("/logs/", &body).await?;
            drop(done);
            Ok(Reply::Done)
        }
        Call::FindLines(lines) => find(client, lines).await.map(Reply::Found),
    }
}

#[derive(Deserialize)]
struct Made {
    id: Uuid,
}

/// What a run that was there before is known by.
#[derive(Deserialize)]
struct Known {
    name: String,
    #[serde(default)]
    empirical_policy: Map<String, Value>,
}

/// A flow run as the server has it.
#[derive(Deserialize)]
pub(super) struct MadeRun {
    id: Uuid,
    name: String,
    flow_id: Uuid,
    deployment_id: Option<Uuid>,
}

impl MadeRun {
    pub(super) fn of_flow(self, flow_name: String) -> ServerFlowRun {
        ServerFlowRun {
            id: self.id,
            name: self.name,
            flow: self.flow_id,
            flow_name,
            deployment: self.deployment_id,
        }
    }
}

async fn begin(
    shared: &Shared,
    new: &NewFlowRun,
    flow: Uuid,
    parent: Option<Uuid>,
) -> Result<ServerFlowRun, ApiError> {
    let client = &shared.client;
    let made: MadeRun = if let Some(adopted) = new.adopted {
        let path = format!("/flow_runs/{adopted}");
        let known: Known = client.get(&path).await?;
        let body = bodies::adoption(new, &known.name, known.empirical_policy);
        client.patch(&path, &body).await?;
        client.get(&path).await?
    } else {
        let mut stands_for = None;
        if let (Some(placeholder), Some(parent)) = (&new.placeholder, parent) {
            let body = shared.with(|ledger, _| {
                let server_id = |flow| ledger.server_id(flow);
                bodies::placeholder(placeholder, parent, &new.state, server_id)
            });
            let made: Made = client.post("/task_runs/", &body).await?;
            stands_for = Some(made.id);
        }
        let body = bodies::flow_run(new, flow, stands_for);
        client.post("/flow_runs/", &body).await?
    };
    say_where(client, &made);
    Ok(made.of_flow(new.flow_name.clone()))
}

/// Prefect's line for people; the server is not told of it.
fn say_where(client: &ApiClient, run: &MadeRun) {
    let page = format!("/runs/flow-run/{}", run.id);
    if let Some(page) = client.settings().page(&page) {
        tracing::info!(
            target: "flowcore::prefect",
            who = format!("Flow run '{}'", run.name),
            "View at {page}"
        );
    }
}

#[derive(Deserialize)]
struct FoundLine {
    timestamp: Timestamp,
    message: String,
}

/// Lines that the server has of the times of these.
async fn find(
    client: &ApiClient,
    lines: &[SentLine],
) -> Result<Vec<(Timestamp, String)>, ApiError> {
    let second = SignedDuration::from_secs(1);
    let times = || lines.iter().map(|line| line.line.at);
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        return Ok(Vec::new());
    };
    let after = first.checked_sub(second).unwrap_or(first);
    let before = last.checked_add(second).unwrap_or(last);
    let mut found = Vec::new();
    loop {
        let body = json!({
            "logs": {"timestamp": {
                "after_": bodies::time(after),
                "before_": bodies::time(before),
            }},
            "sort": "TIMESTAMP_ASC",
            "limit": 200,
            "offset": found.len(),
        });
        let page: Vec<FoundLine> = client.ask("/logs/filter", &body).await?;
        let is_last = page.len() < 200;
        found.extend(page.into_iter().map(|line| (line.timestamp, line.message)));
        if is_last {
            return Ok(found);
        }
    }
}
