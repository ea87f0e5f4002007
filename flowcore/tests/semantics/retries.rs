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

fn is_temporary(error: &Error) -> bool {
    error.to_string().contains("temporary")
}

fn is_confused(_: &Error) -> bool {
    panic!("no idea")
}

#[task(retries = 5, retry_if = is_temporary)]
fn fails(text: &str) -> Result<i64> {
    let attempt = flowcore::run_info().unwrap().attempt;
    match attempt {
        1 => Err(Error::msg(format!("{text}, temporary"))),
        _ => Err(Error::msg(text)),
    }
}

fn is_early(_: &Error, attempt: u32) -> bool {
    attempt < 3
}

#[task(retries = 5, retry_if = is_early)]
fn fails_to_the_third() -> Result<i64> {
    Err(Error::msg("bad"))
}

#[task(retries = 5, retry_if = is_confused)]
fn fails_oddly() -> Result<i64> {
    Err(Error::msg("odd"))
}

#[task(retries = 5, timeout = "5ms", retry_if = is_temporary)]
async fn is_late() {
    std::future::pending::<()>().await;
}

#[flow]
async fn conditional() -> Result<()> {
    let once_more = fails.submit("disk");
    let error = once_more.clone().await.unwrap_err();
    assert_eq!(error.to_string(), "disk");
    assert_eq!(once_more.run_count(), 2);
    let row = fails.map(["a", "b"]);
    row.wait(None).await;
    assert_eq!(row.get(1).run_count(), 2);
    // A condition may look at the number of the attempt.
    let early = fails_to_the_third.submit();
    early.wait(None).await;
    assert_eq!(early.run_count(), 3);
    // A condition that panics is a "no".
    let odd = fails_oddly.submit();
    assert_eq!(odd.clone().await.unwrap_err().to_string(), "odd");
    assert_eq!(odd.run_count(), 1);
    let late = is_late.submit();
    assert_eq!(late.clone().await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(late.run_count(), 1);
    // The same for a direct call.
    assert_eq!(fails("here").await.unwrap_err().to_string(), "here");
    Ok(())
}

#[test]
fn a_condition_says_which_failures_are_tried_again() {
    run(conditional()).unwrap();
}

#[task(retries = 3, retry_delay = ["1ms", "2ms"], retry_jitter = 0.5, version = "1.2")]
fn listed(x: i64) -> Result<i64> {
    match flowcore::run_info().unwrap().attempt {
        4 => Ok(x),
        _ => Err(Error::msg("not yet")),
    }
}

#[task(retries = 2, retry_delay = exponential_backoff("1ms"))]
fn doubling(x: i64) -> Result<i64> {
    match flowcore::run_info().unwrap().attempt {
        3 => Ok(x),
        _ => Err(Error::msg("not yet")),
    }
}

#[flow(version = "7")]
async fn delayed() -> Result<()> {
    assert_eq!(listed.submit(1).await?, 1);
    assert_eq!(listed(2).await?, 2);
    assert_eq!(doubling.map([3, 4]).await?, [3, 4]);
    let millisecond = Duration::from_millis(1);
    let other =
        doubling.with_options(|o| o.retry_delay([millisecond]).retry_jitter(0.1).retries(2));
    assert_eq!(other.submit(5).await?, 5);
    Ok(())
}

#[test]
fn delays_may_be_lists_or_double() {
    run(delayed()).unwrap();
    let newer = delayed.with_options(|o| {
        assert_eq!(o.version_in_force(), Some("7"));
        o.version("8")
    });
    run(newer()).unwrap();
}

#[flow]
async fn wrong_options() -> Result<()> {
    let negative = listed.with_options(|o| o.retry_jitter(-1.0));
    for error in [
        negative.submit(1).await.unwrap_err(),
        negative.map([1]).await.map(drop).unwrap_err(),
        negative(1).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.to_string().contains("`retry_jitter` is -1"),
            "{error}"
        );
    }
    let empty = listed.with_options(|o| o.retry_delay(Vec::new()));
    let error = empty.submit(1).await.unwrap_err();
    assert!(error.to_string().contains("empty list"), "{error}");
    Ok(())
}

#[test]
fn wrong_delays_are_errors_of_the_run() {
    run(wrong_options()).unwrap();
}
