//! The flows in the pictures of the guide: what a small company's night looks
//! like. It is its own command line; see `tests/tests/prefect_server/pages.rs`.

use std::time::Duration;

use flowcore::Artifact;
use flowcore::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Orders {
    region: String,
    amounts: Vec<u32>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Sales {
    region: String,
    orders: usize,
    sum: u32,
}

/// Bars in the graph are as long as runs take.
async fn work(tenths: u64) {
    tokio::time::sleep(Duration::from_millis(100 * tenths)).await;
}

/// Asks a region's shop for its orders.
#[task(retries = 2, retry_delay = "1s", tags = ["shops"])]
async fn load(region: String) -> Result<Orders> {
    work(12).await;
    let is_first = flowcore::run_info().is_none_or(|run| run.attempt == 1);
    if region == "south" && is_first {
        return Err(Error::msg("the shop's database is being restarted"));
    }
    let first: u32 = region.bytes().map(u32::from).sum();
    let amounts: Vec<u32> = (0..200).map(|order| (first * order) % 97).collect();
    tracing::info!("{} orders from {region}", amounts.len());
    Ok(Orders { region, amounts })
}

/// Leaves out what was cancelled.
#[task]
async fn clean(mut orders: Orders) -> Orders {
    work(8).await;
    let before = orders.amounts.len();
    orders.amounts.retain(|amount| *amount > 0);
    let cancelled = before - orders.amounts.len();
    if cancelled > 20 {
        tracing::warn!("{cancelled} orders of {} were cancelled", orders.region);
    }
    orders
}

#[task]
async fn add_up(orders: Orders) -> Sales {
    work(6).await;
    Sales {
        sum: orders.amounts.iter().sum(),
        orders: orders.amounts.len(),
        region: orders.region,
    }
}

#[task]
async fn compare(sales: Vec<Sales>) -> Result<Vec<Sales>> {
    work(5).await;
    Artifact::table(&sales)
        .key("sales-by-region")
        .description("Orders and sums of the night")
        .create()
        .await?;
    Ok(sales)
}

#[task]
async fn write_report(sales: Vec<Sales>) -> Result<()> {
    work(7).await;
    let sum: u32 = sales.iter().map(|sales| sales.sum).sum();
    let best = sales.iter().max_by_key(|sales| sales.sum);
    let best = best.map_or("nobody", |sales| &sales.region);
    let text = format!("# Sales\n\nAll regions together: **{sum}**. The best one was *{best}*.");
    Artifact::markdown(text)
        .key("report")
        .description("What people read in the morning")
        .create()
        .await?;
    Ok(())
}

/// Writes what people read.
#[flow]
async fn publish(sales: Vec<Sales>) -> Result<()> {
    write_report.submit(sales).await
}

/// Adds up what each region has sold.
#[flow(version = "1.4", tags = ["sales"])]
async fn nightly_sales(
    /// Where there are shops.
    #[default(["north", "south", "west"].map(str::to_owned).to_vec())]
    regions: Vec<String>,
    /// Whether a report is written.
    #[default(true)]
    publishes: bool,
) -> Result<usize> {
    let orders = load.map(&regions);
    let cleaned = clean.map(&orders);
    let sales = add_up.map(&cleaned);
    let sales = compare.submit(sales).await?;
    if publishes {
        publish(sales.clone()).await?;
    }
    Ok(sales.len())
}

#[flowcore::main(cli)]
async fn main() {}
