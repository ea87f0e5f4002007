//! The three examples, run as a user runs them.
//!
//! What is compared with Python Dask elsewhere is not compared again; here the
//! programs must say what they computed, and what is wrong with what they were
//! asked.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use flow_tests::python::Environment;
use flowdask::dataframe::{datasets, max, sum};
use serde::Deserialize;
use serde_json::{Value, json};

/// Where Cargo puts the examples of the profile that this test was built with.
///
/// From the root, `cargo test` has just built them, and Cargo, asked for the same
/// packages, only looks that nothing changed since; a test of this package alone
/// must not run old ones.
static EXAMPLES: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().expect("the test's own path");
    // <target>/<profile>/deps/<test>
    let profile = test.ancestors().nth(2).expect("the profile's directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--examples"])
        .arg("--target-dir")
        .arg(profile.parent().expect("the target directory"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stdin(Stdio::null());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("Cargo, which built this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    profile.join("examples")
});

/// Python's `dask`, for the scheduler of local clusters.
static DASK: LazyLock<PathBuf> = LazyLock::new(|| {
    let environment = Environment::dask().expect("an environment with Dask");
    environment.command("dask")
});

/// What a program wrote, and how it ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(example: &str, arguments: &[&str]) -> Ended {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(EXAMPLES.join(example))
        .args(arguments)
        .env("FLOWDASK_DASK", &*DASK)
        .stdin(Stdio::null())
        .output()
        .expect("an example that was built");
    Ended {
        code: status.code(),
        stdout: String::from_utf8(stdout).expect("text"),
        stderr: String::from_utf8(stderr).expect("text"),
    }
}

impl Ended {
    /// The last line on standard output.
    fn json<Answer: for<'text> Deserialize<'text>>(&self) -> Answer {
        assert_eq!(self.code, Some(0), "{self:#?}");
        let line = self.stdout.lines().last().expect("a line");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn assert_says(&self, texts: &[&str]) {
        for text in texts {
            assert!(
                self.stdout.contains(text) || self.stderr.contains(text),
                "{text:?} is missing in {self:#?}"
            );
        }
    }

    /// An error that people can read, and no panic.
    fn assert_refused(&self, texts: &[&str]) {
        assert!(!matches!(self.code, None | Some(0 | 101)), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is missing: {self:#?}");
        }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct MainJob {
    rows: u64,
    partitions: usize,
    summary: Vec<Summary>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Summary {
    name: String,
    x: f64,
    y: f64,
}

/// Eight weeks of the main job.
const SMALL: [&str; 5] = ["--start", "2000-01", "--end", "2000-03", "--json"];

#[test]
fn the_main_job_prints_a_table_and_its_result() {
    let ended = run("prefect_no_runner", &SMALL);
    let result: MainJob = ended.json();

    // Cut at Sundays: 2000-01-02 to 2000-02-27.
    assert_eq!((result.rows, result.partitions), (8 * 7 * 86_400, 4));
    let frame = datasets::timeseries("2000-01", "2000-03")
        .partition_freq("2w")
        .seed(42)
        .build()
        .expect("a timeseries");
    let table = frame
        .groupby(["name"])
        .agg([sum("x"), max("y")])
        .and_then(|summary| summary.compute_blocking())
        .expect("a summary");
    let names = table.texts("name").expect("names");
    let (x, y) = (table.floats("x").expect("x"), table.floats("y").expect("y"));
    assert_eq!(result.summary.len(), 26);
    for (index, row) in result.summary.iter().enumerate() {
        assert_eq!(Some(&row.name), names[index].as_ref());
        // Both are rounded once more by way of JSON; the order of additions may
        // differ too.
        assert!((row.x - x[index]).abs() < 1e-6, "{row:?}");
        assert!((row.y - y[index]).abs() < 1e-12, "{row:?}");
        ended.assert_says(&[&row.name]);
    }
    ended.assert_says(&[
        "for flow 'timeseries-flow'",
        "Task run 'load_data-",
        "Task run 'summarize-",
        "Task run 'log_summary-",
        "Finished in state Completed()",
    ]);
}

#[test]
fn the_seed_decides_about_the_data() {
    let result = |seed| -> MainJob {
        let arguments = [&SMALL[..], &["--seed", seed, "--partition-freq", "1w"]].concat();
        run("prefect_no_runner", &arguments).json()
    };
    let one = result("1");
    assert_eq!(one.partitions, 8);
    assert_eq!(one.summary[0].y, result("1").summary[0].y);
    assert_ne!(one.summary[0].y, result("2").summary[0].y);
}

#[test]
fn the_mapped_flow_adds_up() {
    let sum = |arguments: &[&str]| -> Value {
        run(
            "prefect_dask_task_runner",
            &[arguments, &["--json"]].concat(),
        )
        .json()
    };
    for place in [&[][..], &["--embedded"]] {
        let sum = |arguments: &[&str]| sum(&[arguments, place].concat());
        assert_eq!(sum(&[]), json!({ "sum": 145 }));
        assert_eq!(sum(&["--start", "-3", "--end", "4"]), json!({ "sum": 7 }));
        assert_eq!(sum(&["--start", "4", "--end", "4"]), json!({ "sum": 0 }));
    }
    // More rows than get a line each; on Dask each is a task of its own, which
    // takes minutes.
    let rows: i64 = 100_000;
    assert_eq!(
        sum(&["--end", "100000", "--embedded"]),
        json!({ "sum": 3 * rows * (rows - 1) / 2 + rows })
    );
}

#[test]
fn a_task_describes_a_frame() {
    let ended = run(
        "prefect_dask_client",
        &["--end", "2000-03", "--partition-freq", "4w", "--json"],
    );
    let mut answer: Value = ended.json();
    let rows = answer["describe"].take();
    let labels: Vec<&Value> = rows
        .as_array()
        .expect("a list of rows")
        .iter()
        .map(|row| &row[""])
        .collect();
    assert_eq!(
        labels,
        ["count", "mean", "std", "min", "25%", "50%", "75%", "max"]
    );
    for column in ["id", "x", "y"] {
        assert_eq!(rows[0][column], json!(4_838_400.0), "{column}");
        let of = |row: usize| rows[row][column].as_f64().expect("a number");
        let order = [of(3), of(4), of(5), of(6), of(7)];
        assert!(order.is_sorted_by(|left, right| left < right), "{order:?}");
    }
    ended.assert_says(&["25%", "Task run 'dask_computation-"]);
}

#[test]
fn every_example_explains_its_options() {
    for (example, options) in [
        (
            "prefect_no_runner",
            &["--start", "--end", "--partition-freq", "--seed", "--json"][..],
        ),
        (
            "prefect_dask_client",
            &["--start", "--end", "--partition-freq", "--seed", "--json"],
        ),
        (
            "prefect_dask_task_runner",
            &["--start", "--end", "--address", "--embedded", "--json"],
        ),
    ] {
        let help = run(example, &["--help"]);
        assert_eq!(help.code, Some(0), "{help:#?}");
        help.assert_says(options);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_cure() {
    for example in ["prefect_no_runner", "prefect_dask_client"] {
        run(example, &["--start", "yesterday"]).assert_refused(&["\"yesterday\"", "2000-01-31"]);
        run(example, &["--end", "2000-02-30"]).assert_refused(&["\"2000-02-30\""]);
        run(example, &["--start", "2001", "--end", "2000"]).assert_refused(&[
            "2001",
            "2000",
            "swap the two dates",
        ]);
        run(example, &["--partition-freq", "2 fortnights"])
            .assert_refused(&["\"2 fortnights\"", "\"2w\""]);
        run(example, &["--start", "2000-01-03", "--end", "2000-01-04"]).assert_refused(&[
            "2000-01-03",
            "2000-01-04",
            "partition_freq",
        ]);
        run(example, &["--seeed", "1"]).assert_refused(&["--seeed", "--seed"]);
    }
    run("prefect_dask_task_runner", &["--start", "one"]).assert_refused(&["one", "--start"]);
    run("prefect_dask_task_runner", &["--address", "http://a:1"])
        .assert_refused(&["http://a:1", "tcp://"]);
}

#[test]
#[ignore = "slow lane: the main job at its full size, which takes 6 GB of memory"]
fn the_main_job_at_its_full_size() {
    let result: MainJob = run("prefect_no_runner", &["--json"]).json();
    assert_eq!((result.rows, result.partitions), (157_248_000, 130));
    assert_eq!(result.summary.len(), 26);
    // Six million values uniform in [-1, 1) per name: their sum has a standard
    // deviation of 1,420.
    for row in &result.summary {
        assert!(row.x.abs() < 6.0 * 1420.0, "{row:?}");
        assert!((0.99999..1.0).contains(&row.y), "{row:?}");
    }
}
