//! The tasks that test and child share.

#![allow(missing_docs, reason = "tasks of a test, named after what they do")]

use std::time::Duration;

use flowcore::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error)]
#[error("cannot read table {0}")]
pub struct ReadError(pub String, #[source] pub std::io::Error);

#[task]
pub fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
pub fn double(x: i64) -> i64 {
    x * 2
}

#[task]
pub fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task]
pub fn sum_all(z: &[i64]) -> i64 {
    z.iter().sum()
}

#[task]
pub fn join(pair: (i64, String), sep: &str) -> String {
    format!("{}{sep}{}", pair.0, pair.1)
}

#[task]
pub fn name(x: i64) -> String {
    format!("number {x}")
}

#[task]
pub fn list(n: i64) -> Vec<i64> {
    (0..n).collect()
}

/// A value that travels in bincode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub name: String,
    pub x: i64,
}

#[task(codec = bincode)]
pub fn point(x: i64) -> Result<Point, String> {
    if x == 13 {
        return Err("an unlucky point".to_owned());
    }
    Ok(Point {
        name: format!("p{x}"),
        x,
    })
}

#[task(codec = bincode)]
pub fn points(n: i64) -> Vec<Point> {
    (0..n).filter_map(|x| point.func(x).ok()).collect()
}

#[task(codec = bincode)]
pub fn moved(from: Point) -> Point {
    let x = from.x + 100;
    Point { x, ..from }
}

/// Its own codec is the default.
#[task]
pub fn x_of(place: &Point) -> i64 {
    place.x
}

#[task]
pub fn xs_of(several: Vec<Point>, pair: (Point, Point)) -> Vec<i64> {
    let pair = [pair.0, pair.1];
    several.iter().chain(&pair).map(|place| place.x).collect()
}

#[task]
pub fn x_or_error(outcome: Result<Point>) -> String {
    outcome.map_or_else(|error| error.to_string(), |place| place.name)
}

#[task]
pub fn read(table: String) -> Result<i64, ReadError> {
    Err(ReadError(table, std::io::Error::other("disk is gone")))
}

#[task(batch = 2, version = "7")]
pub fn even_in_twos(x: i64) -> Result<i64, String> {
    even.func(x)
}

#[task]
pub fn even(x: i64) -> Result<i64, String> {
    if x % 2 == 0 {
        Ok(x)
    } else {
        Err(format!("{x} is odd"))
    }
}

#[task]
pub fn or_zero(outcome: Result<i64>) -> i64 {
    outcome.unwrap_or(0)
}

#[task]
pub fn count_failed(outcomes: Vec<Result<i64>>) -> usize {
    outcomes.iter().filter(|outcome| outcome.is_err()).count()
}

#[task(retries = 2)]
pub fn third_time() -> Result<u32, String> {
    let attempt = flowcore::run_info().map_or(0, |run| run.attempt);
    Err(format!("attempt {attempt}"))
}

fn is_early(error: &flowcore::Error, attempt: u32) -> bool {
    assert_eq!(error.to_string(), format!("attempt {attempt}"));
    attempt < 3
}

#[task(retries = 5, retry_if = is_early, retry_delay = ["1ms", "2ms"], retry_jitter = 0.5)]
pub fn until_third() -> Result<u32, String> {
    third_time.func()
}

#[task]
pub fn boom(x: i64) -> i64 {
    assert!(x < 0, "x is {x}");
    x
}

#[task(timeout = "20ms")]
pub async fn too_slow() -> i64 {
    std::future::pending::<()>().await;
    0
}

#[task]
pub fn process() -> u32 {
    std::process::id()
}

#[task(local)]
pub fn local_process() -> u32 {
    std::process::id()
}

#[task(local)]
pub fn local_sum(z: Vec<i64>) -> i64 {
    z.iter().sum()
}

#[task]
pub fn nap(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

#[task]
pub fn nap_and_fail(milliseconds: u64) -> Result<u64, String> {
    std::thread::sleep(Duration::from_millis(milliseconds));
    Err(format!("failed after {milliseconds} milliseconds"))
}

#[task]
pub fn end_process() -> i64 {
    std::process::abort()
}

/// Tells which process computed the value that is cached.
#[task(cache = INPUTS - "verbose" + FLOW_PARAMETERS)]
pub fn computed_by(x: i64, verbose: bool) -> (i64, u32) {
    let _ = verbose;
    (x, std::process::id())
}
