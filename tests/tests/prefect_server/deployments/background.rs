//! Background tasks: `delay` and `serve_tasks`.

use flow_tests::prefect::Server;
use serde_json::{Value, json};

use super::*;

/// Runs the program with the home of the one that serves, and reads what it
/// prints.
fn asked(server: &Server, home: &TempDir, arguments: &[&str]) -> Value {
    let mut command = program(server, home);
    command.args(arguments);
    let (code, printed, lines) = ran(command);
    assert_eq!(code, Some(0), "{printed}{lines}");
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

fn task_run(server: &Server, run: &Value) -> Value {
    server.get(&format!("/task_runs/{}", text(&run["id"])))
}

/// The task run when it has ended.
fn ended(server: &Server, run: &Value) -> Value {
    server.wait_for("the end of a task run", |server| {
        let seen = task_run(server, run);
        let kind = text(&seen["state_type"]);
        ["COMPLETED", "FAILED", "CRASHED"]
            .contains(&kind)
            .then_some(seen)
    })
}

#[test]
fn a_run_that_is_asked_for_is_executed_by_who_serves_its_task() {
    let server = Server::shared();
    let mut serving = Serving::start(server, &["tasks"]);
    let file = serving.file("noted");
    let waited = asked(server, &serving.home, &["wait", &file]);
    assert_eq!(waited["state_type"], "COMPLETED", "{waited}");
    assert_eq!(
        std::fs::read_to_string(&file).expect("it was written"),
        "noted 3\n"
    );
    let run = task_run(server, &waited);
    assert_eq!(run["name"], waited["name"]);
    assert_eq!(run["flow_run_id"], Value::Null);
    assert_eq!(run["run_count"], 1);
    assert_eq!(run["tags"], json!(["quiet"]));
    let states = server.get(&format!(
        "/task_run_states/?task_run_id={}",
        text(&run["id"])
    ));
    let mut states: Vec<_> = states
        .as_array()
        .expect("a list")
        .iter()
        .map(|state| (text(&state["timestamp"]), text(&state["name"])))
        .collect();
    states.sort_unstable();
    let names: Vec<_> = states.iter().map(|(_, name)| *name).collect();
    assert_eq!(names, ["Scheduled", "Pending", "Running", "Completed"]);

    let failure = asked(server, &serving.home, &["delay", "failure", ""]);
    let failure = ended(server, &failure);
    assert_eq!(failure["state_type"], "FAILED");
    assert!(message(&failure).contains("the disk is full"), "{failure}");

    // Who serves cannot reach the store of who asks.
    let elsewhere = tempfile::tempdir().expect("a directory");
    let lost = asked(server, &elsewhere, &["delay", "note", &file]);
    let lost = ended(server, &lost);
    assert_eq!(lost["state_type"], "CRASHED", "{lost}");
    assert!(message(&lost).contains("need one store"), "{lost}");

    // What runs ends in its time.
    let slow = asked(server, &serving.home, &["delay", "slow", &file]);
    server.wait_for("a task that has begun", |_| {
        let written = std::fs::read_to_string(&file).ok()?;
        written.contains("begun").then_some(())
    });
    serving.terminate();
    let status = serving.child.0.wait().expect("it is ours");
    assert_eq!(status.code(), Some(143));
    assert_eq!(task_run(server, &slow)["state_type"], "COMPLETED");
}

/// What does not differ from run to run.
fn shape(run: &Value) -> Value {
    let details = &run["state"]["state_details"];
    json!({
        "flow_run_id": run["flow_run_id"],
        "policy": run["empirical_policy"],
        "tags": run["tags"],
        "inputs": run["task_inputs"],
        "run_count": run["run_count"],
        "state": [run["state"]["type"], run["state"]["name"]],
        "deferred": details["deferred"],
        "scheduled": details["scheduled_time"].is_string(),
        "parameters": details["task_parameters_id"].is_string(),
        "expected": run["expected_start_time"].is_string(),
    })
}

#[test]
fn a_run_is_asked_for_as_in_python_and_wrong_arguments_are_told() {
    let server = Server::shared();
    let home = tempfile::tempdir().expect("a directory");
    let ours = asked(server, &home, &["delay", "nobody", ""]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/prefect/delayed.py");
    let script = server.program(script);
    let id: String = script.run_json().unwrap_or_else(|error| panic!("{error}"));
    let theirs = task_run(server, &json!({"id": id}));
    assert_eq!(shape(&task_run(server, &ours)), shape(&theirs));

    let errors = asked(server, &home, &["wrong"]);
    let errors = errors.as_array().expect("a list");
    for (error, part) in
        errors
            .iter()
            .zip(["`times` is no `u32`", "takes 2 arguments", "is a flow"])
    {
        assert!(text(error).contains(part), "{part}: {error}");
    }
}
