//! A program as its own command line: what it prints, and its exit codes.

use std::process::{Command, Output};

use serde_json::{Value, json};

struct Ran {
    code: Option<i32>,
    output: String,
    lines: String,
}

fn run(arguments: &[&str]) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_command_line"))
        .args(arguments)
        .env_remove("PREFECT_API_URL")
        .env_remove("RUST_LOG")
        .output()
        .expect("the program starts");
    Ran {
        code: status.code(),
        output: String::from_utf8(stdout).expect("text"),
        lines: String::from_utf8(stderr).expect("text"),
    }
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.output)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.output, self.lines))
    }
}

#[test]
fn without_arguments_main_runs() {
    let ran = run(&[]);
    assert_eq!((ran.code, ran.output.as_str()), (Some(0), "no arguments\n"));
}

#[test]
fn a_flow_runs_with_parameters() {
    let ran = run(&["run", "greet", "--param", "name=007", "-p", "times=2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.lines);
    assert_eq!(ran.output, "Hello, 007! Hello, 007! (3)\n");
    assert!(
        ran.lines.contains("Finished in state Completed()"),
        "{}",
        ran.lines
    );

    let ran = run(&["run", "borrows", "--params", r#"{"name": "abc"}"#, "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.lines);
    let expected = json!({
        "state": "COMPLETED", "name": "Completed", "message": null, "value": 3, "error": null,
    });
    assert_eq!(ran.json(), expected);
}

#[test]
fn a_failed_run_is_exit_code_one() {
    let ran = run(&["run", "fails"]);
    assert_eq!((ran.code, ran.output.as_str()), (Some(1), ""));
    assert!(
        ran.lines.contains("error: the disk is full"),
        "{}",
        ran.lines
    );
    let ran = run(&["run", "fails", "--json"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.json()["state"], "FAILED");
    assert_eq!(ran.json()["error"], "the disk is full");
}

#[test]
fn wrong_commands_are_exit_code_two_and_say_everything() {
    for (arguments, parts) in [
        (
            &["run", "greet", "-p", "times=many", "-p", "nmae=Ada"][..],
            &[
                "`name` is missing",
                "`times` is no `u32`",
                "`nmae` is no parameter",
            ][..],
        ),
        (&["run", "gret"], &["did you mean `greet`?"]),
        (&["run"], &["<FLOW>"]),
        (&["runn", "greet"], &["'run'"]),
        (
            &["run", "greet", "-p", "name"],
            &["write `--param name=VALUE`"],
        ),
        (&["worker"], &["<SCHEDULER>"]),
        (&["serve", "gret"], &["did you mean `greet`?"]),
        (
            &["serve", "fails", "--cron", "0 25 * * *"],
            &["`0 25 * * *` is no cron expression", "five fields"],
        ),
        (
            &["serve", "fails", "--timezone", "Nowhere"],
            &["no time zone `Nowhere`"],
        ),
        (
            &["serve", "fails", "--name", "a/b"],
            &["`a/b` has `/` in it"],
        ),
        (
            &["serve", "greet", "-p", "times=many"],
            &["`times` is no `u32`"],
        ),
        (
            &["serve", "greet", "--interval", "soon"],
            &["`--interval soon` is no duration"],
        ),
        (&["serve", "fails"], &["set PREFECT_API_URL"]),
        (
            &["serve", "-p", "times=2"],
            &["parameters belong to one flow"],
        ),
        (&["deploy", "greet"], &["--pool <POOL>"]),
    ] {
        let ran = run(arguments);
        assert_eq!(
            (ran.code, ran.output.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        for part in parts {
            assert!(ran.lines.contains(part), "{part}: {}", ran.lines);
        }
    }
}

#[test]
fn what_is_in_the_program_is_listed() {
    let ran = run(&["flows"]);
    assert_eq!(ran.code, Some(0));
    for part in [
        "greet",
        "name: String, times?: u32",
        "Greets somebody.",
        "command_line::greet",
    ] {
        assert!(ran.output.contains(part), "{part}: {}", ran.output);
    }
    let names = |ran: &Ran| -> Vec<String> {
        let all = ran.json();
        let all = all.as_array().expect("a list").iter();
        all.map(|it| it["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(
        names(&run(&["flows", "--json"])),
        ["borrows", "fails", "greet", "leaves", "prints", "waits"]
    );
    assert_eq!(names(&run(&["tasks", "--json"])), ["length"]);
}

#[test]
fn a_flow_is_inspected() {
    let ran = run(&["inspect", "greet"]);
    assert_eq!(ran.code, Some(0));
    for part in ["flow `greet`, version 2", "polite", "\"times\": {"] {
        assert!(ran.output.contains(part), "{part}: {}", ran.output);
    }
    let schema = run(&["inspect", "greet", "--json"]).json();
    assert_eq!(
        schema["parameter_openapi_schema"]["required"],
        json!(["name"])
    );
}

#[test]
fn a_flow_is_drawn() {
    let ran = run(&["graph", "greet", "-p", "name=Ada"]);
    assert_eq!(ran.code, Some(0), "{}", ran.lines);
    assert!(ran.output.starts_with("digraph"), "{}", ran.output);
    assert!(ran.output.contains("length"), "{}", ran.output);
    assert!(
        ran.lines.contains("nobody knows the value of `length`"),
        "{}",
        ran.lines
    );

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("greet.svg");
    let file = file.to_str().expect("text");
    let ran = run(&["graph", "greet", "-p", "name=Ada", "--output", file]);
    assert_eq!(ran.code, Some(0), "{}", ran.lines);
    let picture = std::fs::read_to_string(file).expect("the picture");
    assert!(picture.starts_with("<svg"), "{picture}");

    let file = directory.path().join("nowhere/greet.svg");
    let ran = run(&[
        "graph",
        "greet",
        "-p",
        "name=Ada",
        "-o",
        file.to_str().expect("text"),
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.lines.contains("cannot write"), "{}", ran.lines);
}

#[cfg(unix)]
#[test]
fn what_a_flow_prints_is_in_no_drawing_and_in_no_json() {
    let ran = run(&["graph", "prints"]);
    assert_eq!(ran.code, Some(0), "{}", ran.lines);
    assert!(ran.output.starts_with("digraph"), "{}", ran.output);
    assert!(ran.output.ends_with("}\n"), "{}", ran.output);
    assert!(ran.lines.contains("a line of the flow\n"), "{}", ran.lines);

    let ran = run(&["run", "prints", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.lines);
    assert_eq!(ran.json()["value"], 3);
    assert!(ran.lines.contains("a line of the flow\n"), "{}", ran.lines);
    assert!(ran.lines.contains("a part of one"), "{}", ran.lines);

    // Without `--json` people read it, in its order.
    let ran = run(&["run", "prints"]);
    assert_eq!(ran.code, Some(0), "{}", ran.lines);
    let expected = "a line of the flow\na part of one3\n";
    assert_eq!(ran.output, expected, "{}", ran.lines);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run() {
    use std::io::BufRead as _;
    use std::process::Stdio;

    let mut child = Command::new(env!("CARGO_BIN_EXE_command_line"))
        .args(["run", "waits"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("it is piped");
    std::io::BufReader::new(output)
        .read_line(&mut line)
        .expect("text");
    assert_eq!(line, "ready\n");
    let kill = format!("kill -TERM {}", child.id());
    let sent = Command::new("sh").args(["-c", &kill]).status();
    assert!(sent.expect("there is a shell").success());
    assert_eq!(child.wait().expect("it is ours").code(), Some(143));
}

#[cfg(unix)]
#[test]
fn a_worker_is_a_command_too() {
    // Nobody listens there.
    let ran = run(&["worker", "tcp://127.0.0.1:1", "--nthreads", "none"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.lines
            .contains("FLOW_WORKER_NTHREADS is no number of threads"),
        "{}",
        ran.lines
    );
}
