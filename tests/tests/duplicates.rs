//! A program in which two tasks have one key does not begin.

use std::process::Command;

#[test]
fn a_program_with_a_duplicate_key_says_both_places() {
    let output = Command::new(env!("CARGO_BIN_EXE_duplicates_child"))
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "{output:?}");
    let lines = String::from_utf8(output.stderr).expect("text");
    let file = "tests/src/bin/duplicates_child.rs";
    assert_eq!(
        lines.trim_end(),
        format!(
            "error: two tasks have the key `load`: {file}:5 and {file}:8; give one of them \
             another name, as in `#[task(name = \"..\")]`"
        )
    );
}
