//! Tasks mapped over a range: every row is a task run of its own.
//!
//! Coiled's guide "Workflow automation with Prefect 2" has it as its second
//! script, with a `DaskTaskRunner`. Here too: by default on a temporary Dask
//! cluster of this machine, which needs Dask's Python package for its
//! scheduler.
//!
//! ```text
//! cargo run --example prefect_dask_task_runner
//! cargo run --example prefect_dask_task_runner -- --address tcp://10.0.0.5:8786
//! cargo run --example prefect_dask_task_runner -- --embedded
//! ```
//!
//! An existing cluster needs workers of this program: the same executable with
//! `FLOW_WORKER=tcp://10.0.0.5:8786`.

use clap::Parser;
use flowcore::prelude::*;
use flowdask::DaskTaskRunner;
use serde_json::json;

#[derive(Parser)]
#[command(about = "Increments, doubles, adds and sums a range of numbers")]
struct Options {
    /// The first number
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    start: i64,

    /// The number after the last
    #[arg(long, default_value_t = 10, allow_negative_numbers = true)]
    end: i64,

    /// Run on the Dask cluster whose scheduler is there, instead of a temporary one
    #[arg(long, conflicts_with = "embedded")]
    address: Option<String>,

    /// Run on the threads of this process, without Dask
    #[arg(long)]
    embedded: bool,

    /// Print the result as one JSON object on the last line
    #[arg(long)]
    json: bool,
}

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

#[flow(task_runner = DaskTaskRunner::local())]
async fn inc_double_add_sum(a_range: Vec<i64>) -> Result<i64> {
    let a = inc.map(&a_range);
    let b = double.map(&a_range);
    let c = add.map(&a, &b);
    sum_all.submit(c).await
}

#[flowcore::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let range = (options.start..options.end).collect();
    let total = if options.embedded {
        inc_double_add_sum.with_options(|o| o.task_runner(ThreadPoolTaskRunner::new()))(range)
            .await?
    } else if let Some(address) = options.address {
        inc_double_add_sum.with_options(|o| o.task_runner(DaskTaskRunner::address(address)))(range)
            .await?
    } else {
        inc_double_add_sum(range).await?
    };
    println!("{total}");
    if options.json {
        println!("{}", json!({ "sum": total }));
    }
    Ok(())
}
