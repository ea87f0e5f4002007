//! Asking for values and waiting.

use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{as_completed, wait};

use super::{bad, even};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    asked_for_a_failed_value,
    asked_for_a_failed_value_without_raising,
    asked_for_rows_of_which_one_fails,
    waited_too_short,
    waited_for_some,
    taken_as_completed,
    taken_as_completed_in_too_short_a_time,
];

#[task]
pub(super) async fn nap(seconds: f64) -> f64 {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    seconds
}

#[task]
pub(super) fn blocking_nap(seconds: f64) -> f64 {
    std::thread::sleep(Duration::from_secs_f64(seconds));
    seconds
}

#[flow]
async fn asked_for_a_failed_value() -> Result<i64> {
    bad.submit(1).await
}

#[flow]
async fn asked_for_a_failed_value_without_raising() -> Option<Error> {
    bad.submit(1).await.err()
}

#[flow]
async fn asked_for_rows_of_which_one_fails() -> Result<Vec<i64>> {
    even.map([2, 3, 4]).await
}

#[flow]
async fn waited_too_short() -> (bool, bool) {
    let future = nap.submit(0.3);
    future.wait(Duration::from_millis(10)).await;
    let early = future.state().is_settled();
    future.wait(None).await;
    (early, future.state().is_settled())
}

#[flow]
async fn waited_for_some() -> Result<(Vec<f64>, usize)> {
    let (quick, slow) = (nap.submit(0.0), nap.submit(0.5));
    quick.wait(None).await;
    let (done, not_done) = wait([&quick, &slow, &quick], Duration::from_millis(10)).await;
    let mut values = Vec::new();
    for future in done {
        values.push(future.await?);
    }
    Ok((values, not_done.len()))
}

#[flow]
async fn taken_as_completed() -> Result<Vec<f64>> {
    let (slow, quick) = (nap.submit(0.3), nap.submit(0.0));
    let mut settled = as_completed([&slow, &quick, &slow], None);
    let mut values = Vec::new();
    while let Some(future) = settled.next().await {
        values.push(future?.await?);
    }
    Ok(values)
}

#[flow]
async fn taken_as_completed_in_too_short_a_time() -> Result<(Vec<f64>, String)> {
    let runs = [nap.submit(0.5), nap.submit(0.0)];
    runs[1].wait(None).await;
    let mut settled = as_completed(runs, Duration::from_millis(100));
    let mut values = Vec::new();
    while let Some(future) = settled.next().await {
        match future {
            Ok(future) => values.push(future.await?),
            Err(late) => return Ok((values, late.to_string())),
        }
    }
    Err(Error::msg("in time"))
}
