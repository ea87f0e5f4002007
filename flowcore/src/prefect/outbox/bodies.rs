//! The JSON that a server reads. Source of all names: `api.md` 3, 5.1, 6, 8.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::ledger::ServerFlowRun;
use crate::prefect::message::{
    LogLine, NewFlowRun, Placeholder, StateUpdate, TaskInput, TaskInputs, TaskRunUpdate,
};
use crate::state::StateType;

/// What a message of a state is cut to; the server does it too, and refuses
/// events that are larger than it likes.
const LONGEST_MESSAGE: usize = 100_000;

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
/// this policy: the server keeps there which pauses it had.
pub(super) fn adoption(new: &NewFlowRun, mut known: Map<String, Value>) -> Value {
    known.extend(policy(new));
    json!({"flow_version": new.version, "empirical_policy": known})
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
        "task_inputs": inputs(&placeholder.inputs, server_id),
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

/// What an event says besides the run itself.
pub(super) struct EventFacts<'a> {
    pub(super) id: Uuid,
    pub(super) follows: Option<Uuid>,
    pub(super) occurred: Timestamp,
    /// The state before; `None`: there was none.
    pub(super) before: Option<&'a (StateType, String)>,
    pub(super) flow_run: Option<&'a ServerFlowRun>,
}

/// The event of a task run's state.
pub(super) fn event(
    update: &TaskRunUpdate,
    facts: &EventFacts<'_>,
    server_id: impl Fn(Uuid) -> Uuid,
) -> Value {
    let state = &update.state;
    let kind = state.kind.as_str();
    let message = cut(
        state.message.as_deref().unwrap_or_default(),
        LONGEST_MESSAGE,
    );
    let occurred = time(facts.occurred);
    let before = facts.before.map(|(kind, name)| {
        json!({"type": kind.as_str(), "name": name, "message": "", "state_details": {}})
    });
    json!({
        "id": facts.id,
        "occurred": occurred,
        "event": format!("prefect.task-run.{}", state.name),
        "follows": facts.follows,
        "resource": {
            "prefect.resource.id": format!("prefect.task-run.{}", update.id),
            "prefect.resource.name": update.name,
            "prefect.run-count": update.run_count.to_string(),
            "prefect.state-message": message,
            "prefect.state-name": state.name,
            "prefect.state-type": kind,
            "prefect.state-timestamp": occurred,
            // Without exactly this it is no task run.
            "prefect.orchestration": "client",
        },
        "related": related(update, facts.flow_run),
        "payload": {
            "intended": {
                "from": facts.before.map(|(kind, _)| kind.as_str()),
                "to": kind,
            },
            "initial_state": before,
            "validated_state": {
                "type": kind,
                "name": state.name,
                "message": message,
                "state_details": state.details,
                "data": state.data,
            },
            "task_run": task_run(update, server_id),
        },
    })
}

fn task_run(update: &TaskRunUpdate, server_id: impl Fn(Uuid) -> Uuid) -> Value {
    let task = &update.task;
    let delay = match task.retry_delays.as_slice() {
        [] => json!(0),
        [one] => json!(one),
        several => json!(several),
    };
    let mut run = json!({
        "name": update.name,
        "task_key": task.key,
        "dynamic_key": update.dynamic_key,
        "empirical_policy": {
            "max_retries": task.retries,
            "retry_delay_seconds": task.retry_delays.first().copied().unwrap_or(0.0),
            "retries": task.retries,
            "retry_delay": delay,
        },
        "tags": task.tags,
        "labels": {},
        "task_inputs": inputs(&update.inputs, server_id),
        "run_count": update.run_count,
        "flow_run_run_count": update.flow_run_count,
        "expected_start_time": time(update.expected_start),
        "total_run_time": update.run_time,
    });
    let mut put = |name: &str, value: Option<Value>| {
        if let (Some(value), Value::Object(run)) = (value, &mut run) {
            run.insert(name.to_owned(), value);
        }
    };
    put(
        "task_version",
        task.version.as_ref().map(|text| json!(text)),
    );
    put("start_time", update.start.map(|at| json!(time(at))));
    put("end_time", update.end.map(|at| json!(time(at))));
    run
}

fn related(update: &TaskRunUpdate, flow_run: Option<&ServerFlowRun>) -> Vec<Value> {
    /// The server takes no more than 100.
    const MOST_TAGS: usize = 80;
    let tags = update.task.tags.iter().take(MOST_TAGS);
    let tags = tags.map(|tag| {
        json!({
            "prefect.resource.id": format!("prefect.tag.{tag}"),
            "prefect.resource.role": "tag",
        })
    });
    let mut all: Vec<Value> = tags.collect();
    if let Some(run) = flow_run {
        all.extend(resources_of(run));
        if let Some(deployment) = run.deployment {
            let id = format!("prefect.deployment.{deployment}");
            all.push(json!({
                "prefect.resource.id": id,
                "prefect.resource.role": "deployment",
            }));
        }
    }
    all
}

/// A flow run and its flow, as resources that an event has to do with.
pub(crate) fn resources_of(run: &ServerFlowRun) -> [Value; 2] {
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

fn inputs(inputs: &TaskInputs, server_id: impl Fn(Uuid) -> Uuid) -> Value {
    let each = |input: &TaskInput| match input {
        TaskInput::TaskRun(id) => json!({"input_type": "task_run", "id": id}),
        TaskInput::FlowRun(id) => json!({"input_type": "flow_run", "id": server_id(*id)}),
        TaskInput::Parameter(name) => json!({"input_type": "parameter", "name": name}),
        TaskInput::Constant(kind) => json!({"input_type": "constant", "type": kind}),
    };
    let all = inputs.iter().map(|(name, inputs)| {
        let inputs: Vec<Value> = inputs.iter().map(each).collect();
        (name.clone(), Value::Array(inputs))
    });
    Value::Object(all.collect())
}

/// With microseconds: that is what the server keeps.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// At most so many bytes of it.
fn cut(text: &str, longest: usize) -> std::borrow::Cow<'_, str> {
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
