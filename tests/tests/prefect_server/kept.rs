//! Task runs whose results were written down: the server is told of the record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flow_tests::prefect::Server;
use flow_tests::python::Environment;
use serde_json::{Value, json};

use super::told::task_of;

/// Task runs by what their names begin with.
type Runs = BTreeMap<String, Vec<Value>>;

/// Runs a flow; gives what the server knows of its task runs.
fn run(server: &Server, home: &Path, argument: &str, flow: &str) -> Runs {
    let mut command = server.command(env!("CARGO_BIN_EXE_prefect_things"), home);
    let environment = Environment::dask().unwrap_or_else(|error| panic!("{error}"));
    command.env("FLOWDASK_DASK", environment.command("dask"));
    let output = command.arg(argument).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let filter = json!({"flows": {"name": {"any_": [flow]}}});
    let mut runs = Runs::new();
    for run in server.all("task_runs", &filter) {
        runs.entry(task_of(&run).to_owned()).or_default().push(run);
    }
    runs
}

/// What the record says of itself that the server was told of.
fn record(run: &Value) -> Value {
    let path = run["state"]["data"]["storage_key"].as_str();
    let path = path.unwrap_or_else(|| panic!("there is no record: {run}"));
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut record: Value = serde_json::from_str(&text).expect("a record");
    let own = record["metadata"].as_object_mut().expect("metadata");
    assert!(own.remove("flowcore").is_some(), "{path}");
    record["metadata"].take()
}

/// What holds wherever the tasks run; `alone` are others with a record each.
fn records_are_told(server: &Server, argument: &str, flow: &str, alone: &[&str]) -> Runs {
    let home = tempfile::tempdir().expect("a directory");
    let runs = run(server, home.path(), argument, flow);
    for name in ["keeps", "coded"].iter().chain(alone) {
        for run in &runs[*name] {
            assert_eq!(run["state"]["name"], "Completed", "{run}");
            assert_eq!(run["state"]["data"], record(run), "{name}");
        }
    }
    let serializer = |name: &str| &runs[name][0]["state"]["data"]["serializer"]["type"];
    assert_eq!(serializer("keeps"), "json");
    assert_eq!(serializer("coded"), "flowcore/bincode");
    let [one, two] = &*runs["keeps"] else {
        panic!("{:?}", runs["keeps"]);
    };
    let (one, two) = (&one["state"]["data"], &two["state"]["data"]);
    assert_ne!(one["storage_key"], two["storage_key"]);
    let [found] = &*runs["finds"] else {
        panic!("{:?}", runs["finds"]);
    };
    assert_eq!(found["state"]["name"], "Cached", "{found}");
    let found = &found["state"]["data"];
    assert!(found == one || found == two, "{found}");
    assert!(found["expiration"].is_string(), "{found}");
    for (name, state) in [
        ("fails", "Failed"),
        ("forgets", "Completed"),
        ("summed", "Completed"),
    ] {
        let [run] = &*runs[name] else {
            panic!("{:?}", runs[name]);
        };
        assert_eq!(run["state"]["name"], state, "{run}");
        assert_eq!(run["state"]["data"], Value::Null, "{run}");
    }
    runs
}

/// Of a flow in this process; gives what the server knows of the run that was
/// undone.
pub(crate) fn check(server: &Server) -> Value {
    let runs = records_are_told(server, "keeps", "keeps-results", &["direct", "done"]);
    let undone = &runs["undone"][0];
    assert_eq!(undone["state"]["name"], "RolledBack", "{undone}");
    assert_eq!(undone["state"]["data"], Value::Null);
    undone.clone()
}

#[test]
fn the_server_is_told_of_the_records_of_runs() {
    let undone = check(Server::shared());
    assert_eq!(undone["name"], "undone-20");
}

#[test]
fn the_server_is_told_of_records_that_workers_write() {
    let flow = "keeps-results-elsewhere";
    let runs = records_are_told(Server::shared(), "keeps_elsewhere", flow, &[]);
    // Workers tell the names that templates give, too.
    let names = runs["named"].iter().map(|run| run["name"].as_str());
    let names: BTreeSet<String> = names.map(|name| name.expect("a name").to_owned()).collect();
    assert_eq!(names, (0..4).map(|x| format!("named-{x}")).collect());
}
