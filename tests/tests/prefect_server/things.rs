//! What flows make on a server, and read there.

use std::process::Command;

use flow_tests::prefect::Server;
use flow_tests::python::Environment;
use serde_json::{Value, json};

/// What the flow gives.
fn run(server: &Server, arguments: &[&str]) -> Value {
    let home = tempfile::tempdir().expect("a directory");
    let mut command = server.command(env!("CARGO_BIN_EXE_prefect_things"), home.path());
    let environment = Environment::dask().unwrap_or_else(|error| panic!("{error}"));
    command.env("FLOWDASK_DASK", environment.command("dask"));
    output(command.args(arguments))
}

fn output(command: &mut Command) -> Value {
    let output = command.output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {errors}"))
}

/// The artifacts with these keys, in this order.
fn artifacts(server: &Server, keys: &[&str]) -> Vec<Value> {
    let filter = json!({"artifacts": {"key": {"any_": keys}}});
    let found = server.all("artifacts", &filter);
    let of_key = |key: &&str| {
        let found = found.iter().find(|artifact| artifact["key"] == *key);
        found.unwrap_or_else(|| panic!("no artifact {key}")).clone()
    };
    keys.iter().map(of_key).collect()
}

#[test]
fn runs_make_artifacts_of_every_kind() {
    let server = Server::shared();
    assert_eq!(
        run(server, &["artifacts"]).as_array().map(Vec::len),
        Some(6)
    );
    let keys = ["my-progress", "my-md", "my-table", "my-link", "my-image"];
    let artifacts = artifacts(server, &keys);
    let progress = artifacts[0]["id"].as_str().expect("an id").to_owned();
    let artifacts = artifacts.into_iter().map(|artifact| {
        assert!(artifact["task_run_id"].is_string(), "{artifact}");
        json!([artifact["type"], artifact["data"], artifact["description"]])
    });
    assert_eq!(
        artifacts.collect::<Vec<_>>(),
        [
            json!(["progress", 80, null]),
            json!(["markdown", "# Hi", "d"]),
            json!([
                "table",
                "[{\"a\":1,\"b\":\"x\"},{\"a\":2,\"b\":\"y\"}]",
                null
            ]),
            json!(["markdown", "[x](http://example.invalid/x)", null]),
            json!(["image", "http://example.invalid/x.png", null]),
        ]
    );
    let [made, changed] = ["created", "updated"].map(|what| {
        let name = format!("prefect.artifact.{what}");
        let filter = json!({"filter": {"event": {"name": [name]}}});
        server.wait_for(&name, |server| {
            let found = server.post("/events/filter", &filter);
            let events = found["events"].as_array()?.clone();
            events.into_iter().find(|event| {
                let payload = &event["payload"];
                payload["key"] == "my-md" || payload["data"] == 80.0
            })
        })
    });
    let wanted = json!({"key": "my-md", "type": "markdown", "description": "d"});
    assert_eq!(made["payload"], wanted);
    assert_eq!(made["resource"]["prefect.resource.name"], "my-md");
    let related = made["related"].as_array().expect("a list");
    let roles: Vec<_> = related
        .iter()
        .map(|one| one["prefect.resource.role"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(roles, ["flow-run", "flow", "task-run"], "{made}");
    let shown = changed["resource"]["prefect.resource.id"].as_str();
    assert_eq!(shown, Some(&*format!("prefect.artifact.{progress}")));
}

#[test]
fn tasks_on_workers_make_artifacts_through_the_flows_process() {
    let server = Server::shared();
    run(server, &["artifacts_elsewhere"]);
    let artifact = artifacts(server, &["from-afar"]);
    assert_eq!(artifact[0]["data"], "from sync code");
    let task_run = |id: &Value| {
        let id = id.as_str().expect("an id");
        server.get(&format!("/task_runs/{id}"))
    };
    let made_in = task_run(&artifact[0]["task_run_id"]);
    let around = &made_in["task_inputs"]["__parents__"];
    assert_eq!(around[0]["input_type"], "task_run", "{made_in}");
    let around = task_run(&around[0]["id"]);
    let name = around["name"].as_str().expect("a name");
    assert!(name.starts_with("nested"), "{around}");
}

#[test]
fn variables_are_kept_between_runs() {
    let told = run(Server::shared(), &["variables"]);
    let wrong = told["wrong"].as_str().expect("text");
    assert!(
        wrong.contains("variable `page-of-a-test` is no value of type `alloc::vec::Vec<u8>`"),
        "{wrong}"
    );
    assert_eq!(told["before"], Value::Null);
    assert_eq!(told["first"], 7);
    assert_eq!(told["second"], json!({"page": 8}));
    assert_eq!(told["after"], Value::Null);
}

#[test]
fn secrets_are_read_and_not_shown() {
    let server = Server::shared();
    let kind = server.get("/block_types/slug/secret");
    let filter = json!({"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}});
    let schemas = server.post("/block_schemas/filter", &filter);
    server.post(
        "/block_documents/",
        &json!({
            "name": "of-a-test",
            "data": {"value": "xyzzy-1234"},
            "block_type_id": kind["id"],
            "block_schema_id": schemas[0]["id"],
        }),
    );
    let told = run(server, &["secrets"]);
    assert_eq!(told["length"], 10);
    assert_eq!(told["shown"], "SecretValue(********)");
    let missing = told["missing"].as_str().expect("text");
    assert!(
        missing.contains("there is no secret `of-nobody`"),
        "{missing}"
    );
}

#[test]
fn events_are_emitted() {
    let server = Server::shared();
    let id = run(server, &["events"]);
    let filter = json!({"filter": {"event": {"name": ["cellar.read"]}}});
    let found = server.wait_for("the event", |server| {
        let found = server.post("/events/filter", &filter);
        let events = found["events"].as_array()?.clone();
        events.into_iter().find(|event| event["id"] == id)
    });
    assert_eq!(found["payload"], json!({"degrees": 11.5}));
    assert_eq!(found["resource"]["prefect.resource.name"], "cellar");
}

#[test]
fn deployments_in_python_are_run_and_waited_for() {
    let server = Server::shared();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/prefect/served.py");
    let served = server.program(script).start();
    let _served = served.unwrap_or_else(|error| panic!("{error}"));
    let filter = json!({"deployments": {"name": {"any_": ["for-rust"]}}});
    server.wait_for("the Python deployment", |server| {
        let found = server.post("/deployments/filter", &filter);
        (found[0]["status"] == "READY").then_some(())
    });
    let told = run(server, &["deployments", "counts-in-python/for-rust"]);
    assert_eq!(told["good"]["state_type"], "COMPLETED", "{told}");
    assert_eq!(told["at_once"], "SCHEDULED");
    let wrong = told["wrong"].as_str().expect("text");
    assert!(
        wrong.contains("`counts-in-python/for-rust` does not take these parameters"),
        "{wrong}"
    );
    let missing = told["missing"].as_str().expect("text");
    assert!(
        missing.contains("there is no deployment `no/such`"),
        "{missing}"
    );
    assert_eq!(told["is_typed"], true);
}

#[test]
fn without_a_server_things_say_how_to_name_one() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::shared();
    let mut command = server.command(env!("CARGO_BIN_EXE_prefect_things"), home.path());
    let told = output(command.env_remove("PREFECT_API_URL").arg("no_server"));
    let told = told.as_str().expect("text");
    assert!(told.contains("set PREFECT_API_URL"), "{told}");
}
