//! Timeouts.

use std::time::Duration;

use flowcore::prelude::*;

use super::{attempt, inc};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    timed_out_task,
    timed_out_call,
    timed_out_and_retried,
    timed_out_flow,
];

const A_MINUTE: Duration = Duration::from_secs(60);

#[task(timeout = "100ms")]
async fn slow() -> i64 {
    tokio::time::sleep(A_MINUTE).await;
    1
}

#[flow]
async fn timed_out_task() -> Vec<TaskFuture<i64>> {
    let first = slow.submit();
    first.wait(None).await;
    vec![first.clone(), inc.submit(first)]
}

#[flow]
async fn timed_out_call() -> Result<i64> {
    slow().await
}

#[task(timeout = "200ms", retries = 1)]
async fn slow_at_first() -> i64 {
    if attempt("slow_at_first") == 1 {
        tokio::time::sleep(A_MINUTE).await;
    }
    5
}

#[flow]
async fn timed_out_and_retried() -> Vec<TaskFuture<i64>> {
    let first = slow_at_first.submit();
    first.wait(None).await;
    vec![first]
}

#[flow(timeout = "200ms")]
async fn timed_out_flow() {
    tokio::time::sleep(A_MINUTE).await;
}
