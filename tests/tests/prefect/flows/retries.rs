//! Retries.

use std::time::Duration;

use flowcore::exponential_backoff;
use flowcore::prelude::*;

use super::{ValueError, attempt, bad};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    retried_until_it_completes,
    retried_in_vain,
    retried_call,
    retried_after_a_delay,
    retried_after_a_list_of_delays,
    retried_after_growing_delays,
    retried_after_spread_delays,
    retried_while_the_condition_holds,
    not_retried_when_the_condition_fails,
    retried_rows,
    retried_state_made_by_hand,
    not_retried_when_cancelled,
    not_retried_when_never_started,
];

#[task(retries = 2)]
fn good_at(wanted: i64) -> Result<i64, ValueError> {
    let this = i64::from(attempt("good_at"));
    if this < wanted {
        return Err(ValueError(format!("attempt {this}")));
    }
    Ok(this)
}

#[flow]
async fn retried_until_it_completes() -> Vec<TaskFuture<i64>> {
    vec![good_at.submit(3)]
}

#[flow]
async fn retried_in_vain() -> Vec<TaskFuture<i64>> {
    vec![good_at.submit(9)]
}

#[flow]
async fn retried_call() -> Result<i64> {
    good_at(2).await
}

#[flow]
async fn retried_after_a_delay() -> Vec<TaskFuture<i64>> {
    let patient = good_at.with_options(|o| o.retry_delay(Duration::from_millis(50)));
    vec![patient.submit(2)]
}

#[flow]
async fn retried_after_a_list_of_delays() -> Vec<TaskFuture<i64>> {
    let delays = [10, 50].map(Duration::from_millis);
    let patient = good_at.with_options(|o| o.retry_delay(delays));
    vec![patient.submit(3)]
}

#[flow]
async fn retried_after_growing_delays() -> Vec<TaskFuture<i64>> {
    let growing = exponential_backoff(Duration::from_millis(20));
    let patient = good_at.with_options(|o| o.retry_delay(growing));
    vec![patient.submit(3)]
}

#[flow]
async fn retried_after_spread_delays() -> Vec<TaskFuture<i64>> {
    let delay = Duration::from_millis(20);
    let patient = good_at.with_options(|o| o.retry_delay(delay).retry_jitter(0.5));
    vec![patient.submit(2)]
}

fn says_first(error: &Error) -> bool {
    error.to_string() == "attempt 1"
}

fn stumbles(_: &Error) -> bool {
    panic!("the condition stumbled")
}

#[task(retries = 2, retry_delay = "10ms", retry_if = says_first)]
fn good_if_first_at(wanted: i64) -> Result<i64, ValueError> {
    good_at.func(wanted)
}

#[flow]
async fn retried_while_the_condition_holds() -> Vec<TaskFuture<i64>> {
    let task = good_if_first_at.with_options(|o| o.name("good_at"));
    vec![task.submit(9)]
}

#[task(retries = 2, retry_if = stumbles)]
fn good_if_told_at(wanted: i64) -> Result<i64, ValueError> {
    good_at.func(wanted)
}

#[flow]
async fn not_retried_when_the_condition_fails() -> Vec<TaskFuture<i64>> {
    let task = good_if_told_at.with_options(|o| o.name("good_at"));
    vec![task.submit(9)]
}

#[task(retries = 1)]
fn even_in_the_end(x: i64) -> Result<i64, ValueError> {
    if attempt(&format!("even_in_the_end {x}")) == 1 && x % 2 != 0 {
        return Err(ValueError(format!("{x} is odd")));
    }
    Ok(x)
}

#[flow]
async fn retried_rows() -> Mapped<i64> {
    even_in_the_end.map([1, 2])
}

#[task(retries = 1)]
fn failed_by_hand_at_first() -> State<i64> {
    if attempt("failed_by_hand_at_first") == 1 {
        return State::failed("no rows");
    }
    State::completed(5, "")
}

#[flow]
async fn retried_state_made_by_hand() -> Vec<TaskFuture<i64>> {
    vec![failed_by_hand_at_first.submit()]
}

#[task(retries = 2)]
fn cancelled_by_hand_at_first() -> State<i64> {
    if attempt("cancelled_by_hand_at_first") == 1 {
        return State::cancelled("not today");
    }
    State::completed(5, "")
}

#[flow]
async fn not_retried_when_cancelled() -> Vec<TaskFuture<i64>> {
    vec![cancelled_by_hand_at_first.submit()]
}

#[flow]
async fn not_retried_when_never_started() -> Vec<TaskFuture<i64>> {
    vec![good_at.submit(bad.submit(1))]
}
