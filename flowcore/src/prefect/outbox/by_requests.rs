//! Task runs on a server that records no events (2.x): each is made, then set
//! to its states, one request after the other.
//!
//! What is to be told comes as the event that another server would get. The
//! server must not decide anything: states are forced, and it is told of no
//! retries. It takes its own clock for times (`api.md` 6).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::prefect::client::{ApiClient, ApiError};
use crate::prefect::on_server::is_terminal;

/// Which task runs the server knows.
#[derive(Debug, Default)]
pub(super) struct ByRequests {
    made: HashSet<String>,
}

impl ByRequests {
    /// Tells one state. Said twice, a state is there twice at worst.
    pub(super) async fn tell(&mut self, client: &ApiClient, event: &Value) -> Result<(), ApiError> {
        let id = named(&event["resource"]["prefect.resource.id"]);
        let payload = &event["payload"];
        if !self.made.contains(&id) {
            let body = task_run(&id, event);
            let _: Value = client.post("/task_runs/", &body).await?;
            self.made.insert(id.clone());
        }
        let state = &payload["validated_state"];
        let body = json!({"state": state, "force": true});
        let path = format!("/task_runs/{id}/set_state");
        let _: Value = client.post(&path, &body).await?;
        if is_terminal(text(&state["type"])) {
            // Making it once more, should it go on, gives the same one.
            self.made.remove(&id);
        }
        Ok(())
    }
}

/// The body of `POST /task_runs/`.
fn task_run(id: &str, event: &Value) -> Value {
    let run = &event["payload"]["task_run"];
    let related = event["related"].as_array().into_iter().flatten();
    let flow_run = related
        .filter(|one| one["prefect.resource.role"] == "flow-run")
        .map(|one| named(&one["prefect.resource.id"]))
        .next();
    let mut body = json!({
        "id": id,
        "name": run["name"],
        "flow_run_id": flow_run,
        "task_key": run["task_key"],
        "dynamic_key": run["dynamic_key"],
        "empirical_policy": {"retries": 0, "retry_delay": 0},
        "tags": run["tags"],
        "task_inputs": run["task_inputs"],
        "state": {"type": "PENDING", "name": "Pending"},
    });
    if let (Some(version), Value::Object(body)) = (run.get("task_version"), &mut body) {
        body.insert("task_version".to_owned(), version.clone());
    }
    body
}

/// The id in `prefect.task-run.<id>`.
fn named(resource: &Value) -> String {
    let name = text(resource);
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
