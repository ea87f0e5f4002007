//! Requests about artifacts, and the events that say of them what a client in
//! Python says.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::bodies;
use super::ledger::{ArtifactCall, Reply, ServerFlowRun};
use super::shared::Shared;
use crate::prefect::client::{ApiClient, ApiError};
use crate::prefect::message::NewArtifact;

/// As many as the server gives at once.
const PAGE: usize = 200;

#[derive(Deserialize)]
struct Found {
    id: Uuid,
    data: Value,
    description: Option<String>,
    r#type: Option<String>,
    key: Option<String>,
}

pub(super) async fn perform(shared: &Shared, call: &ArtifactCall) -> Result<Reply, ApiError> {
    let client = &shared.client;
    let place = |flow| {
        let known = |place: Result<&ServerFlowRun, _>| place.ok().cloned();
        shared.with(|ledger, _| ledger.place(flow).and_then(known))
    };
    match call {
        ArtifactCall::Make {
            new,
            flow_run,
            unless_there,
        } => {
            let run = place(new.flow);
            if let Some(others) = unless_there
                && let Some(there) = find(client, new, *flow_run, others).await?
            {
                say_made(client, new, there, run.as_ref()).await;
                return Ok(Reply::Made(there));
            }
            make(client, new, run.as_ref()).await.map(Reply::Made)
        }
        ArtifactCall::Change {
            flow, server, data, ..
        } => {
            change(client, *server, data, place(*flow).as_ref()).await?;
            Ok(Reply::Done)
        }
    }
}

pub(crate) async fn make(
    client: &ApiClient,
    new: &NewArtifact,
    flow_run: Option<&ServerFlowRun>,
) -> Result<Uuid, ApiError> {
    #[derive(Deserialize)]
    struct Made {
        id: Uuid,
    }
    let mut body = json!({"type": new.kind, "data": new.data});
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    put("key", new.key.as_ref().map(|key| json!(key)));
    let description = new.description.as_ref();
    put("description", description.map(|text| json!(text)));
    put("flow_run_id", flow_run.map(|run| json!(run.id)));
    put("task_run_id", new.task_run.map(|id| json!(id)));
    let made: Made = client.post_once("/artifacts/", &body).await?;
    say_made(client, new, made.id, flow_run).await;
    Ok(made.id)
}

pub(crate) async fn change(
    client: &ApiClient,
    artifact: Uuid,
    data: &Value,
    flow_run: Option<&ServerFlowRun>,
) -> Result<(), ApiError> {
    let path = format!("/artifacts/{artifact}");
    let body = json!({"data": data});
    client.patch(&path, &body).await?;
    let event = bodies::PlainEvent {
        id: Uuid::now_v7(),
        name: "prefect.artifact.updated",
        resource: resource(artifact),
        related: bodies::related_to(flow_run, None),
        payload: body,
    };
    say(client, event).await;
    Ok(())
}

async fn say_made(
    client: &ApiClient,
    new: &NewArtifact,
    made: Uuid,
    flow_run: Option<&ServerFlowRun>,
) {
    let mut resource = resource(made);
    if let Some(key) = &new.key {
        resource.insert("prefect.resource.name".to_owned(), json!(key));
    }
    let event = bodies::PlainEvent {
        // Said twice, it counts once.
        id: new.id,
        name: "prefect.artifact.created",
        resource,
        related: bodies::related_to(flow_run, new.task_run),
        payload: json!({"key": new.key, "type": new.kind, "description": new.description}),
    };
    say(client, event).await;
}

fn resource(artifact: Uuid) -> Map<String, Value> {
    let id = format!("prefect.artifact.{artifact}");
    Map::from_iter([("prefect.resource.id".to_owned(), id.into())])
}

/// The artifact itself is there: an event that cannot be sent is no reason to
/// make it once more.
async fn say(client: &ApiClient, event: bodies::PlainEvent<'_>) {
    if matches!(client.version().await, Ok(version) if !version.records_events()) {
        return;
    }
    let sent = client
        .post::<Option<Value>>("/events", &[event.body()])
        .await;
    if let Err(error) = sent {
        tracing::debug!(target: "flowcore::prefect", "{error}: an event of an artifact is lost");
    }
}

/// An artifact that was made, although nobody heard so.
async fn find(
    client: &ApiClient,
    new: &NewArtifact,
    flow_run: Uuid,
    others: &[Uuid],
) -> Result<Option<Uuid>, ApiError> {
    let mut offset = 0;
    loop {
        let filter = json!({
            "artifacts": {"flow_run_id": {"any_": [flow_run]}},
            "sort": "CREATED_DESC",
            "limit": PAGE,
            "offset": offset,
        });
        let page: Vec<Found> = client.ask("/artifacts/filter", &filter).await?;
        let is_it = |found: &&Found| {
            !others.contains(&found.id)
                && found.key == new.key
                && found.r#type.as_deref() == Some(&new.kind)
                && found.description == new.description
                && found.data == new.data
        };
        if let Some(found) = page.iter().find(is_it) {
            return Ok(Some(found.id));
        }
        if page.len() < PAGE {
            return Ok(None);
        }
        offset += page.len();
    }
}
