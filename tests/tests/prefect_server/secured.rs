//! Servers behind TLS, and headers of one's own.

use std::path::Path;

use flow_tests::dask::Tls;
use flow_tests::prefect::{Server, TlsWay};
use serde_json::Value;

use super::told::{Program, Settings, command, run_with};

/// Everything of a flow run with every state is there, whole.
fn is_told_whole(server: &Server, settings: &Settings<'_>) -> String {
    let told = run_with(server, "every_kind", settings);
    told.check(server);
    told.stderr
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn a_server_behind_tls_is_told_by_requests_and_sockets_with_headers_of_ones_own() {
    const HEADERS: &str = r#"{"X-Team": "plover-9", "user-agent": "xyzzy",
        "Prefect-Csrf-Token": "xyzzy", "PREFECT-CSRF-CLIENT": "xyzzy"}"#;
    let server = Server::shared();
    let directory = tempfile::tempdir().expect("a folder");
    let tls = Tls::make(directory.path());
    let way = TlsWay::to(server.address(), &tls);
    let stderr = is_told_whole(
        server,
        &[
            ("PREFECT_API_URL", &way.url()),
            ("PREFECT_API_SSL_CERT_FILE", text(&tls.authority)),
            ("PREFECT_CLIENT_CUSTOM_HEADERS", HEADERS),
        ],
    );
    let heads = way.heads();
    let of_path = |path: &str| heads.iter().any(|head| head.contains(path));
    for path in [
        "post /api/flows/ ",
        "post /api/logs/ ",
        "get /api/events/in ",
    ] {
        assert!(of_path(path), "{path}: {heads:?}");
    }
    // The events went through the socket, and not beside it.
    assert!(!of_path("post /api/events "), "{heads:?}");
    for head in &heads {
        assert!(head.contains("\r\nx-team: plover-9"), "{head}");
        assert!(!head.contains("xyzzy"), "{head}");
        let is_socket = head.contains("\r\nupgrade: websocket");
        let agents = head.matches("\r\nuser-agent: prefect/").count();
        assert_eq!(agents, usize::from(!is_socket), "{head}");
    }
    for name in ["user-agent", "Prefect-Csrf-Token", "PREFECT-CSRF-CLIENT"] {
        let warning = format!("PREFECT_CLIENT_CUSTOM_HEADERS: `{name}` cannot be replaced");
        assert_eq!(stderr.matches(&warning).count(), 1, "{stderr}");
    }
    for secret in ["plover-9", "xyzzy"] {
        assert_eq!(stderr.matches(secret).count(), 0, "{stderr}");
    }
}

/// What the design's flow, which does its work, says of a server that it
/// cannot tell; `replay` tells it later.
fn is_not_told(server: &Server, way: &TlsWay, settings: &Settings<'_>, right: &Settings<'_>) {
    let url = way.url();
    // It is not waited for as long as one that answers.
    let waits = ("PREFECT_REPORTING_DRAIN_TIMEOUT", "2");
    let settings = [&[("PREFECT_API_URL", &*url), waits], settings].concat();
    let mut program = Program::start(server, &settings, &["design"]);
    let before = way.heads().len();
    let output = program.output();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(13));
    assert_eq!(way.heads().len(), before, "nothing is sent");
    let told = stderr.matches("is not trusted: ").count();
    assert_eq!(told, 1, "{stderr}");
    let line = stderr
        .lines()
        .find(|line| line.contains("is not trusted: "));
    let line = line.expect("it was counted");
    for part in [url.trim_end_matches('/'), "PREFECT_API_SSL_CERT_FILE"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let right = [&[("PREFECT_API_URL", &*url)], right].concat();
    let replay = command(server, program.home(), &right, &["replay"]).output();
    let replay = replay.expect("it starts");
    let said = String::from_utf8_lossy(&replay.stdout);
    assert!(said.starts_with("1 files replayed"), "{replay:?}");
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_told_and_the_setting_is_named() {
    let server = Server::shared();
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [tls, other] = folders.each_ref().map(|folder| Tls::make(folder.path()));
    let way = TlsWay::to(server.address(), &tls);
    let right = [("PREFECT_API_SSL_CERT_FILE", text(&tls.authority))];
    let insecure = [("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "true")];
    let wrong = [("PREFECT_API_SSL_CERT_FILE", text(&other.authority))];
    is_not_told(server, &way, &[], &right);
    is_not_told(server, &way, &wrong, &insecure);
    let url = way.url();

    // A flow that requires its server says the same.
    let home = tempfile::tempdir().expect("a folder");
    let settings = [("PREFECT_API_URL", &*url), wrong[0]];
    let output = command(server, home.path(), &settings, &["audited"]).output();
    let told: Value = serde_json::from_slice(&output.expect("it starts").stdout).expect("JSON");
    let error = told["error"].as_str().unwrap_or_else(|| panic!("{told}"));
    assert!(error.contains("is not trusted: "), "{error}");
    assert!(error.contains("PREFECT_API_SSL_CERT_FILE"), "{error}");
    assert_eq!(told["url"].as_str(), Some(&*url));

    // Without a look at certificates all goes through, by the socket too.
    is_told_whole(server, &[("PREFECT_API_URL", &*url), wrong[0], insecure[0]]);
    let of_path = |path: &str| way.heads().iter().any(|head| head.contains(path));
    assert!(of_path("get /api/events/in ") && !of_path("post /api/events "));
}

#[test]
fn a_file_of_certificates_that_is_none_is_named() {
    let server = Server::shared();
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").expect("a file");
    let missing = folder.path().join("missing.pem");
    for (path, part) in [(empty, "there is none in it"), (missing, "No such file")] {
        let settings = [("PREFECT_API_SSL_CERT_FILE", text(&path))];
        let mut program = Program::start(server, &settings, &["design"]);
        let output = program.output();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["runs"].as_array().map(Vec::len), Some(13));
        for part in [text(&path), part, "PREFECT_API_SSL_CERT_FILE"] {
            assert_eq!(stderr.matches(part).count(), 1, "{part}: {stderr}");
        }
    }
}
