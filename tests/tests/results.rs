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

const CHILD: &str = env!("CARGO_BIN_EXE_results_child");

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
        Self::start_as(Command::new(CHILD), arguments, directory, variables)
    }

    /// By way of another program, which becomes ours.
    fn start_as(
        mut command: Command,
        arguments: &[&str],
        directory: &TempDir,
        variables: &[(&str, &str)],
    ) -> Self {
        let (step, more) = arguments.split_first().expect("a step");
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

/// What a program says whose store has room for one small record.
#[cfg(unix)]
#[track_caller]
fn says_what_has_no_room(program: Program, cause: &str) {
    let lines = program.lines();
    let states = ["Completed", "Completed", "Completed", "Completed"];
    assert_eq!(lines[..4], states, "{lines:?}");
    let states = ["Completed", "Completed", "Cached", "Completed"];
    assert_eq!(lines[4..8], states, "{lines:?}");
    assert_eq!(lines[8..10], ["RolledBack", "Store"], "{lines:?}");
    assert!(
        lines[10].contains("cannot write `by-hand`") && lines[10].contains(cause),
        "{lines:?}"
    );
    // The small record is whole, and no part of another one is left.
    let [record] = &lines[11..] else {
        panic!("{lines:?}");
    };
    assert_ne!(record, "0 bytes");
}

/// What happens is the same as on a full disk: a part is written, the rest is
/// refused. It needs no privileges.
#[cfg(unix)]
#[test]
fn a_record_that_cannot_be_written_whole_leaves_its_run_alone() {
    let directory = temporary();
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"",
        CHILD,
    ]);
    let program = Program::start_as(shell, &["without room"], &directory, &[]);
    says_what_has_no_room(program, "File too large");
    let computed = computed(&directory);
    // Twice each, and once in the transaction; the small one once.
    assert_eq!(computed.iter().filter(|what| *what == "large").count(), 5);
    assert_eq!(computed.iter().filter(|what| *what == "plain").count(), 1);
}

/// On a disk that is really full, where the machine lets users mount one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_runs_alone() {
    const OWN_MOUNTS: [&str; 3] = ["--user", "--map-root-user", "--mount"];
    let mount = "mount -t tmpfs -o size=64k none \"$1\" && shift && exec \"$@\"";
    let directory = temporary();
    let store = directory.path().join("store");
    std::fs::create_dir(&store).expect("the directory");
    let in_it = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(OWN_MOUNTS).args(["sh", "-c", mount, "sh"]);
        command.arg(&store).arg(program);
        command
    };
    let can_mount = in_it("true").stderr(Stdio::null()).status();
    if !can_mount.is_ok_and(|status| status.success()) {
        eprintln!("not checked: users cannot mount file systems here");
        return;
    }
    let program = Program::start_as(in_it(CHILD), &["without room"], &directory, &[]);
    says_what_has_no_room(program, "No space left on device");
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

#[test]
fn the_environment_says_how_often_what_says_nothing_is_tried_again() {
    let directory = temporary();
    let states =
        |variables: &[(&str, &str)]| Program::start(&["retries"], &directory, variables).lines();
    assert_eq!(states(&[]), ["Failed"; 4]);
    let tasks = [
        ("PREFECT_TASKS_DEFAULT_RETRIES", "2"),
        ("PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS", "0.01"),
    ];
    assert_eq!(states(&tasks), ["Completed", "Failed", "Failed", "Failed"]);
    let flows = [("PREFECT_FLOWS_DEFAULT_RETRIES", "1")];
    assert_eq!(states(&flows), ["Failed", "Failed", "Failed", "Completed"]);
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
