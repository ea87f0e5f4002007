//! What flows ask of their reporting, and what they say of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use flow_tests::prefect::{FaultyWay, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::told::run_with;

/// How often a text stands in another.
fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// The program with a flow, told nothing of a server, with the usual patience.
fn alone(flow: &str, home: &TempDir) -> Command {
    let mut command = Server::shared().command(env!("CARGO_BIN_EXE_reported_flows"), home.path());
    for setting in ["PREFECT_API_URL", "PREFECT_REPORTING_DRAIN_TIMEOUT"] {
        command.env_remove(setting);
    }
    command.arg(flow);
    command
}

/// An address at which nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}/api", listener.local_addr().expect("an address"))
}

#[test]
fn a_run_says_where_it_can_be_seen() {
    let server = Server::shared();
    let told = run_with(server, "every_kind", &[]);
    let (name, stderr) = (&told.flow_run["name"], &told.stderr);
    let name = name.as_str().expect("a name");
    let ui = format!("http://{}", server.address());
    let line = format!(
        "INFO    | Flow run '{name}' - View at {ui}/runs/flow-run/{}\n",
        told.id()
    );
    assert_eq!(count(stderr, &line), 1, "{stderr}");
    // And its subflow's.
    assert_eq!(count(stderr, " - View at "), 2, "{stderr}");
    assert_eq!(count(stderr, "PREFECT_API_URL is not set"), 0, "{stderr}");
    let of_run = json!({"logs": {"flow_run_id": {"any_": [told.id()]}}});
    let logs = server.all("logs", &of_run);
    assert!(!logs.is_empty());
    let is_it = |text: &Value| text.as_str().is_some_and(|text| text.contains("View at"));
    assert!(!logs.iter().any(|log| is_it(&log["message"])), "{logs:?}");

    let ui = ("PREFECT_UI_URL", "https://prefect.example/ui/");
    let told = run_with(server, "design", &[ui]);
    let line = format!(
        "View at https://prefect.example/ui/runs/flow-run/{}\n",
        told.id()
    );
    assert_eq!(count(&told.stderr, &line), 1, "{}", told.stderr);
}

#[test]
fn without_a_server_one_line_says_so() {
    let home = tempfile::tempdir().expect("a folder");
    let output = alone("every_kind", &home).output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(count(&stderr, "PREFECT_API_URL is not set"), 1, "{stderr}");
    assert_eq!(count(&stderr, "View at"), 0, "{stderr}");
    assert!(!home.path().join("flowcore/outbox").exists());
}

#[test]
fn a_server_that_never_answers_is_not_waited_for_long_and_the_rest_is_kept() {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = alone("design", &home);
    let url = nowhere();
    let output = command
        .env("PREFECT_API_URL", &url)
        .output()
        .expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    // Once as it begins, and once at its end.
    assert_eq!(count(&stderr, "cannot be reached"), 1, "{stderr}");
    let end = stderr
        .lines()
        .find(|line| line.contains("has never answered"));
    let end = end.unwrap_or_else(|| panic!("{stderr}"));
    let outbox = home.path().join("flowcore/outbox");
    let files: Vec<_> = fs::read_dir(outbox).expect("a folder").collect();
    assert_eq!(files.len(), 1);
    let file = files[0].as_ref().expect("a file").path();
    for part in [
        &url,
        "PREFECT_API_URL",
        "`replay`",
        file.to_str().expect("text"),
    ] {
        assert!(end.contains(part), "{part}: {end}");
    }
}

#[test]
fn a_server_of_a_version_that_nobody_knows_is_one_warning() {
    let server = Server::shared();
    let version = ("/api/admin/version", (200, "\"9.1.0\""));
    let way = FaultyWay::answering(server.address(), [version]).expect("a free port");
    let told = run_with(server, "design", &[("PREFECT_API_URL", &way.url())]);
    assert_eq!(
        told.flow_run["state"]["name"], "Completed",
        "{}",
        told.stderr
    );
    assert_eq!(told.task_runs(server).len(), 13);
    let warning = "version 9.1.0, with which nobody has tried this";
    assert_eq!(count(&told.stderr, warning), 1, "{}", told.stderr);
    assert_eq!(count(&told.stderr, "WARNING"), 2, "{}", told.stderr);
}

#[test]
fn events_go_by_requests_where_sockets_are_blocked() {
    let server = Server::shared();
    let blocked = ("/api/events/in", (403, ""));
    let way = FaultyWay::answering(server.address(), [blocked]).expect("a free port");
    let told = run_with(server, "every_kind", &[("PREFECT_API_URL", &way.url())]);
    told.check(server);
    assert_eq!(way.met().refused, 3, "{}", told.stderr);
}

/// The flow of the design is there whole, where the program says it is.
fn is_seen_whole(server: &Server, output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let (_, id) = stderr
        .split_once("/runs/flow-run/")
        .expect("where to see it");
    let path = format!("/flow_runs/{}", &id[..36]);
    let run = server.get(&path);
    let graph = server.get(&format!("{path}/graph-v2"));
    assert_eq!(run["state"]["name"], "Completed", "{stderr}");
    assert_eq!(graph["nodes"].as_array().map(Vec::len), Some(13));
}

#[test]
fn a_server_that_wants_tokens_against_forged_requests_is_told() {
    let settings = [("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "true")];
    let server = Server::with_settings(&settings).unwrap_or_else(|error| panic!("{error}"));
    let answer = server.request("POST", "/flow_runs/filter", Some(&json!({})));
    assert_eq!(answer.status, 403, "it wants them");
    let home = tempfile::tempdir().expect("a folder");
    let mut command = server.command(env!("CARGO_BIN_EXE_reported_flows"), home.path());
    is_seen_whole(&server, &command.arg("design").output().expect("it starts"));
}

#[test]
fn the_server_of_a_profile_or_a_project_is_told() {
    let server = Server::shared();
    let url = server.url();
    let files = [
        (
            "profiles.toml",
            format!("active = \"here\"\n[profiles.here]\nPREFECT_API_URL = \"{url}\"\n"),
        ),
        ("prefect.toml", format!("[api]\nurl = \"{url}\"\n")),
        (
            "pyproject.toml",
            format!("[tool.prefect.api]\nurl = \"{url}\"\n"),
        ),
        (".env", format!("PREFECT_API_URL={url}\n")),
    ];
    for (name, content) in files {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join(name), content).expect("a file");
        let mut command = alone("design", &home);
        let output = command.current_dir(&home).output().expect("it starts");
        is_seen_whole(server, &output);
    }
}

#[test]
fn maps_are_told_as_their_tasks_ask() {
    let server = Server::shared();
    let told = run_with(server, "maps_as_asked", &[]);
    let runs = told.task_runs(server);
    let named = |start: &str| -> Vec<&Value> {
        let is_it = |run: &&Value| {
            run["name"]
                .as_str()
                .is_some_and(|name| name.starts_with(start))
        };
        runs.iter().filter(is_it).collect()
    };
    let all = named("odd_ones_fail[");
    assert_eq!(all.len(), 1, "{}", told.stderr);
    assert_eq!(all[0]["name"], "odd_ones_fail[0..30]");
    assert_eq!(all[0]["state"]["name"], "Failed");
    assert_eq!(
        all[0]["state"]["message"],
        "30 rows: 27 completed, 3 failed"
    );
    let failed: Vec<_> = named("odd_ones_fail-")
        .into_iter()
        .map(|run| &run["state"]["name"])
        .collect();
    assert_eq!(failed, ["Failed"; 3]);

    let batches: BTreeSet<_> = named("inc[")
        .into_iter()
        .map(|run| (text(&run["name"]), text(&run["state"]["message"])))
        .collect();
    let expected = [
        ("inc[0..100]", "100 rows: 100 completed"),
        ("inc[100..200]", "100 rows: 100 completed"),
        ("inc[200..250]", "50 rows: 50 completed"),
    ];
    assert_eq!(batches, BTreeSet::from(expected));
    let (whole, sum) = (named("double"), named("sum_all"));
    assert_eq!(whole[0]["name"], "double[0..250]");
    assert_eq!(
        whole[0]["task_inputs"]["x"].as_array().map(Vec::len),
        Some(3)
    );
    assert_eq!(
        sum[0]["task_inputs"]["z"],
        json!([{"input_type": "task_run", "id": whole[0]["id"]}])
    );
    assert_eq!(runs.len(), 1 + 3 + 3 + 1 + 1);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What the flow that requires its server says with these settings, beside
/// what stands on standard error.
fn audited(url: Option<&str>) -> (Value, String) {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = alone("audited", &home);
    if let Some(url) = url {
        command.env("PREFECT_API_URL", url);
    }
    let output = command.output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let told = serde_json::from_slice(&output.stdout);
    (
        told.unwrap_or_else(|error| panic!("{error}: {stderr}")),
        stderr,
    )
}

const BODY: &str = "the flow's function runs";

#[test]
fn a_flow_that_requires_its_server_begins_when_the_server_knows_it() {
    let server = Server::shared();
    let (told, stderr) = audited(Some(&server.url()));
    assert_eq!(told, json!({"value": 4}), "{stderr}");
    let seen = stderr.find("View at").unwrap_or_else(|| panic!("{stderr}"));
    let body = stderr.find(BODY).unwrap_or_else(|| panic!("{stderr}"));
    assert!(seen < body, "{stderr}");
}

#[test]
fn a_flow_that_requires_its_server_does_not_begin_without_it() {
    let server = Server::shared();
    let refusing = |status| {
        let answer = (status, "{\"exception_message\": \"not you\"}");
        let paths = ["/api/flows/", "/api/flow_runs/filter"];
        let answers = paths.map(|path| (path, answer));
        FaultyWay::answering(server.address(), answers).expect("a free port")
    };
    let (unknown, forbidden) = (refusing(401), refusing(403));
    let ui = server.url().replace("/api", "");
    let cases = [
        (None, None, vec!["set PREFECT_API_URL"]),
        (
            Some(nowhere()),
            None,
            vec![
                "cannot be reached",
                "is it running, and does PREFECT_API_URL name it?",
            ],
        ),
        (
            Some(unknown.url()),
            Some(401),
            vec![
                "not you",
                "set PREFECT_API_KEY (Prefect Cloud) or PREFECT_API_AUTH_STRING",
            ],
        ),
        (
            Some(forbidden.url()),
            Some(403),
            vec!["not you", "may not do this"],
        ),
        (Some(ui), None, vec!["it ends in `/api`"]),
    ];
    for (url, status, parts) in cases {
        let (told, stderr) = audited(url.as_deref());
        assert_eq!(count(&stderr, BODY), 0, "{stderr}");
        assert_eq!(
            count(&stderr, "has never answered"),
            0,
            "nobody waits twice: {stderr}"
        );
        let error = told["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{told}: {stderr}"));
        for part in parts
            .into_iter()
            .chain(url.as_deref())
            .chain(["`api = required`"])
        {
            assert!(error.contains(part), "{part}: {error}");
        }
        let shown = told["url"].as_str().map(|url| url.trim_end_matches('/'));
        assert_eq!(shown, url.as_deref());
        if status.is_some() {
            assert_eq!(told["status"], json!(status), "{error}");
        }
    }
}

#[test]
fn a_flow_does_its_work_whatever_its_server_says() {
    let server = Server::shared();
    let answer = ("/api/flows/", (401, "{\"exception_message\": \"not you\"}"));
    let way = FaultyWay::answering(server.address(), [answer]).expect("a free port");
    let home = tempfile::tempdir().expect("a folder");
    let mut command = alone("design", &home);
    let output = command
        .env("PREFECT_API_URL", way.url())
        .output()
        .expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(13));
    assert_eq!(
        count(&stderr, "set PREFECT_API_KEY"),
        1,
        "once for the process: {stderr}"
    );
}

/// All that stands in files below a directory.
fn texts_below(directory: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(directory).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.push_str(&texts_below(&path));
        } else {
            all.push_str(&String::from_utf8_lossy(&fs::read(&path).expect("a file")));
        }
    }
    all
}

#[test]
fn wrong_credentials_are_one_warning_that_says_what_to_set_and_shows_no_secret() {
    const CURE: &str = "set PREFECT_API_KEY (Prefect Cloud) or PREFECT_API_AUTH_STRING";
    const PASSWORD: &str = "plugh-plover";
    const WRONG: &str = "me:plugh-plover";
    const WRONG_IN_A_HEADER: &str = "bWU6cGx1Z2gtcGxvdmVy";
    let settings = [("PREFECT_SERVER_API_AUTH_STRING", "me:right")];
    let server = Server::with_settings(&settings).unwrap_or_else(|error| panic!("{error}"));
    let (reported, things) = (
        env!("CARGO_BIN_EXE_reported_flows"),
        env!("CARGO_BIN_EXE_prefect_things"),
    );
    for wrong in [
        Some(("PREFECT_API_AUTH_STRING", WRONG)),
        Some(("PREFECT_API_KEY", PASSWORD)),
        None,
    ] {
        let home = tempfile::tempdir().expect("a folder");
        let run = |program: &str, argument: &str, credentials: Option<(&str, &str)>| {
            let mut command = server.command(program, home.path());
            let output = command.envs(credentials).arg(argument).output();
            let output = output.expect("it starts");
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
            for secret in [PASSWORD, WRONG_IN_A_HEADER] {
                let shown =
                    [&stderr, &stdout, &texts_below(home.path())].map(|it| count(it, secret));
                assert_eq!(shown, [0; 3], "{stderr}");
            }
            (output.status.success(), stdout, stderr)
        };
        let (succeeds, report, stderr) = run(reported, "design", wrong);
        assert!(succeeds, "{stderr}");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(report["runs"].as_array().map(Vec::len), Some(13));
        assert_eq!(count(&stderr, CURE), 1, "{stderr}");
        // And one of the flow's own.
        assert_eq!(count(&stderr, "WARNING"), 2, "{stderr}");

        let (_, told, stderr) = run(reported, "audited", wrong);
        let told: Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!(told["status"], 401, "{told}");
        assert!(text(&told["error"]).contains(CURE), "{told}");
        assert_eq!(count(&stderr, BODY), 0, "{stderr}");

        let (succeeds, _, stderr) = run(things, "secrets", wrong);
        assert!(!succeeds && stderr.contains(CURE), "{stderr}");

        let right = Some(("PREFECT_API_AUTH_STRING", "me:right"));
        let (succeeds, said, stderr) = run(reported, "replay", right);
        assert!(succeeds, "{stderr}");
        assert!(said.contains("files replayed"), "{said}");
        let (_, told, stderr) = run(reported, "audited", right);
        assert_eq!(count(&told, "value"), 1, "{told} {stderr}");
    }
}
