//! Asking for values and waiting.

use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{as_completed, wait};

use super::{bad, even, inc, tell, told};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    asked_for_a_failed_value,
    asked_for_a_failed_value_without_raising,
    asked_for_rows_of_which_one_fails,
    asked_in_too_short_a_time,
    waited_too_short,
    waited_for_some,
    taken_as_completed,
    taken_as_completed_in_too_short_a_time,
];

const AN_INSTANT: Duration = Duration::from_millis(10);

/// Gives the value when it is told to.
#[task]
pub(super) async fn held(event: &str, value: i64) -> i64 {
    told(event).await;
    value
}

#[task]
pub(super) fn blocking_nap(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
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
async fn asked_in_too_short_a_time() -> Result<String> {
    let future = held.submit("go", 1);
    let late = future.result_within(AN_INSTANT).await.unwrap_err();
    tell("go");
    let id = future.id().expect("it was submitted").to_string();
    Ok(late.to_string().replace(&id, "ID"))
}

#[flow]
async fn waited_too_short() -> (bool, bool) {
    let future = held.submit("go", 1);
    future.wait(AN_INSTANT).await;
    let early = future.state().is_settled();
    tell("go");
    future.wait(None).await;
    (early, future.state().is_settled())
}

#[flow]
async fn waited_for_some() -> Result<(Vec<i64>, usize)> {
    let (quick, slow) = (inc.submit(1), held.submit("go", 1));
    quick.wait(None).await;
    let (done, not_done) = wait([&quick, &slow, &quick], AN_INSTANT).await;
    tell("go");
    let mut values = Vec::new();
    for future in done {
        values.push(future.await?);
    }
    Ok((values, not_done.len()))
}

#[flow]
async fn taken_as_completed() -> Result<Vec<i64>> {
    let (slow, quick) = (held.submit("go", 1), inc.submit(1));
    let mut settled = as_completed([&slow, &quick, &slow], None);
    let mut values = Vec::new();
    while let Some(future) = settled.next().await {
        values.push(future?.await?);
        tell("go");
    }
    Ok(values)
}

#[flow]
async fn taken_as_completed_in_too_short_a_time() -> Result<(Vec<i64>, String)> {
    let runs = [held.submit("go", 1), inc.submit(1)];
    runs[1].wait(None).await;
    let mut settled = as_completed(runs, Duration::from_millis(100));
    let mut values = Vec::new();
    while let Some(future) = settled.next().await {
        match future {
            Ok(future) => values.push(future.await?),
            Err(late) => {
                tell("go");
                return Ok((values, late.to_string()));
            }
        }
    }
    Err(Error::msg("in time"))
}
