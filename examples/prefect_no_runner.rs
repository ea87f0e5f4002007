//! The main job: five years of a time series, one row a second, summed up by
//! name.
//!
//! Coiled's guide "Workflow automation with Prefect 2" has it as its first
//! script. Here all of it runs in this process, on all cores:
//!
//! ```text
//! cargo run --example prefect_no_runner
//! ```

use clap::Parser;
use flowcore::prelude::*;
use flowdask::dataframe::{DataFrame, Table, datasets, max, sum};
use serde_json::json;

#[derive(Parser)]
#[command(about = "Makes a time series, keeps it in memory and sums it up by name")]
struct Options {
    /// Where the series begins: a year, a month or a date
    #[arg(long, default_value = "2000")]
    start: String,

    /// Where it ends
    #[arg(long, default_value = "2005")]
    end: String,

    /// The time that one partition spans, as in Dask: `2w`, `1d`, `1ME`
    #[arg(long, default_value = "2w")]
    partition_freq: String,

    /// The same seed gives the same data
    #[arg(long, default_value_t = 42)]
    seed: u64,

    /// Print the result as one JSON object on the last line
    #[arg(long)]
    json: bool,
}

#[task]
async fn load_data(
    start: String,
    end: String,
    partition_freq: String,
    seed: u64,
) -> flowdask::dataframe::Result<DataFrame> {
    datasets::timeseries(start, end)
        .partition_freq(partition_freq)
        .seed(seed)
        .build()?
        .persist()
        .await
}

#[task]
async fn summarize(df: &DataFrame) -> flowdask::dataframe::Result<Table> {
    df.groupby(["name"])
        .agg([sum("x"), max("y")])?
        .compute()
        .await
}

#[task]
fn log_summary(summary: &Table) {
    tracing::info!("{} names", summary.num_rows());
    println!("{summary}");
}

#[flow]
async fn timeseries_flow(options: &Options) -> Result<()> {
    let df = load_data(
        options.start.clone(),
        options.end.clone(),
        options.partition_freq.clone(),
        options.seed,
    )
    .await?;
    let summary = summarize(&df).await?;
    log_summary(&summary).await?;
    if options.json {
        let result = json!({
            "rows": df.len().await?,
            "partitions": df.npartitions(),
            "summary": summary.to_json()?,
        });
        println!("{result}");
    }
    Ok(())
}

#[flowcore::main]
async fn main() -> Result<()> {
    timeseries_flow(&Options::parse()).await
}
