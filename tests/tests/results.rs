//! Results between processes: locks, flows that died, settings.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

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
