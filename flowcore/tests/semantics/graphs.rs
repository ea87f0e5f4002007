//! Large and odd graphs of single runs.

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};

use crate::support::{Bad, run};

const DEEP: i64 = 100_000;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
async fn inc_async(x: i64) -> i64 {
    x + 1
}

#[task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task]
fn sum(values: &[i64]) -> i64 {
    values.iter().sum()
}

#[task]
fn fail() -> Result<i64, Bad> {
    Err(Bad::new("the first"))
}

#[flow]
async fn chain() -> Result<(i64, i64)> {
    let mut last = inc.submit(0);
    let mut last_async = inc_async.submit(0);
    for _ in 1..DEEP {
        last = inc.submit(last);
        last_async = inc_async.submit(&last_async);
    }
    Ok((last.await?, last_async.await?))
}

#[test]
fn a_chain_of_a_hundred_thousand_runs() {
    assert_eq!(run(chain()).unwrap(), (DEEP, DEEP));
}

#[flow]
async fn held_chain(gate: crate::support::Gate) -> Result<i64> {
    // Nothing runs before all is submitted, and every handle is kept.
    let mut all = vec![held.submit(&gate)];
    for _ in 0..DEEP {
        all.push(inc.submit(&all[all.len() - 1]));
    }
    gate.open();
    let last = all.pop().unwrap();
    last.await
}

#[task(local)]
async fn held(gate: &crate::support::Gate) -> i64 {
    gate.passed().await;
    0
}

#[test]
fn a_chain_that_waits_for_its_first_run() {
    assert_eq!(run(held_chain(Default::default())).unwrap(), DEEP);
}

#[task(local)]
async fn held_failure(gate: &crate::support::Gate) -> Result<i64, Bad> {
    gate.passed().await;
    fail.func()
}

#[flow]
async fn failing_chain(gate: crate::support::Gate) -> Result<()> {
    let first = held_failure.submit(&gate);
    let mut last = inc.submit(&first);
    for _ in 1..DEEP {
        last = inc.submit(last);
    }
    gate.open();
    assert!(last.wait(None).await);
    assert_eq!(last.state().name(), StateName::NotReady);
    let error = last.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.root().to_string(), "the first");
    assert!(error.downcast_ref::<Bad>().is_some());
    // The text does not grow with the chain.
    assert!(format!("{error:?}").len() < 1000, "{error:?}");

    // What is submitted after the failure, too.
    let mut last = inc.submit(&first);
    for _ in 1..DEEP {
        last = inc.submit(&last);
    }
    assert_eq!(last.await.unwrap_err().root().to_string(), "the first");
    Ok(())
}

#[test]
fn a_chain_whose_first_run_fails() {
    run(failing_chain(Default::default())).unwrap();
}

#[flow]
async fn cancelled_chain(gate: crate::support::Gate) -> Result<()> {
    let first = held.submit(&gate);
    let mut last = inc.submit(&first);
    for _ in 1..DEEP {
        last = inc.submit(last);
    }
    first.cancel();
    assert_eq!(last.await.unwrap_err().root().kind(), ErrorKind::Cancelled);
    Ok(())
}

#[test]
fn a_chain_whose_first_run_is_cancelled() {
    run(cancelled_chain(Default::default())).unwrap();
}

#[flow]
async fn stopped_chain(gate: crate::support::Gate) -> Result<()> {
    let mut last = held.submit(&gate);
    for _ in 1..DEEP {
        last = inc.submit(last);
    }
    Err(Bad::new("stop").into())
}

#[test]
fn a_chain_that_its_flow_stops() {
    assert_eq!(
        run(stopped_chain(Default::default()))
            .unwrap_err()
            .to_string(),
        "stop"
    );
}

#[flow]
async fn wide() -> Result<i64> {
    let top = inc.submit(0);
    let all: Vec<_> = (0..10_000).map(|x| add.submit(&top, x)).collect();
    let sums = [sum.submit(&all), sum.submit(&all[..100]), sum.submit(all)];
    sum.submit(sums).await
}

#[test]
fn ten_thousand_inputs() {
    let all = |end: i64| (0..end).map(|x| x + 1).sum::<i64>();
    assert_eq!(run(wide()).unwrap(), 2 * all(10_000) + all(100));
}

#[flow]
async fn fibonacci(n: usize) -> Result<i64> {
    let mut runs = vec![inc.submit(-1), inc.submit(0)];
    for at in 2..=n {
        runs.push(add.submit(&runs[at - 1], &runs[at - 2]));
    }
    runs.swap_remove(n).await
}

#[test]
fn diamonds_of_diamonds() {
    assert_eq!(run(fibonacci(90)).unwrap(), 2_880_067_194_370_816_120);
}

#[flow]
async fn the_same_twice() -> Result<i64> {
    let one = inc.submit(1);
    add.submit(&one, one.clone()).await
}

#[test]
fn one_run_for_two_parameters() {
    assert_eq!(run(the_same_twice()).unwrap(), 4);
}

#[flow]
async fn two_causes() -> Result<()> {
    let (one, two) = (fail.submit(), fail.submit());
    let error = add.submit(&one, &two).await.unwrap_err();
    let cause = error.root().run_name().unwrap().to_owned();
    let names = [one.await, two.await].map(|end| end.unwrap_err().run_name().unwrap().to_owned());
    assert!(names.contains(&cause), "{cause} of {names:?}");
    Ok(())
}

#[test]
fn of_two_causes_one_is_named() {
    run(two_causes()).unwrap();
}

#[flow]
async fn order_only() -> Result<()> {
    let (good, bad) = (inc.submit(1), fail.submit());
    let rows = inc.map(0..10);
    assert_eq!(inc.after(&good).after(&rows).submit(1).await?, 2);
    assert_eq!(
        inc.after((&good, rows.slice(2..4))).map(0..3).await?,
        [1, 2, 3]
    );
    // Direct calls wait too.
    assert_eq!(inc.after(&good)(1).await?, 2);
    assert_eq!(inc_async.after(&rows)(1).await?, 2);

    let stopped = inc.after(&bad).submit(1);
    assert_eq!(stopped.await.unwrap_err().root().to_string(), "the first");
    // Unless its failure is allowed.
    let lenient = inc.after((&good, allow_failure(&bad)));
    assert_eq!(lenient.submit(1).await?, 2);
    assert_eq!(lenient(1).await?, 2);
    assert_eq!(inc.after(allow_failure(&bad)).map(0..3).await?, [1, 2, 3]);
    let stopped = inc.after((&good, &bad)).map(0..3);
    assert!(stopped.wait(None).await);
    assert_eq!(stopped.states(), [StateName::NotReady; 3]);
    let error = inc.after(&bad)(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    let error = inc_async.after(&bad)(1).await.unwrap_err();
    assert_eq!(error.root().to_string(), "the first");
    Ok(())
}

#[test]
fn after_is_order_without_data() {
    run(order_only()).unwrap();
}
