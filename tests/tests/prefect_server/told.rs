//! What one run of a child did, by its own account, and what its server knows
//! of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use flow_tests::prefect::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A child that reports; dropping it kills it.
pub(crate) struct Program {
    child: Option<Child>,
    home: TempDir,
}

impl Program {
    /// Starts `reported_flows`, which reports to this server, with settings
    /// beside those of the server.
    pub(crate) fn start(server: &Server, settings: &Settings<'_>, arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let command = command(server, home.path(), settings, arguments);
        Self::of(command, home)
    }

    /// The same, and no file of it can have more bytes than this.
    pub(crate) fn start_on_small_disk(
        server: &Server,
        settings: &Settings<'_>,
        arguments: &[&str],
        bytes: u64,
    ) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let command = command(server, home.path(), settings, arguments);
        Self::of(with_small_files(&command, bytes), home)
    }

    fn of(mut command: Command, home: TempDir) -> Self {
        let child = command.spawn().expect("the child starts");
        Self {
            child: Some(child),
            home,
        }
    }

    /// Its `PREFECT_HOME`.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    /// Runs it to its end.
    pub(crate) fn output(&mut self) -> Output {
        let child = self.child.take().expect("it runs");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
        output
    }

    /// Runs it to its end; gives what it says, and what the server has of it.
    pub(crate) fn end(mut self, server: &Server) -> Told {
        let output = self.output();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let engine: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {stderr}"));
        let name = engine["flows"][0]["name"].as_str().expect("a name");
        let found = server.all(
            "flow_runs",
            &json!({
                "flow_runs": {"name": {"any_": [name]}},
                "flows": {"name": {"any_": [engine["flows"][0]["flow"]]}},
            }),
        );
        assert_eq!(found.len(), 1, "{stderr}");
        Told {
            flow_run: found[0].clone(),
            engine,
            stderr,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Variables of the child's environment.
pub(crate) type Settings<'a> = [(&'a str, &'a str)];

/// The child, in this `PREFECT_HOME`.
pub(crate) fn command(
    server: &Server,
    home: &Path,
    settings: &Settings<'_>,
    arguments: &[&str],
) -> Command {
    let mut command = server.command(env!("CARGO_BIN_EXE_reported_flows"), home);
    command
        .envs(settings.iter().copied())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The command in a shell that lets it write no larger files: more is refused,
/// as on a disk that is full.
fn with_small_files(command: &Command, bytes: u64) -> Command {
    const BLOCK: u64 = 512;
    let script = format!(
        "trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"",
        bytes / BLOCK
    );
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(script).arg(command.get_program());
    limited.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        limited.current_dir(directory);
    }
    limited.stdout(Stdio::piped()).stderr(Stdio::piped());
    limited
}

/// Runs a flow of the child to its end.
pub(crate) fn run(server: &Server, flow: &str) -> Told {
    run_with(server, flow, &[])
}

/// With settings beside those of the server.
pub(crate) fn run_with(server: &Server, flow: &str, settings: &Settings<'_>) -> Told {
    Program::start(server, settings, &[flow]).end(server)
}

/// What one run of the child did, and what its server knows.
pub(crate) struct Told {
    /// From the engine.
    pub(crate) engine: Value,
    pub(crate) stderr: String,
    /// The flow run at the top.
    pub(crate) flow_run: Value,
}

impl Told {
    pub(crate) fn id(&self) -> &str {
        id(&self.flow_run)
    }

    pub(crate) fn task_runs(&self, server: &Server) -> Vec<Value> {
        task_runs(server, self.id())
    }

    pub(crate) fn engine_runs(&self, flow_run: &str) -> Vec<Value> {
        let runs = self.engine["runs"].as_array().expect("runs").iter();
        runs.filter(|run| run["flow_run"] == flow_run)
            .cloned()
            .collect()
    }

    /// Nothing is lost, nothing is there twice, all is in order and has ended
    /// as it did.
    pub(crate) fn check(&self, server: &Server) {
        let flows = self.engine["flows"].as_array().expect("flows");
        let names: BTreeSet<_> = flows.iter().map(name).collect();
        // Other tests' runs may have one of these names by chance.
        let of: BTreeSet<_> = flows.iter().map(|flow| flow["flow"].as_str()).collect();
        let known = server.all(
            "flow_runs",
            &json!({"flow_runs": {"name": {"any_": names}}, "flows": {"name": {"any_": of}}}),
        );
        assert_eq!(known.len(), flows.len(), "flow runs: {}", self.stderr);
        for flow in flows {
            let known = known.iter().find(|run| name(run) == name(flow));
            self.check_flow_run(server, flow, known.expect("it was asked for"));
        }
    }

    fn check_flow_run(&self, server: &Server, flow: &Value, known: &Value) {
        let said = names_of(&flow["states"]);
        let path = format!("/flow_run_states/?flow_run_id={}", id(known));
        assert_eq!(names_of(&server.get(&path)), said, "{known}");
        let engine = self.engine_runs(name(flow));
        let runs: Vec<_> = task_runs(server, id(known))
            .into_iter()
            // Those that stand for subflows are told as flow runs.
            .filter(|run| !run["state"]["state_details"]["child_flow_run_id"].is_string())
            .collect();
        assert_eq!(runs.len(), engine.len(), "task runs of {}", name(flow));
        let wanted = ends(&engine);
        assert_eq!(wanted.len(), engine.len(), "runs are told apart by names");
        assert_eq!(ends(&runs), wanted);
        for run in &runs {
            let did = engine.iter().find(|did| name(did) == name(run));
            check_history(server, run, did.expect("they have the same names"));
        }
    }

    /// What is written in the flow run and its task runs, in order, as far as
    /// it begins with these letters.
    pub(crate) fn lines(&self, server: &Server, start: &str) -> Vec<String> {
        lines(server, self.id(), start)
    }
}

/// The states that the server has are some of those that there were, in their
/// order, each once; but one that a server was slow to record, and that was
/// therefore told once more, is its own successor.
fn check_history(server: &Server, run: &Value, did: &Value) {
    let path = format!("/task_run_states/?task_run_id={}", id(run));
    let states = server.get(&path);
    let mut told = names_of(&states);
    told.dedup();
    let did = names_of(&did["states"]);
    let mut rest = did.iter();
    let is_in_order = told.iter().all(|state| rest.any(|one| one == state));
    assert!(is_in_order, "{} is {told:?} and was {did:?}", name(run));
}

pub(crate) fn task_runs(server: &Server, flow_run: &str) -> Vec<Value> {
    server.all(
        "task_runs",
        &json!({"flow_runs": {"id": {"any_": [flow_run]}}}),
    )
}

/// The name of the task of a run that goes by it: `inc` of `inc-9c2` or `inc[1]`.
pub(crate) fn task_of(run: &Value) -> &str {
    let name = run["name"].as_str().expect("a name");
    let end = name.find(['-', '[']).expect("it is one of a task's");
    &name[..end]
}

/// Lines of a flow run that begin with these letters, in the order of their
/// times.
pub(crate) fn lines(server: &Server, flow_run: &str, start: &str) -> Vec<String> {
    let filter = json!({
        "logs": {"flow_run_id": {"any_": [flow_run]}},
        "sort": "TIMESTAMP_ASC",
    });
    let lines = server.all("logs", &filter).into_iter();
    let texts = lines.map(|line| line["message"].as_str().expect("a text").to_owned());
    texts.filter(|text| text.starts_with(start)).collect()
}

/// Names of runs with the names and messages of their last states.
pub(crate) fn ends(runs: &[Value]) -> BTreeMap<String, (String, Option<String>)> {
    runs.iter()
        .map(|run| {
            let state = match run["states"].as_array() {
                Some(states) => states.last().expect("a state"),
                None => &run["state"],
            };
            assert!(state.is_object(), "{run}");
            let message = state["message"].as_str().filter(|text| !text.is_empty());
            let ends = (name(state).to_owned(), message.map(str::to_owned));
            (name(run).to_owned(), ends)
        })
        .collect()
}

fn names_of(states: &Value) -> Vec<&str> {
    let states = states.as_array().expect("states").iter();
    states.map(name).collect()
}

fn name(thing: &Value) -> &str {
    let name = thing["name"].as_str();
    name.unwrap_or_else(|| panic!("it has no name: {thing}"))
}

fn id(thing: &Value) -> &str {
    thing["id"].as_str().expect("an id")
}
