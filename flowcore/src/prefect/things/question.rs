//! What is asked, as data that travels.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::prefect::background::NewBackgroundRun;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::prefect) enum Question {
    NewArtifact(NewArtifact),
    ChangeArtifact {
        id: Uuid,
        /// The id is that of this flow's process.
        is_reported: bool,
        data: Value,
    },
    Variable(String),
    SetVariable {
        name: String,
        value: Value,
        tags: Vec<String>,
    },
    DeleteVariable(String),
    Secret(String),
    Emit(NewEvent),
    RunDeployment(NewDeploymentRun),
    Delay(NewBackgroundRun),
    LookAtTaskRun {
        id: Uuid,
        limit: Duration,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::prefect) struct NewArtifact {
    pub(super) key: Option<String>,
    pub(super) kind: String,
    pub(super) description: Option<String>,
    pub(super) data: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::prefect) struct NewEvent {
    pub(super) event: String,
    pub(super) resource: Map<String, Value>,
    pub(super) related: Vec<Map<String, Value>>,
    pub(super) payload: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::prefect) struct NewDeploymentRun {
    /// `flow/deployment`.
    pub(super) deployment: String,
    pub(super) parameters: Value,
    pub(super) run_name: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) poll_interval: Duration,
    pub(super) as_subflow: bool,
    /// Said twice, it is made once.
    pub(super) idempotency_key: String,
}
