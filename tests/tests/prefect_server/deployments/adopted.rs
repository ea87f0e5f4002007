//! Which runs a process takes for its own.

use flow_tests::prefect::Server;
use flow_tests::python::Environment;
use serde_json::json;

use super::*;

/// A run that nobody has started, of a deployment that nobody serves.
fn orphan(server: &Server, flow: &str, parameters: &Value) -> String {
    let flow = server.post("/flows/", &json!({"name": flow}));
    let made = server.post(
        "/deployments/",
        &json!({"name": "orphaned", "flow_id": flow["id"]}),
    );
    start_run(server, text(&made["id"]), parameters)
}

fn ada() -> Value {
    json!({"name": "Ada"})
}

/// The program as a worker of Prefect's would start it.
fn marked(server: &Server, home: &TempDir, mark: Option<&str>, run: &str) -> Command {
    let mut command = program(server, home);
    command.env("PREFECT__FLOW_RUN_ID", run);
    if let Some(mark) = mark {
        command.env("FLOW_SCHEDULED_RUN", mark);
    }
    command
}

fn started(server: &Server, mark: Option<&str>, run: &str) -> (Option<i32>, String) {
    let home = tempfile::tempdir().expect("a directory");
    let output = marked(server, &home, mark, run).output();
    let output = output.expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text.into_owned())
}

#[test]
fn a_marked_process_runs_the_run() {
    let server = Server::shared();
    let run = orphan(server, "served-greeting", &ada());
    let mark = "deploy served_flows::served_greeting";
    let (code, lines) = started(server, Some(mark), &run);
    assert_eq!(code, Some(0), "{lines}");
    assert_eq!(run_of(server, &run)["state_type"], "COMPLETED");
    // It has ended: nobody runs it again.
    let (code, lines) = started(server, Some(mark), &run);
    assert_eq!(code, Some(0), "{lines}");
    assert!(lines.contains("is COMPLETED already"), "{lines}");
}

/// How the run ends whose process is terminated as soon as it has begun, when
/// nothing but a question can have told it what others want.
fn terminated(server: &Server, is_cancelled: bool) -> Value {
    let home = tempfile::tempdir().expect("a directory");
    let begun = home.path().join("begun");
    let run = orphan(server, "served-waiting", &json!({"file": begun}));
    let mark = Some("deploy served_flows::served_waiting");
    let child = marked(server, &home, mark, &run).spawn();
    let child = Ended(child.expect("the program starts"));
    server.wait_for("a run that has begun", |_| std::fs::read(&begun).ok());
    if is_cancelled {
        cancel(server, &run);
    }
    terminate(&child.0);
    wait_for_end(server, &run)
}

#[test]
fn a_terminated_process_has_crashed_if_nobody_has_cancelled_its_run() {
    let server = Server::shared();
    let ended = terminated(server, false);
    assert_eq!(ended["state_type"], "CRASHED", "{ended}");
    let ended = terminated(server, true);
    assert_eq!(ended["state_type"], "CANCELLED", "{ended}");
    assert_eq!(message(&ended), "Flow run was cancelled successfully.");
}

#[test]
fn a_flow_that_is_not_in_the_program_crashes_the_run() {
    let server = Server::shared();
    let run = orphan(server, "served-greeting", &ada());
    let (code, lines) = started(server, Some("deploy served_flows::serve_greeting"), &run);
    assert_eq!(code, Some(1), "{lines}");
    let ended = run_of(server, &run);
    assert_eq!(ended["state_type"], "CRASHED");
    assert!(message(&ended).contains("did you mean"), "{ended}");

    let run = orphan(server, "another-flow", &ada());
    let (code, lines) = started(server, Some("deploy served_flows::served_greeting"), &run);
    assert_eq!(code, Some(1), "{lines}");
    assert!(
        message(&run_of(server, &run)).contains("is of flow `another-flow`"),
        "{lines}"
    );
}

#[test]
fn a_run_that_is_not_there_is_told() {
    let server = Server::shared();
    let mark = Some("deploy served_flows::served_greeting");
    let (code, lines) = started(server, mark, "01a208da-5a0f-7492-8000-000000000000");
    assert_eq!(code, Some(1), "{lines}");
    assert!(lines.contains("is not known to the server"), "{lines}");
    let (code, lines) = started(server, mark, "the-run");
    assert_eq!(code, Some(1), "{lines}");
    assert!(lines.contains("is `the-run`, which is no id"), "{lines}");
}

#[test]
fn a_program_without_the_mark_leaves_the_run_alone() {
    let server = Server::shared();
    let run = orphan(server, "served-greeting", &ada());
    let (code, lines) = started(server, None, &run);
    assert_eq!(code, Some(0), "{lines}");
    assert!(lines.contains("counted 15"), "{lines}");
    assert_eq!(run_of(server, &run)["state_type"], "SCHEDULED");
}

#[test]
fn a_program_that_a_python_flow_starts_leaves_its_run_alone() {
    let server = Server::shared();
    let home = tempfile::tempdir().expect("a directory");
    let environment = Environment::prefect().unwrap_or_else(|error| panic!("{error}"));
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/python/prefect/starts_a_program.py"
    );
    let flow = environment
        .program(script)
        .argument(env!("CARGO_BIN_EXE_served_flows"))
        .with_prefect(home.path())
        .with_variable("PREFECT_API_URL", server.url());
    let finished = flow.run().unwrap_or_else(|error| panic!("{error}"));
    let seen: Value = finished.json().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen["code"], 0, "{seen}");
    let output = text(&seen["output"]);
    assert!(output.contains("counted 15"), "{output}");
    let run = run_of(server, text(&seen["run"]));
    assert_eq!(
        (&run["state_type"], &run["run_count"]),
        (&json!("COMPLETED"), &json!(1))
    );
    let states = states_of(server, text(&seen["run"]));
    assert_eq!(states.len(), 3, "{states:?}");
}
