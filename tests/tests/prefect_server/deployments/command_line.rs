//! `serve` and `deploy` as commands.

use std::collections::BTreeSet;

use flow_tests::prefect::Server;
use serde_json::json;

use super::*;

#[test]
fn a_program_serves_its_flows_by_a_command() {
    let server = Server::shared();
    let serving = Serving::of(
        server,
        env!("CARGO_BIN_EXE_command_line"),
        &[
            "serve",
            "leaves",
            "--name",
            "by-command",
            "--cron",
            "0 6 * * mon-fri",
            "--interval",
            "90m",
            "--timezone",
            "Europe/Berlin",
            "--param",
            "line=007",
            "-p",
            "file=nowhere",
            "--tag",
            "a",
            "--tag",
            "b",
            "--paused",
        ],
    );
    let id = deployment(server, "leaves", "by-command");
    let known = server.get(&format!("/deployments/{id}"));
    assert_eq!(known["paused"], true);
    assert_eq!(known["tags"], json!(["a", "b"]));
    assert_eq!(
        known["parameters"],
        json!({"line": "007", "file": "nowhere"})
    );
    let schedules = known["schedules"].as_array().expect("a list");
    assert_eq!(schedules.len(), 2);
    for schedule in schedules {
        assert_eq!(
            schedule["schedule"]["timezone"], "Europe/Berlin",
            "{schedule}"
        );
    }
    let file = serving.file("line");
    let run = start_run(server, &id, &json!({"file": file}));
    let ended = wait_for_end(server, &run);
    assert_eq!(ended["state_type"], "COMPLETED", "{ended}");
    // A server keeps them in no order.
    let mut tags: Vec<_> = ended["tags"]
        .as_array()
        .expect("a list")
        .iter()
        .map(text)
        .collect();
    tags.sort_unstable();
    assert_eq!(tags, ["a", "b"]);
    assert_eq!(
        std::fs::read_to_string(file).expect("it was written"),
        "007"
    );
}

#[test]
fn schedules_are_the_servers_in_their_time_zone() {
    let server = Server::shared();
    let program = env!("CARGO_BIN_EXE_command_line");
    let rule = "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0";
    let _serving = Serving::of(
        server,
        program,
        &[
            "serve",
            "leaves",
            "--name",
            "by-clock",
            "--cron",
            "0 6 * * *",
            "--rrule",
            rule,
            "--timezone",
            "Asia/Tokyo",
            "-p",
            "line=7",
            "-p",
            "file=nowhere",
        ],
    );
    let id = deployment(server, "leaves", "by-clock");
    let filter = json!({"deployments": {"id": {"any_": [id]}}});
    server.wait_for("runs at six and at nine", |server| {
        let runs = server.all("flow_runs", &filter);
        let clock = |run: &Value| text(&run["expected_start_time"])[11..19].to_owned();
        let clocks: BTreeSet<_> = runs.iter().map(clock).collect();
        // Nine hours earlier than there.
        let wanted = ["21:00:00", "00:00:00"].map(str::to_owned);
        assert!(
            clocks.iter().all(|clock| wanted.contains(clock)),
            "{clocks:?}"
        );
        (clocks.len() == wanted.len()).then_some(())
    });
}
