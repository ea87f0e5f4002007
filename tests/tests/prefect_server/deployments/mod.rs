//! Deployments: served by our own process, and started by stock workers.

mod adopted;
mod background;
mod command_line;
mod memory;
mod pool;
mod served;
mod wrong;

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use flow_tests::prefect::{FaultyWay, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The program with the flows, and a home of its own; dropping it ends it.
pub(crate) struct Serving {
    child: Ended,
    lines: Arc<Mutex<String>>,
    home: TempDir,
}

fn program(server: &Server, home: &TempDir) -> Command {
    command_of(server, env!("CARGO_BIN_EXE_served_flows"), home)
}

fn command_of(server: &Server, program: &str, home: &TempDir) -> Command {
    let mut command = server.command(program, home.path());
    command.env_remove("RUST_LOG");
    command
}

impl Serving {
    /// Starts it with these arguments, and waits until it serves.
    pub(crate) fn start(server: &Server, arguments: &[&str]) -> Self {
        Self::of(server, env!("CARGO_BIN_EXE_served_flows"), arguments)
    }

    pub(crate) fn of(server: &Server, program: &str, arguments: &[&str]) -> Self {
        Self::at(server, &server.url(), program, arguments)
    }

    /// As [`start`](Self::start), on this way to the server.
    fn by(server: &Server, way: &FaultyWay, arguments: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_served_flows");
        Self::at(server, &way.url(), program, arguments)
    }

    fn at(server: &Server, url: &str, program: &str, arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut child = command_of(server, program, &home)
            .env("PREFECT_API_URL", url)
            .args(arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let lines = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().expect("it is piped");
        let written = Arc::clone(&lines);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                eprint!("{text}");
                written
                    .lock()
                    .expect("nobody panics with it")
                    .push_str(&text);
            }
        });
        let serving = Self {
            child: Ended(child),
            lines,
            home,
        };
        server.wait_for("a program that serves", |_| {
            serving.lines().contains("serves '").then_some(())
        });
        serving
    }

    fn lines(&self) -> String {
        self.lines.lock().expect("nobody panics with it").clone()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.home.path().join(name);
        path.to_str().expect("text").to_owned()
    }

    fn terminate(&self) {
        terminate(&self.child.0);
    }
}

/// A process that ends with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends it SIGTERM.
fn terminate(process: &Child) {
    let kill = format!("kill -TERM {}", process.id());
    let sent = Command::new("sh").args(["-c", &kill]).status();
    assert!(sent.expect("there is a shell").success());
}

/// Runs the program to its end: exit code, output, lines.
fn ran(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The deployment's id.
fn deployment(server: &Server, flow: &str, name: &str) -> String {
    let found = server.get(&format!("/deployments/name/{flow}/{name}"));
    text(&found["id"]).to_owned()
}

/// Starts a run, as the UI does; its id.
fn start_run(server: &Server, deployment: &str, parameters: &Value) -> String {
    create_run(
        server,
        deployment,
        parameters,
        &json!({"type": "SCHEDULED"}),
    )
}

/// Makes a run in this state; its id.
fn create_run(server: &Server, deployment: &str, parameters: &Value, state: &Value) -> String {
    let body = json!({"parameters": parameters, "state": state});
    let made = server.post(&format!("/deployments/{deployment}/create_flow_run"), &body);
    text(&made["id"]).to_owned()
}

fn run_of(server: &Server, run: &str) -> Value {
    server.get(&format!("/flow_runs/{run}"))
}

/// The run when it is in a state of this type.
fn wait_for_state(server: &Server, run: &str, kinds: &[&str]) -> Value {
    server.wait_for(&format!("run {run} as {kinds:?}"), |server| {
        let run = run_of(server, run);
        kinds.contains(&text(&run["state_type"])).then_some(run)
    })
}

/// The run when it has ended.
fn wait_for_end(server: &Server, run: &str) -> Value {
    wait_for_state(
        server,
        run,
        &["COMPLETED", "FAILED", "CANCELLED", "CRASHED"],
    )
}

fn cancel(server: &Server, run: &str) {
    let body = json!({"state": {"type": "CANCELLING", "name": "Cancelling"}});
    server.post(&format!("/flow_runs/{run}/set_state"), &body);
}

fn logs(server: &Server, run: &str) -> Vec<String> {
    let filter = json!({"logs": {"flow_run_id": {"any_": [run]}}});
    let logs = server.all("logs", &filter);
    logs.iter()
        .map(|log| text(&log["message"]).to_owned())
        .collect()
}

fn message(run: &Value) -> &str {
    run["state"]["message"].as_str().unwrap_or_default()
}

/// The states that a run has been in, by name.
fn states_of(server: &Server, run: &str) -> Vec<String> {
    let states = server.get(&format!("/flow_run_states/?flow_run_id={run}"));
    let states = states.as_array().expect("a list").iter();
    states
        .map(|state| text(&state["name"]).to_owned())
        .collect()
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}
