//! What a flow returns decides its state.

use std::collections::BTreeMap;

use flowcore::prelude::*;

use super::{ValueError, bad, double, even, inc};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    returned_value,
    returned_nothing,
    returned_future_that_completes,
    returned_future_that_fails,
    returned_state_that_completed,
    returned_state_that_failed,
    returned_list_that_completes,
    returned_list_with_one_that_fails,
    returned_tuple_of_futures,
    returned_list_of_states,
    returned_map,
    returned_map_with_rows_that_fail,
    returned_empty_list,
    returned_value_beside_future_that_fails,
    returned_state_that_failed_beside_value,
    returned_dictionary_of_futures,
    returned_run_that_never_started,
    returned_only_a_run_that_never_started,
    returned_completed_by_hand,
    returned_failed_by_hand,
    returned_cancelled_by_hand,
    raised_exception,
    raised_exception_of_a_task,
    failed_task_that_nobody_asks,
    failed_state_that_nobody_returns,
];

#[flow]
async fn returned_value() -> i64 {
    7
}

#[flow]
async fn returned_nothing() {}

#[flow]
async fn returned_future_that_completes() -> TaskFuture<i64> {
    inc.submit(1)
}

#[flow]
async fn returned_future_that_fails() -> TaskFuture<i64> {
    bad.submit(1)
}

#[flow]
async fn returned_state_that_completed() -> State<i64> {
    inc(1).state().await
}

#[flow]
async fn returned_state_that_failed() -> State<i64> {
    bad(1).state().await
}

#[flow]
async fn returned_list_that_completes() -> Vec<TaskFuture<i64>> {
    vec![inc.submit(1), inc.submit(2)]
}

#[flow]
async fn returned_list_with_one_that_fails() -> Vec<TaskFuture<i64>> {
    vec![inc.submit(1), bad.submit(2)]
}

#[flow]
async fn returned_tuple_of_futures() -> (TaskFuture<i64>, TaskFuture<i64>) {
    (inc.submit(1), double.submit(2))
}

#[flow]
async fn returned_list_of_states() -> Vec<State<i64>> {
    vec![inc(1).state().await, bad(2).state().await]
}

#[flow]
async fn returned_map() -> Mapped<i64> {
    inc.map([1, 2, 3])
}

#[flow]
async fn returned_map_with_rows_that_fail() -> Mapped<i64> {
    even.map([1, 2, 3])
}

#[flow]
async fn returned_empty_list() -> Vec<TaskFuture<i64>> {
    vec![]
}

#[flow]
async fn returned_value_beside_future_that_fails() -> (i64, TaskFuture<i64>) {
    (1, bad.submit(1))
}

#[flow]
async fn returned_state_that_failed_beside_value() -> (State<i64>, i64) {
    (bad(1).state().await, 1)
}

#[flow]
async fn returned_dictionary_of_futures() -> BTreeMap<String, TaskFuture<i64>> {
    [("good", inc.submit(1)), ("bad", bad.submit(1))]
        .map(|(key, run)| (key.to_owned(), run))
        .into()
}

#[flow]
async fn returned_run_that_never_started() -> Vec<TaskFuture<i64>> {
    let first = bad.submit(1);
    vec![inc.submit(1), first.clone(), inc.submit(first)]
}

#[flow]
async fn returned_only_a_run_that_never_started() -> Vec<TaskFuture<i64>> {
    vec![inc.submit(1), inc.submit(bad.submit(1))]
}

#[flow]
async fn returned_completed_by_hand() -> State<i64> {
    State::completed(3, "done")
}

#[flow]
async fn returned_failed_by_hand() -> State<i64> {
    State::failed("no rows")
}

#[flow]
async fn returned_cancelled_by_hand() -> State<i64> {
    State::cancelled("not today")
}

#[flow]
async fn raised_exception() -> Result<i64> {
    Err(ValueError("no rows".into()).into())
}

#[flow]
async fn raised_exception_of_a_task() -> Result<i64> {
    Ok(bad(1).await? + 1)
}

#[flow]
async fn failed_task_that_nobody_asks() -> i64 {
    bad.submit(1).wait(None).await;
    1
}

#[flow]
async fn failed_state_that_nobody_returns() -> Option<String> {
    let state = bad(1).state().await;
    state.message().map(str::to_owned)
}
