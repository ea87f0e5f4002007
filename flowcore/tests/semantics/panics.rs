//! Panics are failed runs with message and place; the process lives on.

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};

use crate::support::{in_time, run};

#[task]
fn sync_panics(x: i64) -> i64 {
    assert!(x < 0, "number {x} is too large");
    x
}

#[task]
async fn async_panics(x: i64) -> i64 {
    tokio::task::yield_now().await;
    sync_panics.func(x)
}

#[task]
fn borrows_and_panics(text: &str) -> usize {
    panic!("cannot read {text}")
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

/// Message and place are told, and the run failed.
#[track_caller]
fn check(error: &Error, message: &str) {
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Failed, "{text}");
    assert!(text.contains("panic at "), "{text}");
    assert!(text.contains("panics.rs:"), "{text}");
    assert!(text.contains(message), "{text}");
}

#[flow]
async fn task_panics() -> Result<()> {
    let run = sync_panics.submit(1);
    check(&run.result().await.unwrap_err(), "number 1 is too large");
    let state = run.state();
    assert_eq!(state.name(), StateName::Failed);
    let message = state.message().unwrap();
    assert!(
        message.starts_with("Task run encountered an exception panic at "),
        "{message}"
    );

    check(
        &async_panics.submit(2).await.unwrap_err(),
        "number 2 is too large",
    );
    check(&sync_panics(3).await.unwrap_err(), "number 3 is too large");
    check(&async_panics(4).await.unwrap_err(), "number 4 is too large");
    check(
        &borrows_and_panics("it").await.unwrap_err(),
        "cannot read it",
    );
    check(
        &borrows_and_panics.submit("it").await.unwrap_err(),
        "cannot read it",
    );
    let after = inc.submit(sync_panics.submit(5)).await.unwrap_err();
    assert_eq!(after.kind(), ErrorKind::NotReady);
    check(after.root(), "number 5 is too large");
    Ok(())
}

#[test]
fn panics_of_tasks_are_failed_runs() {
    run(task_panics()).unwrap();
}

#[flow]
async fn rows_panic() -> Result<()> {
    for rows in [sync_panics.map(-50..50), async_panics.map(-50..50)] {
        let outcomes = rows.outcomes().await?;
        for (x, outcome) in (-50..50).zip(outcomes) {
            match outcome {
                Ok(value) => assert_eq!(value, x),
                Err(error) => {
                    assert!(x >= 0);
                    check(&error, &format!("number {x} is too large"));
                }
            }
        }
    }
    assert_eq!(inc.map(0..1000).await?.len(), 1000);
    Ok(())
}

#[test]
fn panics_of_rows_stay_in_their_rows() {
    run(rows_panic()).unwrap();
}

#[flow]
async fn async_flow(x: i64) -> Result<i64> {
    let value = inc.submit(x).await?;
    assert!(value < 0, "flow of {value}");
    Ok(value)
}

#[flow]
fn sync_flow(x: i64) -> i64 {
    assert!(x < 0, "sync flow of {x}");
    x
}

#[flow]
fn borrowing_flow(text: &str) -> usize {
    panic!("flow on loan of {text}")
}

#[flow]
async fn parent() -> Result<()> {
    check(&async_flow(1).await.unwrap_err(), "flow of 2");
    check(&sync_flow(3).await.unwrap_err(), "sync flow of 3");
    check(
        &borrowing_flow("me").await.unwrap_err(),
        "flow on loan of me",
    );
    Ok(())
}

#[test]
fn panics_of_flows_are_failed_flows() {
    run(parent()).unwrap();
    let state = run(async { async_flow(1).state().await });
    let message = state.message().unwrap();
    assert!(
        message.starts_with("Flow run encountered an exception: panic at "),
        "{message}"
    );
    in_time(|| check(&sync_flow(4).block().unwrap_err(), "sync flow of 4"));
    assert_eq!(run(async_flow(-9)).unwrap(), -8);
}

#[task]
fn throws_a_number() {
    std::panic::panic_any(7_u8);
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Nameless;

impl std::fmt::Display for Nameless {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no name for this")
    }
}

#[task(task_run_name = "about {x}")]
fn named_by_it(x: Nameless) -> usize {
    size_of_val(&x)
}

#[task]
fn unspeakable(x: i64) -> Result<i64, Nameless> {
    if x > 0 { Ok(x) } else { Err(Nameless) }
}

#[flow]
async fn odd() -> Result<()> {
    let error = throws_a_number.submit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.to_string().contains("panics.rs:"), "{error}");
    check(
        &unspeakable.submit(0).await.unwrap_err(),
        "no name for this",
    );
    check(&unspeakable(0).await.unwrap_err(), "no name for this");
    check(
        &unspeakable.map([1, 0]).get(1).await.unwrap_err(),
        "no name for this",
    );
    // A name that cannot be told.
    check(
        &named_by_it.submit(Nameless).await.unwrap_err(),
        "no name for this",
    );
    check(
        &named_by_it.map([Nameless]).get(0).await.unwrap_err(),
        "no name for this",
    );
    check(
        &named_by_it(Nameless).await.unwrap_err(),
        "no name for this",
    );
    Ok(())
}

#[test]
fn odd_panics_are_told_too() {
    run(odd()).unwrap();
}

#[task(retries = 2)]
fn panics_once() -> u32 {
    let attempt = flowcore::run_info().unwrap().attempt;
    assert_ne!(attempt, 1);
    attempt
}

#[flow]
async fn retried() -> Result<()> {
    assert_eq!(panics_once.submit().await?, 2);
    assert_eq!(panics_once().await?, 2);
    Ok(())
}

#[test]
fn a_panic_is_tried_again() {
    run(retried()).unwrap();
}
