//! The event of a task run's state, as text. Source of all names: `api.md` 5.1.
//!
//! There are many of them, so the text is written at once, without a tree of
//! values between.

use std::fmt::Display;

use jiff::Timestamp;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::bodies::{LONGEST_MESSAGE, cut};
use super::ledger::ServerFlowRun;
use crate::prefect::message::{ReportedTask, TaskInput, TaskInputs, TaskRunUpdate};
use crate::state::StateType;

/// The server takes no more than 100 related resources.
const MOST_TAGS: usize = 80;

/// What an event says besides the run itself.
pub(super) struct EventFacts<'a> {
    pub(super) id: Uuid,
    pub(super) follows: Option<Uuid>,
    pub(super) occurred: Timestamp,
    /// The state before; `None`: there was none.
    pub(super) before: Option<&'a (StateType, String)>,
    pub(super) flow_run: Option<&'a ServerFlowRun>,
    /// Else delays are told in whole seconds.
    pub(super) has_fractional_delays: bool,
}

/// The event of a task run's state; `server_id` is what the server calls a flow
/// run.
pub(super) fn event(
    update: &TaskRunUpdate,
    facts: &EventFacts<'_>,
    server_id: impl Fn(Uuid) -> Uuid,
) -> String {
    let (state, task) = (&update.state, &update.task);
    let kind = state.kind.as_str();
    let message = state.message.as_deref().unwrap_or_default();
    let message = cut(message, LONGEST_MESSAGE);
    let occurred = Time(facts.occurred);
    let event = Event {
        id: facts.id,
        occurred,
        event: Named("prefect.task-run.", &state.name),
        follows: facts.follows,
        resource: Resource {
            id: Named("prefect.task-run.", &update.id),
            name: &update.name,
            run_count: Named("", &update.run_count),
            message: &message,
            state: &state.name,
            kind,
            timestamp: occurred,
            orchestration: "client",
        },
        related: Related {
            tags: &task.tags,
            run: facts.flow_run,
        },
        payload: Payload {
            intended: Intended {
                from: facts.before.map(|(kind, _)| kind.as_str()),
                to: kind,
            },
            initial_state: facts.before.map(|(kind, name)| Before {
                kind: kind.as_str(),
                name,
                message: "",
                state_details: Nothing {},
            }),
            validated_state: State {
                kind,
                name: &state.name,
                message: &message,
                state_details: &state.details,
                data: state.data.as_ref(),
            },
            task_run: TaskRun {
                name: &update.name,
                task_key: &task.key,
                dynamic_key: &update.dynamic_key,
                empirical_policy: Policy::of(task, facts.has_fractional_delays),
                tags: &task.tags,
                labels: Nothing {},
                task_inputs: Inputs(&update.inputs, &server_id),
                run_count: update.run_count,
                flow_run_run_count: update.flow_run_count,
                expected_start_time: Time(update.expected_start),
                total_run_time: update.run_time,
                task_version: task.version.as_deref(),
                start_time: update.start.map(Time),
                end_time: update.end.map(Time),
            },
        },
    };
    serde_json::to_string(&event).expect("all keys are texts, and nothing in it refuses")
}

#[derive(Serialize)]
#[serde(bound = "")]
struct Event<'a, F: Fn(Uuid) -> Uuid> {
    id: Uuid,
    occurred: Time,
    event: Named<&'a String>,
    follows: Option<Uuid>,
    resource: Resource<'a>,
    related: Related<'a>,
    payload: Payload<'a, F>,
}

#[derive(Serialize)]
struct Resource<'a> {
    #[serde(rename = "prefect.resource.id")]
    id: Named<&'a Uuid>,
    #[serde(rename = "prefect.resource.name")]
    name: &'a str,
    #[serde(rename = "prefect.run-count")]
    run_count: Named<&'a u32>,
    #[serde(rename = "prefect.state-message")]
    message: &'a str,
    #[serde(rename = "prefect.state-name")]
    state: &'a str,
    #[serde(rename = "prefect.state-type")]
    kind: &'a str,
    #[serde(rename = "prefect.state-timestamp")]
    timestamp: Time,
    /// Without exactly `client` it is no task run.
    #[serde(rename = "prefect.orchestration")]
    orchestration: &'static str,
}

#[derive(Serialize)]
#[serde(bound = "")]
struct Payload<'a, F: Fn(Uuid) -> Uuid> {
    intended: Intended<'a>,
    initial_state: Option<Before<'a>>,
    validated_state: State<'a>,
    task_run: TaskRun<'a, F>,
}

#[derive(Serialize)]
struct Intended<'a> {
    from: Option<&'a str>,
    to: &'a str,
}

#[derive(Serialize)]
struct Before<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    message: &'a str,
    state_details: Nothing,
}

#[derive(Serialize)]
struct State<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    message: &'a str,
    state_details: &'a Map<String, Value>,
    data: Option<&'a Value>,
}

#[derive(Serialize)]
#[serde(bound = "")]
struct TaskRun<'a, F: Fn(Uuid) -> Uuid> {
    name: &'a str,
    task_key: &'a str,
    dynamic_key: &'a str,
    empirical_policy: Policy<'a>,
    tags: &'a [String],
    labels: Nothing,
    task_inputs: Inputs<'a, F>,
    run_count: u32,
    flow_run_run_count: u32,
    expected_start_time: Time,
    total_run_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Time>,
}

/// `{}`
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Policy<'a> {
    max_retries: u32,
    retry_delay_seconds: f64,
    retries: u32,
    retry_delay: Delay<'a>,
}

/// One number, or several.
#[derive(Serialize)]
#[serde(untagged)]
enum Delay<'a> {
    None(u8),
    One(f64),
    Several(&'a [f64]),
    OneWhole(u64),
    SeveralWhole(Vec<u64>),
}

impl<'a> Policy<'a> {
    fn of(task: &'a ReportedTask, has_fractions: bool) -> Self {
        let whole = |delay: &f64| delay.round() as u64;
        Self {
            max_retries: task.retries,
            retry_delay_seconds: task.retry_delays.first().copied().unwrap_or(0.0),
            retries: task.retries,
            retry_delay: match task.retry_delays.as_slice() {
                [] => Delay::None(0),
                [one] if has_fractions => Delay::One(*one),
                several if has_fractions => Delay::Several(several),
                [one] => Delay::OneWhole(whole(one)),
                several => Delay::SeveralWhole(several.iter().map(whole).collect()),
            },
        }
    }
}

/// What an event has to do with.
struct Related<'a> {
    tags: &'a [String],
    run: Option<&'a ServerFlowRun>,
}

#[derive(Serialize)]
struct RelatedResource<'a> {
    #[serde(rename = "prefect.resource.id")]
    id: Named<&'a dyn Display>,
    #[serde(rename = "prefect.resource.role")]
    role: &'static str,
    #[serde(rename = "prefect.resource.name")]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl Serialize for Related<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let resource = |prefix, id, role, name| RelatedResource {
            id: Named(prefix, id),
            role,
            name,
        };
        let tags = self.tags.iter().take(MOST_TAGS);
        let tags = tags.map(|tag| resource("prefect.tag.", tag, "tag", None));
        let run = self.run.into_iter().flat_map(|run| {
            let deployment = run.deployment.as_ref();
            let deployment = deployment.map(|id| {
                resource(
                    "prefect.deployment.",
                    id as &dyn Display,
                    "deployment",
                    None,
                )
            });
            let (name, flow) = (Some(run.name.as_str()), Some(run.flow_name.as_str()));
            [
                Some(resource("prefect.flow-run.", &run.id, "flow-run", name)),
                Some(resource("prefect.flow.", &run.flow, "flow", flow)),
                deployment,
            ]
        });
        serializer.collect_seq(tags.chain(run.flatten()))
    }
}

/// With the server's ids of flow runs.
pub(super) struct Inputs<'a, F: Fn(Uuid) -> Uuid>(pub(super) &'a TaskInputs, pub(super) &'a F);

impl<F: Fn(Uuid) -> Uuid> Serialize for Inputs<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, inputs) in self.0 {
            let each = |input| Input::of(input, self.1);
            map.serialize_entry(name, &inputs.iter().map(each).collect::<Vec<_>>())?;
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(tag = "input_type", rename_all = "snake_case")]
enum Input<'a> {
    TaskRun {
        id: Uuid,
    },
    FlowRun {
        id: Uuid,
    },
    Parameter {
        name: &'a str,
    },
    Constant {
        #[serde(rename = "type")]
        kind: &'a str,
    },
}

impl<'a> Input<'a> {
    fn of(input: &'a TaskInput, server_id: impl Fn(Uuid) -> Uuid) -> Self {
        match input {
            TaskInput::TaskRun(id) => Self::TaskRun { id: *id },
            TaskInput::FlowRun(id) => Self::FlowRun { id: server_id(*id) },
            TaskInput::Parameter(name) => Self::Parameter { name },
            TaskInput::Constant(kind) => Self::Constant { kind },
        }
    }
}

/// A text that begins like this.
struct Named<T>(&'static str, T);

impl<T: Display> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}{}", self.0, self.1))
    }
}

/// With microseconds: that is what the server keeps.
#[derive(Clone, Copy)]
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::prefect::outbox::test_messages;

    #[test]
    fn an_event_has_all_that_a_client_in_python_says() {
        let at: Timestamp = "2026-11-26T12:00:00.5Z".parse().unwrap();
        let (id, flow, server) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let state = test_messages::state(StateType::Failed, "Failed", at);
        let mut update = test_messages::task_run(flow, id, 7, "key".to_owned(), state);
        update.state.message = Some("bad \"x\"".to_owned());
        update.task = std::sync::Arc::new(ReportedTask {
            key: "task-1".to_owned(),
            version: Some("v".to_owned()),
            tags: vec!["t".to_owned()],
            retries: 2,
            retry_delays: vec![0.5, 1.0],
        });
        let inputs = [
            (
                "x".to_owned(),
                vec![TaskInput::TaskRun(id), TaskInput::FlowRun(flow)],
            ),
            ("y".to_owned(), vec![TaskInput::Parameter("n".to_owned())]),
            ("z".to_owned(), vec![TaskInput::Constant("i64".to_owned())]),
        ];
        update.inputs = std::sync::Arc::new(inputs.into());
        (update.start, update.end, update.run_time) = (Some(at), Some(at), 1.5);
        let run = ServerFlowRun {
            id: server,
            name: "run".to_owned(),
            flow: Uuid::from_u128(4),
            flow_name: "flow".to_owned(),
            deployment: Some(Uuid::from_u128(5)),
        };
        let facts = EventFacts {
            id: Uuid::from_u128(6),
            follows: None,
            occurred: at,
            before: Some(&(StateType::Running, "Running".to_owned())),
            flow_run: Some(&run),
            has_fractional_delays: true,
        };
        let text = event(&update, &facts, |_| server);
        let told: Value = serde_json::from_str(&text).unwrap();
        let time = "2026-11-26T12:00:00.500000Z";
        let resource = |kind: &str, id: String, role: &str| {
            json!({
                "prefect.resource.id": format!("prefect.{kind}.{id}"),
                "prefect.resource.role": role,
            })
        };
        let named = |mut resource: Value, name: &str| {
            resource["prefect.resource.name"] = json!(name);
            resource
        };
        let wanted = json!({
            "id": facts.id, "occurred": time, "event": "prefect.task-run.Failed", "follows": null,
            "resource": {
                "prefect.resource.id": format!("prefect.task-run.{id}"),
                "prefect.resource.name": "task-7", "prefect.run-count": "1",
                "prefect.state-message": "bad \"x\"", "prefect.state-name": "Failed",
                "prefect.state-type": "FAILED", "prefect.state-timestamp": time,
                "prefect.orchestration": "client",
            },
            "related": [
                resource("tag", "t".to_owned(), "tag"),
                named(resource("flow-run", server.to_string(), "flow-run"), "run"),
                named(resource("flow", run.flow.to_string(), "flow"), "flow"),
                resource("deployment", Uuid::from_u128(5).to_string(), "deployment"),
            ],
            "payload": {
                "intended": {"from": "RUNNING", "to": "FAILED"},
                "initial_state": {
                    "type": "RUNNING", "name": "Running", "message": "", "state_details": {},
                },
                "validated_state": {
                    "type": "FAILED", "name": "Failed", "message": "bad \"x\"",
                    "state_details": {}, "data": null,
                },
                "task_run": {
                    "name": "task-7", "task_key": "task-1", "dynamic_key": "key",
                    "task_version": "v", "tags": ["t"], "labels": {},
                    "empirical_policy": {
                        "max_retries": 2, "retry_delay_seconds": 0.5, "retries": 2,
                        "retry_delay": [0.5, 1.0],
                    },
                    "task_inputs": {
                        "x": [
                            {"input_type": "task_run", "id": id},
                            {"input_type": "flow_run", "id": server},
                        ],
                        "y": [{"input_type": "parameter", "name": "n"}],
                        "z": [{"input_type": "constant", "type": "i64"}],
                    },
                    "run_count": 1, "flow_run_run_count": 1, "expected_start_time": time,
                    "start_time": time, "end_time": time, "total_run_time": 1.5,
                },
            },
        });
        assert_eq!(told, wanted);

        let facts = EventFacts {
            has_fractional_delays: false,
            ..facts
        };
        let text = event(&update, &facts, |_| server);
        let told: Value = serde_json::from_str(&text).unwrap();
        let policy = &told["payload"]["task_run"]["empirical_policy"];
        assert_eq!(policy["retry_delay"], json!([1, 1]));
    }
}
