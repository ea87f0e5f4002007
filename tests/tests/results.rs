//! Results between processes: locks, flows that died, settings, and Python.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use flow_tests::python::Environment;
use flowcore::prelude::*;
use flowcore::results::ResultStore;
use serde::Deserialize;
use tempfile::TempDir;

/// A child at work; it does not outlive the test.
struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Program {
    fn start(arguments: &[&str], directory: &TempDir, variables: &[(&str, &str)]) -> Self {
        let (step, more) = arguments.split_first().expect("a step");
        let mut command = Command::new(env!("CARGO_BIN_EXE_results_child"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PREFECT_")) {
            command.env_remove(name);
        }
        let mut child = command
            .arg(step)
            .arg(directory.path())
            .args(more)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it is text");
        line.trim_end().to_owned()
    }

    fn lines(mut self) -> Vec<String> {
        let lines = std::io::read_to_string(&mut self.output).expect("it is text");
        assert!(self.child.wait().expect("our child").success());
        lines.lines().map(str::to_owned).collect()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn computed(directory: &TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(directory.path().join("computed")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[test]
fn two_processes_compute_one_key_once() {
    let directory = temporary();
    let programs: Vec<_> = (0..3)
        .map(|_| Program::start(&["slowly"], &directory, &[]))
        .collect();
    for program in programs {
        assert_eq!(program.lines(), ["2"]);
    }
    assert_eq!(computed(&directory), ["slowly"]);
}

#[test]
fn a_lock_is_free_when_its_holder_was_killed() {
    let directory = temporary();
    let mut holder = Program::start(&["never"], &directory, &[]);
    assert_eq!(holder.line(), "locked");
    while computed(&directory).is_empty() {
        std::thread::yield_now();
    }
    let mut waiting = Program::start(&["never"], &directory, &[]);
    holder.kill();
    assert_eq!(waiting.line(), "locked");
    assert_eq!(waiting.line(), "1");
    assert_eq!(computed(&directory), ["never", "after all"]);
}

#[test]
fn a_flow_that_was_killed_finds_its_finished_tasks() {
    let directory = temporary();
    let mut first = Program::start(&["nightly"], &directory, &[]);
    let run = first.line();
    assert_eq!([first.line(), first.line(), first.line()], ["Completed"; 3]);
    assert_eq!(first.line(), "working");
    first.kill();

    std::fs::write(directory.path().join("again"), "").expect("the directory");
    let lines = Program::start(&["nightly", &run], &directory, &[]).lines();
    assert_eq!(lines, [&run, "Cached", "Cached", "Cached", "31"]);
    let mut steps = computed(&directory);
    steps.sort();
    assert_eq!(steps, ["last step", "step 1", "step 2", "step 3"]);

    // A new run of the same flow finds nothing.
    let lines = Program::start(&["nightly"], &directory, &[]).lines();
    assert_ne!(lines[0], run);
    assert_eq!(lines[1..], ["Completed", "Completed", "Completed", "31"]);
}

#[test]
fn the_environment_changes_all_tasks() {
    let directory = temporary();
    let states =
        |variables: &[(&str, &str)]| Program::start(&["settings"], &directory, variables).lines();
    let refresh = [("PREFECT_TASKS_REFRESH_CACHE", "true")];
    assert_eq!(states(&[]), ["Completed", "Cached", "Completed", "Cached"]);
    assert_eq!(states(&[]), ["Cached", "Cached", "Completed", "Cached"]);
    assert_eq!(states(&refresh), ["Completed"; 4]);
    let disabled = [("PREFECT_TASKS_DISABLE_CACHING", "1")];
    assert_eq!(states(&disabled), ["Completed"; 4]);
    let no_cache = [("PREFECT_TASKS_DEFAULT_NO_CACHE", "1")];
    assert_eq!(
        states(&no_cache),
        ["Cached", "Cached", "Completed", "Completed"]
    );
}

#[task(cache = INPUTS)]
fn shared(name: String, values: Vec<f64>) -> Vec<String> {
    values
        .iter()
        .map(|value| format!("{name}={value}"))
        .collect()
}

#[derive(serde::Serialize, Deserialize)]
struct Point {
    y: f64,
    x: char,
}

/// A value of each form that both languages write alike, in another order.
#[task(cache = INPUTS)]
fn of_many_types(
    text: String,
    floats: Vec<f64>,
    single: f32,
    numbers: (i64, u64),
    map: HashMap<i64, Option<bool>>,
    point: Point,
    nothing: (),
) -> Vec<String> {
    let () = nothing;
    let rest = (floats, single, numbers, map.len(), point.y, point.x);
    vec![format!("{text:?} {rest:?}")]
}

/// What the Python program saw.
#[derive(Deserialize)]
struct Seen {
    states: Vec<String>,
    values: Vec<Vec<String>>,
}

#[test]
fn prefect_finds_our_records_and_we_find_those_of_prefect() {
    let environment = Environment::prefect().expect("Python and a package registry");
    let directory = temporary();
    let store = directory.path().join("storage");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let task = shared.with_options(|o| o.result_store(store.display().to_string()));

    let ours = runtime
        .block_on(task("ü".into(), vec![1.5, 1e22]))
        .expect("a value");
    let many = of_many_types.with_options(|o| o.result_store(store.display().to_string()));
    let many = runtime.block_on(many(
        "\u{7f}\"\\/\n😀".into(),
        vec![0.0, -0.0, 1e-5, 1e16, 5e-324, 0.1, f64::INFINITY],
        0.1,
        (-1, u64::MAX),
        [(10, Some(true)), (9, None)].into(),
        Point { y: 1.0, x: 'z' },
        (),
    ));

    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/prefect/results.py");
    let seen: Seen = environment
        .program(program)
        .with_prefect(directory.path())
        .run_json()
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen.states, ["Cached", "Completed", "Cached"]);
    assert_eq!(seen.values[0], ours);
    assert_eq!(seen.values[2], many.expect("a value"));

    // The second one Python computed, in its own way.
    let theirs = runtime.block_on(task("b".into(), vec![2.0]).state());
    assert_eq!(theirs.name().as_str(), "Cached");
    assert_eq!(seen.values[1], ["python"]);
    let store = ResultStore::open(store.display().to_string()).expect("the store");
    let by_hand: Option<Vec<i64>> = runtime.block_on(store.read("by-hand")).expect("a record");
    assert_eq!(by_hand, Some(vec![1, 2]));
}
