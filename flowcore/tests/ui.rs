//! Each file in `tests/ui` makes one mistake, or a few of one kind, and beside
//! it stands what the compiler says.
//!
//! The compiler's words change from release to release, so the whole text is
//! compared on one of them. On others only our own lines count: those that a
//! file names with `// says:`. New texts are written down by
//! `TRYBUILD=overwrite cargo test -p flowcore --test ui`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The release whose words the expected texts are.
const EXACT: &str = "1.95.";

/// Where the child of [`our_lines_occur`] finds its files.
const DIRECTORY: &str = "FLOWCORE_UI_DIRECTORY";

#[test]
fn mistakes_are_told_at_their_place() {
    if compiler().starts_with(EXACT) {
        trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
    } else {
        our_lines_occur();
    }
}

#[test]
#[ignore = "slow lane: compiles all files once more; releases other than the exact one always do"]
fn our_lines_occur_whatever_the_compiler() {
    our_lines_occur();
}

#[test]
fn our_lines_are_expected() {
    for file in files(Path::new("tests/ui")) {
        check_lines(&file, &file);
    }
}

/// Has a copy of the files compiled and looks into what the compiler said. The
/// copy has no expected texts, so a child process writes the actual ones.
fn our_lines_occur() {
    let copies = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    let _ = fs::remove_dir_all(&copies);
    fs::create_dir_all(&copies).expect("a directory under target/");
    let files = files(Path::new("tests/ui"));
    for file in &files {
        fs::copy(file, copies.join(file.file_name().expect("a file"))).expect("a copy");
    }
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "texts_are_written"])
        .env("TRYBUILD", "overwrite")
        .env(DIRECTORY, &copies)
        .output()
        .expect("this program runs");
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{log}");
    for file in &files {
        check_lines(file, &copies.join(file.file_name().expect("a file")));
    }
}

#[test]
fn texts_are_written() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        trybuild::TestCases::new().compile_fail(Path::new(&directory).join("*.rs"));
    }
}

/// Every line that `file` names stands in the text beside `compiled`.
fn check_lines(file: &Path, compiled: &Path) {
    let source = fs::read_to_string(file).expect("a test's source");
    let text = fs::read_to_string(compiled.with_extension("stderr")).expect("a test's text");
    for line in source
        .lines()
        .filter_map(|line| line.strip_prefix("// says: "))
    {
        assert!(text.contains(line), "{}: {line}\n\n{text}", file.display());
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory of the tests");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    files
}

/// `1.95.0`
fn compiler() -> String {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program)
        .arg("--version")
        .output()
        .expect("rustc");
    let version = String::from_utf8(output.stdout).expect("a version");
    version.split(' ').nth(1).unwrap_or_default().to_owned()
}
