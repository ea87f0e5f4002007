//! A task that computes with a data frame from the inside.
//!
//! Coiled's guide "Workflow automation with Prefect 2" has it as its third
//! script, where the task opens `get_dask_client()` and computes on the
//! cluster. Data frames are not computed on Dask yet: the task computes on the
//! cores of this machine.
//!
//! ```text
//! cargo run --example prefect_dask_client
//! ```

use clap::Parser;
use flowcore::prelude::*;
use flowdask::dataframe::{Table, datasets};
use serde_json::json;

#[derive(Parser)]
#[command(about = "Describes a year of a time series from inside a task")]
struct Options {
    /// Where the series begins: a year, a month or a date
    #[arg(long, default_value = "2000")]
    start: String,

    /// Where it ends
    #[arg(long, default_value = "2001")]
    end: String,

    /// The time that one partition spans, as in Dask: `4w`, `1d`, `1ME`
    #[arg(long, default_value = "4w")]
    partition_freq: String,

    /// The same seed gives the same data
    #[arg(long, default_value_t = 42)]
    seed: u64,

    /// Print the result as one JSON object on the last line
    #[arg(long)]
    json: bool,
}

#[task]
async fn dask_computation(
    start: String,
    end: String,
    partition_freq: String,
    seed: u64,
) -> flowdask::dataframe::Result<Table> {
    datasets::timeseries(start, end)
        .partition_freq(partition_freq)
        .seed(seed)
        .build()?
        .describe()?
        .compute()
        .await
}

#[flow]
async fn dask_flow(options: &Options) -> Result<Table> {
    dask_computation
        .submit(
            options.start.as_str(),
            options.end.as_str(),
            options.partition_freq.as_str(),
            options.seed,
        )
        .await
}

#[flowcore::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    eprintln!("data frames are not computed on Dask yet: the task computes in this process");
    let described = dask_flow(&options).await?;
    println!("{described}");
    if options.json {
        println!("{}", json!({ "describe": described.to_json()? }));
    }
    Ok(())
}
