//! What goes wrong between a flow and its server: nothing is lost, nothing is
//! there twice, all is in order and ends as it did.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use flow_tests::prefect::{Faults, FaultyWay, Server};
use serde_json::json;

use super::told::{Program, Told, command, lines, task_of, task_runs};

/// The way to a server, and all the time that it takes.
fn patient(url: &str) -> [(&str, &str); 2] {
    [
        ("PREFECT_API_URL", url),
        ("PREFECT_REPORTING_DRAIN_TIMEOUT", "1200"),
    ]
}

/// What `steady` writes into so many steps.
fn steps(count: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for number in 0..count {
        lines.push(format!("step {number}, attempt 1"));
        if matches!(number % 10, 3 | 7) {
            lines.push(format!("step {number}, attempt 2"));
        }
    }
    lines
}

/// Everything of a `steady` flow of so many steps is on the server, once.
fn check_steady(told: &Told, server: &Server, count: u64) {
    told.check(server);
    assert_eq!(told.lines(server, "step"), steps(count));
    let of_run = json!({"flow_runs": {"id": {"any_": [told.id()]}}});
    let artifacts = server.all("artifacts", &of_run);
    let mut texts: Vec<_> = artifacts
        .iter()
        .filter(|artifact| artifact["key"] == "steps")
        .map(|artifact| artifact["data"].as_str().expect("a text").to_owned())
        .collect();
    texts.sort_by_key(|text| (text.len(), text.clone()));
    let wanted: Vec<_> = (10..count).step_by(20).collect();
    let wanted: Vec<_> = wanted.iter().map(|n| format!("step {n}")).collect();
    assert_eq!(texts, wanted);
}

/// Each artifact of a flow run was made by one event. A server that is killed
/// loses events that it has taken, so not there.
fn check_events(server: &Server, flow_run: &str) {
    let of_run = json!({"flow_runs": {"id": {"any_": [flow_run]}}});
    let artifacts = server.all("artifacts", &of_run);
    let made: BTreeSet<_> = artifacts
        .iter()
        .filter(|artifact| artifact["key"] == "steps")
        .map(|artifact| {
            format!(
                "prefect.artifact.{}",
                artifact["id"].as_str().expect("an id")
            )
        })
        .collect();
    let filter = json!({
        "filter": {
            "event": {"name": ["prefect.artifact.created"]},
            "related": {"id": [format!("prefect.flow-run.{flow_run}")]},
        },
        "limit": 50,
    });
    server.wait_for("the events of artifacts", |server| {
        let found = server.post("/events/filter", &filter);
        let events = found["events"].as_array().expect("a list");
        let said: Vec<_> = events
            .iter()
            .map(|event| {
                event["resource"]["prefect.resource.id"]
                    .as_str()
                    .expect("an id")
            })
            .collect();
        assert!(said.len() <= made.len(), "{said:?}");
        let said: BTreeSet<_> = said.into_iter().map(str::to_owned).collect();
        (said == made).then_some(())
    });
}

/// The server has a task run of the flow, so it is in the middle of it.
fn wait_for_runs(server: &Server, count: u64) {
    server.wait_for(&format!("{count} task runs"), |server| {
        let filter = json!({"flows": {"name": {"any_": ["steady"]}}});
        let found = server.request("POST", "/task_runs/count", Some(&filter));
        (found.body.as_u64()? >= count).then_some(())
    });
}

/// A `steady` flow of so many steps, on a bad way to a server of its own.
fn goes_a_bad_way(count: u64, faults: Faults) -> Told {
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let way = FaultyWay::to(server.address(), faults).expect("a port");
    let told = Program::start(
        &server,
        &patient(&way.url()),
        &["steady", &count.to_string(), "20"],
    )
    .end(&server);
    println!("{:?}", way.met());
    check_steady(&told, &server, count);
    check_events(&server, told.id());
    told
}

#[test]
fn a_flow_on_a_bad_way_to_a_server_that_is_killed_is_told_whole() {
    let mut server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let faults = Faults {
        busy: 10,
        too_often: 3,
        lost_answers: 10,
        frames: Some(60),
        ..Faults::default()
    };
    let way = FaultyWay::to(server.address(), faults).expect("a port");
    let program = Program::start(&server, &patient(&way.url()), &["steady", "60", "30"]);
    wait_for_runs(&server, 20);
    server.kill().expect("it ends");
    server.restart().unwrap_or_else(|error| panic!("{error}"));
    let told = program.end(&server);
    check_steady(&told, &server, 60);
    let met = way.met();
    assert!(
        met.refused > 0 && met.lost_answers > 0 && met.cuts > 0,
        "{met:?}"
    );
}

#[test]
#[ignore = "slow lane: a server is away for ten seconds"]
fn a_server_that_is_killed_and_comes_back_knows_all() {
    let mut server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let program = Program::start(&server, &patient(&server.url()), &["steady", "200", "80"]);
    wait_for_runs(&server, 50);
    server.kill().expect("it ends");
    std::thread::sleep(Duration::from_secs(10));
    server.restart().unwrap_or_else(|error| panic!("{error}"));
    check_steady(&program.end(&server), &server, 200);
}

#[test]
#[ignore = "slow lane: each answer takes two seconds"]
fn a_slow_server_knows_all() {
    goes_a_bad_way(
        200,
        Faults {
            delay: Duration::from_secs(2),
            ..Faults::default()
        },
    );
}

#[test]
#[ignore = "slow lane: waits for the server to record it"]
fn a_socket_that_is_cut_again_and_again_loses_nothing() {
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let faults = Faults {
        frames: Some(200),
        ..Faults::default()
    };
    let way = FaultyWay::to(server.address(), faults).expect("a port");
    let told = Program::start(&server, &patient(&way.url()), &["burst", "2000"]).end(&server);
    told.check(&server);
    let met = way.met();
    assert!(met.cuts >= 5, "{met:?}");
    check_steady(
        &Program::start(&server, &patient(&way.url()), &["steady", "400", "5"]).end(&server),
        &server,
        400,
    );
}

#[test]
#[ignore = "slow lane: waits for the server to record it"]
fn a_server_that_is_mostly_busy_knows_all() {
    goes_a_bad_way(
        200,
        Faults {
            busy: 80,
            ..Faults::default()
        },
    );
}

#[test]
#[ignore = "slow lane: waits as often as the server says so"]
fn a_server_that_is_asked_too_often_knows_all() {
    goes_a_bad_way(
        200,
        Faults {
            too_often: 40,
            ..Faults::default()
        },
    );
}

#[test]
#[ignore = "slow lane: waits for the server to record it"]
fn answers_that_are_lost_make_nothing_twice() {
    goes_a_bad_way(
        200,
        Faults {
            lost_answers: 25,
            ..Faults::default()
        },
    );
}

/// Waits until what the child has to tell is in its file up to this text.
fn wait_for_file(home: &Path, text: &str) {
    wait_for_content(home, text, |content| content.contains(text));
}

/// Waits until the child's file has this content; `what` says which.
fn wait_for_content(home: &Path, what: &str, is_it: impl Fn(&str) -> bool) {
    let directory = home.join("flowcore/outbox");
    let start = std::time::Instant::now();
    loop {
        let files = std::fs::read_dir(&directory).into_iter().flatten();
        let has_it = files
            .flatten()
            .any(|file| std::fs::read_to_string(file.path()).is_ok_and(|text| is_it(&text)));
        if has_it {
            return;
        }
        assert!(start.elapsed() < Duration::from_mins(2), "no `{what}`");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A way on which the server answers nothing but that it is busy.
fn away(server: &Server) -> FaultyWay {
    let busy = Faults {
        busy: 100,
        ..Faults::default()
    };
    FaultyWay::to(server.address(), busy).expect("a port")
}

#[test]
fn what_memory_has_no_room_for_is_told_when_the_server_is_back() {
    const STEPS: u64 = 40;
    let server = Server::shared();
    let way = away(server);
    let url = way.url();
    let settings = [
        ("PREFECT_API_URL", url.as_str()),
        // About ten states of task runs.
        ("PREFECT_REPORTING_MEMORY_LIMIT", "10000"),
    ];
    let program = Program::start(server, &settings, &["steady", &STEPS.to_string(), "0"]);
    wait_for_file(program.home(), &format!("step {}, attempt 1\"", STEPS - 1));
    wait_for_file(program.home(), "{\"Later\":{\"TaskRun\"");
    way.set(Faults::default());
    let told = program.end(server);
    check_steady(&told, server, STEPS);
    check_events(server, told.id());
}

#[test]
#[cfg(unix)]
fn what_the_disk_has_no_room_for_is_told_all_the_same() {
    const STEPS: u64 = 40;
    const ROOM: u64 = 64 << 10;
    let server = Server::shared();
    let way = away(server);
    let url = way.url();
    let settings = [
        ("PREFECT_API_URL", url.as_str()),
        ("PREFECT_REPORTING_MEMORY_LIMIT", "10000"),
    ];
    let arguments = ["steady", &STEPS.to_string(), "0"];
    let program = Program::start_on_small_disk(server, &settings, &arguments, ROOM);
    wait_for_content(program.home(), "a full disk", |content| {
        assert!(content.len() as u64 <= ROOM);
        content.len() as u64 == ROOM && content.contains("{\"Later\":{\"TaskRun\"")
    });
    way.set(Faults::default());
    let told = program.end(server);
    let warnings = told.stderr.matches("cannot be kept in").count();
    assert_eq!(warnings, 1, "{}", told.stderr);
    assert!(told.stderr.contains("flowcore/outbox/"), "{}", told.stderr);
    assert!(told.stderr.contains("make room there"), "{}", told.stderr);
    check_steady(&told, server, STEPS);
}

#[test]
fn what_a_server_always_fails_at_holds_up_nothing_else() {
    let server = Server::shared();
    let answer = (500, "{\"exception_message\": \"Internal Server Error\"}");
    let way = FaultyWay::answering(server.address(), [("/api/events", answer)]).expect("a port");
    let url = way.url();
    let program = Program::start(server, &[("PREFECT_API_URL", &url)], &["steady", "60", "0"]);
    let told = program.end(server);
    check_steady(&told, server, 60);
    // Of the first artifact; the two others were tried once.
    let warning = "no event says that the artifact `steps` was made";
    assert_eq!(told.stderr.matches(warning).count(), 1, "{}", told.stderr);
    assert_eq!(way.met().refused, 8 + 2);
}

#[test]
fn a_line_that_a_server_always_fails_at_is_lost_alone() {
    const GUILTY: &str = "step 27, attempt 1";
    let server = Server::shared();
    let faults = Faults {
        failing: Some(("/api/logs/", GUILTY)),
        ..Faults::default()
    };
    let way = FaultyWay::to(server.address(), faults).expect("a port");
    let url = way.url();
    let program = Program::start(server, &[("PREFECT_API_URL", &url)], &["steady", "60", "0"]);
    let told = program.end(server);
    told.check(server);
    let mut wanted = steps(60);
    wanted.retain(|line| line != GUILTY);
    assert_eq!(told.lines(server, "step"), wanted);
    let warnings = told
        .stderr
        .lines()
        .filter(|line| line.contains("lines are lost"));
    let warnings: Vec<_> = warnings.collect();
    assert_eq!(warnings.len(), 1, "{}", told.stderr);
    assert!(warnings[0].ends_with("lines are lost: 1"), "{warnings:?}");
    assert!(!warnings[0].contains("step 27"), "{warnings:?}");
}

#[test]
fn a_state_that_a_server_fails_at_waits_and_holds_up_nothing_else() {
    let server = Server::shared();
    let faults = Faults {
        failing: Some(("/set_state", "\"RUNNING\"")),
        ..Faults::default()
    };
    let way = FaultyWay::to(server.address(), faults).expect("a port");
    let program = Program::start(server, &patient(&way.url()), &["steady", "10", "0"]);
    let [_, id] = ids(program.home());
    server.wait_for("all but the state", |server| {
        let runs = task_runs(server, &id);
        let ended = runs.iter().filter(|run| run["end_time"].is_string());
        (ended.count() == 10 && lines(server, &id, "step") == steps(10)).then_some(())
    });
    let state = &server.get(&format!("/flow_runs/{id}"))["state_name"];
    assert_eq!(state, "Pending");
    way.set(Faults::default());
    let told = program.end(server);
    let warning = "the state is told again until the server takes it";
    assert_eq!(told.stderr.matches(warning).count(), 1, "{}", told.stderr);
    check_steady(&told, server, 10);
}

/// A `steady` flow of so many steps is killed, and its end told by `replay`.
fn is_killed_and_replayed(count: u64, faults: &Faults) {
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let way = FaultyWay::to(server.address(), faults.clone()).expect("a port");
    let mut program = Program::start(
        &server,
        &patient(&way.url()),
        &["steady", &count.to_string(), "5", "1"],
    );
    wait_for_file(program.home(), &format!("step {}, attempt 1\"", count - 1));
    program.kill();
    for first in [true, false] {
        let replay = command(&server, program.home(), &patient(&way.url()), &["replay"]).output();
        let replay = replay.expect("it starts");
        let said = String::from_utf8_lossy(&replay.stdout);
        assert!(replay.status.success(), "{replay:?}");
        assert_eq!(said.starts_with("1 files replayed"), first, "{replay:?}");
    }
    let filter = json!({"flows": {"name": {"any_": ["steady"]}}});
    let runs = server.all("flow_runs", &filter);
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["state"]["name"], "Crashed", "{}", runs[0]);
    let id = runs[0]["id"].as_str().expect("an id");
    assert_eq!(lines(&server, id, "step"), steps(count));
    check_events(&server, id);
    let runs: Vec<_> = task_runs(&server, id)
        .into_iter()
        .filter(|run| !run["state"]["state_details"]["child_flow_run_id"].is_string())
        .collect();
    assert_eq!(runs.len() as u64, count);
    for run in runs {
        let failed = run["state"]["message"]
            .as_str()
            .is_some_and(|message| message.contains("never"));
        let state = run["state"]["name"].as_str().expect("a name");
        match state {
            "Completed" => assert!(!failed, "{run}"),
            "Failed" => assert!(failed, "{run}"),
            // The last one may have been on its way into the file.
            "Crashed" => {}
            _ => panic!("{run}"),
        }
    }
}

/// What the child and its server call the child's flow run, once the child
/// knows.
fn ids(home: &Path) -> [String; 2] {
    wait_for_file(home, "{\"Note\":{\"Began\"");
    let file = std::fs::read_dir(home.join("flowcore/outbox"))
        .expect("it is there")
        .next()
        .expect("a file");
    let content = std::fs::read_to_string(file.expect("a file").path()).expect("text");
    let lines = content.lines().filter(|line| line.contains("\"Began\""));
    let note = lines.map(serde_json::from_str::<serde_json::Value>).next();
    let note = note.expect("a line").expect("it is whole");
    let began = &note["Note"]["Began"];
    [&began[0], &began[1]["id"]].map(|id| id.as_str().expect("an id").to_owned())
}

#[test]
fn a_run_that_another_process_executes_by_now_is_left_alone() {
    let server = Server::shared();
    let mut program = Program::start(server, &[], &["steady", "3", "5", "1"]);
    let [_, id] = ids(program.home());
    let path = format!("/flow_runs/{id}");
    wait_for_file(program.home(), "step 2, attempt 1\"");
    server.wait_for("the run", |server| {
        (server.get(&path)["state_type"] == "RUNNING").then_some(())
    });
    program.kill();
    let taken = json!({
        "state": {"type": "RUNNING", "state_details": {
            "transition_id": "01a208da-59d6-743b-8000-000000000001",
        }},
        "force": true,
    });
    server.post(&format!("{path}/set_state"), &taken);
    let before = server.get(&path);
    let replay = command(server, program.home(), &[], &["replay"]).output();
    let replay = replay.expect("it starts");
    assert!(replay.status.success(), "{replay:?}");
    let after = server.get(&path);
    assert_eq!(after["state_id"], before["state_id"], "{after}");
    assert_eq!(after["run_count"], before["run_count"], "{after}");
    let id = after["id"].as_str().expect("an id");
    assert_eq!(lines(server, id, "step"), steps(3));
    assert_eq!(task_runs(server, id).len(), 3);
}

/// The states of a flow run's task runs, by their tasks.
fn states_of_tasks(server: &Server, flow_run: &str) -> BTreeMap<String, Vec<String>> {
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for run in task_runs(server, flow_run) {
        // For a moment a run that is just recorded has no state.
        let state = run["state"]["name"].as_str().unwrap_or_default().to_owned();
        states
            .entry(task_of(&run).to_owned())
            .or_default()
            .push(state);
    }
    states.values_mut().for_each(|states| states.sort());
    states
}

#[test]
fn a_flow_run_that_is_resumed_goes_on_where_it_was_on_the_server() {
    let server = Server::shared();
    let mut program = Program::start(server, &[], &["resumed"]);
    let [own, id] = ids(program.home());
    let at_work = |server: &Server| {
        let states = states_of_tasks(server, &id);
        (states.get("stays_at_work")? == &["Running"]).then_some(())
    };
    server.wait_for("its runs", at_work);
    program.kill();
    let output = command(server, program.home(), &[], &["resumed", &own]).output();
    let output = output.expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let after = states_of_tasks(server, &id);
    let path = format!("/flow_runs/{id}");
    let run = server.get(&path);
    assert_eq!(run["state"]["name"], "Completed", "{run}");
    assert_eq!(run["run_count"], 2, "{run}");
    let filter = json!({"flows": {"name": {"any_": ["resumed"]}}});
    assert_eq!(server.all("flow_runs", &filter).len(), 1);
    let wanted = json!({
        "kept": ["Cached", "Cached", "Cached", "Completed", "Completed"],
        "with_others": ["Cached"],
        "stays_at_work": ["Completed"],
    });
    assert_eq!(json!(after), wanted);
    let replay = command(server, program.home(), &[], &["replay"]).output();
    let replay = replay.expect("it starts");
    assert!(replay.status.success(), "{replay:?}");
    assert_eq!(json!(states_of_tasks(server, &id)), wanted);
    assert_eq!(server.get(&path)["state_id"], run["state_id"]);
}

#[test]
#[ignore = "slow lane: waits for the server to record it"]
fn what_a_killed_process_left_is_replayed_once() {
    is_killed_and_replayed(200, &Faults::default());
}

#[test]
#[ignore = "slow lane: waits for the server to record it"]
fn what_a_killed_process_left_is_replayed_once_on_a_bad_way() {
    let faults = Faults {
        busy: 20,
        lost_answers: 20,
        frames: Some(60),
        ..Faults::default()
    };
    is_killed_and_replayed(100, &faults);
}
