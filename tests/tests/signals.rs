//! Ctrl-C and SIGTERM, sent to real programs.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const INTERRUPT: &str = "INT";
const TERMINATE: &str = "TERM";

/// A program at work; it does not outlive the test.
struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program left.
struct Left {
    status: ExitStatus,
    output: String,
    lines: String,
}

impl Program {
    /// Starts it and waits until it is at work.
    fn start(main: &str, scenario: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_signals_child"))
            .args([main, scenario])
            .env_remove("RUST_LOG")
            .env_remove("PREFECT_LOGGING_LEVEL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut program = Self { child, output };
        program.wait_for("ready");
        program
    }

    fn wait_for(&mut self, wanted: &str) {
        let mut line = String::new();
        while line.trim_end() != wanted {
            line.clear();
            let length = self.output.read_line(&mut line).expect("it is text");
            assert!(length > 0, "the program ended before it said `{wanted}`");
        }
    }

    fn send(&self, signal: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {}", self.child.id())])
            .status();
        assert!(sent.expect("there is a shell").success());
    }

    /// Waits for its end.
    fn left(mut self) -> Left {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            // Less than what a flow's end may take.
            assert!(
                started.elapsed() < Duration::from_secs(25),
                "the program does not end"
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        let (mut output, mut lines) = (String::new(), String::new());
        self.output.read_to_string(&mut output).expect("it is text");
        let mut errors = self.child.stderr.take().expect("it is piped");
        errors.read_to_string(&mut lines).expect("it is text");
        Left {
            status,
            output,
            lines,
        }
    }
}

impl Left {
    fn assert_line(&self, who: &str, what: &str) {
        let found = self
            .lines
            .lines()
            .any(|line| line.contains(&format!("{who} - ")) && line.contains(what));
        assert!(found, "{who}: {what}\n{}", self.lines);
    }
}

const BY_INTERRUPT: &str =
    r#"Finished in state Crashed("Execution was aborted by an interrupt signal.")"#;
const BY_TERMINATION: &str =
    r#"Finished in state Crashed("Execution was aborted by a termination signal.")"#;

#[test]
fn ctrl_c_ends_flows_and_tasks_as_crashed() {
    for main in ["macro", "init"] {
        let program = Program::start(main, "sleeper");
        program.send(INTERRUPT);
        let left = program.left();
        assert_eq!(left.status.code(), Some(130), "{}", left.lines);
        left.assert_line("Process", "Received an interrupt signal, ends 1 flow run;");
        left.assert_line("Task run 'sleeps'", BY_INTERRUPT);
        left.assert_line("Flow run 'sleeper'", BY_INTERRUPT);
        assert!(!left.lines.contains("panic"), "{}", left.lines);
        // What async code holds is dropped, and `main` does not go on.
        assert!(left.output.contains("dropped what the task holds"));
        assert!(left.output.contains("dropped what the flow holds"));
        assert!(!left.output.contains("returned"), "{}", left.output);
        let drops_main = left.output.contains("dropped what main holds");
        assert_eq!(drops_main, main == "macro", "{}", left.output);
    }
}

#[test]
fn sigterm_does_the_same() {
    let program = Program::start("macro", "sleeper");
    program.send(TERMINATE);
    let left = program.left();
    assert_eq!(left.status.code(), Some(143), "{}", left.lines);
    left.assert_line("Task run 'sleeps'", BY_TERMINATION);
    left.assert_line("Flow run 'sleeper'", BY_TERMINATION);
}

#[test]
fn subflows_started_flows_and_spawned_code_end_too() {
    let program = Program::start("macro", "outer");
    program.send(INTERRUPT);
    let left = program.left();
    assert_eq!(left.status.code(), Some(130));
    left.assert_line("Process", "ends 2 flow runs");
    for who in [
        "Task run 'sleeps'",
        "Flow run 'sleeper'",
        "Flow run 'outer'",
    ] {
        left.assert_line(who, BY_INTERRUPT);
    }

    let program = Program::start("macro", "starter");
    program.send(INTERRUPT);
    let left = program.left();
    assert_eq!(left.status.code(), Some(130));
    for who in [
        "Task run 'sleeps'",
        "Flow run 'sleeper'",
        "Flow run 'starter'",
    ] {
        left.assert_line(who, BY_INTERRUPT);
    }
    assert!(left.output.contains("dropped what spawned code holds"));
}

#[test]
fn sync_code_that_never_stops_is_left_behind() {
    let scenarios = [
        ("macro", "spinner", Some("spins"), "spinner"),
        ("macro", "spinner-that-blocks", Some("spins"), "spinner"),
        ("init", "spinner", Some("spins"), "spinner"),
        ("macro", "spinning", None, "spinning"),
        // On the thread of whoever awaits it.
        ("macro", "spinning-with-loans", None, "borrowing"),
        ("macro", "spinning-in-async-code", None, "hogging"),
        ("init", "spinning-in-async-code", None, "hogging"),
    ];
    let programs = scenarios.map(|(main, scenario, ..)| Program::start(main, scenario));
    for program in &programs {
        program.send(INTERRUPT);
    }
    for (program, (_, scenario, task, flow)) in programs.into_iter().zip(scenarios) {
        let left = program.left();
        assert_eq!(left.status.code(), Some(130), "{scenario}: {}", left.lines);
        if let Some(task) = task {
            left.assert_line(&format!("Task run '{task}'"), BY_INTERRUPT);
        }
        left.assert_line(&format!("Flow run '{flow}'"), BY_INTERRUPT);
    }
}

#[test]
fn a_program_whose_main_blocks_ends_too() {
    let program = Program::start("sync-macro", "");
    program.send(INTERRUPT);
    let left = program.left();
    assert_eq!(left.status.code(), Some(130), "{}", left.lines);
    left.assert_line("Flow run 'sleeper'", BY_INTERRUPT);
    assert!(!left.output.contains("returned"), "{}", left.output);
}

#[test]
fn nobody_waits_for_a_retry_to_come() {
    let program = Program::start("macro", "retrier");
    program.send(TERMINATE);
    let left = program.left();
    assert_eq!(left.status.code(), Some(143), "{}", left.lines);
    left.assert_line("Task run 'flaky'", BY_TERMINATION);
    left.assert_line("Flow run 'retrier'", BY_TERMINATION);
}

#[test]
fn a_million_rows_end_as_well() {
    let program = Program::start("macro", "mapper");
    program.send(INTERRUPT);
    let left = program.left();
    assert_eq!(left.status.code(), Some(130), "{}", left.lines);
    left.assert_line("Flow run 'mapper'", "Finished 1000000 runs of 'slow'");
    left.assert_line("Flow run 'mapper'", BY_INTERRUPT);
    // A line for each of a hundred rows at most.
    assert!(left.lines.lines().count() < 200);
}

#[test]
fn tasks_outside_of_flows_end_too() {
    for (scenario, task) in [("task", "sleeps"), ("sync-task", "spins")] {
        let program = Program::start("macro", scenario);
        program.send(INTERRUPT);
        let left = program.left();
        assert_eq!(left.status.code(), Some(130), "{}", left.lines);
        left.assert_line(&format!("Task run '{task}'"), BY_INTERRUPT);
        assert!(!left.output.contains("returned"), "{}", left.output);
    }
}

#[test]
fn the_second_signal_ends_the_process_at_once() {
    let mut program = Program::start("macro", "reporter");
    program.send(INTERRUPT);
    // The flow is over and reports: it may take its time.
    program.wait_for("closing");
    program.send(TERMINATE);
    let left = program.left();
    assert_eq!(left.status.code(), Some(143), "{}", left.lines);
    left.assert_line("Process", "Received a termination signal too, ends at once");
}

#[test]
fn a_program_without_flows_ends_at_once() {
    for (signal, code) in [(INTERRUPT, 130), (TERMINATE, 143)] {
        let program = Program::start("macro", "nothing");
        program.send(signal);
        let left = program.left();
        assert_eq!(left.status.code(), Some(code), "{}", left.lines);
        assert!(left.output.contains("dropped what main holds"));
    }
}

#[test]
fn signals_are_left_to_programs_that_want_them() {
    let program = Program::start("own-signals", "");
    program.send(INTERRUPT);
    let left = program.left();
    assert_eq!(left.status.code(), Some(0), "{}", left.lines);
    assert!(
        left.output.contains("returned Cancelled"),
        "{}",
        left.output
    );

    // Without `init()` the operating system decides.
    let program = Program::start("library", "");
    program.send(TERMINATE);
    assert_eq!(program.left().status.signal(), Some(15));
}
