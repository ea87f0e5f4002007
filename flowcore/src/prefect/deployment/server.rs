//! What deployments and their runs ask a Prefect server. Source: `api.md` 3,
//! 4, 13, 15.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::error::DeploymentError;
use super::plan::Checked;
use crate::prefect::on_server::is_terminal;
use crate::prefect::transition::{self, Answer};
use crate::prefect::{ApiClient, ApiError};

/// A run as the server has it; fields that nobody asks for are left out.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ServerRun {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) flow_id: Uuid,
    pub(crate) deployment_id: Option<Uuid>,
    #[serde(default)]
    pub(crate) parameters: Map<String, Value>,
    pub(crate) state: Option<ServerState>,
    pub(crate) next_scheduled_start_time: Option<Timestamp>,
    #[serde(default)]
    run_count: u32,
    #[serde(default)]
    empirical_policy: Policy,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Policy {
    /// It was suspended: that it runs again is no further attempt.
    #[serde(default)]
    resuming: Option<bool>,
    retry_type: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ServerState {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) state_details: Map<String, Value>,
}

impl ServerRun {
    pub(crate) fn kind(&self) -> &str {
        self.state.as_ref().map_or("PENDING", |state| &state.kind)
    }

    /// Whether nothing is left to be told of it.
    pub(crate) fn is_final(&self) -> bool {
        is_terminal(self.kind())
    }

    /// How many attempts were made before the one that is to begin, and whether
    /// the run has begun before at all.
    pub(crate) fn attempts(&self) -> (u32, bool) {
        let is_resumed = self.empirical_policy.resuming == Some(true);
        let attempts = self.run_count.saturating_sub(u32::from(is_resumed));
        (attempts, self.run_count > 0)
    }

    /// Whether the process that executes it waits for its next attempt: it is
    /// scheduled, and for nobody else.
    pub(crate) fn is_retried_by_its_process(&self) -> bool {
        self.kind() == "SCHEDULED"
            && self.empirical_policy.retry_type.as_deref() == Some("in_process")
    }

    /// Whether it goes on later, in another process: it is scheduled, or was
    /// suspended.
    pub(crate) fn goes_on_elsewhere(&self) -> bool {
        let is_suspended = || {
            let details = self.state.as_ref().map(|state| &state.state_details);
            let later = details.and_then(|details| details.get("pause_reschedule"));
            later == Some(&Value::Bool(true))
        };
        match self.kind() {
            "SCHEDULED" => !self.is_retried_by_its_process(),
            "PAUSED" => is_suspended(),
            _ => false,
        }
    }

    /// Whether its state is what this transition made.
    pub(super) fn is_by(&self, id: Uuid) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| transition::is_by(&state.state_details, id))
    }

    /// The slot of the deployment's limit that it holds.
    pub(crate) fn lease(&self) -> Option<&str> {
        let details = &self.state.as_ref()?.state_details;
        details.get("deployment_concurrency_lease_id")?.as_str()
    }
}

/// A state that is proposed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proposal<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) message: Option<&'a str>,
    /// Whether rules do not count.
    pub(crate) force: bool,
}

#[derive(Deserialize)]
struct Identified {
    id: Uuid,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// A deployment that the server knows.
#[derive(Clone, Debug)]
pub(super) struct Registered {
    pub(super) id: Uuid,
    pub(super) flow_id: Uuid,
}

/// The server, as deployments and their runs see it.
#[derive(Clone, Debug)]
pub(crate) struct Server(ApiClient);

impl Server {
    pub(crate) fn of_process() -> Result<Self, DeploymentError> {
        match ApiClient::of_process()? {
            Some(client) => Ok(Self(client)),
            None => Err(DeploymentError::NoServer),
        }
    }

    pub(super) fn client(&self) -> &ApiClient {
        &self.0
    }

    /// Makes the deployment, or changes it into this.
    pub(super) async fn register(&self, checked: &Checked) -> Result<Registered, DeploymentError> {
        let (flow, name) = (checked.flow.name(), &checked.plan.name);
        let made: Identified = self.0.post("/flows/", &json!({"name": flow})).await?;
        let flow_id = made.id;
        let mut body = checked.to_json();
        if let Some(old) = find::<Existing>(&self.0, flow, name).await? {
            let id = old.id;
            // Schedules that are sent are new ones, with new runs.
            if old.has_schedules(&body) {
                body.remove("schedules");
            }
            self.sent(checked, self.0.patch(&format!("/deployments/{id}"), &body))
                .await?;
            return Ok(Registered { id, flow_id });
        }
        body.insert("name".to_owned(), name.as_str().into());
        body.insert("flow_id".to_owned(), flow_id.to_string().into());
        body.insert("entrypoint".to_owned(), entrypoint(checked).into());
        let made: Identified = self
            .sent(checked, self.0.post("/deployments/", &body))
            .await?;
        Ok(Registered {
            id: made.id,
            flow_id,
        })
    }

    async fn sent<T>(
        &self,
        checked: &Checked,
        request: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, DeploymentError> {
        match (request.await, &checked.plan.pool) {
            (Ok(done), _) => Ok(done),
            (Err(ApiError::NotFound { .. }), Some(pool)) => {
                let pool = pool.clone();
                Err(DeploymentError::UnknownPool { pool })
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    pub(super) async fn pause(&self, deployment: Uuid) -> Result<(), ApiError> {
        let path = format!("/deployments/{deployment}");
        self.0.patch(&path, &json!({"paused": true})).await
    }

    /// Runs of these deployments whose time comes before this, the earliest
    /// first.
    pub(super) async fn scheduled(
        &self,
        deployments: &[Uuid],
        before: Timestamp,
    ) -> Result<Vec<ServerRun>, ApiError> {
        let body = json!({"deployment_ids": deployments, "scheduled_before": before});
        self.0
            .ask("/deployments/get_scheduled_flow_runs", &body)
            .await
    }

    pub(crate) async fn run(&self, run: Uuid) -> Result<ServerRun, ApiError> {
        self.0.get(&format!("/flow_runs/{run}")).await
    }

    pub(crate) async fn flow_name(&self, flow: Uuid) -> Result<String, ApiError> {
        let flow: Named = self.0.get(&format!("/flows/{flow}")).await?;
        Ok(flow.name)
    }

    /// The final state that a run was in last.
    pub(super) async fn last_end(&self, run: Uuid) -> Result<Option<ServerState>, ApiError> {
        let path = format!("/flow_run_states/?flow_run_id={run}");
        let states: Vec<ServerState> = self.0.get(&path).await?;
        let mut ends = states.into_iter().rev();
        Ok(ends.find(|state| is_terminal(&state.kind)))
    }

    /// Proposes a state. Said twice, it counts once.
    pub(crate) async fn propose(
        &self,
        run: Uuid,
        proposal: Proposal<'_>,
    ) -> Result<Answer, ApiError> {
        self.propose_as(Uuid::new_v4(), run, proposal).await
    }

    /// As [`propose`](Self::propose), by the id of the transition.
    pub(super) async fn propose_as(
        &self,
        transition: Uuid,
        run: Uuid,
        proposal: Proposal<'_>,
    ) -> Result<Answer, ApiError> {
        let state = json!({
            "type": proposal.kind,
            "name": proposal.name,
            "message": proposal.message,
            "state_details": {},
        });
        transition::propose(&self.0, run, state, transition, proposal.force).await
    }

    pub(super) async fn note_process(&self, run: Uuid, process: u32) -> Result<(), ApiError> {
        let body = json!({"infrastructure_pid": process.to_string()});
        self.0.patch(&format!("/flow_runs/{run}"), &body).await
    }

    pub(super) async fn log(&self, lines: &[Value]) -> Result<(), ApiError> {
        let made: Value = self.0.post_once("/logs/", &lines).await?;
        drop(made);
        Ok(())
    }
}

/// What is wanted of a deployment, if there is one of this name.
pub(in crate::prefect) async fn find<T>(
    client: &ApiClient,
    flow: &str,
    name: &str,
) -> Result<Option<T>, ApiError>
where
    T: DeserializeOwned + Send + 'static,
{
    // A filter: names may hold what a path cannot.
    let filter = json!({
        "flows": {"name": {"any_": [flow]}},
        "deployments": {"name": {"any_": [name]}},
    });
    let found: Vec<T> = client.ask("/deployments/filter", &filter).await?;
    Ok(found.into_iter().next())
}

/// A deployment that is there already.
#[derive(Deserialize)]
struct Existing {
    id: Uuid,
    #[serde(default)]
    schedules: Vec<Map<String, Value>>,
}

impl Existing {
    /// Whether its schedules are those of the body.
    fn has_schedules(&self, body: &Map<String, Value>) -> bool {
        let Some(wanted) = body.get("schedules").and_then(Value::as_array) else {
            return true;
        };
        let mut left: Vec<_> = self.schedules.iter().collect();
        let all_are_there = wanted.iter().all(|wanted| {
            let at = left.iter().position(|there| is_schedule(wanted, there));
            at.map(|at| left.swap_remove(at)).is_some()
        });
        all_are_there && left.is_empty()
    }
}

/// Whether a schedule that is there is as wanted.
fn is_schedule(wanted: &Value, there: &Map<String, Value>) -> bool {
    let nothing = Value::Object(Map::new());
    let same = |name: &str, default: &Value| {
        let wanted = wanted.get(name).unwrap_or(default);
        let there = there.get(name).filter(|value| !value.is_null());
        there.unwrap_or(default) == wanted
    };
    same("schedule", &Value::Null)
        && same("active", &Value::Bool(true))
        && same("parameters", &nothing)
        && same("slug", &Value::Null)
}

/// Where the flow stands, for people.
fn entrypoint(checked: &Checked) -> String {
    let description = &checked.description;
    let function = description.key.rsplit("::").next();
    format!("{}:{}", description.file, function.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_that_are_there_are_not_made_again() {
        let there = json!({
            "id": Uuid::nil(),
            "schedules": [
                {"id": 1, "schedule": {"interval": 5.0, "timezone": "UTC"}, "active": true,
                 "parameters": {}, "slug": null},
                {"id": 2, "schedule": {"cron": "0 6 * * *"}, "active": false,
                 "parameters": {"n": 1}, "slug": "a"},
            ],
        });
        let there: Existing = serde_json::from_value(there).unwrap();
        let body = |schedules: Value| json!({"schedules": schedules}).as_object().unwrap().clone();
        let cron = json!({"schedule": {"cron": "0 6 * * *"}, "active": false,
                          "parameters": {"n": 1}, "slug": "a"});
        let interval = json!({"schedule": {"interval": 5.0, "timezone": "UTC"}, "active": true});
        assert!(there.has_schedules(&body(json!([cron, interval]))));
        assert!(!there.has_schedules(&body(json!([cron]))));
        assert!(!there.has_schedules(&body(json!([cron, cron]))));
        assert!(!there.has_schedules(&body(json!([]))));
    }
}
