//! Retries of flows.

use std::time::Duration;

use flowcore::prelude::*;

use super::{ValueError, attempt, bad, even, inc};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    flow_retried_until_it_completes,
    flow_retried_in_vain,
    flow_retried_after_a_delay,
    flow_retried_with_its_tasks,
    flow_retried_whose_task_is_retried,
    flow_retried_when_it_takes_too_long,
    flow_retried_when_returned_runs_failed,
    flow_retried_when_cancelled_by_hand,
    flow_retried_finds_results,
    flow_retried_in_a_flow,
    flow_retried_in_a_flow_in_vain,
    flow_retried_with_a_subflow,
];

fn good_at_attempt(wanted: u32) -> Result<i64, ValueError> {
    let this = attempt("a flow");
    if this < wanted {
        return Err(ValueError(format!("attempt {this}")));
    }
    Ok(i64::from(this))
}

#[flow(retries = 2)]
async fn flow_retried_until_it_completes() -> Result<i64, ValueError> {
    good_at_attempt(3)
}

#[flow(retries = 2)]
async fn flow_retried_in_vain() -> Result<i64, ValueError> {
    good_at_attempt(9)
}

#[flow(retries = 1, retry_delay = "1s")]
async fn flow_retried_after_a_delay() -> Result<i64, ValueError> {
    good_at_attempt(2)
}

#[flow(retries = 1)]
async fn flow_retried_with_its_tasks() -> Result<i64> {
    let first = inc.submit(1).await?;
    Ok(first + good_at_attempt(2)?)
}

#[task(retries = 1)]
fn good_the_fourth_time() -> Result<i64, ValueError> {
    let this = attempt("good_the_fourth_time");
    if this < 4 {
        return Err(ValueError(format!("time {this}")));
    }
    Ok(i64::from(this))
}

#[flow(retries = 1)]
async fn flow_retried_whose_task_is_retried() -> Result<i64> {
    good_the_fourth_time.submit().await
}

#[flow(retries = 1, timeout = "200ms")]
async fn flow_retried_when_it_takes_too_long() -> i64 {
    if attempt("a slow flow") == 1 {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    5
}

#[flow(retries = 1)]
async fn flow_retried_when_returned_runs_failed() -> Vec<TaskFuture<i64>> {
    vec![even.submit(i64::from(attempt("a flow")))]
}

#[flow(retries = 2)]
async fn flow_retried_when_cancelled_by_hand() -> State<i64> {
    State::cancelled("not today")
}

#[task]
fn counted_once() -> i64 {
    i64::from(attempt("counted_once"))
}

#[flow(retries = 1, persist_result, result_store = "memory://table")]
async fn flow_retried_finds_results() -> Result<i64> {
    let first = counted_once.submit().await?;
    Ok(first * 10 + good_at_attempt(2)?)
}

#[flow(retries = 1)]
async fn retried_child(wanted: u32) -> Result<i64, ValueError> {
    good_at_attempt(wanted)
}

#[flow]
async fn flow_retried_in_a_flow() -> Result<i64> {
    Ok(retried_child(2).await? + 1)
}

#[flow]
async fn flow_retried_in_a_flow_in_vain() -> Result<i64> {
    retried_child(9).await
}

#[flow]
async fn child_that_succeeds_once() -> Result<i64> {
    match attempt("child_that_succeeds_once") {
        1 => bad(1).await,
        _ => inc(1).await,
    }
}

#[flow(retries = 1)]
async fn flow_retried_with_a_subflow() -> Result<i64> {
    child_that_succeeds_once().await
}
