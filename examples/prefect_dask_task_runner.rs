//! Tasks mapped over a range: every row is a task run of its own.
//!
//! Coiled's guide "Workflow automation with Prefect 2" has it as its second
//! script, with a `DaskTaskRunner`. The bridge to Dask is not here yet: this
//! runs on the threads of this process.
//!
//! ```text
//! cargo run --example prefect_dask_task_runner
//! ```

use clap::Parser;
use flowcore::prelude::*;
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

#[flow(task_runner = ThreadPoolTaskRunner::new())]
async fn inc_double_add_sum(a_range: Vec<i64>) -> Result<i64> {
    let a = inc.map(&a_range);
    let b = double.map(&a_range);
    let c = add.map(&a, &b);
    sum_all.submit(c).await
}

#[flowcore::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    eprintln!("Dask's task runner is not here yet: the tasks run in this process.");
    let total = inc_double_add_sum((options.start..options.end).collect()).await?;
    println!("{total}");
    if options.json {
        println!("{}", json!({ "sum": total }));
    }
    Ok(())
}
