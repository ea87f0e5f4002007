//! What people see and press in a server's pages: Rust flows there are like
//! any other.
//!
//! `FLOW_PICTURES=docs/guide/pictures` keeps the pictures of the guide.

use std::path::PathBuf;

use flow_tests::prefect::{Pages, Server};
use serde_json::{Value, json};

use crate::deployments::Serving;

/// Where a picture goes.
fn picture(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    let kept = std::env::var_os("FLOW_PICTURES").map(PathBuf::from);
    // Tests run in the folder of their package.
    let kept = kept.map(|kept| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(kept)
    });
    kept.unwrap_or_else(|| folder.path().to_owned())
        .join(format!("{name}.png"))
}

fn server_and_pages(server: &Server) -> Pages<'_> {
    Pages::of(server).unwrap_or_else(|error| panic!("{error}"))
}

fn newest_run(server: &Server, of: &Value) -> Option<Value> {
    let mut filter = of.clone();
    filter["sort"] = json!("EXPECTED_START_TIME_DESC");
    let runs = server.post("/flow_runs/filter", &filter);
    runs.get(0).cloned()
}

/// Runs a flow of a program, and gives its only run and the path of its page.
fn page_of_run(server: &Server, program: &str, argument: &str, flow: &str) -> (Value, String) {
    let home = tempfile::tempdir().expect("a directory");
    let mut program = server.command(program, home.path());
    let output = program.arg(argument).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let filter = json!({"flows": {"name": {"any_": [flow]}}});
    let run = newest_run(server, &filter).expect("the run");
    let path = format!("/runs/flow-run/{}", run["id"].as_str().expect("an id"));
    (run, path)
}

#[test]
#[ignore = "slow lane: a browser"]
fn the_page_of_a_run_shows_graph_states_and_lines() {
    let server = Server::with_pages().unwrap_or_else(|error| panic!("{error}"));
    let pages = server_and_pages(&server);
    let pictures = tempfile::tempdir().expect("a directory");
    let program = env!("CARGO_BIN_EXE_reported_flows");
    let (run, path) = page_of_run(&server, program, "design", "inc-double-add-sum");
    let name = run["name"].as_str().expect("a name");
    let text = pages
        .show(
            &path,
            None,
            &[name, "Completed", "13 Task runs", "x is 3"],
            &picture(&pictures, "run-page"),
        )
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(text.contains("a warning of the flow"), "{text}");
    pages
        .show(
            &path,
            Some("Task Runs"),
            &["13 Task runs", "sum_all"],
            &picture(&pictures, "task-runs"),
        )
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
#[ignore = "slow lane: a browser"]
fn artifacts_show_under_the_run_that_makes_them() {
    let server = Server::with_pages().unwrap_or_else(|error| panic!("{error}"));
    let pages = server_and_pages(&server);
    let pictures = tempfile::tempdir().expect("a directory");
    let program = env!("CARGO_BIN_EXE_prefect_things");
    let (_, path) = page_of_run(&server, program, "artifacts", "makes-artifacts");
    pages
        .show(
            &path,
            Some("Artifacts"),
            &["my-table", "from-afar"],
            &picture(&pictures, "artifacts"),
        )
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
#[ignore = "slow lane: a browser"]
fn buttons_run_and_cancel_a_served_flow() {
    let server = Server::with_pages().unwrap_or_else(|error| panic!("{error}"));
    let pages = server_and_pages(&server);
    let serving = Serving::start(&server, &["serve", "by-button", "served_greeting"]);
    let filter = json!({"deployments": {"name": {"any_": ["by-button"]}}});
    let found = server.post("/deployments/filter", &filter);
    let deployment = found[0]["id"].as_str().expect("an id");
    pages
        .run(deployment, &[("name", "Grace"), ("times", "3")])
        .unwrap_or_else(|error| panic!("{error}"));
    let of_deployment = json!({"deployments": {"id": {"any_": [deployment]}}});
    let run = server.wait_for("the run that was started", |server| {
        newest_run(server, &of_deployment).filter(|run| run["state_type"] == "COMPLETED")
    });
    assert_eq!(run["parameters"]["name"], "Grace");
    assert_eq!(run["parameters"]["times"], 3);
    drop(serving);

    let serving = Serving::start(&server, &["serve", "by-button", "served_waiting"]);
    let filter = json!({
        "deployments": {"name": {"any_": ["by-button"]}},
        "flows": {"name": {"any_": ["served-waiting"]}},
    });
    let found = server.post("/deployments/filter", &filter);
    let deployment = found[0]["id"].as_str().expect("an id");
    let begun = serving.file("begun");
    let run = server.post(
        &format!("/deployments/{deployment}/create_flow_run"),
        &json!({"parameters": {"file": begun}, "state": {"type": "SCHEDULED"}}),
    );
    let run = run["id"].as_str().expect("an id");
    server.wait_for("the run's work", |_| std::fs::metadata(&begun).ok());
    pages.cancel(run).unwrap_or_else(|error| panic!("{error}"));
    server.wait_for("the cancelled run", |server| {
        let run = server.get(&format!("/flow_runs/{run}"));
        (run["state_type"] == "CANCELLED").then_some(())
    });
}
