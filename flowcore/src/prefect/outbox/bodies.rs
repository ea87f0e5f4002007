//! The JSON that a server reads. Source of all names: `api.md` 3, 6, 8, 10.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::event::Inputs;
use super::ledger::ServerFlowRun;
use crate::prefect::message::{LogLine, NewFlowRun, Placeholder, StateUpdate};

/// What a message of a state is cut to; the server does it too, and refuses
/// events that are larger than it likes.
pub(super) const LONGEST_MESSAGE: usize = 100_000;

/// A line of a log, cut.
const LONGEST_LINE: usize = 1_000_000;
const CUT: &str = "... [truncated]";

/// The body of `POST /flow_runs/`.
pub(super) fn flow_run(new: &NewFlowRun, flow: Uuid, stands_for: Option<Uuid>) -> Value {
    json!({
        "state": state(&new.state),
        "name": new.run_name,
        "flow_id": flow,
        "flow_version": new.version,
        "parameters": new.parameters,
        "context": {},
        "parent_task_run_id": stands_for,
        "empirical_policy": policy(new),
        "tags": new.tags,
        // Said twice, it is made once.
        "idempotency_key": new.id,
    })
}

/// The body of `PATCH /flow_runs/{id}` for a run that was there before, with
/// this name, unless a template names it, and this policy: the server keeps
/// there which pauses it had.
pub(super) fn adoption(new: &NewFlowRun, name: &str, mut known: Map<String, Value>) -> Value {
    known.extend(policy(new));
    let mut body = json!({"flow_version": new.version, "empirical_policy": known});
    if new.run_name != name {
        body["name"] = json!(new.run_name);
    }
    body
}

/// Whole seconds, as in Python.
fn policy(new: &NewFlowRun) -> Map<String, Value> {
    let delay = new.retry_delay.floor();
    Map::from_iter([
        ("retries".to_owned(), new.retries.into()),
        ("retry_delay".to_owned(), delay.into()),
    ])
}

/// The body of `POST /task_runs/` for what stands for a subflow.
pub(super) fn placeholder(
    placeholder: &Placeholder,
    parent: Uuid,
    state_of_flow: &StateUpdate,
    server_id: impl Fn(Uuid) -> Uuid,
) -> Value {
    json!({
        "id": placeholder.id,
        "name": placeholder.name,
        "flow_run_id": parent,
        "task_key": placeholder.task_key,
        "dynamic_key": placeholder.dynamic_key,
        "empirical_policy": {"retries": 0, "retry_delay": 0},
        "tags": [],
        "task_inputs": Inputs(&placeholder.inputs, &server_id),
        "state": state(state_of_flow),
    })
}

/// A state in a request.
pub(super) fn state(state: &StateUpdate) -> Value {
    json!({
        "type": state.kind.as_str(),
        "name": state.name,
        "message": state.message.as_deref().map(|text| cut(text, LONGEST_MESSAGE)),
        "state_details": state.details,
        "data": state.data,
    })
}

/// One line of `POST /logs/`.
pub(super) fn log_line(line: &LogLine, flow_run: Option<Uuid>) -> Value {
    json!({
        "name": line.logger,
        "level": line.level,
        "message": cut(&line.message, LONGEST_LINE),
        "timestamp": time(line.at),
        "flow_run_id": flow_run,
        "task_run_id": line.task_run,
    })
}

/// A flow run and its flow, as resources that an event has to do with.
fn resources_of(run: &ServerFlowRun) -> [Value; 2] {
    [
        json!({
            "prefect.resource.id": format!("prefect.flow-run.{}", run.id),
            "prefect.resource.role": "flow-run",
            "prefect.resource.name": run.name,
        }),
        json!({
            "prefect.resource.id": format!("prefect.flow.{}", run.flow),
            "prefect.resource.role": "flow",
            "prefect.resource.name": run.flow_name,
        }),
    ]
}

/// What an event of a run's code has to do with, as a client in Python says it.
pub(crate) fn related_to(flow_run: Option<&ServerFlowRun>, task_run: Option<Uuid>) -> Vec<Value> {
    let mut related: Vec<Value> = flow_run.into_iter().flat_map(resources_of).collect();
    related.extend(task_run.map(|run| {
        json!({
            "prefect.resource.id": format!("prefect.task-run.{run}"),
            "prefect.resource.role": "task-run",
        })
    }));
    related
}

/// An event that is no state of a task run.
pub(crate) struct PlainEvent<'a> {
    pub(crate) id: Uuid,
    pub(crate) name: &'a str,
    pub(crate) resource: Map<String, Value>,
    pub(crate) related: Vec<Value>,
    pub(crate) payload: Value,
}

impl PlainEvent<'_> {
    /// One of the list of `POST /events`.
    pub(crate) fn body(self) -> Value {
        json!({
            "id": self.id,
            "occurred": Timestamp::now(),
            "event": self.name,
            "resource": self.resource,
            "related": self.related,
            "payload": self.payload,
        })
    }
}

/// With microseconds: that is what the server keeps.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// At most so many bytes of it.
pub(super) fn cut(text: &str, longest: usize) -> std::borrow::Cow<'_, str> {
    if text.len() <= longest {
        return text.into();
    }
    let end = text.floor_char_boundary(longest - CUT.len());
    format!("{}{CUT}", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_letters() {
        assert_eq!(cut("short", 20), "short");
        let long = "ü".repeat(20);
        let short = cut(&long, 30);
        assert!(short.len() <= 30 && short.ends_with(CUT), "{short}");
    }

    #[test]
    fn times_have_microseconds() {
        let at = Timestamp::from_nanosecond(1_790_000_000_123_456_789).unwrap();
        assert_eq!(time(at), "2026-09-21T14:13:20.123456Z");
    }
}
