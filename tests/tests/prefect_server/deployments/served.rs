//! `serve`: runs as processes of the same executable.

use std::time::Duration;

use flow_tests::prefect::{Faults, FaultyWay, Server};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::told::task_runs;

#[test]
fn a_served_run_completes_with_changed_parameters() {
    let server = Server::shared();
    let serving = Serving::start(server, &["serve", "by-hand", "served_greeting"]);
    let deployment = deployment(server, "served-greeting", "by-hand");
    let known = server.get(&format!("/deployments/{deployment}"));
    assert_eq!(known["version"], "2");
    assert_eq!(known["description"], "Greets somebody.");
    let schema = &known["parameter_openapi_schema"];
    assert_eq!(schema["properties"]["times"]["default"], 1);
    assert_eq!(schema["properties"]["times"]["position"], 1);
    assert_eq!(schema["required"], json!(["name"]));

    let file = serving.file("greeted");
    let parameters = json!({"name": "Ada", "times": 2, "file": file});
    let run = start_run(server, &deployment, &parameters);
    let ended = wait_for_end(server, &run);
    assert_eq!(ended["state_type"], "COMPLETED", "{ended}");
    assert_eq!(ended["run_count"], 1);
    assert_eq!(ended["name"], "greets-Ada");
    assert!(ended["infrastructure_pid"].is_string());
    let greeted = std::fs::read_to_string(file).expect("it was written");
    assert_eq!(greeted, "Ada 24\n");
    server.wait_for("what the run printed", |server| {
        let lines = logs(server, &run);
        lines
            .iter()
            .any(|line| line == "written by hand: Ada")
            .then_some(())
    });
}

#[test]
fn parameters_that_do_not_fit_are_refused_by_the_server_and_by_us() {
    let server = Server::shared();
    let _serving = Serving::start(server, &["serve", "strict", "served_greeting"]);
    let deployment = deployment(server, "served-greeting", "strict");
    let wrong = json!({"name": "Ada", "times": "many"});
    let path = format!("/deployments/{deployment}/create_flow_run");
    let body = json!({"parameters": wrong, "state": {"type": "SCHEDULED"}});
    assert_eq!(server.request("POST", &path, Some(&body)).status, 409);

    let lax = json!({"enforce_parameter_schema": false});
    server.patch(&format!("/deployments/{deployment}"), &lax);
    let run = start_run(server, &deployment, &wrong);
    let ended = wait_for_end(server, &run);
    assert_eq!(ended["state_type"], "FAILED", "{ended}");
    let message = message(&ended);
    assert!(
        message.starts_with("Validation of flow parameters failed with error: "),
        "{message}"
    );
    assert!(message.contains("`times` is no `u32`"), "{message}");
}

#[test]
fn a_failed_flow_is_a_failed_run() {
    let server = Server::shared();
    let _serving = Serving::start(server, &["serve", "failing", "served_failure"]);
    let deployment = deployment(server, "served-failure", "failing");
    let run = start_run(server, &deployment, &json!({}));
    let ended = wait_for_end(server, &run);
    assert_eq!(ended["state_type"], "FAILED", "{ended}");
    assert!(message(&ended).contains("the disk is full"), "{ended}");
}

#[test]
fn a_failed_run_that_somebody_retries_finds_its_finished_tasks() {
    let server = Server::shared();
    let serving = Serving::start(server, &["serve", "retried", "served_second"]);
    let deployment = deployment(server, "served-second", "retried");
    let file = serving.file("second");
    let run = start_run(server, &deployment, &json!({"file": file}));
    let ended = wait_for_end(server, &run);
    assert_eq!(ended["state_type"], "FAILED", "{ended}");
    // What the page's button does.
    let state =
        json!({"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"});
    let body = json!({"state": state, "force": false});
    let said = server.post(&format!("/flow_runs/{run}/set_state"), &body);
    assert_eq!(said["status"], "ACCEPT", "{said}");
    let ended = wait_for_state(server, &run, &["COMPLETED"]);
    assert_eq!(ended["run_count"], 2);
    let written = std::fs::read_to_string(file).expect("it was written");
    assert_eq!(written, "step\nflow\nflow\n");
    let mut runs: Vec<_> = task_runs(server, &run)
        .iter()
        .map(|run| {
            (
                run["flow_run_run_count"].as_u64(),
                text(&run["state_name"]).to_owned(),
            )
        })
        .collect();
    runs.sort();
    let expected = [
        (Some(1), "Completed".to_owned()),
        (Some(2), "Cached".to_owned()),
    ];
    assert_eq!(runs, expected);
}

#[test]
#[cfg(unix)]
#[ignore = "slow lane: a run is nobody's after two minutes"]
fn a_run_whose_processes_are_killed_between_its_attempts_goes_on_in_another_one() {
    let server = Server::shared();
    let arguments = ["serve", "orphaned", "served_retried"];
    let serving = Serving::start(server, &arguments);
    let deployment = deployment(server, "served-retried", "orphaned");
    let file = serving.file("attempts");
    let run = start_run(server, &deployment, &json!({"file": file}));
    let waiting = server.wait_for("an attempt that failed", |server| {
        let run = server.get(&format!("/flow_runs/{run}"));
        (run["state_name"] == "AwaitingRetry").then_some(run)
    });
    // At once: neither can tell how the other ended.
    let processes = [
        serving.child.0.id().to_string(),
        text(&waiting["infrastructure_pid"]).to_owned(),
    ];
    let mut kill = std::process::Command::new("kill");
    let killed = kill.arg("-9").args(processes).status();
    assert!(killed.expect("it starts").success());
    let _other = Serving::start(server, &arguments);
    let ended = wait_for_state(server, &run, &["COMPLETED"]);
    assert_eq!(ended["run_count"], 2);
    let written = std::fs::read_to_string(file).expect("it was written");
    assert_eq!(written, "flow\nflow\n");
}

/// The run, when it is Suspended and its process has ended.
fn suspended(server: &Server, run: &str) -> serde_json::Value {
    let suspended = wait_for_state(server, run, &["PAUSED", "COMPLETED", "FAILED", "CRASHED"]);
    assert_eq!(suspended["state_name"], "Suspended", "{suspended}");
    let process = text(&suspended["infrastructure_pid"]).to_owned();
    server.wait_for("the end of the process", |_| has_ended(&process));
    suspended
}

#[test]
fn a_suspended_run_goes_on_in_another_process_with_the_input_given() {
    let server = Server::shared();
    let serving = Serving::start(server, &["serve", "asking", "served_suspended"]);
    let deployment = deployment(server, "served-suspended", "asking");
    let file = serving.file("suspended");
    let run = start_run(server, &deployment, &json!({"file": file}));
    let asks = suspended(server, &run);
    let details = &asks["state"]["state_details"];
    assert_eq!(details["pause_reschedule"], true);
    let keys = &details["run_input_keyset"];
    assert_eq!(keys["response"], "suspended-1-response");
    let said = format!("/flow_runs/{run}/input/suspended-1-description");
    assert_eq!(server.get(&said), "May it go on?");

    let resume = format!("/flow_runs/{run}/resume");
    let said = server.post(&resume, &json!({"run_input": {"by": "Ada"}}));
    assert_eq!(said["status"], "ACCEPT", "{said}");
    let ended = wait_for_state(server, &run, &["COMPLETED", "FAILED", "CRASHED"]);
    assert_eq!(ended["state_name"], "Completed", "{ended}");
    // That it goes on is no other attempt.
    assert_eq!(ended["run_count"], 1);
    assert_ne!(ended["infrastructure_pid"], asks["infrastructure_pid"]);
    let written = std::fs::read_to_string(file).expect("it was written");
    assert_eq!(written, "step\nbefore\nbefore\nafter Ada\n");
    let mut runs: Vec<_> = task_runs(server, &run)
        .iter()
        .map(|run| text(&run["state_name"]).to_owned())
        .collect();
    runs.sort();
    assert_eq!(runs, ["Cached", "Completed"]);
    let states = states_of(server, &run);
    for expected in ["Suspended", "Resuming", "Completed"] {
        assert!(states.iter().any(|state| state == expected), "{states:?}");
    }
}

#[test]
fn a_run_that_others_suspend_leaves_its_process() {
    let server = Server::shared();
    let serving = Serving::start(server, &["serve", "held-up", "served_slow"]);
    let deployment = deployment(server, "served-slow", "held-up");
    let file = serving.file("held-up");
    let run = start_run(server, &deployment, &json!({"file": file, "seconds": 600}));
    server.wait_for("a run that has begun", |_| std::fs::read(&file).ok());
    // What the page's button does.
    let details = json!({"pause_reschedule": true});
    let state = json!({"type": "PAUSED", "name": "Suspended", "state_details": details});
    let said = server.post(
        &format!("/flow_runs/{run}/set_state"),
        &json!({"state": state}),
    );
    assert_eq!(said["status"], "ACCEPT", "{said}");
    suspended(server, &run);
    cancel(server, &run);
    assert_eq!(wait_for_end(server, &run)["state_type"], "CANCELLED");
}

#[test]
fn a_cancelled_run_is_cancelled_whether_it_listens_or_not() {
    let server = Server::shared();
    let serving = Serving::start(
        server,
        &["serve", "cancelled", "served_waiting", "served_deaf"],
    );
    for flow in ["served-waiting", "served-deaf"] {
        let deployment = deployment(server, flow, "cancelled");
        let file = serving.file(flow);
        let run = start_run(server, &deployment, &json!({"file": file}));
        server.wait_for("a run that has begun", |_| std::fs::read(&file).ok());
        cancel(server, &run);
        // One that had to be ended says that it crashed, before its runner has
        // the last word.
        let ended = server.wait_for("a cancelled run", |server| {
            let run = server.get(&format!("/flow_runs/{run}"));
            (run["state_type"] == "CANCELLED").then_some(run)
        });
        assert_eq!(message(&ended), "Flow run was cancelled successfully.");
        let process = text(&ended["infrastructure_pid"]).to_owned();
        server.wait_for("the end of the process", |_| has_ended(&process));
    }
}

/// Whether there is no such process; one that nobody has waited for is over,
/// too.
fn has_ended(process: &str) -> Option<()> {
    match std::fs::read_to_string(format!("/proc/{process}/stat")) {
        Ok(stat) => stat.contains(") Z ").then_some(()),
        Err(_) => Some(()),
    }
}

#[test]
fn a_run_whose_process_dies_is_crashed_with_the_reason() {
    let server = Server::shared();
    let _serving = Serving::start(server, &["serve", "dying", "served_death"]);
    let deployment = deployment(server, "served-death", "dying");
    for (how, expected) in [
        ("killed", "Process exited with status code: -9. "),
        ("3", "Process exited with status code: 3. "),
        (
            "0",
            "Process exited with status code: 0, and left the flow run without",
        ),
    ] {
        let run = start_run(server, &deployment, &json!({"how": how}));
        let ended = wait_for_end(server, &run);
        assert_eq!(ended["state_type"], "CRASHED", "{ended}");
        assert!(message(&ended).starts_with(expected), "{ended}");
        let lines = logs(server, &run);
        assert!(
            lines.iter().any(|line| line.starts_with(expected)),
            "{lines:?}"
        );
    }
}

#[test]
fn who_is_terminated_finishes_its_runs_and_pauses_its_deployments() {
    let server = Server::shared();
    let mut serving = Serving::start(server, &["serve", "leaving", "served_slow"]);
    let deployment = deployment(server, "served-slow", "leaving");
    let file = serving.file("slow");
    let run = start_run(server, &deployment, &json!({"file": file, "seconds": 4}));
    server.wait_for("a run that has begun", |_| std::fs::read(&file).ok());
    serving.terminate();
    let status = serving.child.0.wait().expect("it is ours");
    assert_eq!(status.code(), Some(143));
    assert_eq!(run_of(server, &run)["state_type"], "COMPLETED");
    assert_eq!(
        server.get(&format!("/deployments/{deployment}"))["paused"],
        true
    );
}

#[test]
fn a_deployments_limit_holds_runs_back() {
    let server = Server::shared();
    let serving = Serving::start(server, &["limited", "limited"]);
    let deployment = deployment(server, "served-slow", "limited");
    let files = ["first", "second"].map(|name| serving.file(name));
    let runs = files.each_ref().map(|file| {
        let parameters = json!({"file": file, "seconds": 600});
        start_run(server, &deployment, &parameters)
    });
    let is_held = |name: &String| name == "AwaitingConcurrencySlot";
    server.wait_for("a run that is held back", |server| {
        let held = |run: &String| states_of(server, run).iter().any(is_held);
        runs.iter().any(held).then_some(())
    });
    for file in &files {
        std::fs::write(format!("{file}.end"), "").expect("a file");
    }
    let mut ended = runs.map(|run| wait_for_end(server, &run));
    for run in &ended {
        assert_eq!(run["state_type"], "COMPLETED", "{run}");
    }
    ended.sort_by_key(|run| text(&run["start_time"]).to_owned());
    let [first, second] = ended;
    assert!(
        text(&first["end_time"]) <= text(&second["start_time"]),
        "both ran at once"
    );
    let names = states_of(server, text(&second["id"]));
    assert!(names.iter().any(is_held), "{names:?}");
}

#[test]
fn runs_do_not_outlive_who_serves_them() {
    let server = Server::shared();
    let mut serving = Serving::start(server, &["serve", "killed", "served_waiting"]);
    let deployment = deployment(server, "served-waiting", "killed");
    let file = serving.file("begun");
    let run = start_run(server, &deployment, &json!({"file": file}));
    server.wait_for("a run that has begun", |_| std::fs::read(&file).ok());
    serving.child.0.kill().expect("it runs");
    let process = server.wait_for("the run's process", |server| {
        let run = run_of(server, &run);
        run["infrastructure_pid"].as_str().map(str::to_owned)
    });
    server.wait_for("the end of the process", |_| has_ended(&process));
    // It says itself how it ended: nobody else would.
    let ended = wait_for_end(server, &run);
    assert_eq!(ended["state_type"], "CRASHED", "{ended}");
}

/// Lets these processes serve one deployment with a schedule, and gives how
/// often each run was executed, and the states of all that were due.
fn scheduled(name: &str, every: u64, processes: usize, seconds: u64) {
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("runs");
    let path = file.to_str().expect("text");
    let every_text = every.to_string();
    let arguments = ["every", &every_text, name, path];
    let serving: Vec<_> = (0..processes)
        .map(|_| Serving::start(&server, &arguments))
        .collect();
    std::thread::sleep(Duration::from_secs(seconds));
    let expected = seconds / every;
    server.wait_for("the runs of the schedule", |server| {
        let ended = server.all("flow_runs", &of_state("COMPLETED"));
        (ended.len() as u64 >= expected).then_some(())
    });
    serving.iter().for_each(Serving::terminate);
    for mut serving in serving {
        assert_eq!(
            serving.child.0.wait().expect("it is ours").code(),
            Some(143)
        );
    }
    let written = std::fs::read_to_string(file).expect("runs were executed");
    let mut lines: Vec<_> = written.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count, "a run was executed twice: {written}");
    for state in ["FAILED", "CRASHED", "RUNNING", "PENDING"] {
        assert!(
            server.all("flow_runs", &of_state(state)).is_empty(),
            "{state}"
        );
    }
    let mut completed = server.all("flow_runs", &of_state("COMPLETED"));
    assert_eq!(completed.len(), count);
    // None of the schedule's times is missing between the first and the last.
    completed.sort_by_key(|run| text(&run["expected_start_time"]).to_owned());
    let times = completed
        .iter()
        .map(|run| seconds_of(&run["expected_start_time"]));
    let times: Vec<_> = times.collect();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap == every), "{times:?}");
}

fn of_state(kind: &str) -> Value {
    json!({"flow_runs": {"state": {"type": {"any_": [kind]}}}})
}

/// Seconds of the day.
fn seconds_of(time: &Value) -> u64 {
    let clock = &text(time)[11..19];
    let numbers = clock
        .split(':')
        .map(|number| number.parse::<u64>().expect("a number"));
    numbers.fold(0, |sum, number| sum * 60 + number)
}

#[test]
fn two_processes_execute_each_run_of_a_schedule_once() {
    scheduled("shared", 5, 2, 20);
}

/// Serves a flow on a way that holds requests up, lets a run be executed
/// elsewhere while the runner's is held, and gives what the runner says of it.
fn executed_while_held(name: &str, held: impl Fn(&str) -> String) -> String {
    let server = Server::shared();
    let way = FaultyWay::to(server.address(), Faults::default()).expect("a free port");
    let serving = Serving::by(server, &way, &["limited", name]);
    let deployment = deployment(server, "served-slow", name);
    let file = serving.file("begun");
    let begin = Timestamp::now() + Duration::from_secs(5);
    let state = json!({"type": "SCHEDULED", "state_details": {"scheduled_time": begin}});
    let parameters = json!({"file": file, "seconds": 0});
    let run = create_run(server, &deployment, &parameters, &state);
    way.set(Faults {
        held: Some(held(&run)),
        ..Faults::default()
    });
    server.wait_for("the runner's request", |_| {
        (way.met().held > 0).then_some(())
    });
    for kind in ["PENDING", "RUNNING", "COMPLETED"] {
        let path = format!("/flow_runs/{run}/set_state");
        server.post(&path, &json!({"state": {"type": kind}, "force": true}));
    }
    way.set(Faults::default());
    let said = server.wait_for("the runner's word", |_| {
        let lines = serving.lines();
        let said = lines.split("is not started here: ").nth(1)?;
        Some(said.lines().next()?.to_owned())
    });
    assert_eq!(run_of(server, &run)["state_type"], "COMPLETED");
    assert!(std::fs::read(file).is_err(), "it was executed twice");
    said
}

#[test]
fn a_run_that_was_executed_elsewhere_is_left_alone() {
    let said = executed_while_held("stale", |run| format!("/flow_runs/{run}"));
    assert_eq!(said, "it is completed already");
}

/// The server accepts the claim of a run that has been executed since the
/// runner looked at it.
#[test]
fn a_run_that_is_executed_elsewhere_while_it_is_claimed_keeps_its_end() {
    let said = executed_while_held("overtaken", |_| "/set_state".to_owned());
    assert_eq!(said, "another process has executed it");
}

#[test]
#[ignore = "slow lane: three minutes of a schedule"]
fn one_process_executes_each_run_of_a_schedule_once() {
    scheduled("alone", 5, 1, 180);
}

#[test]
#[ignore = "slow lane: three minutes of a schedule"]
fn two_processes_execute_each_run_of_a_long_schedule_once() {
    scheduled("together", 5, 2, 180);
}
