//! The mapped flow of the README, beside the same flow written by hand, and
//! beside the same flow in Prefect.
//!
//! Three tasks per row, and one that adds the rows up.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use flow_benches::statistics::median;
use flow_benches::table::Table;
use flow_benches::versus::{Comparison, Measurement, Side, check_sum};
use flow_benches::yardsticks::{self, mapped_flow as yardstick};
use flow_benches::{child, prefect};
use serde::{Deserialize, Serialize};

/// Measures the mapped flow beside the same flow written by hand with tokio, and
/// beside the same flow in Prefect.
#[derive(Debug, Parser)]
struct Options {
    /// The numbers of rows to measure
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    rows: Vec<usize>,

    /// How often each number of rows is measured; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

    /// The number of rows to measure Prefect with, in Python and with a server
    /// of its own; 0 leaves it out
    #[arg(long, default_value_t = 100)]
    prefect_rows: usize,

    /// How often Prefect is measured; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    prefect_times: u32,

    /// Passed by `cargo bench`; without effect
    #[arg(long, hide = true)]
    bench: bool,
}

/// One measurement, made in a child process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Case {
    side: Side,
    rows: usize,
}

/// Enough rows for a first run that starts the threads, and so few that what it
/// leaves behind is nothing beside the figures.
const WARM_UP_ROWS: usize = 100;

fn main() -> ExitCode {
    child::main(answer, || compare(&Options::parse()))
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut table = Table::new("rows", Comparison::COLUMNS);
    for &rows in &options.rows {
        let task_runs = yardstick::task_runs(rows);
        let figures = Comparison::measure(options.times, task_runs, |side| Case { side, rows })?;
        table.row(rows, figures.cells());
    }
    println!(
        "Mapped flow: time and peak memory per task run, medians of {}, two workers.\n\n{table}",
        options.times
    );
    if options.prefect_rows > 0 {
        compare_with_prefect(options)?;
    }
    Ok(())
}

fn compare_with_prefect(options: &Options) -> Result<(), Box<dyn Error>> {
    let rows = options.prefect_rows;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.prefect_times {
        let side = Side::Ours;
        let measurement: Measurement = child::measure(&Case { side, rows })?;
        ours.push(measurement.seconds);
        let answer = prefect::mapped_flow(rows)?;
        check_sum(answer.sum, expected(rows))?;
        theirs.push(answer.seconds);
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    let per_run = |seconds: f64| seconds * 1e9 / yardstick::task_runs(rows) as f64;
    let mut table = Table::new(
        "rows",
        ["ours, ns/run", "Prefect, ns/run", "Prefect / ours"],
    );
    let figures = [per_run(ours), per_run(theirs), theirs / ours];
    table.row(rows, figures.map(|figure| format!("{figure:.0}")));
    println!(
        "Beside Prefect, with its server: time per task run, medians of {}.\n\n{table}",
        options.prefect_times
    );
    Ok(())
}

/// The child's part.
fn answer(case: Case) -> Result<(), Box<dyn Error>> {
    let measurement = match case.side {
        Side::Ours => {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            time(case.rows, |rows| {
                Ok(runtime.block_on(ours::inc_double_add_sum(rows).into_future())?)
            })
        }
        Side::Yardstick => {
            let runtime = yardsticks::runtime()?;
            time(case.rows, |rows| {
                Ok(runtime.block_on(yardstick::inc_double_add_sum(rows))?)
            })
        }
    }?;
    Ok(child::answer(&measurement)?)
}

fn time(
    rows: usize,
    flow: impl Fn(Vec<i64>) -> Result<i64, Box<dyn Error>>,
) -> Result<Measurement, Box<dyn Error>> {
    flow(input(WARM_UP_ROWS))?;
    let given = input(rows);
    let (sum, measurement) = Measurement::take(|| flow(given))?;
    check_sum(sum, expected(rows))?;
    Ok(measurement)
}

fn expected(rows: usize) -> i64 {
    input(rows).iter().map(|x| 3 * x + 1).sum()
}

fn input(rows: usize) -> Vec<i64> {
    (0..).take(rows).collect()
}

mod ours {
    //! As the README has it.

    use flowcore::prelude::*;

    #[task]
    fn inc(x: i64) -> i64 {
        x + 1
    }

    #[task]
    fn double(x: i64) -> i64 {
        x * 2
    }

    #[task]
    fn add(x: i64, y: i64) -> i64 {
        x + y
    }

    #[task]
    fn sum_all(z: Vec<i64>) -> i64 {
        z.iter().sum()
    }

    #[flow]
    pub(super) async fn inc_double_add_sum(a_range: Vec<i64>) -> Result<i64> {
        let a = inc.map(&a_range);
        let b = double.map(&a_range);
        let c = add.map(&a, &b);
        sum_all.submit(c).await
    }
}
