//! Retries: how often, when, and with which arguments.

use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};

use crate::support::{Bad, Meter, run, until};

/// Fails until attempt number `good`.
#[task(local, retries = 3)]
fn third(calls: &Meter, good: u32) -> Result<u32, Bad> {
    let _inside = calls.enter();
    let attempt = flowcore::run_info().unwrap().attempt;
    if attempt < good {
        return Err(Bad::new(format!("attempt {attempt}")));
    }
    Ok(attempt)
}

#[task(local, retries = 3, retry_delay = "2ms")]
async fn third_async(calls: &Meter, good: u32) -> Result<u32, Bad> {
    third.func(calls, good)
}

#[flow]
async fn retried(calls: Meter) -> Result<()> {
    let good = third.submit(&calls, 3);
    assert_eq!(*good.result().await?, 3);
    assert_eq!(good.run_count(), 3);
    assert_eq!(good.state().to_string(), "Completed()");
    assert_eq!(calls.total(), 3);

    let bad = third.submit(&calls, 99);
    let error = bad.result().await.unwrap_err();
    assert_eq!(error.to_string(), "attempt 4");
    assert_eq!(bad.run_count(), 4);
    assert_eq!(calls.total(), 7);

    // A copy with other options.
    let once = third.with_options(|o| o.retries(0)).submit(&calls, 99);
    assert_eq!(once.result().await.unwrap_err().to_string(), "attempt 1");
    assert_eq!(calls.total(), 8);
    Ok(())
}

#[test]
fn a_failed_run_is_tried_again() {
    let calls = Meter::default();
    run(retried(calls.clone())).unwrap();
    assert_eq!(calls.most(), 1);
}

#[flow]
async fn retried_later(calls: Meter) -> Result<()> {
    let good = third_async.submit(&calls, 4);
    assert_eq!(*good.result().await?, 4);
    assert_eq!(good.run_count(), 4);
    let bad = third_async.submit(&calls, 5);
    assert_eq!(bad.result().await.unwrap_err().to_string(), "attempt 4");
    assert_eq!(calls.total(), 8);
    Ok(())
}

#[test]
fn a_retry_may_wait() {
    run(retried_later(Meter::default())).unwrap();
}

#[flow]
async fn direct(calls: Meter) -> Result<()> {
    assert_eq!(third(&calls, 4).await?, 4);
    assert_eq!(third_async(&calls, 2).await?, 2);
    assert_eq!(calls.total(), 6);
    let error = third_async(&calls, 9).await.unwrap_err();
    assert_eq!(error.to_string(), "attempt 4");
    assert_eq!(calls.total(), 10);
    Ok(())
}

#[test]
fn direct_calls_are_tried_again() {
    run(direct(Meter::default())).unwrap();
    // Outside of flows too.
    let calls = Meter::default();
    let given = calls.clone();
    assert_eq!(run(async move { third(&given, 3).await }).unwrap(), 3);
    assert_eq!(calls.total(), 3);
}

#[flow]
async fn row_by_row(calls: Meter) -> Result<()> {
    // Row i is good at attempt i + 1; the last two never are.
    let rows = third.map(unmapped(&calls), 1..=6);
    assert!(rows.wait(None).await);
    let counts: Vec<_> = rows.iter()?.map(|row| row.run_count()).collect();
    assert_eq!(counts, [1, 2, 3, 4, 4, 4]);
    let good: Vec<_> = rows.outcomes().await?.into_iter().map(Result::ok).collect();
    assert_eq!(good, [Some(1), Some(2), Some(3), Some(4), None, None]);
    assert_eq!(calls.total(), 18);

    let rows = third_async.map(unmapped(&calls), 1..=6);
    assert!(rows.wait(None).await);
    let counts: Vec<_> = rows.iter()?.map(|row| row.run_count()).collect();
    assert_eq!(counts, [1, 2, 3, 4, 4, 4]);
    assert_eq!(calls.total(), 36);
    Ok(())
}

#[test]
fn each_row_has_its_own_retries() {
    run(row_by_row(Meter::default())).unwrap();
}

#[task(retries = 1)]
fn takes(mut list: Vec<i64>) -> Result<Vec<i64>, String> {
    list.push(9);
    match flowcore::run_info().unwrap().attempt {
        1 => Err(format!("{} rows", list.len())),
        _ => Ok(list),
    }
}

#[flow]
async fn arguments() -> Result<()> {
    assert_eq!(takes.submit(vec![1, 2]).await?, [1, 2, 9]);
    assert_eq!(takes(vec![1, 2]).await?, [1, 2, 9]);
    let list = takes.submit(vec![1]);
    assert_eq!(takes.submit(list).await?, [1, 9, 9]);
    let rows = takes.map([vec![1], vec![2]]);
    assert_eq!(takes.map(rows).await?, [[1, 9, 9], [2, 9, 9]]);
    Ok(())
}

#[test]
fn every_attempt_gets_the_same_arguments() {
    run(arguments()).unwrap();
}

#[flow]
async fn cancelled_between(calls: Meter) -> Result<()> {
    let patient = third.with_options(|o| o.retry_delay(Duration::from_secs(3600)));
    let one = patient.submit(&calls, 9);
    let rows = patient.map(unmapped(&calls), [9, 1]);
    until(|| one.state().name() == StateName::AwaitingRetry);
    until(|| rows.states() == [StateName::AwaitingRetry, StateName::Completed]);
    one.cancel();
    rows.cancel();
    assert_eq!(one.result().await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(rows.wait(None).await);
    assert_eq!(rows.states(), [StateName::Cancelled, StateName::Completed]);
    assert_eq!(calls.total(), 3);
    Ok(())
}

#[test]
fn a_run_that_waits_for_its_retry_can_be_cancelled() {
    run(cancelled_between(Meter::default())).unwrap();
}

#[flow]
async fn ended_between(calls: Meter) -> Result<()> {
    let patient = third.with_options(|o| o.retry_delay(Duration::from_secs(3600)));
    let one = patient.submit(&calls, 9);
    until(|| one.state().name() == StateName::AwaitingRetry);
    Err(Bad::new("enough").into())
}

#[test]
fn a_flow_that_fails_waits_for_no_retry() {
    let error = run(ended_between(Meter::default())).unwrap_err();
    assert_eq!(error.to_string(), "enough");
}
