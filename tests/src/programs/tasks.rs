//! The tasks of random programs, and the functions that say what they give.

use flowcore::prelude::*;

/// What [`mix`] and its likes give: a number, or an error that names them.
pub(super) fn mixed(kind: Kind, x: i64, y: i64) -> Result<i64, String> {
    let salt = kind as i64;
    let value = (x * 31 + y * 17 + salt).rem_euclid(1009);
    if value % 9 == 4 {
        return Err(format!("{kind:?} of {x} and {y}"));
    }
    Ok(value)
}

/// What [`make_list`] gives.
pub(super) fn listed(n: i64) -> Result<Vec<i64>, String> {
    match n.rem_euclid(7) {
        6 => Err(format!("no list of {n}")),
        length => Ok((0..length).map(|i| (n + i) % 50).collect()),
    }
}

/// Which task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(super) enum Kind {
    Plain,
    Waiting,
    Retried,
    Panicking,
    Borrowing,
    Local,
}

#[task]
pub(super) fn mix(x: i64, y: i64) -> Result<i64, String> {
    mixed(Kind::Plain, x, y)
}

#[task]
pub(super) async fn mix_waiting(x: i64, y: i64) -> Result<i64, String> {
    for _ in 0..(x + y).rem_euclid(3) {
        tokio::task::yield_now().await;
    }
    mixed(Kind::Waiting, x, y)
}

#[task(retries = 2)]
pub(super) fn mix_retried(x: i64, y: i64) -> Result<i64, String> {
    let attempt = flowcore::run_info().map_or(0, |run| run.attempt);
    if i64::from(attempt) <= (x + y).rem_euclid(3) {
        return Err(format!("attempt {attempt}"));
    }
    mixed(Kind::Retried, x, y)
}

#[task]
pub(super) fn mix_panicking(x: i64, y: i64) -> i64 {
    match mixed(Kind::Panicking, x, y) {
        Ok(value) => value,
        Err(text) => panic!("{text}"),
    }
}

#[task]
pub(super) fn mix_borrowing(x: &i64, y: &i64) -> Result<i64, String> {
    mixed(Kind::Borrowing, *x, *y)
}

#[task(local)]
pub(super) fn mix_local(x: i64, y: i64) -> Result<i64, String> {
    mixed(Kind::Local, x, y)
}

#[task]
pub(super) fn sum(values: Vec<i64>) -> i64 {
    values.iter().sum()
}

#[task]
pub(super) async fn sum_borrowed(values: &[i64]) -> i64 {
    values.iter().sum()
}

#[task]
pub(super) fn make_list(n: i64) -> Result<Vec<i64>, String> {
    listed(n)
}

#[task]
pub(super) fn settle(outcome: Result<i64>) -> i64 {
    outcome.unwrap_or(-1)
}

#[task]
pub(super) fn count_failed(outcomes: Vec<Result<i64>>) -> i64 {
    outcomes.iter().filter(|outcome| outcome.is_err()).count() as i64
}
