//! What a task returns decides its state.

use flowcore::prelude::*;

use super::{bad, inc};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    task_completed_by_hand,
    task_failed_by_hand,
    task_cancelled_by_hand,
    task_cancelled_by_hand_and_its_dependent,
    task_failed_by_hand_and_asked,
    task_cancelled_by_hand_and_asked,
    panicked_task,
    panicked_flow,
];

#[task]
fn completed_by_hand() -> State<i64> {
    State::completed(5, "early")
}

#[task]
fn failed_by_hand() -> State<i64> {
    State::failed("no rows")
}

#[task]
pub(super) fn cancelled_by_hand() -> State<i64> {
    State::cancelled("not today")
}

#[flow]
async fn task_completed_by_hand() -> Result<i64> {
    let state = completed_by_hand().state().await;
    inc.submit(state).await
}

#[flow]
async fn task_failed_by_hand() -> Vec<TaskFuture<i64>> {
    vec![failed_by_hand.submit(), inc.submit(1)]
}

#[flow]
async fn task_cancelled_by_hand() -> Vec<TaskFuture<i64>> {
    vec![cancelled_by_hand.submit(), bad.submit(1), inc.submit(1)]
}

#[flow]
async fn task_cancelled_by_hand_and_its_dependent() -> Vec<TaskFuture<i64>> {
    let first = cancelled_by_hand.submit();
    vec![first.clone(), inc.submit(first)]
}

#[flow]
async fn task_failed_by_hand_and_asked() -> Result<i64> {
    failed_by_hand.submit().await
}

#[flow]
async fn task_cancelled_by_hand_and_asked() -> Result<i64> {
    cancelled_by_hand.submit().await
}

#[task]
fn broken() -> i64 {
    panic!("boom")
}

#[flow]
async fn panicked_task() -> Vec<TaskFuture<i64>> {
    vec![broken.submit(), inc.submit(1)]
}

#[flow]
async fn panicked_flow() -> i64 {
    panic!("boom")
}
