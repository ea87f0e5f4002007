//! What a server knows of flow runs equals what the engine did.

use std::collections::{BTreeMap, BTreeSet};

use flow_tests::prefect::Server;
use flow_tests::python::Environment;
use serde_json::{Value, json};

use super::told::{Told, ends, run, run_with};

/// Runs a flow whose tasks workers execute: they know of no server.
fn run_elsewhere(server: &Server, flow: &str) -> Told {
    let environment = Environment::dask().unwrap_or_else(|error| panic!("{error}"));
    let dask = environment.command("dask");
    let dask = dask.to_str().expect("text");
    run_with(server, flow, &[("FLOWDASK_DASK", dask)])
}

#[test]
fn the_flow_of_the_design_is_told_whole() {
    let server = Server::shared();
    design_is_told(server, &run(server, "design"));
}

#[test]
fn the_flow_of_the_design_is_told_whole_on_workers() {
    let server = Server::shared();
    design_is_told(server, &run_elsewhere(server, "design_elsewhere"));
}

fn design_is_told(server: &Server, told: &Told) {
    told.check(server);
    let flow_run = &told.flow_run;
    assert_eq!(flow_run["state"]["name"], "Completed", "{}", told.stderr);
    assert_eq!(flow_run["run_count"], 1);
    assert_eq!(flow_run["flow_version"], "1.2");
    assert_eq!(flow_run["tags"], json!(["design"]));
    assert_eq!(
        flow_run["parameters"],
        json!({"a_range": [0, 1, 2, 3], "label": null})
    );
    let name = flow_run["name"].as_str().expect("a name");

    let runs = told.task_runs(server);
    assert_eq!(runs.len(), 13);
    assert_eq!(ends(&runs), ends(&told.engine_runs(name)));
    let by_name: BTreeMap<_, _> = runs
        .iter()
        .map(|run| (run["id"].as_str().expect("an id"), run))
        .collect();
    let task = |run: &Value| {
        let key = run["task_key"].as_str().expect("a key");
        key.rsplit_once('-').expect("a hash").0.to_owned()
    };
    for run in &runs {
        assert_eq!(run["run_count"], 1, "{run}");
        assert!(
            run["start_time"].is_string() && run["end_time"].is_string(),
            "{run}"
        );
        let upstream = |parameter: &str| {
            let inputs = run["task_inputs"][parameter].as_array().expect("inputs");
            inputs
                .iter()
                .map(|input| task(by_name[input["id"].as_str().expect("an id")]))
                .collect::<Vec<_>>()
        };
        match task(run).as_str() {
            "inc" => {
                assert_eq!(run["task_version"], "7");
                assert_eq!(run["tags"], json!(["numbers"]));
                assert!(upstream("x").is_empty());
            }
            "double" => assert!(upstream("x").is_empty()),
            "add" => assert_eq!(
                (upstream("x"), upstream("y")),
                (vec!["inc".into()], vec!["double".into()])
            ),
            "sum_all" => assert_eq!(upstream("z"), ["add"; 4]),
            other => panic!("{other}"),
        }
    }

    let graph = server.get(&format!("/flow_runs/{}/graph-v2", told.id()));
    assert_eq!(graph["nodes"].as_array().expect("nodes").len(), 13);
    assert_eq!(graph["root_node_ids"].as_array().expect("roots").len(), 8);

    let logs = server.all(
        "logs",
        &json!({"logs": {"flow_run_id": {"any_": [told.id()]}}, "sort": "TIMESTAMP_ASC"}),
    );
    let texts: Vec<_> = logs
        .iter()
        .map(|log| log["message"].as_str().expect("a text"))
        .collect();
    assert_eq!(
        texts.first().copied(),
        Some(&*format!(
            "Beginning flow run '{name}' for flow 'inc-double-add-sum'"
        )),
    );
    let of_flow = logs.iter().rfind(|log| log["name"] == "prefect.flow_runs");
    assert_eq!(
        of_flow.expect("a line")["message"],
        "Finished in state Completed()"
    );
    let of_user = logs.iter().filter(|log| {
        log["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("x is "))
    });
    let of_user: BTreeSet<_> = of_user
        .map(|log| task(by_name[log["task_run_id"].as_str().expect("a task run")]))
        .collect();
    assert_eq!(of_user, BTreeSet::from(["inc".to_owned()]));
    let warning = logs
        .iter()
        .find(|log| log["level"] == 30)
        .expect("a warning");
    assert_eq!(warning["message"], "a warning of the flow");
    assert_eq!(
        logs.iter()
            .filter(|log| log["name"] == "prefect.task_runs")
            .count(),
        13
    );
}

#[test]
fn subflows_nested_tasks_failures_and_retries_are_told() {
    let server = Server::shared();
    every_kind_is_told(server, &run(server, "every_kind"));
}

#[test]
fn subflows_nested_tasks_failures_and_retries_are_told_on_workers() {
    let server = Server::shared();
    every_kind_is_told(server, &run_elsewhere(server, "every_kind_elsewhere"));
}

fn every_kind_is_told(server: &Server, told: &Told) {
    told.check(server);
    let name = told.flow_run["name"].as_str().expect("a name");
    assert_eq!(
        told.flow_run["state"]["name"], "Completed",
        "{}",
        told.stderr
    );
    let runs = told.task_runs(server);
    let (placeholders, runs): (Vec<_>, Vec<_>) = runs
        .into_iter()
        .partition(|run| run["state"]["state_details"]["child_flow_run_id"].is_string());
    assert_eq!(ends(&runs), ends(&told.engine_runs(name)));
    let states: BTreeSet<_> = runs
        .iter()
        .map(|run| run["state"]["name"].as_str())
        .collect();
    let wanted = ["Cancelled", "Completed", "Failed", "NotReady", "TimedOut"];
    assert_eq!(states, wanted.map(Some).into());

    let shaky = runs.iter().find(|run| {
        run["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("shaky"))
    });
    let shaky = shaky.expect("its run");
    assert_eq!(shaky["run_count"], 3);
    let policy = &shaky["empirical_policy"];
    assert_eq!(policy["retries"], 3);
    assert_eq!(policy["retry_delay"], json!([0.01, 0.01, 2.0]));

    assert_eq!(placeholders.len(), 1);
    assert_eq!(placeholders[0]["name"], "child-0");
    assert_eq!(placeholders[0]["state"]["name"], "Completed");
    let child = placeholders[0]["state"]["state_details"]["child_flow_run_id"]
        .as_str()
        .expect("an id");
    let child = server.get(&format!("/flow_runs/{child}"));
    let of_child = json!({"flow_runs": {"id": {"any_": [child["id"]]}}});
    let child_runs = server.all("task_runs", &of_child);
    let child_name = child["name"].as_str().expect("a name");
    assert_eq!(ends(&child_runs), ends(&told.engine_runs(child_name)));

    let starts_with = |text: &str| {
        runs.iter()
            .filter(|run| {
                run["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with(text))
            })
            .collect::<Vec<_>>()
    };
    let outer = starts_with("outer")[0];
    let nested = starts_with("inc")
        .into_iter()
        .find(|run| run["task_inputs"]["__parents__"].is_array())
        .expect("a nested run");
    assert_eq!(nested["task_inputs"]["__parents__"][0]["id"], outer["id"]);
    let waiting = starts_with("inc")
        .into_iter()
        .find(|run| run["task_inputs"]["wait_for"].is_array())
        .expect("a run that waits");
    assert_eq!(waiting["task_inputs"]["wait_for"][0]["id"], shaky["id"]);
}
