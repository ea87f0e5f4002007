//! Tasks that clients in Python call, a flow whose work is reported, and, with
//! `FLOW_WORKER` set, their worker.
//!
//! Arguments: a scheduler's address or `class NAME OPTIONS`, and the file for the
//! report; or `adapting` and a directory; or `waiting NAME OPTIONS` and a directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flowcore::prelude::*;
use flowdask::DaskTaskRunner;
use flowdask::values::ArrowStream;
use serde::{Deserialize, Serialize};

#[task]
fn nothing((): ()) {}

#[task]
fn truth(x: bool) -> bool {
    x
}

#[task]
fn integer(x: i64) -> i64 {
    x
}

#[task]
fn unsigned(x: u64) -> u64 {
    x
}

#[task]
fn float(x: f64) -> f64 {
    x
}

#[task]
fn text(x: String) -> String {
    x
}

#[task]
fn binary(x: Vec<u8>) -> Vec<u8> {
    x
}

#[task]
fn list(x: Vec<i64>) -> Vec<i64> {
    x
}

#[task]
fn nested(x: Vec<Vec<Option<String>>>) -> Vec<Vec<Option<String>>> {
    x
}

#[task]
fn by_number(x: BTreeMap<i64, String>) -> BTreeMap<i64, String> {
    x
}

#[derive(Clone, Serialize, Deserialize)]
struct Point {
    name: String,
    at: (i64, f64),
    note: Option<String>,
}

#[task]
fn point(x: Point) -> Point {
    x
}

#[task]
fn json(x: serde_json::Value) -> serde_json::Value {
    x
}

#[task]
fn table(x: ArrowStream) -> ArrowStream {
    x
}

#[task]
fn joined(words: Vec<String>, separator: String, end: Option<String>) -> String {
    words.join(&separator) + &end.unwrap_or_default()
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is bad")]
struct Bad(i64, #[source] std::num::ParseIntError);

#[task]
fn picky(x: i64) -> Result<i64, Bad> {
    Err(Bad(x, "x".parse::<i64>().unwrap_err()))
}

#[task]
async fn parent(x: i64) -> Result<i64> {
    integer.submit(x).await
}

#[task]
fn even(x: i64) -> Result<i64, String> {
    match x % 2 {
        0 => Ok(x),
        _ => Err(format!("{x} is odd")),
    }
}

#[task]
fn total(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

/// Fails, with some runs that completed, and values that moved.
#[flow]
async fn reported() -> Result<Vec<i64>> {
    let numbers = integer.map(0..20);
    println!("{}", total.submit(&numbers).await?);
    even.map(numbers).await
}

/// Until there is a file. Says once that it has begun.
#[task(batch = 1)]
fn waits(x: i64, file: String) -> i64 {
    // It is there for whoever looks; without it nobody does.
    let _ = std::fs::write(format!("{file}-waited-for"), "");
    while !Path::new(&file).exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    x
}

/// Much work until there is a file `go`, and none from then on until there is
/// one `end`; then a run again.
#[flow]
async fn adapting(directory: String) -> Result<i64> {
    let file = |name: &str| format!("{directory}/{name}");
    let sum: i64 = waits.map(0..40, unmapped(file("go"))).await?.iter().sum();
    while !Path::new(&file("end")).exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(sum + waits.submit(5, file("go")).await?)
}

#[flowcore::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (runner, report) = match arguments[..] {
        ["class", class, options, report] => {
            let options: BTreeMap<String, serde_json::Value> = serde_json::from_str(options)?;
            (DaskTaskRunner::cluster(class, options), report)
        }
        ["adapting", directory] => {
            let options = [
                ("n_workers", serde_json::json!(1)),
                ("threads_per_worker", serde_json::json!(1)),
            ];
            let options = options
                .into_iter()
                .chain([("dashboard_address", serde_json::json!(null))]);
            let runner = DaskTaskRunner::cluster("distributed.LocalCluster", options).adapt(1, 3);
            let flow = adapting.with_options(|o| o.task_runner(runner));
            println!("{}", flow(directory.to_owned()).await?);
            return Ok(());
        }
        ["waiting", class, options, directory] => {
            let options: BTreeMap<String, serde_json::Value> = serde_json::from_str(options)?;
            let runner = DaskTaskRunner::cluster(class, options);
            let flow = adapting.with_options(|o| o.task_runner(runner));
            println!("{}", flow(directory.to_owned()).await?);
            return Ok(());
        }
        [address, report] => (DaskTaskRunner::address(address), report),
        _ => return Err(flowcore::Error::msg("arguments are missing")),
    };
    let runner = runner.performance_report(report);
    let numbers = reported.with_options(|o| o.task_runner(runner))().await?;
    println!("{numbers:?}");
    Ok(())
}
