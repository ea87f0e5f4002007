//! `deploy`: a stock `prefect worker start --type process` runs our program.

use std::process::Command;

use flow_tests::prefect::Server;
use serde_json::json;
use tempfile::TempDir;

use super::*;

fn deploy(server: &Server, home: &TempDir, arguments: &[&str]) -> Command {
    let mut command = program(server, home);
    command.arg("deploy").args(arguments);
    command
}

#[test]
fn a_stock_worker_executes_what_is_deployed() {
    let server = Server::shared();
    let home = tempfile::tempdir().expect("a directory");
    let pool = "rust-pool";
    let flows = [
        "served_greeting",
        "served_failure",
        "served_death",
        "served_waiting",
    ];
    let deploy = |home| {
        let mut command = deploy(server, home, &["pooled", pool]);
        command.args(flows);
        ran(command)
    };
    let (code, _, lines) = deploy(&home);
    assert_eq!(code, Some(1), "{lines}");
    let cure = "`prefect work-pool create rust-pool --type process`";
    assert!(lines.contains(cure), "{lines}");

    let worker = server
        .module("prefect")
        .argument("worker")
        .argument("start")
        .argument("--pool")
        .argument(pool)
        .argument("--type")
        .argument("process")
        .with_variable("PREFECT_WORKER_QUERY_SECONDS", "2");
    let _worker = worker.start().unwrap_or_else(|error| panic!("{error}"));
    server.wait_for("the work pool", |server| {
        let answer = server.request("GET", &format!("/work_pools/{pool}"), None);
        (answer.status == 200).then_some(())
    });
    let (code, ids, lines) = deploy(&home);
    assert_eq!(code, Some(0), "{lines}");
    let ids: Vec<_> = ids.lines().collect();
    let [greeting, failure, death, waiting] = ids[..] else {
        panic!("{ids:?}")
    };

    let greeted = home.path().join("greeted");
    let greeted = greeted.to_str().expect("text");
    let begun = home.path().join("begun");
    let begun = begun.to_str().expect("text");
    let good = start_run(server, greeting, &json!({"name": "Ada", "file": greeted}));
    let failed = start_run(server, failure, &json!({}));
    let dead = start_run(server, death, &json!({"how": "3"}));
    let cancelled = start_run(server, waiting, &json!({"file": begun}));

    let ended = wait_for_end(server, &good);
    assert_eq!(ended["state_type"], "COMPLETED", "{ended}");
    let line = std::fs::read_to_string(greeted).expect("it was written");
    assert_eq!(line, "Ada 12\n");
    let ended = wait_for_end(server, &failed);
    assert_eq!(ended["state_type"], "FAILED", "{ended}");
    assert!(message(&ended).contains("the disk is full"), "{ended}");
    let ended = wait_for_end(server, &dead);
    assert_eq!(ended["state_type"], "CRASHED", "{ended}");
    assert!(message(&ended).contains("status code: 3"), "{ended}");
    server.wait_for("a run that has begun", |_| std::fs::read(begun).ok());
    cancel(server, &cancelled);
    let ended = wait_for_end(server, &cancelled);
    assert_eq!(ended["state_type"], "CANCELLED", "{ended}");
}
