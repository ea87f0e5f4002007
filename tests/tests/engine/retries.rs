//! Retries: how often, when, with which values, and when not.

use std::sync::Arc;
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName, StateType, run_info};

use crate::support::{Counter, Gate, Tracked, run, until};

fn attempt() -> u32 {
    run_info().expect("a task has a run").attempt
}

#[task(local, retries = 2)]
fn third_time(calls: Counter) -> Result<u32, String> {
    calls.add();
    match attempt() {
        3 => Ok(3),
        other => Err(format!("attempt {other}")),
    }
}

#[task(local, retries = 2, retry_delay = "2ms")]
async fn third_time_async(calls: Counter) -> Result<u32, String> {
    calls.add();
    tokio::task::yield_now().await;
    match attempt() {
        3 => Ok(3),
        other => Err(format!("attempt {other}")),
    }
}

#[task(local, retries = 1)]
fn never(calls: Counter) -> Result<i64, String> {
    calls.add();
    Err(format!("attempt {}", attempt()))
}

#[task(local, retries = 1)]
fn panics_once(calls: Counter) -> usize {
    assert!(calls.add() > 1, "not yet");
    calls.get()
}

#[task(local, retries = 1, timeout = "10ms")]
async fn slow_once(calls: Counter) -> usize {
    if calls.add() == 1 {
        std::future::pending::<()>().await;
    }
    calls.get()
}

#[task(local, retries = 1, retry_delay = "1h")]
fn tomorrow(calls: Counter) -> Result<i64, String> {
    calls.add();
    Err("not today".into())
}

#[task(local, retries = 3)]
fn stubborn(gate: Arc<Gate>, calls: Counter) -> Result<i64, String> {
    calls.add();
    gate.pass();
    Err("asked to stop".into())
}

#[task(local, retries = 1)]
fn takes(text: String, list: Vec<i64>, calls: Counter) -> Result<(String, Vec<i64>), String> {
    if calls.add() == 1 {
        return Err("again".into());
    }
    Ok((text, list))
}

#[task(local)]
fn eats(value: Tracked) -> usize {
    value.0.get()
}

#[task(local, retries = 1)]
fn looks(value: &Tracked, calls: Counter) -> Result<usize, String> {
    match calls.add() {
        1 => Err("again".into()),
        _ => Ok(value.0.get()),
    }
}

#[task(local, retries = 1)]
fn row_fails_once(x: i64, calls: &[Counter]) -> Result<(i64, u32), String> {
    if calls[x as usize].add() == 1 && x % 2 == 1 {
        return Err(format!("row {x}"));
    }
    Ok((x, attempt()))
}

#[test]
fn a_run_is_tried_again_until_it_completes() {
    #[flow]
    async fn flow() -> Result<()> {
        let calls = Counter::new();
        let run = third_time.submit(&calls);
        assert_eq!(*run.result().await?, 3);
        assert_eq!((calls.get(), run.run_count()), (3, 3));
        assert_eq!(run.state().to_string(), "Completed()");
        // On the pool, in place, and as an async run.
        let calls = Counter::new();
        assert_eq!(third_time(calls.clone()).await?, 3);
        assert_eq!(third_time_async(calls.clone()).await?, 3);
        assert_eq!(third_time_async.submit(&calls).await?, 3);
        assert_eq!(calls.get(), 9);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn after_the_last_attempt_its_error_stays() {
    #[flow]
    async fn flow() -> Result<()> {
        let calls = Counter::new();
        let run = never.submit(&calls);
        run.wait(None).await;
        assert_eq!((calls.get(), run.run_count()), (2, 2));
        assert_eq!(
            run.state().to_string(),
            r#"Failed("Task run encountered an exception Error: attempt 2")"#
        );
        let more = never.with_options(|o| o.retries(4));
        let calls = Counter::new();
        let error = more.submit(&calls).await.unwrap_err();
        assert_eq!((calls.get(), error.to_string()), (5, "attempt 5".into()));
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn panics_and_timeouts_are_tried_again() {
    #[flow]
    async fn flow() -> Result<()> {
        assert_eq!(panics_once.submit(Counter::new()).await?, 2);
        assert_eq!(panics_once(Counter::new()).await?, 2);
        assert_eq!(slow_once.submit(Counter::new()).await?, 2);
        assert_eq!(slow_once(Counter::new()).await?, 2);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_run_that_waits_for_its_retry_can_be_cancelled() {
    #[flow]
    async fn flow() -> Result<()> {
        let calls = Counter::new();
        let run = tomorrow.submit(&calls);
        until(|| run.state().name() == StateName::AwaitingRetry).await;
        assert_eq!(run.state().state_type(), StateType::Scheduled);
        assert_eq!(run.state().to_string(), "AwaitingRetry(type=SCHEDULED)");
        run.cancel();
        assert_eq!(run.state().name(), StateName::Cancelled);
        assert_eq!(run.await.unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(calls.get(), 1);
        // The flow does not wait for the hour.
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_flow_that_fails_does_not_wait_for_retries() {
    #[flow]
    async fn flow(calls: Counter) -> Result<()> {
        let run = tomorrow.submit(&calls);
        until(|| run.state().name() == StateName::AwaitingRetry).await;
        Err(Error::msg("enough"))
    }
    let calls = Counter::new();
    let seen = calls.clone();
    let error = run(async move { flow(calls).await.unwrap_err() });
    assert_eq!((error.to_string().as_str(), seen.get()), ("enough", 1));
}

#[test]
fn what_was_asked_to_stop_is_not_tried_again() {
    #[flow]
    async fn flow() -> Result<()> {
        let (gate, calls) = (Gate::new(), Counter::new());
        let run = stubborn.submit(&gate, &calls);
        gate.until_arrived(1);
        run.cancel();
        gate.open();
        run.wait(None).await;
        assert_eq!(calls.get(), 1);
        assert_eq!(run.state().name(), StateName::Cancelled);
        // A row of a map likewise.
        let (gate, calls) = (Gate::new(), Counter::new());
        let rows = stubborn.map([Arc::clone(&gate)], unmapped(&calls));
        gate.until_arrived(1);
        rows.cancel();
        gate.open();
        rows.wait(None).await;
        assert_eq!(calls.get(), 1);
        assert_eq!(rows.states(), [StateName::Cancelled]);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_flow_that_fails_lets_no_retry_begin() {
    #[flow]
    async fn flow(gate: Arc<Gate>, calls: Counter) -> Result<()> {
        let _run = stubborn.submit(&gate, &calls);
        let _rows = stubborn.map([Arc::clone(&gate)], unmapped(&calls));
        gate.until_arrived(2);
        std::thread::spawn(move || {
            // The flow has ended its runs when this opens, or is about to.
            std::thread::sleep(Duration::from_millis(20));
            gate.open();
        });
        Err(Error::msg("enough"))
    }
    let (gate, calls) = (Gate::new(), Counter::new());
    let seen = calls.clone();
    run(async move { flow(gate, calls).await.unwrap_err() });
    assert_eq!(seen.get(), 2);
}

#[test]
fn every_attempt_gets_its_own_values() {
    #[task]
    fn text() -> String {
        "made here".into()
    }
    #[flow]
    async fn flow() -> Result<()> {
        let list = vec![1, 2, 3];
        let (told, got) = takes.submit(text.submit(), list, Counter::new()).await?;
        assert_eq!((told.as_str(), got), ("made here", vec![1, 2, 3]));
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn what_cannot_be_copied_is_taken_or_borrowed_but_never_tried_again() {
    #[flow]
    async fn flow() -> Result<()> {
        assert_eq!(eats.submit(Tracked(Counter::new())).await?, 0);
        assert_eq!(
            looks
                .submit(Tracked(Counter::new()), Counter::new())
                .await?,
            0
        );
        let twice = eats.with_options(|o| o.retries(1));
        let run = twice.submit(Tracked(Counter::new()));
        let error = run.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(
            text.contains("`eats` has retries")
                && text.contains("`value`")
                && text.contains("derive `Clone`"),
            "{text}"
        );
        let rows = twice.map([Tracked(Counter::new())]);
        assert_eq!(rows.await.unwrap_err().kind(), ErrorKind::Invalid);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn only_the_rows_that_failed_are_tried_again() {
    #[flow]
    async fn flow() -> Result<()> {
        let calls: Vec<Counter> = (0..6).map(|_| Counter::new()).collect();
        let rows = row_fails_once.map(0..6, unmapped(calls.clone())).await?;
        assert_eq!(rows, [(0, 1), (1, 2), (2, 1), (3, 2), (4, 1), (5, 2)]);
        let counts: Vec<_> = calls.iter().map(Counter::get).collect();
        assert_eq!(counts, [1, 2, 1, 2, 1, 2]);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}
