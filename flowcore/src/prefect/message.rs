//! What a server is told of runs.
//!
//! Messages are plain data: whoever makes them knows the engine and nothing of
//! servers, whoever delivers them knows the server and nothing of the engine.
//! Flow runs have the ids that they have in this process; the outbox learns
//! and keeps what the server calls them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::state::StateType;

/// One thing to tell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// A flow run begins. Comes before all else that names it.
    FlowRun(Box<NewFlowRun>),
    /// It has got the name that its template gave.
    FlowRunName(Uuid, String),
    /// The flow run is in another state.
    FlowState(Uuid, Box<StateUpdate>),
    /// A task run is in another state.
    TaskRun(Box<TaskRunUpdate>),
    Log(Box<LogLine>),
    /// A run has made something for people to read.
    Artifact(Box<NewArtifact>),
    /// What an artifact shows is something else now.
    ArtifactData {
        /// The flow run's id in this process.
        flow: Uuid,
        /// The artifact's id in this process.
        artifact: Uuid,
        data: Value,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewArtifact {
    /// Its id in this process.
    pub(crate) id: Uuid,
    /// The flow run's id in this process.
    pub(crate) flow: Uuid,
    pub(crate) task_run: Option<Uuid>,
    /// `markdown`, `table`, …
    pub(crate) kind: String,
    pub(crate) key: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) data: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewFlowRun {
    /// Its id in this process.
    pub(crate) id: Uuid,
    /// The server's id of a run that exists there already: one that a
    /// deployment scheduled, see [`adoption`](super::adoption). Then only version,
    /// policy and the name from a template are told.
    pub(crate) adopted: Option<Uuid>,
    pub(crate) flow_name: String,
    pub(crate) run_name: String,
    pub(crate) version: Option<String>,
    /// A JSON object.
    pub(crate) parameters: Value,
    pub(crate) tags: Vec<String>,
    pub(crate) retries: u32,
    /// Seconds.
    pub(crate) retry_delay: f64,
    /// Of a subflow: the run that stands for it among its parent's task runs.
    pub(crate) placeholder: Option<Placeholder>,
    pub(crate) state: StateUpdate,
}

/// The task run of a parent flow run that the server moves along with its
/// subflow (`api.md` 7.2). It is made by REST, before the flow run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Placeholder {
    pub(crate) id: Uuid,
    /// The parent flow run's id in this process.
    pub(crate) parent: Uuid,
    pub(crate) name: String,
    pub(crate) task_key: String,
    pub(crate) dynamic_key: String,
    pub(crate) inputs: TaskInputs,
}

/// A state, of a flow run or of a task run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StateUpdate {
    /// `PENDING`, …
    pub(crate) kind: StateType,
    pub(crate) name: String,
    pub(crate) message: Option<String>,
    pub(crate) at: Timestamp,
    /// Keys of `state_details`, beside those that the outbox fills in.
    pub(crate) details: serde_json::Map<String, Value>,
    /// The metadata of a persisted result (`api.md` 14).
    pub(crate) data: Option<Value>,
}

/// A task run as a whole, in its newest state: any update can stand for all
/// before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TaskRunUpdate {
    pub(crate) id: Uuid,
    /// The flow run's id in this process; `None`: a task run of its own.
    pub(crate) flow: Option<Uuid>,
    pub(crate) task: Arc<ReportedTask>,
    pub(crate) name: String,
    pub(crate) dynamic_key: String,
    pub(crate) inputs: Arc<TaskInputs>,
    pub(crate) state: StateUpdate,
    pub(crate) run_count: u32,
    /// The flow run's attempt.
    pub(crate) flow_run_count: u32,
    pub(crate) expected_start: Timestamp,
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
    /// Seconds.
    pub(crate) run_time: f64,
}

/// What all runs of one task have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReportedTask {
    pub(crate) key: String,
    pub(crate) version: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) retries: u32,
    /// Seconds; several: one per retry.
    pub(crate) retry_delays: Vec<f64>,
}

/// What each parameter's value comes from (`api.md` 7.1); also `wait_for` and
/// `__parents__`.
pub(crate) type TaskInputs = BTreeMap<String, Vec<TaskInput>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum TaskInput {
    TaskRun(Uuid),
    /// A subflow, by its id in this process.
    FlowRun(Uuid),
    /// A parameter of the flow.
    Parameter(String),
    /// A plain value, by the name of its type.
    Constant(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// `prefect.flow_runs`, `prefect.task_runs`, or a target of `tracing`.
    pub(crate) logger: String,
    /// As in Python: 10, 20, 30, 40, 50.
    pub(crate) level: u8,
    pub(crate) message: String,
    pub(crate) at: Timestamp,
    /// The flow run's id in this process.
    pub(crate) flow: Option<Uuid>,
    pub(crate) task_run: Option<Uuid>,
}
