//! Waiting for several runs, with and without a limit.

use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, Settles};
use futures_util::StreamExt as _;

use crate::support::{Bad, Gate, run};

/// Far less than any gate is shut for.
const SHORT: Duration = Duration::from_millis(20);

#[task(local)]
async fn held(gate: &Gate, x: i64) -> i64 {
    gate.passed().await;
    x
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn fails() -> Result<i64, Bad> {
    Err(Bad::new("no"))
}

#[task]
fn shout(text: &str) -> String {
    text.to_uppercase()
}

#[flow]
async fn waits_for_all(gate: Gate) -> Result<()> {
    let shut = held.submit(&gate, 1);
    let runs = vec![inc.submit(1), shut.clone(), fails.submit(), shut.clone()];
    runs[0].wait(None).await;
    runs[2].wait(None).await;
    // A run that is given twice counts once.
    let (done, not_done) = flowcore::wait(&runs, SHORT).await;
    assert_eq!((done.len(), not_done.len()), (2, 1));
    assert!(done[0].state().is_completed() && done[1].state().is_failed());
    assert_eq!(not_done[0].id(), shut.id());
    let (done, not_done) = flowcore::wait(&runs, Duration::ZERO).await;
    assert_eq!((done.len(), not_done.len()), (2, 1));

    // Of different types, one of them a whole map.
    let rows = held.map(vec![&gate; 3], [1, 2, 3]);
    let text = shout.submit("hey");
    let mixed: [&dyn Settles; 4] = [&rows, &text, &shut, &rows];
    text.wait(None).await;
    let (done, not_done) = flowcore::wait(mixed, SHORT).await;
    assert_eq!((done.len(), not_done.len()), (1, 2));
    gate.open();
    let (done, not_done) = flowcore::wait(mixed, None).await;
    assert_eq!((done.len(), not_done.len()), (3, 0));

    // Nothing to wait for; rows, and slices of rows, are runs of their own.
    let (done, not_done) = flowcore::wait(Vec::<TaskFuture<i64>>::new(), None).await;
    assert!(done.is_empty() && not_done.is_empty());
    let (done, _) = flowcore::wait([rows.get(0), rows.get(1), rows.get(0)], None).await;
    assert_eq!(done.len(), 2);
    let parts = [
        rows.slice(..1),
        rows.slice(1..),
        rows.slice(..1),
        rows.clone(),
    ];
    let (done, _) = flowcore::wait(parts, SHORT).await;
    assert_eq!(done.len(), 3);
    Ok(())
}

#[test]
fn wait_tells_who_is_late() {
    run(waits_for_all(Gate::default())).unwrap();
}

#[flow]
async fn takes_as_completed(first: Gate, second: Gate) -> Result<()> {
    let late = held.submit(&second, 2);
    let runs = vec![
        late.clone(),
        held.submit(&first, 1),
        fails.submit(),
        late.clone(),
    ];
    runs[2].wait(None).await;
    let mut settled = flowcore::as_completed(runs, None);
    // Failures come too, and come as what they are.
    let failed = settled.next().await.unwrap()?;
    assert_eq!(failed.result().await.unwrap_err().to_string(), "no");
    first.open();
    assert_eq!(settled.next().await.unwrap()?.await?, 1);
    second.open();
    assert_eq!(settled.next().await.unwrap()?.await?, 2);
    assert!(settled.next().await.is_none());
    assert!(settled.next().await.is_none());
    assert!(
        flowcore::as_completed([&late; 0], None)
            .next()
            .await
            .is_none()
    );
    Ok(())
}

#[test]
fn as_completed_gives_runs_in_the_order_of_their_ends() {
    run(takes_as_completed(Gate::default(), Gate::default())).unwrap();
}

#[flow]
async fn loses_patience(gate: Gate) -> Result<()> {
    let runs: Vec<_> = (0..3).map(|x| held.submit(&gate, x)).collect();
    let done = inc.submit(1);
    done.wait(None).await;
    let all = runs.iter().chain([&done]);
    // A `Stream` as well.
    let settled: Vec<_> = flowcore::as_completed(all, SHORT).collect().await;
    assert_eq!(settled.len(), 2);
    assert!(settled[0].as_ref().unwrap().state().is_completed());
    let error = settled[1].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "3 (of 4) futures unfinished");

    let error = runs[0].result_within(SHORT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let id = runs[0].id().unwrap();
    assert_eq!(
        error.to_string(),
        format!("Task run {id} did not complete within 0.02 seconds")
    );
    assert_eq!(error.help(), Some("docs/errors/timed-out.md"));
    let rows = held.map(vec![&gate; 3], [1, 2, 3]);
    let error = rows.result_within(SHORT).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Map of 3 rows (3 of them are unfinished) did not complete within 0.02 seconds"
    );
    // Nobody was cancelled.
    gate.open();
    assert_eq!(*runs[0].result_within(Duration::MAX).await?, 0);
    assert_eq!(rows.result_within(Duration::MAX).await?, [1, 2, 3]);
    Ok(())
}

#[test]
fn waiting_has_a_limit_and_the_runs_go_on() {
    run(loses_patience(Gate::default())).unwrap();
}

#[test]
fn refused_runs_are_done() {
    run(async {
        let (refused, rows) = (inc.submit(1), inc.map(0..3));
        let mixed: [&dyn Settles; 3] = [&refused, &rows, &refused];
        let (done, not_done) = flowcore::wait(mixed, None).await;
        assert_eq!((done.len(), not_done.len()), (2, 0));
        let settled: Vec<_> = flowcore::as_completed([refused], None).collect().await;
        assert_eq!(settled.len(), 1);
    });
}

/// A run that waits in these ways gives its slot up.
#[task]
async fn spreads(depth: i64) -> Result<i64> {
    if depth == 0 {
        return Ok(1);
    }
    let runs = [spreads.submit(depth - 1), spreads.submit(depth - 1)];
    let mut sum = 0;
    let mut settled = flowcore::as_completed(&runs, None);
    while let Some(run) = settled.next().await {
        sum += *run?.result().await?;
    }
    let (done, _) = flowcore::wait(&runs, Duration::MAX).await;
    assert_eq!(done.len(), 2);
    Ok(sum)
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn spreads_on_one_thread() -> Result<i64> {
    spreads.submit(6).await
}

#[flow(task_runner = SequentialTaskRunner)]
async fn spreads_one_by_one() -> Result<i64> {
    spreads.submit(6).await
}

#[test]
fn waiting_runs_leave_room_for_those_they_wait_for() {
    run(async {
        assert_eq!(spreads_on_one_thread().await.unwrap(), 64);
        assert_eq!(spreads_one_by_one().await.unwrap(), 64);
    });
}
