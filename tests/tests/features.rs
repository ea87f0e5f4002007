//! One build of DataFusion serves examples, tests and benchmarks.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// What Cargo says of a tree of packages, one line per package. It fetches what
/// plain `cargo test` has no use for, and so may not be there yet.
fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix", "none"])
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("Cargo, which built this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| line.trim_end_matches(" (*)").replace(" (proc-macro)", ""))
        .collect()
}

/// The packages, each with the features that it has if those in `selection` are
/// built.
fn features(selection: &[&str]) -> BTreeSet<String> {
    let form = ["--edges", "normal,build,dev", "--format", "{p} [{f}]"];
    tree(&[selection, &form].concat())
}

#[test]
fn examples_tests_and_benchmarks_agree_on_all_that_is_below_datafusion() {
    let below = tree(&["--package", "datafusion", "--format", "{p}"]);
    assert!(below.len() > 100, "{below:?}");

    let everything = features(&[
        "--workspace",
        "--exclude",
        "flowcore-models",
        "--features",
        "flowdask/dataframe",
    ]);
    for selection in [
        // `cargo test` and `cargo run --example …`
        &[][..],
        &["--package", "flow"],
        // `cargo bench -p flow-benches`
        &["--package", "flow-benches"],
    ] {
        let differing: Vec<String> = features(selection)
            .into_iter()
            .filter(|line| {
                let package = line
                    .split_once(" [")
                    .map_or(line.as_str(), |(name, _)| name);
                below.contains(package) && !everything.contains(line)
            })
            .collect();
        assert!(
            differing.is_empty(),
            "{selection:?} builds these with fewer features than the workspace, and DataFusion \
             once more: {differing:#?}"
        );
    }
}
