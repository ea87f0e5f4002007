//! A program in which two tasks or two flows have one key does not begin.

use std::process::Command;

#[track_caller]
fn does_not_begin(program: &str, says: &str) {
    let output = Command::new(program).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "{output:?}");
    let lines = String::from_utf8(output.stderr).expect("text");
    assert_eq!(lines.trim_end(), says);
}

#[test]
fn two_tasks_with_one_key_are_told_with_both_places() {
    let file = "tests/src/bin/duplicate_tasks_child.rs";
    does_not_begin(
        env!("CARGO_BIN_EXE_duplicate_tasks_child"),
        &format!(
            "error: two tasks have the key `load`: {file}:5 and {file}:8; give one of them \
             another name, as in `#[task(name = \"..\")]`"
        ),
    );
}

#[test]
fn two_flows_with_one_key_are_told_with_both_places() {
    let file = "tests/src/bin/duplicate_flows_child.rs";
    does_not_begin(
        env!("CARGO_BIN_EXE_duplicate_flows_child"),
        &format!(
            "error: two flows have the key `duplicate_flows_child::nightly`: {file}:6 and \
             {file}:10; rename one of the functions, or move it to another module"
        ),
    );
}
