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

/// Runs the flow of the pictures, and gives its run.
fn pictured_run(server: &Server) -> Value {
    let home = tempfile::tempdir().expect("a directory");
    let mut program = server.command(env!("CARGO_BIN_EXE_pictured_flows"), home.path());
    let output = program.args(["run", "nightly-sales"]).output();
    let output = output.expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let filter = json!({"flows": {"name": {"any_": ["nightly-sales"]}}});
    newest_run(server, &filter).expect("the run")
}

#[test]
#[ignore = "slow lane: a browser"]
fn the_pages_of_a_run_show_graph_states_lines_and_artifacts() {
    let server = Server::with_pages().unwrap_or_else(|error| panic!("{error}"));
    let pages = server_and_pages(&server);
    let pictures = tempfile::tempdir().expect("a directory");
    let run = pictured_run(&server);
    let name = run["name"].as_str().expect("a name");
    let path = format!("/runs/flow-run/{}", run["id"].as_str().expect("an id"));
    let show = |path: &str, tab, expected: &[&str], name| {
        let shown = pages.show(path, tab, expected, &picture(&pictures, name));
        shown.unwrap_or_else(|error| panic!("{error}"))
    };
    let lines = [
        name,
        "Completed",
        "10 Task runs",
        "200 orders from west",
        "database is being restarted",
    ];
    show(&path, None, &lines, "run-page");
    let runs = ["10 Task runs", "(10 Completed)", "add_up"];
    let text = show(&path, Some("Task Runs"), &runs, "task-runs");
    assert!(!text.contains("write_report"), "a subflow's run: {text}");
    let artifacts = ["sales-by-region", "Orders and sums of the night"];
    show(&path, Some("Artifacts"), &artifacts, "artifacts");
    let filter = json!({"artifacts": {"key": {"any_": ["sales-by-region"]}}});
    let artifact = &server.all("artifacts", &filter)[0]["id"];
    let path = format!("/artifacts/artifact/{}", artifact.as_str().expect("an id"));
    let cells = ["region", "orders", "west", "197"];
    show(&path, None, &cells, "table");
}

#[test]
#[ignore = "slow lane: a browser"]
fn the_form_of_a_deployment_is_made_from_types_and_documentation() {
    let server = Server::with_pages().unwrap_or_else(|error| panic!("{error}"));
    let pages = server_and_pages(&server);
    let pictures = tempfile::tempdir().expect("a directory");
    let arguments = ["serve", "nightly-sales", "--name", "nightly"];
    let program = env!("CARGO_BIN_EXE_pictured_flows");
    let _serving = Serving::of(&server, program, &arguments);
    let found = server.get("/deployments/name/nightly-sales/nightly");
    let path = format!(
        "/deployments/deployment/{}/run",
        found["id"].as_str().expect("an id")
    );
    let expected = ["Where there are shops.", "publishes", "Submit"];
    pages
        .show(&path, None, &expected, &picture(&pictures, "form"))
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
