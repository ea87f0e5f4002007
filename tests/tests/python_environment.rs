//! The helper that everything else with Python stands on.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use flow_tests::python::{Environment, Error, Requirements};
use tempfile::TempDir;

/// An environment without packages: made in a few seconds.
const EMPTY: Requirements = Requirements::new("empty", "# nothing\n");

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn write(directory: &TempDir, text: &str) -> PathBuf {
    let file = directory.path().join("program.py");
    fs::write(&file, text).expect("a writable temporary directory");
    file
}

fn empty() -> Environment {
    Environment::new(&EMPTY).expect("Python 3 on the PATH")
}

#[test]
fn many_threads_make_it_once_and_a_half_made_one_again() {
    let directory = temporary();
    let make = || Environment::within(directory.path(), &EMPTY).expect("Python 3 on the PATH");
    let pythons: Vec<PathBuf> = thread::scope(|scope| {
        let makers: Vec<_> = (0..4).map(|_| scope.spawn(|| make().python())).collect();
        makers
            .into_iter()
            .map(|maker| maker.join().expect("a maker"))
            .collect()
    });
    let python = &pythons[0];
    assert!(pythons.iter().all(|other| other == python));
    let root = python.ancestors().nth(2).expect("the environment's root");
    let directories = fs::read_dir(directory.path()).expect("the directory");
    let environments = directories.flatten().filter(|entry| entry.path().is_dir());
    assert_eq!(
        environments.map(|entry| entry.path()).collect::<Vec<_>>(),
        [root]
    );

    // As a maker leaves it that was killed on the way.
    fs::remove_file(root.join("complete")).expect("the marker");
    fs::remove_file(python).expect("the interpreter");
    assert_eq!(&make().python(), python);
    assert!(python.exists());
}

#[test]
fn packages_that_do_not_exist_are_named() {
    let directory = temporary();
    // A path, so that no registry is asked.
    let requirements = Requirements::new("broken", "./no-such-package-here");
    let error = Environment::within(directory.path(), &requirements).expect_err("no such package");
    assert!(matches!(error, Error::Install { .. }), "{error}");
    assert!(
        error.to_string().contains("no-such-package-here"),
        "{error}"
    );
}

#[test]
fn a_program_answers_in_json() {
    let directory = temporary();
    let file = write(
        &directory,
        "import json, sys\nprint('on the way')\nprint(json.dumps(sys.argv[1:] + [sys.stdin.read()]))\n",
    );
    let answer: Vec<String> = empty()
        .program(file)
        .argument("one")
        .argument("two words")
        .run_json()
        .expect("a program that ends well");
    assert_eq!(answer, ["one", "two words", ""]);
}

#[test]
fn a_program_that_fails_shows_its_traceback() {
    let directory = temporary();
    let file = write(&directory, "raise SystemExit('not today')\n");
    let error = empty().program(file).run().expect_err("a failing program");
    assert!(matches!(error, Error::Failed { .. }), "{error}");
    assert!(error.to_string().contains("not today"), "{error}");
}

#[test]
fn an_answer_that_is_no_json_is_shown() {
    let directory = temporary();
    let file = write(&directory, "print('forty-two')\n");
    let error = empty()
        .program(file)
        .run_json::<i64>()
        .expect_err("no number");
    assert!(error.to_string().contains("forty-two"), "{error}");
}

/// A program that writes down the process id of a child that sleeps, then
/// sleeps too.
const SLEEPER: &str = "
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
with open(sys.argv[1], 'w') as file:
    file.write(str(child.pid))
time.sleep(600)
";

#[test]
fn a_program_that_takes_too_long_is_ended_with_its_children() {
    let directory = temporary();
    let file = write(&directory, SLEEPER);
    let note = directory.path().join("child");
    let error = empty()
        .program(file)
        .argument(&note)
        .limit(Duration::from_secs(2))
        .run()
        .expect_err("too slow");
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    let child = fs::read_to_string(&note).expect("the child's process id");
    assert_ends(&child);
}

/// Waits until a process is gone. Only Linux shows processes as files; where
/// it does not, there is nothing to see.
fn assert_ends(process: &str) {
    let path = Path::new("/proc").join(process);
    let start = Instant::now();
    while path.exists() && !is_zombie(&path) {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "process {process} still runs"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ended, but its new parent has not collected it: init of a container may
/// never do so.
fn is_zombie(process: &Path) -> bool {
    fs::read_to_string(process.join("status")).is_ok_and(|status| status.contains("State:\tZ"))
}
