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

/// Where the server gives what the call is about.
pub(super) fn path_of(call: &ArtifactCall) -> String {
    match call {
        ArtifactCall::Make { flow_run, .. } => format!("/flow_runs/{flow_run}"),
        ArtifactCall::Say { server, .. }
        | ArtifactCall::Change { server, .. }
        | ArtifactCall::SayChange { server, .. } => format!("/artifacts/{server}"),
    }
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
            if let Some(others) = unless_there
                && let Some(there) = find(client, new, *flow_run, others).await?
            {
                return Ok(Reply::Made(there));
            }
            make(client, new, Some(*flow_run)).await.map(Reply::Made)
        }
        ArtifactCall::Say { new, server } => {
            say_made(client, new, *server, place(new.flow).as_ref()).await?;
            Ok(Reply::Done)
        }
        ArtifactCall::Change { server, data, .. } => {
            change(client, *server, data).await?;
            Ok(Reply::Done)
        }
        ArtifactCall::SayChange {
            flow,
            server,
            data,
            event,
            ..
        } => {
            say_changed(client, *server, data, *event, place(*flow).as_ref()).await?;
            Ok(Reply::Done)
        }
    }
}

/// Makes one outside of flow runs that are reported. It is there, if its event
/// cannot be sent.
pub(crate) async fn make_now(client: &ApiClient, new: &NewArtifact) -> Result<Uuid, ApiError> {
    let made = make(client, new, None).await?;
    if let Err(error) = say_made(client, new, made, None).await {
        lose_event(&error);
    }
    Ok(made)
}

/// The artifact is there; that nobody hears of it is no more than that.
fn lose_event(error: &ApiError) {
    tracing::debug!(target: "flowcore::prefect", "{error}: an event of an artifact is lost");
}

/// The same of what one shows.
pub(crate) async fn change_now(
    client: &ApiClient,
    artifact: Uuid,
    data: &Value,
) -> Result<(), ApiError> {
    change(client, artifact, data).await?;
    if let Err(error) = say_changed(client, artifact, data, Uuid::now_v7(), None).await {
        lose_event(&error);
    }
    Ok(())
}

async fn make(
    client: &ApiClient,
    new: &NewArtifact,
    flow_run: Option<Uuid>,
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
    put("flow_run_id", flow_run.map(|id| json!(id)));
    put("task_run_id", new.task_run.map(|id| json!(id)));
    let made: Made = client.post_once("/artifacts/", &body).await?;
    Ok(made.id)
}

async fn change(client: &ApiClient, artifact: Uuid, data: &Value) -> Result<(), ApiError> {
    let path = format!("/artifacts/{artifact}");
    client.patch(&path, &json!({"data": data})).await
}

async fn say_changed(
    client: &ApiClient,
    artifact: Uuid,
    data: &Value,
    id: Uuid,
    flow_run: Option<&ServerFlowRun>,
) -> Result<(), ApiError> {
    let event = bodies::PlainEvent {
        // Said twice, it counts once.
        id,
        name: "prefect.artifact.updated",
        resource: resource(artifact),
        related: bodies::related_to(flow_run, None),
        payload: json!({"data": data}),
    };
    say(client, event).await
}

async fn say_made(
    client: &ApiClient,
    new: &NewArtifact,
    made: Uuid,
    flow_run: Option<&ServerFlowRun>,
) -> Result<(), ApiError> {
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
    say(client, event).await
}

fn resource(artifact: Uuid) -> Map<String, Value> {
    let id = format!("prefect.artifact.{artifact}");
    Map::from_iter([("prefect.resource.id".to_owned(), id.into())])
}

async fn say(client: &ApiClient, event: bodies::PlainEvent<'_>) -> Result<(), ApiError> {
    if !client.version().await?.records_events() {
        return Ok(());
    }
    let body = [event.body()];
    client
        .post::<Option<Value>>("/events", &body)
        .await
        .map(drop)
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
