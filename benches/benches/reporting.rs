//! What it costs a flow to tell a Prefect server of each of its runs: the same
//! mapped flow with and without a server, which runs beside it.
//!
//! Processor time of the flow's process from its start to its end, when the
//! server has recorded everything: that does not depend on how fast the server
//! is, nor much on what else runs.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use flow_benches::child;
use flow_benches::memory;
use flow_benches::processor;
use flow_benches::statistics::median;
use flow_benches::table::Table;
use flow_tests::prefect::Server;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Measures a mapped flow with and without a Prefect server that is told of
/// each run.
#[derive(Debug, Parser)]
struct Options {
    /// The numbers of mapped runs
    #[arg(long, value_delimiter = ',', default_value = "10000")]
    rows: Vec<u32>,

    /// How long a run works, in microseconds
    #[arg(long, default_value_t = 1000)]
    microseconds: u64,

    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

    /// Passed by `cargo bench`; without effect
    #[arg(long, hide = true)]
    bench: bool,
}

/// One measurement, made in a child process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Case {
    rows: u32,
    steps: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Cost {
    /// Seconds of the processors.
    processor: f64,
    /// Bytes that were resident at the most.
    peak: u64,
}

/// Maps of so many rows are told row by row.
const ROWS_OF_A_MAP: u32 = 1000;

/// Longer than any server takes.
const PATIENCE: &str = "7200";

fn main() -> ExitCode {
    child::main(answer, || compare(&Options::parse()))
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let steps = steps_for(Duration::from_micros(options.microseconds));
    let columns = [
        "on, s",
        "off, s",
        "ratio",
        "µs per run",
        "on, MB",
        "off, MB",
        "difference, MB",
    ];
    let mut table = Table::new("runs", columns);
    for &rows in &options.rows {
        let case = Case { rows, steps };
        let (mut on, mut off) = (Vec::new(), Vec::new());
        for _ in 0..options.times {
            on.push(measure_told(&case)?);
            off.push(child::measure::<_, Cost>(&case)?);
        }
        let seconds =
            |costs: &[Cost]| median(&costs.iter().map(|c| c.processor).collect::<Vec<_>>());
        let peak =
            |costs: &[Cost]| median(&costs.iter().map(|c| c.peak).collect::<Vec<_>>()) as f64 / 1e6;
        let (told, untold) = (seconds(&on), seconds(&off));
        let (with, without) = (peak(&on), peak(&off));
        let cells = [
            format!("{told:.2}"),
            format!("{untold:.2}"),
            format!("{:.3}", told / untold),
            format!("{:.0}", (told - untold) * 1e6 / f64::from(rows)),
            format!("{with:.1}"),
            format!("{without:.1}"),
            format!("{:.1}", with - without),
        ];
        table.row(rows, cells);
    }
    println!(
        "Processor time and peak of memory of a flow with mapped runs of {} µs, reporting on and off, \
         medians of {}.\n\n{table}",
        options.microseconds, options.times
    );
    Ok(())
}

/// With a server of its own, which has to know all runs afterwards.
fn measure_told(case: &Case) -> Result<Cost, Box<dyn Error>> {
    let server = Server::start()?;
    let home = tempfile::tempdir()?;
    let variables = [
        ("PREFECT_API_URL", server.url()),
        ("PREFECT_HOME", home.path().display().to_string()),
        ("PREFECT_REPORTING_DRAIN_TIMEOUT", PATIENCE.to_owned()),
    ];
    let cost = child::measure_with(case, &variables)?;
    let completed = json!({"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}});
    let known = server.post("/task_runs/count", &completed);
    if known != json!(case.rows) {
        return Err(format!("the server knows {known} of {} runs", case.rows).into());
    }
    Ok(cost)
}

/// How many steps take about so long; the least of some attempts counts.
fn steps_for(time: Duration) -> u64 {
    const STEPS: u64 = 1_000_000;
    let attempts = (0..20).map(|_| {
        let start = Instant::now();
        std::hint::black_box(work(STEPS));
        start.elapsed()
    });
    let least = attempts.min().expect("there are attempts").as_secs_f64();
    (time.as_secs_f64() / least * STEPS as f64) as u64
}

/// Each step needs the one before.
fn work(steps: u64) -> u64 {
    (0..steps).fold(1, |number: u64, step| {
        std::hint::black_box(
            number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(step),
        )
    })
}

/// The child's part.
fn answer(case: Case) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(ours::mapped(case.rows, case.steps).into_future())?;
    let unknown = "this operating system does not tell what a process costs";
    Ok(child::answer(&Cost {
        processor: processor::seconds().ok_or(unknown)?,
        peak: memory::peak_bytes().ok_or(unknown)?,
    })?)
}

mod ours {
    use flowcore::prelude::*;

    #[task]
    fn step(steps: u64) -> u64 {
        super::work(steps)
    }

    #[flow]
    pub(super) async fn mapped(rows: u32, steps: u64) -> Result<()> {
        let mut left = rows;
        let mut maps = Vec::new();
        while left > 0 {
            let here = left.min(super::ROWS_OF_A_MAP);
            maps.push(step.map(vec![steps; here as usize]));
            left -= here;
        }
        for map in maps {
            map.wait(None).await;
        }
        Ok(())
    }
}
