//! Caching.

use std::time::Duration;

use flowcore::prelude::*;

use super::{ValueError, attempt, even};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    cached_by_inputs,
    cached_calls,
    cached_rows,
    cached_across_flow_runs,
    cached_without_an_argument,
    cached_by_inputs_of_another_task,
    cached_by_a_key,
    not_cached_when_the_key_fails,
    not_cached_when_it_failed,
    not_cached_by_policy,
    not_cached_unless_persisted,
    cached_within_the_flow_run_when_persisted,
    cached_anew_when_refreshed,
    cached_until_it_expires,
];

/// How often this was called, not what it was called with.
#[task(cache = INPUTS, result_store = "memory://table")]
fn counted(x: i64) -> i64 {
    let _ = x;
    i64::from(attempt("counted"))
}

#[flow]
async fn cached_by_inputs() -> Result<Vec<i64>> {
    let mut values = Vec::new();
    for x in [1, 1, 2, 1] {
        values.push(counted.submit(x).await?);
    }
    Ok(values)
}

#[flow]
async fn cached_calls() -> Result<(i64, i64)> {
    Ok((counted(3).await?, counted(3).await?))
}

#[flow]
async fn cached_rows() -> Result<Vec<i64>> {
    counted(4).await?;
    counted.map([4, 5]).await
}

#[flow]
async fn child_with_a_cached_task() -> Result<i64> {
    counted(6).await
}

#[flow]
async fn cached_across_flow_runs() -> Result<(i64, i64)> {
    Ok((
        child_with_a_cached_task().await?,
        child_with_a_cached_task().await?,
    ))
}

#[task(cache = INPUTS - "verbose", result_store = "memory://table")]
fn counted_without(x: i64, verbose: bool) -> i64 {
    let _ = (x, verbose);
    i64::from(attempt("counted_without"))
}

#[flow]
async fn cached_without_an_argument() -> Result<(i64, i64)> {
    Ok((
        counted_without(11, false).await?,
        counted_without(11, true).await?,
    ))
}

#[flow]
async fn cached_by_inputs_of_another_task() -> Result<(i64, i64)> {
    Ok((counted(13).await?, counted_without(13, true).await?))
}

fn key_of(x: &i64, _: &i64) -> String {
    format!("the key of {x}")
}

#[task(cache_key = key_of, result_store = "memory://table")]
fn counted_by_key(x: i64, y: i64) -> i64 {
    let _ = (x, y);
    i64::from(attempt("counted_by_key"))
}

#[flow]
async fn cached_by_a_key() -> Result<Vec<i64>> {
    Ok(vec![
        counted_by_key(1, 1).await?,
        counted_by_key(1, 2).await?,
        counted_by_key(2, 2).await?,
    ])
}

fn key_that_fails(_: &i64) -> Result<String, ValueError> {
    Err(ValueError("no key".into()))
}

#[task(cache_key = key_that_fails, result_store = "memory://table")]
fn counted_without_key(x: i64) -> i64 {
    let _ = x;
    i64::from(attempt("counted_without_key"))
}

#[flow]
async fn not_cached_when_the_key_fails() -> Result<(i64, i64)> {
    Ok((counted_without_key(1).await?, counted_without_key(1).await?))
}

#[flow]
async fn not_cached_when_it_failed() -> Result<i64> {
    let _ = counted_even(12).state().await;
    counted_even(12).await
}

#[task(cache = INPUTS, result_store = "memory://table")]
fn counted_even(x: i64) -> Result<i64, ValueError> {
    let _ = x;
    even.func(i64::from(attempt("counted_even")))
}

#[task(cache = NO_CACHE, result_store = "memory://table")]
fn counted_always(x: i64) -> i64 {
    let _ = x;
    i64::from(attempt("counted_always"))
}

#[flow]
async fn not_cached_by_policy() -> Result<(i64, i64)> {
    Ok((counted_always(1).await?, counted_always(1).await?))
}

#[task]
fn counted_by_default(x: i64) -> i64 {
    let _ = x;
    i64::from(attempt("counted_by_default"))
}

#[flow]
async fn not_cached_unless_persisted() -> Result<(i64, i64)> {
    Ok((counted_by_default(1).await?, counted_by_default(1).await?))
}

#[flow]
async fn cached_within_the_flow_run_when_persisted() -> Result<(i64, i64)> {
    let kept =
        counted_by_default.with_options(|o| o.persist_result(true).result_store("memory://table"));
    Ok((kept(1).await?, kept(1).await?))
}

#[flow]
async fn cached_anew_when_refreshed() -> Result<Vec<i64>> {
    let anew = counted.with_options(|o| o.refresh_cache(true));
    Ok(vec![counted(7).await?, anew(7).await?, counted(7).await?])
}

#[flow]
async fn cached_until_it_expires() -> Result<(i64, i64)> {
    let brief = counted.with_options(|o| o.cache_expiration(Duration::from_millis(50)));
    let first = brief(8).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok((first, brief(8).await?))
}
