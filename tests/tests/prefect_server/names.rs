//! Names from templates: a run has its name there from its beginning on.

use std::collections::BTreeSet;
use std::process::Stdio;

use flow_tests::prefect::Server;
use flow_tests::python::Environment;
use serde_json::json;

use super::told::task_runs;

/// Runs a flow that waits until it has seen these task runs Running, by their
/// names from templates; then it ends.
fn named_while_they_run(argument: &str, flow: &str, name: &str, running: &[&str]) {
    let server = Server::shared();
    let home = tempfile::tempdir().expect("a directory");
    let end = home.path().join("end");
    let mut command = server.command(env!("CARGO_BIN_EXE_prefect_things"), home.path());
    let environment = Environment::dask().unwrap_or_else(|error| panic!("{error}"));
    command.env("FLOWDASK_DASK", environment.command("dask"));
    let program = command.arg(argument).arg(&end).stdout(Stdio::piped());
    let program = program.spawn().expect("the program starts");
    let filter = json!({"flows": {"name": {"any_": [flow]}}});
    let names = |server: &Server, state: &str| -> Option<(BTreeSet<String>, String)> {
        let flow_run = server.all("flow_runs", &filter).pop()?;
        let id = flow_run["id"].as_str().expect("an id").to_owned();
        if flow_run["state_name"] == "Running" {
            assert_eq!(flow_run["name"], name);
        }
        let runs = task_runs(server, &id).into_iter();
        let runs = runs.filter(|run| run["state_name"] == state);
        let names = runs.map(|run| run["name"].as_str().expect("a name").to_owned());
        Some((names.collect(), id))
    };
    let id = server.wait_for("the runs", |server| {
        let (seen, id) = names(server, "Running")?;
        // No other name is seen on the way.
        let is_one = |seen: &String| ALL.contains(&seen.as_str());
        assert!(seen.iter().all(is_one), "{seen:?}");
        running.iter().all(|one| seen.contains(*one)).then_some(id)
    });
    std::fs::write(&end, "").expect("a file");
    let output = program.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    let all: BTreeSet<_> = ALL.map(str::to_owned).into();
    assert_eq!(names(server, "Completed"), Some((all, id)));
}

const ALL: [&str; 5] = [
    "fetch-four",
    "fetch-one",
    "fetch-three",
    "fetch-two",
    "hold-one",
];

#[test]
fn runs_have_the_names_of_their_templates_from_their_beginning_on() {
    named_while_they_run("crawls", "crawls", "crawl of here", &ALL);
}

#[test]
fn runs_on_workers_have_the_names_of_their_templates_from_their_beginning_on() {
    // Of rows that travel together one waits at a time.
    let running = ["fetch-four", "fetch-one", "hold-one", "fetch-two"];
    let flow = "crawls-elsewhere";
    named_while_they_run("crawls_elsewhere", flow, "crawl of there", &running);
}
