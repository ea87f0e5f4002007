//! Servers before the pinned one know of flows what it knows.

use flow_tests::prefect::Server;
use flow_tests::python::{Environment, Requirements};
use serde_json::json;

use super::kept;
use super::told::{ends, run};

/// A server of that release, for who asks alone.
fn server_of(requirements: &Requirements) -> Server {
    let environment = Environment::new(requirements).unwrap_or_else(|error| panic!("{error}"));
    let server = Server::in_environment(environment, &[]);
    server.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
#[ignore = "slow lane: installs two more releases of Prefect"]
fn older_servers_are_told_whole() {
    for requirements in Requirements::OLDER_PREFECT {
        let server = server_of(&requirements);
        let version = server.get("/admin/version");
        let name = format!("prefect-{}", version.as_str().expect("a version"));
        assert_eq!(name, requirements.name());
        kept::check(&server);
        for flow in ["design", "every_kind"] {
            let told = run(&server, flow);
            let state = &told.flow_run["state"]["name"];
            assert_eq!(state, "Completed", "{name}: {}", told.stderr);
            let runs = told.task_runs(&server);
            // Those that stand for subflows are no task runs of the engine.
            let is_subflow = "child_flow_run_id";
            let runs: Vec<_> = runs
                .into_iter()
                .filter(|run| !run["state"]["state_details"][is_subflow].is_string())
                .collect();
            let flow_run = told.flow_run["name"].as_str().expect("a name");
            let engine = told.engine_runs(flow_run);
            assert_eq!(ends(&runs), ends(&engine), "{name}: {flow}");
            let filter = json!({"logs": {"flow_run_id": {"any_": [told.id()]}}});
            let logs = server.all("logs", &filter);
            let finished = logs.iter().filter(|log| {
                log["message"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("Finished in state"))
            });
            // One of each run, and the flow run's own.
            assert_eq!(finished.count(), engine.len() + 1, "{name}: {flow}");
        }
    }
}

/// They refuse a body with a key that they do not know; each version knows
/// others.
#[test]
#[ignore = "slow lane: installs two more releases of Prefect"]
fn deployments_are_made_without_what_older_servers_do_not_know() {
    for requirements in Requirements::OLDER_PREFECT {
        let server = server_of(&requirements);
        let pool = json!({"name": "older", "type": "process"});
        server.post("/work_pools/", &pool);
        let flow = server.post("/flows/", &json!({"name": "raw"}));
        let info = json!({"type": "prefect:simple", "version": "2"});
        let raw = json!({"name": "raw", "flow_id": flow["id"], "version_info": info});
        let answer = server.request("POST", "/deployments/", Some(&raw));
        assert_eq!(answer.status, 422, "{answer:?}");
        let home = tempfile::tempdir().expect("a folder");
        let mut command = server.command(env!("CARGO_BIN_EXE_served_flows"), home.path());
        command.args(["deploy", "of-another-age", "older", "served_greeting"]);
        let output = command.output().expect("it starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let made = server.get("/deployments/name/served-greeting/of-another-age");
        assert_eq!(made["version"], "2", "{made}");
        assert_eq!(made["work_pool_name"], "older", "{made}");
    }
}
