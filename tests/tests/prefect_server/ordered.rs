//! Times: no run's go backwards, and none begins before what it needs has ended.

use std::collections::BTreeMap;

use flow_tests::prefect::Server;
use flow_tests::python::Environment;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::told::{Told, run, run_with};

/// To the microsecond, as servers keep it.
fn time(text: &Value) -> Timestamp {
    let text = text.as_str().unwrap_or_else(|| panic!("no time: {text}"));
    let time: Timestamp = text.parse().expect("a time");
    Timestamp::from_microsecond(time.as_microsecond()).expect("it was one")
}

fn text<'a>(thing: &'a Value, name: &str) -> &'a str {
    thing[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name}: {thing}"))
}

/// A run's states as the server has them.
fn states(server: &Server, kind: &str, id: &str) -> Vec<(String, Timestamp)> {
    let states = server.get(&format!("/{kind}_run_states/?{kind}_run_id={id}"));
    let states = states.as_array().expect("a list").iter();
    states
        .map(|state| (text(state, "name").to_owned(), time(&state["timestamp"])))
        .collect()
}

/// A run's beginning and end are those of its states, whose times do not go
/// backwards.
fn check_own(run: &Value, states: &[(String, Timestamp)]) {
    let times: Vec<_> = states.iter().map(|(_, at)| *at).collect();
    assert!(times.is_sorted(), "{run}: {states:?}");
    // One that will never run waits for ever.
    let waits = run["state_type"] == "PENDING";
    assert_eq!(run["end_time"].is_string(), !waits, "{run}");
    if waits {
        return;
    }
    assert_eq!(
        Some(time(&run["end_time"])),
        times.last().copied(),
        "{run}: {states:?}"
    );
    if run["start_time"].is_string() {
        let begun = states.iter().find(|(name, _)| name == "Running");
        // Of a quick run only the end may be recorded.
        if let Some((_, at)) = begun {
            assert_eq!(time(&run["start_time"]), *at, "{run}: {states:?}");
        }
        assert!(time(&run["start_time"]) <= time(&run["end_time"]), "{run}");
    }
}

/// The states of a task run are the engine's, at the engine's times.
fn check_against_engine(run: &Value, states: &[(String, Timestamp)], did: &Value) {
    let did = did["states"].as_array().expect("states").iter();
    let did: Vec<_> = did
        .map(|state| (text(state, "name").to_owned(), time(&state["at"])))
        .collect();
    let mut rest = did.iter();
    // Some may have passed too quickly to be recorded.
    let all_are = states.iter().all(|state| rest.any(|one| one == state));
    assert!(all_are, "{run}: {states:?}, and it was {did:?}");
    let begun = did.iter().find(|(name, _)| name == "Running");
    let begun = begun.map(|(_, at)| *at);
    let start = &run["start_time"];
    assert_eq!(start.is_string().then(|| time(start)), begun, "{run}");
}

/// Checks the times of a flow run, and of all in it; how many inputs were
/// looked at. `slack` is how much later than a run's beginning the end of an
/// input may be known.
fn check(server: &Server, told: &Told, flow_run: &Value, slack: SignedDuration) -> usize {
    let flow_id = text(flow_run, "id");
    check_own(flow_run, &states(server, "flow", flow_id));
    let (begin, end) = (time(&flow_run["start_time"]), time(&flow_run["end_time"]));
    let filter = json!({"flow_runs": {"id": {"any_": [flow_id]}}});
    let runs = server.all("task_runs", &filter);
    let by_id: BTreeMap<_, _> = runs.iter().map(|run| (text(run, "id"), run)).collect();
    let engine = told.engine_runs(text(flow_run, "name"));
    let mut count = 0;
    for run in &runs {
        let states = states(server, "task", text(run, "id"));
        let details = &run["state"]["state_details"];
        if let Some(child) = details["child_flow_run_id"].as_str() {
            let child = server.get(&format!("/flow_runs/{child}"));
            assert!(begin <= time(&child["start_time"]), "{child}");
            assert!(time(&child["end_time"]) <= end, "{child}");
            count += check(server, told, &child, slack);
        } else {
            check_own(run, &states);
            let did = engine.iter().find(|did| did["name"] == run["name"]);
            check_against_engine(run, &states, did.expect("the engine had it"));
        }
        let Some(start) = run["start_time"].as_str().map(|_| time(&run["start_time"])) else {
            continue;
        };
        for (parameter, inputs) in run["task_inputs"].as_object().expect("inputs") {
            for input in inputs.as_array().expect("a list") {
                let Some(input) = input["id"].as_str() else {
                    continue;
                };
                let input = by_id[input];
                if parameter == "__parents__" {
                    assert!(time(&input["start_time"]) <= start, "{input} {run}");
                    assert!(
                        time(&run["end_time"]) <= time(&input["end_time"]),
                        "{input} {run}"
                    );
                } else {
                    assert!(
                        time(&input["end_time"]) <= start + slack,
                        "{parameter}: {input} {run}"
                    );
                }
                count += 1;
            }
        }
    }
    count
}

fn are_in_order(server: &Server, told: &Told, slack: SignedDuration) {
    told.check(server);
    let runs = told.task_runs(server);
    let count = |name: &str| runs.iter().filter(|run| run["state_name"] == name).count();
    assert_eq!((count("Failed"), count("NotReady")), (1, 2), "{runs:?}");
    let is_retried = |run: &&Value| run["run_count"] == 2;
    assert_eq!(runs.iter().filter(is_retried).count(), 2, "{runs:?}");
    // Two for each row of two maps, of which one did not begin; the rows of one
    // for the sum; and what the nested runs have.
    assert_eq!(check(server, told, &told.flow_run, slack), 20 + 18 + 10 + 2);
}

#[test]
fn times_are_in_order_over_a_whole_flow() {
    let server = Server::shared();
    are_in_order(server, &run(server, "ordered"), SignedDuration::ZERO);
}

#[test]
fn times_are_in_order_over_a_whole_flow_on_workers() {
    let server = Server::shared();
    let environment = Environment::dask().unwrap_or_else(|error| panic!("{error}"));
    let dask = environment.command("dask");
    let settings = [("FLOWDASK_DASK", dask.to_str().expect("text"))];
    // The flow's process gives the times at which it hears of things, and it may
    // hear that a run began before it hears that the one before it ended.
    let slack = SignedDuration::from_secs(1);
    are_in_order(
        server,
        &run_with(server, "ordered_elsewhere", &settings),
        slack,
    );
}
