//! What the flow's process does with a question: it asks the server.
//! Source: `api.md` 7.2, 9, 10, 15.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::PrefectError;
use super::artifacts::CreatedArtifact;
use super::question::{NewArtifact, NewDeploymentRun, NewEvent, Question};
use super::run_on_server::{RunOnServer, until_ended};
use crate::context::RunContext;
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::prefect::background;
use crate::prefect::client::{ApiClient, ApiError};
use crate::prefect::deployment;
use crate::prefect::message::{self, Message};
use crate::prefect::outbox::{self, Outbox, ServerFlowRun};
use crate::runner::{RunReference, note_waiting};
use crate::runtime;

/// The run whose code asks.
pub(super) struct Asker {
    flow: Arc<FlowRun>,
    run: Option<RunReference>,
}

impl Asker {
    pub(super) fn of(context: &RunContext) -> Self {
        Self {
            flow: Arc::clone(context.flow()),
            run: context.run(),
        }
    }

    fn task_run(&self) -> Option<Uuid> {
        self.run.map(|run| self.flow.task_run_id(run))
    }

    /// Where the flow run is reported, if it is.
    fn outbox(&self) -> Result<Option<&'static Outbox>, PrefectError> {
        let flow = self.flow.id();
        Ok(Outbox::of_process()?.filter(|outbox| outbox.reports(flow)))
    }

    /// The flow run as the server knows it; `None` if it is not reported.
    async fn flow_run(&self) -> Result<Option<ServerFlowRun>, PrefectError> {
        let Some(outbox) = Outbox::of_process()? else {
            return Ok(None);
        };
        Ok(outbox.reported(self.flow.id()).await)
    }
}

/// A question from another process: its answer as JSON.
pub(crate) async fn answer_from_home(
    flow: Arc<FlowRun>,
    run: RunReference,
    question: String,
) -> Result<String> {
    let question: Question = serde_json::from_str(&question).map_err(Error::from)?;
    let asker = Asker {
        flow,
        run: Some(run),
    };
    let answer = answer(question, Some(asker)).await;
    Ok(answer.map_err(PrefectError::into_error)?.to_string())
}

/// Asks the server.
pub(super) async fn answer(
    question: Question,
    asker: Option<Asker>,
) -> Result<Value, PrefectError> {
    let what = match question {
        Question::NewArtifact(_) | Question::ChangeArtifact { .. } => "artifacts",
        Question::Variable(_) | Question::SetVariable { .. } | Question::DeleteVariable(_) => {
            "variables"
        }
        Question::Secret(_) => "secrets",
        Question::Emit(_) => "events",
        Question::RunDeployment(_) => "runs of deployments",
        Question::Delay(_) | Question::LookAtTaskRun { .. } => "background tasks",
    };
    let Some(client) = ApiClient::of_process()? else {
        return Err(PrefectError::NoServer { what });
    };
    match question {
        Question::NewArtifact(new) => artifact(&client, new, asker).await,
        Question::ChangeArtifact {
            id,
            is_reported,
            data,
        } => {
            change_artifact(&client, id, is_reported, data, asker).await?;
            Ok(Value::Null)
        }
        Question::Variable(name) => {
            let found = client
                .get::<Found>(&format!("/variables/name/{name}"))
                .await;
            match found {
                Ok(found) => Ok(json!([found.value])),
                Err(ApiError::NotFound { .. }) => Ok(json!([])),
                Err(error) => Err(error.into()),
            }
        }
        Question::SetVariable { name, value, tags } => {
            let body = json!({"name": name, "value": value, "tags": tags});
            let path = format!("/variables/name/{name}");
            match client.patch(&path, &body).await {
                Err(ApiError::NotFound { .. }) => {
                    let made: Value = client.post("/variables/", &body).await?;
                    drop(made);
                }
                done => done?,
            }
            Ok(Value::Null)
        }
        Question::DeleteVariable(name) => {
            client.delete(&format!("/variables/name/{name}")).await?;
            Ok(Value::Null)
        }
        Question::Secret(name) => secret(&client, name).await,
        Question::Emit(event) => emit(&client, event, asker).await,
        Question::RunDeployment(new) => run_deployment(&client, new, asker).await,
        Question::Delay(new) => background::create(&client, new).await,
        Question::LookAtTaskRun { id, limit } => background::look(&client, id, limit).await,
    }
}

#[derive(Deserialize)]
struct Found {
    value: Value,
}

#[derive(Deserialize)]
struct Made {
    id: Uuid,
}

/// Of a run that is reported it is told with all else; nobody waits for it.
async fn artifact(
    client: &ApiClient,
    new: NewArtifact,
    asker: Option<Asker>,
) -> Result<Value, PrefectError> {
    let mut new = message::NewArtifact {
        id: Uuid::now_v7(),
        flow: Uuid::nil(),
        task_run: asker.as_ref().and_then(Asker::task_run),
        kind: new.kind,
        key: new.key,
        description: new.description,
        data: new.data,
    };
    if let Some(asker) = asker
        && let Some(outbox) = asker.outbox()?
    {
        new.flow = asker.flow.id();
        let id = new.id;
        outbox.put(Message::Artifact(Box::new(new)));
        return Ok(json!(CreatedArtifact {
            id,
            is_reported: true
        }));
    }
    let id = outbox::make_artifact(client, &new).await?;
    Ok(json!(CreatedArtifact {
        id,
        is_reported: false
    }))
}

async fn change_artifact(
    client: &ApiClient,
    id: Uuid,
    is_reported: bool,
    data: Value,
    asker: Option<Asker>,
) -> Result<(), PrefectError> {
    if !is_reported {
        return Ok(outbox::change_artifact(client, id, &data).await?);
    }
    // Where its run is over it stays as it is.
    if let Some(asker) = asker
        && let Some(outbox) = asker.outbox()?
    {
        outbox.put(Message::ArtifactData {
            flow: asker.flow.id(),
            artifact: id,
            data,
        });
    }
    Ok(())
}

async fn secret(client: &ApiClient, name: String) -> Result<Value, PrefectError> {
    #[derive(Deserialize)]
    struct Document {
        data: Map<String, Value>,
    }
    let path = format!("/block_types/slug/secret/block_documents/name/{name}?include_secrets=true");
    let document: Document = match client.get(&path).await {
        Ok(document) => document,
        Err(ApiError::NotFound { .. }) => {
            return Err(PrefectError::NotFound {
                what: "secret",
                name,
                cure: "; make a block of type Secret with this name".to_owned(),
            });
        }
        Err(error) => return Err(error.into()),
    };
    match document.data.get("value") {
        Some(value) => Ok(value.clone()),
        None => Err(PrefectError::OfAnotherType {
            what: "secret",
            name,
            problem: "a block without a value".to_owned(),
        }),
    }
}

async fn emit(
    client: &ApiClient,
    new: NewEvent,
    asker: Option<Asker>,
) -> Result<Value, PrefectError> {
    let mut related: Vec<Value> = new.related.into_iter().map(Value::Object).collect();
    if let Some(asker) = asker {
        let run = asker.flow_run().await?;
        related.extend(outbox::related_to(run.as_ref(), asker.task_run()));
    }
    let id = Uuid::now_v7();
    let event = outbox::PlainEvent {
        id,
        name: &new.event,
        resource: new.resource,
        related,
        payload: new.payload,
    };
    let sent: Option<Value> = client.post("/events", &[event.body()]).await?;
    drop(sent);
    Ok(json!(id))
}

async fn run_deployment(
    client: &ApiClient,
    new: NewDeploymentRun,
    asker: Option<Asker>,
) -> Result<Value, PrefectError> {
    let id = find_deployment(client, &new.deployment).await?;
    let mut body = json!({
        "state": {"type": "SCHEDULED", "name": "Scheduled"},
        "parameters": new.parameters,
        "name": new.run_name,
        "tags": new.tags,
        "idempotency_key": new.idempotency_key,
    });
    if new.as_subflow
        && let Some(asker) = &asker
        && let Some(parent) = asker.flow_run().await?
    {
        body["parent_task_run_id"] = json!(stands_for(client, &new, &parent, asker).await?);
    }
    let path = format!("/deployments/{id}/create_flow_run");
    let made = client.post::<RunOnServer>(&path, &body).await;
    let run = made.map_err(|error| match error {
        ApiError::Invalid {
            status: 409 | 422,
            detail,
            ..
        } => PrefectError::Parameters {
            deployment: new.deployment.clone(),
            problem: detail,
        },
        error => error.into(),
    })?;
    let path = format!("/flow_runs/{}", run.id);
    let run = until_ended(client, &path, Some(run), new.timeout, new.poll_interval).await?;
    Ok(run.to_json())
}

/// Waits; a run that does lends its slot out meanwhile.
pub(super) async fn wait(time: Duration) {
    let sleep = {
        // Whatever thread this is on.
        let _context = runtime::process_service().enter();
        tokio::time::sleep(time)
    };
    tokio::pin!(sleep);
    std::future::poll_fn(|context| {
        let poll = sleep.as_mut().poll(context);
        if poll.is_pending() {
            note_waiting();
        }
        poll
    })
    .await;
}

async fn find_deployment(client: &ApiClient, name: &str) -> Result<Uuid, PrefectError> {
    let Some((flow, own)) = name.split_once('/') else {
        return Err(PrefectError::Name {
            what: "the deployment",
            name: name.to_owned(),
            letter: None,
            rule: "it is called by its flow and its own name, such as `etl/nightly`",
        });
    };
    let found: Option<Made> = deployment::find(client, flow, own).await?;
    match found {
        Some(found) => Ok(found.id),
        None => Err(PrefectError::NotFound {
            what: "deployment",
            name: name.to_owned(),
            cure: "; `prefect deployment ls` lists those that are there".to_owned(),
        }),
    }
}

/// The task run that stands for the deployment's run in the flow that asks.
async fn stands_for(
    client: &ApiClient,
    new: &NewDeploymentRun,
    parent: &ServerFlowRun,
    asker: &Asker,
) -> Result<Uuid, PrefectError> {
    let mut inputs = Map::new();
    if let Some(task_run) = asker.task_run() {
        let input = json!([{"input_type": "task_run", "id": task_run}]);
        inputs.insert("__parents__".to_owned(), input);
    }
    let body = json!({
        "id": Uuid::now_v7(),
        "name": new.deployment,
        "flow_run_id": parent.id,
        "task_key": new.deployment,
        "dynamic_key": new.idempotency_key,
        "task_inputs": inputs,
        "state": {"type": "PENDING", "name": "Pending"},
    });
    let made: Made = client.post("/task_runs/", &body).await?;
    Ok(made.id)
}
