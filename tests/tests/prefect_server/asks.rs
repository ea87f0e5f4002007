//! What flows ask of their reporting, and what they say of it.

use std::fs;
use std::process::Command;

use flow_tests::prefect::{Door, Server};
use serde_json::json;
use tempfile::TempDir;

use super::told::run_with;

/// How often a text stands in another.
fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// The program with a flow, told nothing of a server.
fn alone(flow: &str, home: &TempDir) -> Command {
    let mut command = Server::shared().command(env!("CARGO_BIN_EXE_reported_flows"), home.path());
    command.env_remove("PREFECT_API_URL").arg(flow);
    command
}

/// An address at which nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}/api", listener.local_addr().expect("an address"))
}

#[test]
fn a_run_says_where_it_can_be_seen() {
    let server = Server::shared();
    let told = run_with(server, "every_kind", &[]);
    let (name, stderr) = (&told.flow_run["name"], &told.stderr);
    let name = name.as_str().expect("a name");
    let ui = format!("http://{}", server.address());
    let line = format!(
        "INFO    | Flow run '{name}' - View at {ui}/runs/flow-run/{}\n",
        told.id()
    );
    assert_eq!(count(stderr, &line), 1, "{stderr}");
    // And its subflow's.
    assert_eq!(count(stderr, " - View at "), 2, "{stderr}");
    assert_eq!(count(stderr, "PREFECT_API_URL is not set"), 0, "{stderr}");
    let of_run = json!({"logs": {"flow_run_id": {"any_": [told.id()]}}});
    let logs = server.all("logs", &of_run);
    assert!(!logs.is_empty());
    let is_it =
        |text: &serde_json::Value| text.as_str().is_some_and(|text| text.contains("View at"));
    assert!(!logs.iter().any(|log| is_it(&log["message"])), "{logs:?}");

    let ui = ("PREFECT_UI_URL", "https://prefect.example/ui/");
    let told = run_with(server, "design", &[ui]);
    let line = format!(
        "View at https://prefect.example/ui/runs/flow-run/{}\n",
        told.id()
    );
    assert_eq!(count(&told.stderr, &line), 1, "{}", told.stderr);
}

#[test]
fn without_a_server_one_line_says_so() {
    let home = tempfile::tempdir().expect("a folder");
    let output = alone("every_kind", &home).output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(count(&stderr, "PREFECT_API_URL is not set"), 1, "{stderr}");
    assert_eq!(count(&stderr, "View at"), 0, "{stderr}");
    assert!(!home.path().join("flowcore/outbox").exists());
}

#[test]
fn a_server_that_never_answers_is_not_waited_for_long_and_the_rest_is_kept() {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = alone("design", &home);
    let url = nowhere();
    let output = command
        .env("PREFECT_API_URL", &url)
        .output()
        .expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    // Once as it begins, and once at its end.
    assert_eq!(count(&stderr, "cannot be reached"), 1, "{stderr}");
    let end = stderr
        .lines()
        .find(|line| line.contains("has never answered"));
    let end = end.unwrap_or_else(|| panic!("{stderr}"));
    let outbox = home.path().join("flowcore/outbox");
    let files: Vec<_> = fs::read_dir(outbox).expect("a folder").collect();
    assert_eq!(files.len(), 1);
    let file = files[0].as_ref().expect("a file").path();
    for part in [
        &url,
        "PREFECT_API_URL",
        "`replay`",
        file.to_str().expect("text"),
    ] {
        assert!(end.contains(part), "{part}: {end}");
    }
}

#[test]
fn a_server_of_a_version_that_nobody_knows_is_one_warning() {
    let server = Server::shared();
    let version = ("/api/admin/version", (200, "\"9.1.0\""));
    let door = Door::before(server.address(), [version]).expect("a free port");
    let told = run_with(server, "design", &[("PREFECT_API_URL", &door.url())]);
    assert_eq!(
        told.flow_run["state"]["name"], "Completed",
        "{}",
        told.stderr
    );
    assert_eq!(told.task_runs(server).len(), 13);
    let warning = "version 9.1.0, with which nobody has tried this";
    assert_eq!(count(&told.stderr, warning), 1, "{}", told.stderr);
    assert_eq!(count(&told.stderr, "WARNING"), 2, "{}", told.stderr);
}
