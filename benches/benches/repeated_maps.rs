//! Many maps after each other in one flow run: what is left behind of the
//! earlier ones shows as memory.
//!
//! There is no yardstick: many maps are compared with one.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use flow_benches::child;
use flow_benches::statistics::median;
use flow_benches::table::Table;
use flow_benches::versus::{Measurement, check_sum};
use serde::{Deserialize, Serialize};

/// Measures the memory of many maps after each other.
#[derive(Debug, Parser)]
struct Options {
    /// The number of rows of each map
    #[arg(long, default_value_t = 100_000)]
    rows: usize,

    /// The numbers of maps to measure
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    maps: Vec<u32>,

    /// How often each number of maps is measured; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

    /// Passed by `cargo bench`; without effect
    #[arg(long, hide = true)]
    bench: bool,
}

/// One measurement, made in a child process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Case {
    rows: usize,
    maps: u32,
}

fn main() -> ExitCode {
    child::main(answer, || compare(&Options::parse()))
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let rows = options.rows;
    let mut table = Table::new("maps", ["peak of memory, kB", "ms per map"]);
    for &maps in &options.maps {
        let measured: Vec<Measurement> = (0..options.times)
            .map(|_| child::measure(&Case { rows, maps }))
            .collect::<Result<_, _>>()?;
        let seconds: Vec<_> = measured.iter().map(|one| one.seconds).collect();
        let peaks: Option<Vec<_>> = measured.iter().map(|one| one.bytes).collect();
        let peak = peaks.map(|peaks| median(&peaks) / 1024);
        table.row(
            maps,
            [
                peak.map_or_else(|| "?".to_owned(), |peak| peak.to_string()),
                format!("{:.1}", median(&seconds) * 1e3 / f64::from(maps)),
            ],
        );
    }
    println!(
        "Maps of {rows} rows after each other in one flow run, medians of {}.\n\n{table}",
        options.times
    );
    Ok(())
}

/// The child's part.
fn answer(Case { rows, maps }: Case) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let flow = |rows, maps| runtime.block_on(ours::repeated(rows, maps).into_future());
    // The threads start.
    flow(vec![0; 100], 1)?;
    let input: Vec<i64> = (0..).take(rows).collect();
    let expected = i64::from(maps) * input.iter().map(|x| x + 1).sum::<i64>();
    let (sum, measurement) = Measurement::take(|| flow(input, maps))?;
    check_sum(sum, expected)?;
    Ok(child::answer(&measurement)?)
}

mod ours {
    use flowcore::prelude::*;

    #[task]
    fn inc(x: i64) -> i64 {
        x + 1
    }

    #[task]
    fn sum_all(z: Vec<i64>) -> i64 {
        z.iter().sum()
    }

    #[flow]
    pub(super) async fn repeated(rows: Vec<i64>, maps: u32) -> Result<i64> {
        let mut sum = 0;
        for _ in 0..maps {
            sum += sum_all.submit(inc.map(&rows)).await?;
        }
        Ok(sum)
    }
}
