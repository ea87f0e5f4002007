//! What people do with a flow run on the server: cancel it, resume it.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use flow_tests::prefect::{Faults, FaultyWay, Server};
use flow_tests::python::Environment;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A program whose flow runs; dropping it ends it.
struct Program {
    child: Option<Child>,
    _home: TempDir,
}

impl Program {
    fn start(server: &Server, flow: &str) -> Self {
        Self::of(server, &[flow])
    }

    fn of(server: &Server, arguments: &[&str]) -> Self {
        Self::at(server, &server.url(), arguments)
    }

    fn at(server: &Server, url: &str, arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut command = server.command(env!("CARGO_BIN_EXE_prefect_things"), home.path());
        let environment = Environment::dask().unwrap_or_else(|error| panic!("{error}"));
        command.env("FLOWDASK_DASK", environment.command("dask"));
        command.env("PREFECT_API_URL", url);
        let child = command.args(arguments).stdout(Stdio::piped()).spawn();
        Self {
            child: Some(child.expect("the program starts")),
            _home: home,
        }
    }

    /// What it prints.
    fn end(mut self) -> Value {
        let child = self.child.take().expect("it ends once");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The only run of a flow, when its state has this name.
fn run_in_state(server: &Server, flow: &str, state: &str) -> Value {
    server.wait_for(&format!("a run of {flow} that is {state}"), |server| {
        let runs = server.all("flow_runs", &json!({"flows": {"name": {"any_": [flow]}}}));
        let run = runs.first()?.clone();
        (run["state_name"] == state).then_some(run)
    })
}

fn id(run: &Value) -> &str {
    run["id"].as_str().expect("an id")
}

#[test]
fn a_flow_that_was_started_by_hand_is_cancelled_on_the_server() {
    is_cancelled("cancelled", "waits-to-be-cancelled");
}

#[test]
fn a_flow_whose_tasks_workers_execute_is_cancelled_on_the_server() {
    is_cancelled("cancelled_elsewhere", "waits-elsewhere-to-be-cancelled");
}

/// What happens between two questions of ours, and before the socket listens,
/// is in no event that the server sends: it writes events down seconds later.
#[test]
fn a_cancellation_of_just_before_the_socket_listens_is_heard_soon() {
    const BETWEEN_QUESTIONS: Duration = Duration::from_secs(10);
    let server = Server::shared();
    let held = Faults {
        held: Some("/events/out".to_owned()),
        ..Faults::default()
    };
    let way = FaultyWay::to(server.address(), held).expect("a free port");
    let begin = Instant::now();
    let program = Program::at(server, &way.url(), &["cancelled_early"]);
    let run = run_in_state(server, "waits-to-be-cancelled-early", "Running");
    server.wait_for("the socket", |_| (way.met().held > 0).then_some(()));
    // The question has just been asked.
    let asked = BETWEEN_QUESTIONS + Duration::from_secs(2);
    std::thread::sleep(asked.saturating_sub(begin.elapsed()));
    let body = json!({"state": {"type": "CANCELLING", "name": "Cancelling"}});
    server.post(&format!("/flow_runs/{}/set_state", id(&run)), &body);
    std::thread::sleep(Duration::from_millis(300));
    way.set(Faults::default());
    let listens = Instant::now();
    program.end();
    let took = listens.elapsed();
    run_in_state(server, "waits-to-be-cancelled-early", "Cancelled");
    assert!(took < BETWEEN_QUESTIONS / 2, "{took:?}");
}

/// Starts a flow, and cancels it when its only task runs.
fn is_cancelled(argument: &str, flow: &str) {
    let server = Server::shared();
    let program = Program::start(server, argument);
    let run = run_in_state(server, flow, "Running");
    let filter = json!({"flow_runs": {"id": {"any_": [id(&run)]}}});
    server.wait_for("its task run", |server| {
        let runs = server.all("task_runs", &filter);
        (runs.first()?["state_name"] == "Running").then_some(())
    });
    let body = json!({"state": {"type": "CANCELLING", "name": "Cancelling"}});
    server.post(&format!("/flow_runs/{}/set_state", id(&run)), &body);
    let said = program.end();
    assert!(said["Err"].is_string(), "{said}");
    let run = run_in_state(server, flow, "Cancelled");
    assert_eq!(
        run["state"]["message"],
        "Flow run was cancelled successfully."
    );
    let runs = server.all("task_runs", &filter);
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["state_type"], "CANCELLED", "{}", runs[0]);
}

#[test]
fn a_paused_flow_is_resumed_with_input_by_a_python_client() {
    let server = Server::shared();
    let program = Program::start(server, "people");
    let run = run_in_state(server, "waits-for-people", "Paused");
    let path = format!("/flow_runs/{}/input/paused-1-description", id(&run));
    assert_eq!(server.get(&path), json!("May it go on?"));
    // The server checks the input.
    let resume = format!("/flow_runs/{}/resume", id(&run));
    let wrong = json!({"run_input": {"by": 3}});
    let answer = server.request("POST", &resume, Some(&wrong));
    assert_eq!(answer.body["status"], "REJECT", "{answer:?}");

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/prefect/resume.py");
    let script = server.program(script).argument(id(&run));
    let script = script.argument(r#"{"by": "Ada", "amount": 7}"#);
    let resumed: String = script.run_json().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(resumed, "resumed");
    // Then it pauses again, for nothing.
    server.wait_for("the second pause", |server| {
        let run = server.get(&format!("/flow_runs/{}", id(&run)));
        let key = &run["state"]["state_details"]["pause_key"];
        (*key == "2" && run["state_name"] == "Paused").then_some(())
    });
    server.post(&resume, &json!({}));
    assert_eq!(program.end(), json!({"by": "Ada", "amount": 7}));
    run_in_state(server, "waits-for-people", "Completed");
}

#[test]
fn a_flow_that_nobody_would_start_again_is_not_suspended() {
    let server = Server::shared();
    let said = Program::start(server, "leaves").end();
    assert_eq!(said["typed"], true, "{said}");
    let error = said["error"].as_str().expect("a text");
    assert!(error.contains("`serve` or `deploy` the flow"), "{error}");
    run_in_state(server, "leaves-for-ever", "Failed");
}

/// What the server has of the only run of a flow that has ended: how often it
/// ran, its states by name, and what the server knows of its retries.
fn retries_of(server: &Server, flow: &str, good_at: u32) -> Value {
    let filter = json!({
        "flows": {"name": {"any_": [flow]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED"]}}},
    });
    server.wait_for(&format!("a run of {flow} that has ended"), |server| {
        let runs = server.all("flow_runs", &filter);
        let is_it = |run: &&Value| run["parameters"]["good_at"] == good_at;
        let run = runs.iter().find(is_it)?;
        let states = server.get(&format!("/flow_run_states/?flow_run_id={}", id(run)));
        let states = states.as_array().expect("a list").iter();
        // In the order of time.
        let mut states: Vec<_> = states
            .map(|state| (state["timestamp"].to_string(), state["name"].clone()))
            .collect();
        states.sort_by(|one, other| one.0.cmp(&other.0));
        let states: Vec<_> = states.into_iter().map(|(_, name)| name).collect();
        Some(json!({
            "run_count": run["run_count"], "states": states, "policy": run["empirical_policy"],
        }))
    })
}

#[test]
fn a_retried_flow_leaves_the_records_that_it_leaves_in_python() {
    let server = Server::shared();
    for (good_at, result) in [(3, json!({"Ok": 3})), (9, json!({"Err": "attempt 3"}))] {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/python/prefect/retried.py");
        let program = server.program(program).argument(good_at.to_string());
        let state: String = program.run_json().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(state, if good_at == 3 { "Completed" } else { "Failed" });
        let python = retries_of(server, "retried-in-python", good_at);
        let said = Program::of(server, &["retried", &good_at.to_string()]).end();
        assert_eq!(said, result);
        assert_eq!(retries_of(server, "retried-in-rust", good_at), python);
        assert_eq!(python["run_count"], 3);
    }
}

#[test]
fn a_flow_that_nobody_resumes_fails_in_time() {
    let server = Server::shared();
    let said = Program::start(server, "nobody").end();
    let said = said["Err"].as_str().expect("an error");
    assert!(said.contains("nobody has resumed"), "{said}");
    run_in_state(server, "nobody-comes", "Failed");
}
