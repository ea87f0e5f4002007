//! The mapped flow of the README, beside the same flow written by hand.
//!
//! Three tasks per row, and one that adds the rows up.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use flow_benches::child;
use flow_benches::table::Table;
use flow_benches::versus::{Comparison, Measurement, Side};
use flow_benches::yardsticks::{self, mapped_flow as yardstick};
use serde::{Deserialize, Serialize};

/// Measures the mapped flow beside the same flow written by hand with tokio.
#[derive(Debug, Parser)]
struct Options {
    /// The numbers of rows to measure
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    rows: Vec<usize>,

    /// How often each number of rows is measured; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

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
    let done = match child::case() {
        Ok(Some(case)) => answer(case),
        Ok(None) => compare(&Options::parse()),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
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
    let input = input(rows);
    let expected: i64 = input.iter().map(|x| 3 * x + 1).sum();
    let (sum, measurement) = Measurement::take(|| flow(input))?;
    if sum != expected {
        return Err(format!("the sum is {sum} and should be {expected}").into());
    }
    Ok(measurement)
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
