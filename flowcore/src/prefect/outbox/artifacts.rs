//! Requests about artifacts.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ledger::{ArtifactCall, Reply};
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

pub(super) async fn perform(client: &ApiClient, call: &ArtifactCall) -> Result<Reply, ApiError> {
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
        ArtifactCall::Change { server, data, .. } => {
            change(client, *server, data).await?;
            Ok(Reply::Done)
        }
    }
}

pub(crate) async fn make(
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

pub(crate) async fn change(
    client: &ApiClient,
    artifact: Uuid,
    data: &Value,
) -> Result<(), ApiError> {
    let path = format!("/artifacts/{artifact}");
    client.patch(&path, &json!({"data": data})).await
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
