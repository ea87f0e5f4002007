//! Messages as tests make them, and where they wait.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::Outbox;
use super::file::{Head, WriteAhead};
use super::ledger::Ledger;
use crate::prefect::client::{ApiClient, ApiSettings};
use crate::prefect::message::{
    LogLine, Message, NewFlowRun, ReportedTask, StateUpdate, TaskInputs, TaskRunUpdate,
};
use crate::settings::Chain;
use crate::state::StateType;

pub(super) fn client(address: &str) -> ApiClient {
    let variables = [("PREFECT_API_URL".to_owned(), address.to_owned())];
    let chain = Chain::read(variables, None, None);
    ApiClient::new(ApiSettings::read(&chain).unwrap().unwrap()).unwrap()
}

/// An outbox with its file in this directory, from which nobody tells
/// anything.
pub(super) fn untold(directory: &Path) -> Outbox {
    let client = client("http://127.0.0.1:9/api");
    let head = Head::new(client.settings().shown_url());
    let ahead = WriteAhead::within(directory.to_owned(), head);
    let outbox = Outbox::with(client, Ledger::new(Uuid::now_v7), ahead);
    outbox.0.is_started.get_or_init(|| ());
    outbox
}

pub(super) fn state(kind: StateType, name: &str, at: Timestamp) -> StateUpdate {
    StateUpdate {
        kind,
        name: name.to_owned(),
        message: None,
        at,
        details: serde_json::Map::new(),
        data: None,
    }
}

pub(super) fn flow_run(id: Uuid, flow_name: &str, run_name: &str, at: Timestamp) -> Message {
    Message::FlowRun(Box::new(NewFlowRun {
        id,
        adopted: None,
        flow_name: flow_name.to_owned(),
        run_name: run_name.to_owned(),
        version: None,
        parameters: serde_json::json!({}),
        tags: Vec::new(),
        retries: 0,
        retry_delay: 0.0,
        placeholder: None,
        state: state(StateType::Pending, "Pending", at),
    }))
}

/// The task run of this number; it has neither begun nor ended.
pub(super) fn task_run(
    flow: Uuid,
    id: Uuid,
    number: impl Display,
    dynamic_key: String,
    state: StateUpdate,
) -> TaskRunUpdate {
    TaskRunUpdate {
        id,
        flow: Some(flow),
        task: Arc::new(ReportedTask {
            key: "task".to_owned(),
            version: None,
            tags: Vec::new(),
            retries: 0,
            retry_delays: Vec::new(),
        }),
        name: format!("task-{number}"),
        dynamic_key,
        inputs: Arc::new(TaskInputs::new()),
        run_count: 1,
        flow_run_count: 1,
        expected_start: state.at,
        start: None,
        end: None,
        run_time: 0.0,
        state,
    }
}

pub(super) fn line(text: &str, at: Timestamp, flow: Uuid, task_run: Option<Uuid>) -> Message {
    let of = if task_run.is_some() { "task" } else { "flow" };
    Message::Log(Box::new(LogLine {
        logger: format!("prefect.{of}_runs"),
        level: 20,
        message: text.to_owned(),
        at,
        flow: Some(flow),
        task_run,
    }))
}
