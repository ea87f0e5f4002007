//! What `#[task]` costs the compiler.
//!
//! A crate with many tasks is checked beside the same crate with plain
//! functions; what it takes longer, divided by the tasks, is what one costs.
//! Both parts are measured as processor time of the compiler, which moves less
//! than the clock does where something else runs.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use flow_benches::processor;
use flow_benches::statistics::median;
use flow_benches::table::Table;

/// Measures what a `#[task]` adds to `cargo check`.
#[derive(Debug, Parser)]
struct Options {
    /// The number of tasks in the crate
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,

    /// How often each crate is checked; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

    /// Passed by `cargo bench`; without effect
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a function of the crate looks like: `NUMBER` is its number, the
/// attribute goes before it. As users write them, from plain to rich.
const SHAPES: [(&str, &str); 5] = [
    ("", "fn taskNUMBER(x: i64) -> i64 { x + 1 }"),
    (
        "",
        "fn taskNUMBER(x: i64, y: &str, z: &[i64]) -> String { format!(\"{x}{y}{z:?}\") }",
    ),
    (
        "(retries = 3, retry_delay = \"1s\")",
        "fn taskNUMBER(text: String) -> Result<i64, std::num::ParseIntError> { text.parse() }",
    ),
    (
        "(timeout = \"30s\", tags = [\"web\"])",
        "async fn taskNUMBER(url: String) -> Result<String, std::io::Error> { Ok(url) }",
    ),
    (
        "(task_run_name = \"add-{x}\")",
        "fn taskNUMBER(x: f64, y: Option<f64>) -> f64 { x + y.unwrap_or_default() }",
    ),
];

fn main() -> ExitCode {
    flow_benches::exit_code(compare(&Options::parse()))
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let package = Package::make()?;
    // The first check pays for the dependencies.
    package.check(&source(options.tasks, false))?;
    let mut plain = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..options.times {
        plain.push(package.check(&source(options.tasks, false))?);
        tasks.push(package.check(&source(options.tasks, true))?);
    }
    let (plain, tasks) = (median(&plain), median(&tasks));
    let each = (tasks - plain) / f64::from(options.tasks) * 1000.0;
    let mut table = Table::new("crate", ["functions", "tasks", "ms per task"]);
    table.row(
        format!("{} functions", options.tasks),
        [
            format!("{plain:.2} s"),
            format!("{tasks:.2} s"),
            format!("{each:.2}"),
        ],
    );
    println!(
        "Expansion: processor time of `cargo check`, medians of {}.\n\n{table}",
        options.times
    );
    Ok(())
}

/// The crate's only file.
fn source(functions: u32, are_tasks: bool) -> String {
    let mut source = "#![allow(dead_code, unused_imports)]\nuse flowcore::prelude::*;\n".to_owned();
    for number in 0..functions {
        let (options, function) = SHAPES[number as usize % SHAPES.len()];
        if are_tasks {
            let _ = writeln!(source, "#[task{options}]");
        }
        let function = function.replace("NUMBER", &number.to_string());
        let _ = writeln!(source, "{function}");
    }
    source
}

/// A package of its own, outside of the workspace.
struct Package(PathBuf);

impl Package {
    fn make() -> Result<Self, Box<dyn Error>> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("expansion");
        fs::create_dir_all(folder.join("src"))?;
        let flowcore = workspace.join("flowcore").canonicalize()?;
        fs::write(
            folder.join("Cargo.toml"),
            format!(
                "[package]\nname = \"expansion\"\nedition = \"2024\"\n\n\
                 [dependencies]\nflowcore = {{ path = {flowcore:?} }}\n\n\
                 [workspace]\n"
            ),
        )?;
        fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        Ok(Self(folder))
    }

    /// Checks the package with this source; the compiler's seconds.
    fn check(&self, source: &str) -> Result<f64, Box<dyn Error>> {
        fs::write(self.0.join("src/lib.rs"), source)?;
        let seconds = || processor::children_seconds().ok_or("the system does not tell");
        let before = seconds()?;
        let output = Command::new(env!("CARGO"))
            .args(["check", "--quiet"])
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            // What a change of one line saves is another question.
            .env("CARGO_INCREMENTAL", "0")
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(seconds()? - before)
    }
}
