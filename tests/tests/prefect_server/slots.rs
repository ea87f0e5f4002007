//! Slots of the server's limits, which several processes share.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::Duration;

use flow_tests::prefect::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

fn start(server: &Server, home: &TempDir, arguments: &[&str]) -> Child {
    let mut command = server.command(env!("CARGO_BIN_EXE_prefect_things"), home.path());
    let command = command.args(arguments).stdout(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// What the program prints.
fn end(child: Child) -> Value {
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn limit(server: &Server, name: &str, slots: u32, decay: f64) {
    let body = json!({"name": name, "limit": slots, "slot_decay_per_second": decay});
    server.post("/v2/concurrency_limits/", &body);
}

fn active(server: &Server, name: &str) -> Value {
    server.get(&format!("/v2/concurrency_limits/{name}"))["active_slots"].clone()
}

/// What two processes at once write of when they did something; meanwhile
/// `look` is called again and again.
fn notes_of_two(server: &Server, arguments: &[&str], mut look: impl FnMut()) -> Vec<String> {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("notes");
    let arguments = [arguments, &[file.to_str().expect("text")]].concat();
    let mut children = [(); 2].map(|()| start(server, &home, &arguments));
    let runs = |child: &mut Child| child.try_wait().expect("it was started").is_none();
    while children.iter_mut().any(runs) {
        look();
        std::thread::sleep(Duration::from_millis(20));
    }
    for child in children {
        end(child);
    }
    let notes = std::fs::read_to_string(file).expect("they have written");
    notes.lines().map(str::to_owned).collect()
}

#[test]
fn processes_share_the_slots_of_the_server() {
    let server = Server::shared();
    limit(server, "one-at-a-time", 1, 0.0);
    let notes = notes_of_two(server, &["holds", "one-at-a-time"], || {});
    assert_eq!(notes, ["begin", "end"].repeat(4));
    // The end of a process waits for slots on their way back.
    assert_eq!(active(server, "one-at-a-time"), 0);
}

#[test]
fn processes_share_the_tags_that_the_server_limits() {
    let server = Server::shared();
    let body = json!({"tag": "of-a-test", "concurrency_limit": 1});
    server.post("/concurrency_limits/", &body);
    let mut holders = BTreeSet::new();
    let notes = notes_of_two(server, &["tags"], || {
        let limit = server.get("/concurrency_limits/tag/of-a-test");
        let slots = limit["active_slots"].as_array().expect("a list").iter();
        holders.extend(slots.map(|id| id.as_str().expect("text").to_owned()));
    });
    assert_eq!(notes, ["begin", "end"].repeat(8));
    assert_eq!(active(server, "tag:of-a-test"), 0);
    // As in Python, who waits for the server is Pending.
    let filter = json!({"task_runs": {"tags": {"all_": ["of-a-test"]}}});
    let mut runs = server.all("task_runs", &filter);
    runs.retain(|run| run["state_type"] != "CANCELLED");
    assert_eq!(runs.len(), 8);
    assert!(!holders.is_empty(), "no run was seen with a slot");
    for run in runs {
        let id = run["id"].as_str().expect("text");
        holders.remove(id);
        let states = server.get(&format!("/task_run_states/?task_run_id={id}"));
        let names = states.as_array().expect("a list").iter();
        let names: Vec<_> = names.filter_map(|state| state["name"].as_str()).collect();
        // Rows of maps are told from their beginning on.
        let names = names.strip_prefix(&["Pending"]).unwrap_or(&names);
        assert_eq!(names, ["Running", "Completed"], "{states}");
    }
    assert_eq!(holders, BTreeSet::new(), "not those of our runs");
}

#[test]
fn what_cannot_be_had_is_an_error() {
    let server = Server::shared();
    limit(server, "one-slot", 1, 0.0);
    limit(server, "five-a-second", 1, 5.0);
    let home = tempfile::tempdir().expect("a directory");
    let arguments = ["slots", "one-slot", "five-a-second"];
    let told = end(start(server, &home, &arguments));
    let said = |what: &str| {
        told[what]["Err"]
            .as_str()
            .unwrap_or_else(|| panic!("{told}"))
    };
    assert!(said("too_many").contains("`one-slot`"), "{told}");
    assert!(said("no_rate").contains("`one-slot`"), "{told}");
    assert!(
        said("unknown").contains("'never-made' does not exist"),
        "{told}"
    );
    assert!(
        said("full").contains("timed out after 0.3 second"),
        "{told}"
    );
    assert_eq!(told["ignored"], true, "{told}");
    assert_eq!(active(server, "one-slot"), 0);
}
