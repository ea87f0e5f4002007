//! Names that Prefect refuses: what we let through is taken by a server, and
//! what we refuse it would refuse, too.

use std::collections::BTreeSet;

use flow_tests::prefect::{Faults, FaultyWay, Server};
use serde_json::{Value, json};

use super::told::{Program, command, run};

/// All signs of ASCII, and letters of every other sort.
fn letters() -> Vec<char> {
    let signs = (' '..='~').filter(|letter| !letter.is_ascii_alphanumeric());
    signs
        .chain(['a', 'A', '1', 'ä', '\n', '\t', '\u{1f600}'])
        .collect()
}

fn names(start: &str) -> Vec<String> {
    let letters = letters().into_iter();
    letters.map(|letter| format!("{start}{letter}y")).collect()
}

/// What a program says to a list.
fn told(server: &Server, program: &str, arguments: &[&str]) -> Vec<Value> {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = server.command(program, home.path());
    // A server whose database is locked may not answer for a minute.
    command.env("PREFECT_API_REQUEST_TIMEOUT", "240");
    let output = command.args(arguments).output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    // A worker pool's line may stand before it.
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {stdout} {stderr}"))
}

/// Whether the server takes it; it may be busy.
fn takes(server: &Server, path: &str, body: &Value) -> bool {
    let answer = server.wait_for("an answer", |server| {
        let answer = server.request("POST", path, Some(body));
        (answer.status != 503).then_some(answer)
    });
    match answer.status {
        200..300 => true,
        // It stumbles over some names that get so far.
        422 | 500 => false,
        status => panic!("{path}: {status} {body} {answer:?}"),
    }
}

/// Each name is taken by both or refused by both, and then we say its letter
/// and the cure.
fn are_as_the_server_says(names: &[String], ours: &[Value], servers: &[bool], parts: &[&str]) {
    assert_eq!((names.len(), names.len()), (ours.len(), servers.len()));
    assert!(servers.contains(&true) && servers.contains(&false));
    for ((name, ours), is_taken) in names.iter().zip(ours).zip(servers) {
        assert_eq!(ours.is_null(), *is_taken, "{name:?}: {ours}");
        if *is_taken {
            continue;
        }
        assert!(ours[0] == true || ours[0] == "name", "{name:?}: {ours}");
        let text = ours[1].as_str().expect("a text");
        let letter = name.chars().nth(1).expect("three letters");
        let letter = format!("`{}`", letter.escape_debug());
        for part in parts.iter().copied().chain([&**name, &*letter]) {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn variables_artifacts_and_limits_have_the_names_that_the_server_takes() {
    let server = Server::shared();
    let (ours, raw) = (names("o"), names("r"));
    let list = json!(ours).to_string();
    let tell = |kind: &str| {
        told(
            server,
            env!("CARGO_BIN_EXE_prefect_things"),
            &["names", kind, &list],
        )
    };
    let servers = |path: &str, body: &dyn Fn(&str) -> Value| -> Vec<bool> {
        raw.iter()
            .map(|name| takes(server, path, &body(name)))
            .collect()
    };
    let taken = servers("/variables/", &|name| json!({"name": name, "value": 1}));
    let cure = [
        "the variable `",
        "lower-case letters, digits, dashes and underscores",
    ];
    are_as_the_server_says(&ours, &tell("variables"), &taken, &cure);
    let taken = servers(
        "/artifacts/",
        &|name| json!({"key": name, "type": "markdown", "data": "x"}),
    );
    let cure = [
        "the artifact's key `",
        "lower-case letters, digits and dashes",
    ];
    are_as_the_server_says(&ours, &tell("artifacts"), &taken, &cure);
    // There are limits of all names that there can be.
    let limits = "/v2/concurrency_limits/";
    let taken: Vec<_> = ours
        .iter()
        .map(|name| takes(server, limits, &json!({"name": name, "limit": 1})))
        .collect();
    let cure = [
        "concurrency limit `",
        "any text without `/`, `%`, `&`, `<` and `>`",
    ];
    are_as_the_server_says(&ours, &tell("limits"), &taken, &cure);
    // Who does not insist goes on without them.
    assert!(tell("lax-limits").iter().all(Value::is_null));
    for (length, is_taken) in [(255, true), (256, false)] {
        let names = json!(["v".repeat(length)]).to_string();
        let arguments = ["names", "variables", &names];
        let ours = told(server, env!("CARGO_BIN_EXE_prefect_things"), &arguments);
        assert_eq!(ours[0].is_null(), is_taken, "{ours:?}");
        let body = json!({"name": "w".repeat(length), "value": 1});
        assert_eq!(takes(server, "/variables/", &body), is_taken);
    }
    let events = [
        String::new(),
        "e".repeat(1025),
        "e".repeat(1024),
        "/%&<> ".into(),
    ];
    let list = json!(events).to_string();
    let arguments = ["names", "events", &list];
    let ours = told(server, env!("CARGO_BIN_EXE_prefect_things"), &arguments);
    let is_refused = ours.iter().map(|error| error[0] == true);
    assert_eq!(is_refused.collect::<Vec<_>>(), [true, true, false, false]);
    assert!(ours[2..].iter().all(Value::is_null), "{ours:?}");
}

#[test]
fn deployments_pools_and_queues_have_the_names_that_the_server_takes() {
    let server = Server::shared();
    let pool = |name: &str| {
        takes(
            server,
            "/work_pools/",
            &json!({"name": name, "type": "process"}),
        )
    };
    // Another test may have made it.
    let of_list = json!({"name": "of-a-list", "type": "process"});
    server.request("POST", "/work_pools/", Some(&of_list));
    // Fewer: each takes a server some time.
    let letters = "/%&<> .a\"'\\\nä\u{1f600}".chars();
    let names: Vec<_> = letters.map(|letter| format!("p{letter}y")).collect();
    // There are pools of all names that there can be.
    let taken: Vec<_> = names.iter().map(|name| pool(name)).collect();
    let flow = server.post("/flows/", &json!({"name": "of-a-list"}));
    let deploys: Vec<_> = names
        .iter()
        .map(|name| {
            takes(
                server,
                "/deployments/",
                &json!({"name": name, "flow_id": flow["id"]}),
            )
        })
        .collect();
    let queues: Vec<_> = names
        .iter()
        .map(|name| takes(server, "/work_queues/", &json!({"name": name})))
        .collect();
    for (key, what, servers) in [
        ("name", "deployment `", deploys),
        ("pool", "work pool `", taken),
        ("queue", "work queue `", queues),
    ] {
        let plans: Vec<_> = names.iter().map(|name| json!({key: name})).collect();
        let list = json!(plans).to_string();
        let arguments = ["deployments", &list];
        let ours = told(server, env!("CARGO_BIN_EXE_served_flows"), &arguments);
        let parts = [what, "any text without `/`, `%`, `&`, `<` and `>`"];
        are_as_the_server_says(&names, &ours, &servers, &parts);
    }
}

/// Why a flow of this name is not told.
fn parts(name: &str, letter: &str) -> [String; 3] {
    [
        format!("flow `{name}` has `{letter}` in its name, which Prefect refuses"),
        "call it otherwise by `#[flow(name = \"..\")]`".to_owned(),
        "any text without `/`, `%`, `&`, `<` and `>`".to_owned(),
    ]
}

#[test]
fn a_flow_whose_name_the_server_refuses_does_its_work_and_one_warning_says_why() {
    let server = Server::shared();
    let flow = json!({"name": "a/b: c"});
    assert_eq!(server.request("POST", "/flows/", Some(&flow)).status, 422);
    let way = FaultyWay::to(server.address(), Faults::default()).expect("a free port");
    let mut program = Program::start(server, &[("PREFECT_API_URL", &way.url())], &["misnamed"]);
    let output = program.output();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        report["flows"][0]["states"].as_array().map(Vec::len),
        Some(3)
    );
    assert_eq!(stderr.matches("WARNING").count(), 1, "{stderr}");
    for part in parts("a/b: c", "/") {
        assert_eq!(stderr.matches(&part).count(), 1, "{part}: {stderr}");
    }
    // Nobody asks a server for it, and nothing else of it is told there.
    let known = json!({"artifacts": {"key": {"any_": ["of-the-misnamed"]}}});
    assert_eq!(server.all("artifacts", &known), [] as [Value; 0]);
    let lines = json!({"logs": {"text": {"query": "\"nobody hears of it\""}}});
    let lines = server.request("POST", "/logs/filter", Some(&lines));
    assert!(lines.body.as_array().is_none_or(Vec::is_empty), "{lines:?}");

    let home = tempfile::tempdir().expect("a folder");
    let output = command(server, home.path(), &[], &["misnamed_and_audited"]).output();
    let output = output.expect("it starts");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let error = told["error"].as_str().unwrap_or_else(|| panic!("{told}"));
    for part in parts("a<b", "<") {
        assert!(error.contains(&part), "{part}: {error}");
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("the flow's function runs"), "{stderr}");
}

#[test]
fn names_of_runs_and_tags_have_every_letter_and_a_misnamed_subflow_harms_nobody() {
    let server = Server::shared();
    let told = run(server, "letters");
    assert_eq!(
        told.flow_run["state"]["name"], "Completed",
        "{}",
        told.stderr
    );
    assert_eq!(told.flow_run["name"], "run <&> /%&<>\n");
    let tags = told.flow_run["tags"].as_array().expect("a list").iter();
    let tags: BTreeSet<_> = tags.map(|tag| tag.as_str().expect("a text")).collect();
    assert_eq!(tags, BTreeSet::from(["/%&<>", "a b", "ä\n"]));
    let runs = told.task_runs(server);
    // Its subflow has none that stands for it.
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(runs[0]["name"], "one of /%&<> 1\n");
    assert_eq!(runs[0]["tags"], json!(["/%&<>\n"]));
    assert_eq!(runs[0]["state"]["name"], "Completed");
    let [why, ..] = parts("a/b: c", "/");
    assert_eq!(told.stderr.matches(&why).count(), 1, "{}", told.stderr);
}
