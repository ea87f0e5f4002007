//! Runs and what they wait for.

use flowcore::prelude::*;

use super::tasks::cancelled_by_hand;
use super::{add, bad, double, inc, text_of, total};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    called_tasks,
    chain,
    list_of_futures_as_argument,
    list_of_futures_of_which_one_fails,
    tuple_of_futures_as_argument,
    state_as_argument,
    failed_state_as_argument,
    dependents_of_a_failure,
    value_of_a_run_that_never_started,
    waits_for,
    waits_for_a_failure,
    allowed_failure,
    allowed_failure_of_a_success,
    allowed_failure_of_a_run_that_never_started,
    allowed_failure_to_wait_for,
    allowed_failure_of_a_cancelled_run,
    task_that_calls_a_task,
    task_that_submits_a_task,
    task_that_calls_a_task_that_fails,
];

#[flow]
async fn called_tasks() -> Result<i64> {
    add(inc(1).await?, double(2).await?).await
}

#[flow]
async fn chain() -> Result<i64> {
    let a = inc.submit(1);
    let b = double.submit(&a);
    let c = add.submit(a, b);
    c.await
}

#[flow]
async fn list_of_futures_as_argument() -> Result<i64> {
    total.submit([inc.submit(1), inc.submit(2)]).await
}

#[flow]
async fn list_of_futures_of_which_one_fails() -> Vec<TaskFuture<i64>> {
    vec![total.submit([inc.submit(1), bad.submit(2)])]
}

#[task]
fn joined(both: (i64, String)) -> String {
    format!("{} and {}", both.0, both.1)
}

#[flow]
async fn tuple_of_futures_as_argument() -> Result<String> {
    joined.submit((inc.submit(1), text_of.submit(Ok(7)))).await
}

#[flow]
async fn state_as_argument() -> Result<i64> {
    inc.submit(double(2).state().await).await
}

#[flow]
async fn failed_state_as_argument() -> Vec<TaskFuture<i64>> {
    vec![inc.submit(bad(2).state().await)]
}

#[flow]
async fn dependents_of_a_failure() -> Vec<TaskFuture<i64>> {
    let a = bad.submit(1);
    let b = inc.submit(&a);
    let c = add.submit(1, &b);
    vec![a, b, c]
}

#[flow]
async fn value_of_a_run_that_never_started() -> Result<i64> {
    inc.submit(bad.submit(1)).await
}

#[flow]
async fn waits_for() -> Vec<TaskFuture<i64>> {
    let first = inc.submit(1);
    vec![first.clone(), double.after(first).submit(2)]
}

#[flow]
async fn waits_for_a_failure() -> Vec<TaskFuture<i64>> {
    let first = bad.submit(1);
    vec![first.clone(), double.after(first).submit(2)]
}

#[flow]
async fn allowed_failure() -> Result<String> {
    text_of.submit(allow_failure(bad.submit(1))).await
}

#[flow]
async fn allowed_failure_of_a_success() -> Result<String> {
    text_of.submit(allow_failure(inc.submit(1))).await
}

#[flow]
async fn allowed_failure_of_a_run_that_never_started() -> Result<String> {
    text_of
        .submit(allow_failure(inc.submit(bad.submit(1))))
        .await
}

#[flow]
async fn allowed_failure_to_wait_for() -> Vec<TaskFuture<i64>> {
    let first = bad.submit(1);
    vec![double.after(allow_failure(first)).submit(2)]
}

#[flow]
async fn allowed_failure_of_a_cancelled_run() -> Vec<TaskFuture<String>> {
    vec![text_of.submit(allow_failure(cancelled_by_hand.submit()))]
}

#[task]
async fn calls_a_task(x: i64) -> Result<i64> {
    Ok(inc(x).await? * 10)
}

#[task]
async fn submits_a_task(x: i64) -> Result<i64> {
    Ok(inc.submit(x).await? * 10)
}

#[task]
async fn calls_a_task_that_fails(x: i64) -> Result<i64> {
    bad(x).await
}

#[flow]
async fn task_that_calls_a_task() -> Result<i64> {
    calls_a_task.submit(1).await
}

#[flow]
async fn task_that_submits_a_task() -> Result<i64> {
    submits_a_task.submit(1).await
}

#[flow]
async fn task_that_calls_a_task_that_fails() -> Vec<TaskFuture<i64>> {
    vec![calls_a_task_that_fails.submit(1)]
}
