//! Servers before the pinned one.

use flow_tests::prefect::Server;
use flow_tests::python::{Environment, Requirements};
use serde_json::json;

#[test]
#[ignore = "slow lane: installs two more releases of Prefect"]
fn older_servers_start_and_record() {
    for requirements in Requirements::OLDER_PREFECT {
        let environment = Environment::new(&requirements).unwrap_or_else(|error| panic!("{error}"));
        let server = Server::in_environment(environment, &[]);
        let server = server.unwrap_or_else(|error| panic!("{error}"));
        let version = server.get("/admin/version");
        let name = format!("prefect-{}", version.as_str().expect("a version"));
        assert_eq!(name, requirements.name());
        let flow = server.post("/flows/", &json!({"name": "old"}));
        let body = json!({"flow_id": flow["id"], "state": {"type": "PENDING"}});
        let run = server.post("/flow_runs/", &body);
        let of_run = json!({"flow_runs": {"id": {"any_": [run["id"]]}}});
        assert_eq!(server.all("flow_runs", &of_run).len(), 1);
    }
}
