//! Tasks that use the control channel.

#![allow(missing_docs, reason = "tasks of a test, named after what they do")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{cancellation, concurrency, rate_limit};

use super::tasks::{add, double, even, inc, list, local_sum, or_zero};

static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// How many are inside, with this one.
fn meet() -> usize {
    let inside = INSIDE.fetch_add(1, Ordering::SeqCst) + 1;
    std::thread::sleep(Duration::from_millis(2));
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    inside
}

#[task(tags = ["seam-tagged"])]
pub fn tagged(x: i64) -> usize {
    let _ = x;
    meet()
}

/// Calls what the tag limits, in the child.
#[task]
pub fn calls_tagged(x: i64) -> Result<usize> {
    tagged(x).block()
}

#[task]
pub fn named(limit: String) -> Result<usize> {
    let _slots = concurrency(limit, 1).block()?;
    Ok(meet())
}

#[task]
pub async fn named_async(limit: String) -> Result<usize> {
    let _slots = concurrency(limit, 1).await?;
    Ok(meet())
}

#[task]
pub async fn strict(limit: String) -> Result<()> {
    concurrency(limit, 1).strict().await.map(drop)
}

#[task]
pub async fn gives_up(limit: String) -> Result<()> {
    let limit = concurrency(limit, 1).timeout(Duration::from_millis(5));
    limit.await.map(drop)
}

#[task]
pub async fn rated(limit: String) -> Result<()> {
    rate_limit(limit, 1).await
}

#[task]
pub fn dies_with_a_slot(limit: String) -> Result<()> {
    let _slots = concurrency(limit, 1).block()?;
    std::process::abort()
}

/// Stops when it is cancelled, if `x` is odd.
#[task]
pub fn until_cancelled(x: i64) -> Result<i64> {
    let cancellation = cancellation();
    while x % 2 == 1 && !cancellation.is_cancelled() {
        std::thread::sleep(Duration::from_millis(1));
    }
    cancellation.check()?;
    Ok(x)
}

#[task]
pub async fn never(x: i64) -> i64 {
    if x % 2 == 1 {
        std::future::pending::<()>().await;
    }
    x
}

#[task(retries = 1, retry_delay = "1h")]
pub fn tries_in_an_hour() -> Result<(), String> {
    Err("not yet".into())
}

#[task]
pub fn blocks_for_ever(limit: String) -> Result<()> {
    concurrency(limit, 1).block().map(drop)
}

#[task]
pub fn says(text: String) -> i64 {
    tracing::info!(rows = 3, "{text}");
    tracing::debug!("{text} which nobody hears");
    inc(1).block().unwrap_or(0)
}

#[task]
pub fn nested(depth: i64) -> Result<i64> {
    match depth {
        0 => Ok(0),
        _ => Ok(nested.submit(depth - 1).block()? + 1),
    }
}

#[task]
pub async fn nested_async(depth: i64) -> Result<i64> {
    match depth {
        0 => Ok(0),
        _ => Ok(nested_async.submit(depth - 1).await? + 1),
    }
}

/// Every shape of dependency, all of it submitted from here.
#[task]
pub async fn graph(n: i64) -> Result<Vec<i64>> {
    let rows = inc.map(0..n);
    let doubled = double.map(&rows);
    let sums = add.map(&rows, &doubled);
    let listed = double.map(list.submit(n));
    let one = inc.submit(rows.get(0));
    let bad = even.submit(1);
    let dependent = inc.submit(&bad);
    let lenient = or_zero.submit(allow_failure(&dependent));
    assert_eq!(dependent.await.unwrap_err().root().to_string(), "1 is odd");
    let mut values = sums.await?;
    values.extend(listed.await?);
    values.push(one.await?);
    values.push(lenient.await?);
    Ok(values)
}

/// Nobody waits for what this submits.
#[task]
pub fn leaves_work_behind(x: i64) -> i64 {
    let first = inc.submit(x);
    drop(inc.after(&first).submit(&first));
    x
}

#[task]
pub async fn submits_and_cancels() -> Result<String> {
    let runs = never.submit(1);
    let before = runs.wait(Duration::from_millis(20)).await;
    runs.cancel();
    let error = runs.await.unwrap_err();
    Ok(format!("{before} {:?}", error.kind()))
}

#[task]
pub async fn submits_local() -> String {
    let sum = local_sum.submit(vec![1]).await;
    sum.unwrap_err().to_string()
}

#[task]
pub fn submits_too_much(n: i64) -> Result<i64> {
    let resources = inc.with_options(|o| o.resources([("GPU", 1.0)]));
    resources.submit(n).block()
}
