//! A process that is killed, and what a real server has of it then.
//!
//! The server, of any version, is that of `FLOW_TEST_PREFECT_API`; the process
//! is this test program once more. By hand:
//!
//!     FLOW_TEST_PREFECT_API=http://127.0.0.1:4200/api \
//!         cargo test -p flowcore --lib left_is_told_to_a_real_server -- --ignored

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::file::{Head, WriteAhead};
use super::ledger::Ledger;
use super::test_messages::client;
use super::{Outbox, replay, test_messages};
use crate::prefect::message::{Message, StateUpdate, TaskRunUpdate};
use crate::state::StateType;

const SERVER: &str = "FLOW_TEST_PREFECT_API";
const DIRECTORY: &str = "FLOW_TEST_OUTBOX";
const RUNS: usize = 300;

fn state(kind: StateType, name: &str) -> StateUpdate {
    test_messages::state(kind, name, Timestamp::now())
}

fn run(flow: Uuid, id: Uuid, number: usize, state: StateUpdate) -> Message {
    let (at, has_ended) = (state.at, state.kind.is_terminal());
    let update = test_messages::task_run(flow, id, number, id.to_string(), state);
    Message::TaskRun(Box::new(TaskRunUpdate {
        start: Some(at),
        end: has_ended.then_some(at),
        ..update
    }))
}

/// What the process does that is killed.
#[test]
#[ignore = "it is the process that another test kills"]
fn reporting_until_killed() {
    let (Ok(address), Ok(directory)) = (std::env::var(SERVER), std::env::var(DIRECTORY)) else {
        return;
    };
    let client = client(&address);
    let head = Head::new(client.settings().shown_url());
    let ahead = WriteAhead::within(PathBuf::from(directory), head);
    let outbox = Outbox::with(client, Ledger::new(Uuid::now_v7), ahead);
    let flow = Uuid::now_v7();
    let name = format!("killed-{flow}");
    let begin = test_messages::flow_run(flow, "killed", &name, Timestamp::now());
    outbox.put(begin);
    let running = Box::new(state(StateType::Running, "Running"));
    outbox.put(Message::FlowState(flow, running));
    for number in 0..RUNS {
        let id = Uuid::now_v7();
        outbox.put(run(flow, id, number, state(StateType::Running, "Running")));
        let text = format!("line {number}");
        outbox.put(test_messages::line(&text, Timestamp::now(), flow, Some(id)));
        if number % 10 != 7 {
            let completed = state(StateType::Completed, "Completed");
            outbox.put(run(flow, id, number, completed));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_mins(1));
}

fn kill_after(address: &str, directory: &Path, limit: Duration) -> PathBuf {
    let name = "prefect::outbox::replay_tests::reporting_until_killed";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored"])
        .env(SERVER, address)
        .env(DIRECTORY, directory)
        .spawn()
        .unwrap();
    std::thread::sleep(limit);
    let all = std::fs::read_dir(directory).unwrap();
    let path = all.map(|entry| entry.unwrap().path()).next().unwrap();
    let busy = crate::runtime::process_service().block_on(replay::replay(&client(address), &path));
    assert!(matches!(busy, Ok(replay::Replay::Busy)), "{busy:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    path
}

#[test]
#[ignore = "by hand: needs a Prefect server, at the address in FLOW_TEST_PREFECT_API"]
fn what_a_killed_process_left_is_told_to_a_real_server() {
    let address = std::env::var(SERVER).expect("the address of a server");
    let home = tempfile::tempdir().unwrap();
    for limit in [600, 2700] {
        dies_after(&address, home.path(), Duration::from_millis(limit));
    }
}

fn dies_after(address: &str, home: &Path, limit: Duration) {
    let path = kill_after(address, home, limit);
    let records = std::fs::read_to_string(&path).unwrap();
    let known = records
        .lines()
        .find(|line| line.contains("\"Began\""))
        .unwrap();
    let known: Value = serde_json::from_str(known).unwrap();
    let flow_run = known["Note"]["Began"][1]["id"].clone();
    let told = records.matches("{\"TaskRun\"").count();
    let client = client(address);
    let service = crate::runtime::process_service();
    let done = service.block_on(replay::replay(&client, &path)).unwrap();
    println!("{done:?}; {told} states of task runs were in the file");
    assert!(!path.exists());

    let ask =
        |path: &str, body: Value| -> Value { service.block_on(client.ask(path, &body)).unwrap() };
    let row: Value = service
        .block_on(client.get(&format!("/flow_runs/{}", flow_run.as_str().unwrap())))
        .unwrap();
    assert_eq!(row["state_name"], "Crashed");
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    let mut lines = Vec::new();
    for page in 0..2 {
        let of_run = json!({"flow_runs": {"id": {"any_": [flow_run]}}, "limit": 200,
            "offset": page * 200});
        for run in ask("/task_runs/filter", of_run).as_array().unwrap() {
            let name = run["state_name"].as_str().unwrap().to_owned();
            *states.entry(name).or_default() += 1;
        }
        let of_run = json!({"logs": {"flow_run_id": {"any_": [flow_run]}}, "limit": 200,
            "offset": page * 200, "sort": "TIMESTAMP_ASC"});
        for line in ask("/logs/filter", of_run).as_array().unwrap() {
            lines.push(line["message"].as_str().unwrap().to_owned());
        }
    }
    println!("{states:?}, {} lines", lines.len());
    let wanted: Vec<_> = (0..lines.len())
        .map(|number| format!("line {number}"))
        .collect();
    assert_eq!(lines, wanted, "every line, once, in order");
    assert_eq!(lines.len(), records.matches("{\"Log\"").count());
    let runs: usize = states.values().sum();
    assert_eq!(runs, lines.len(), "every task run, once");
    assert_eq!(states.len(), 2, "no state is left open: {states:?}");
}
