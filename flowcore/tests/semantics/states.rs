//! Names, types and messages of states, in Prefect's words.

use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName, StateType};

use crate::support::{Bad, Gate, run, until};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn fail(text: &str) -> Result<i64, Bad> {
    Err(Bad::new(text))
}

#[task(local)]
async fn held(gate: &Gate) -> i64 {
    gate.passed().await;
    1
}

#[task(local)]
async fn held_once(gate: &Gate) -> Result<i64, Bad> {
    if flowcore::run_info().unwrap().attempt == 1 {
        return Err(Bad::new("first"));
    }
    gate.passed().await;
    Ok(2)
}

#[task]
fn failed_by_hand() -> State<i64> {
    State::failed("by hand")
}

#[task]
async fn cancelled_by_hand() -> State<i64> {
    State::cancelled("no need")
}

#[task]
fn completed_by_hand(x: i64) -> State<i64> {
    State::completed(x, "enough")
}

#[flow]
async fn all_states() -> Result<()> {
    let good = inc.submit(1);
    assert!(good.wait(None).await);
    let state = good.state();
    assert_eq!(state.to_string(), "Completed()");
    assert_eq!(state.state_type(), StateType::Completed);
    assert_eq!(state.message(), None);
    assert!(state.is_completed() && state.is_settled() && !state.is_failed());
    assert!(state.error().is_none());
    assert_eq!(*state.result()?, 2);

    let failed = fail.submit("bad");
    assert!(failed.wait(None).await);
    let state = failed.state();
    assert_eq!(
        state.message(),
        Some("Task run encountered an exception Bad: bad")
    );
    assert_eq!(
        state.to_string(),
        r#"Failed("Task run encountered an exception Bad: bad")"#
    );
    assert!(state.is_failed() && state.is_settled() && !state.is_completed());
    assert_eq!(state.error().unwrap().to_string(), "bad");
    assert_eq!(state.result().unwrap_err().kind(), ErrorKind::Failed);

    let stopped = inc.submit(&failed);
    assert!(stopped.wait(None).await);
    let state = stopped.state();
    assert_eq!(state.name(), StateName::NotReady);
    assert_eq!(state.state_type(), StateType::Pending);
    assert!(state.is_settled() && !state.is_failed());
    let message = state.message().unwrap();
    assert!(message.contains("pstream task run 'fail-"), "{message}");
    assert!(
        message.contains("did not reach a 'COMPLETED' state"),
        "{message}"
    );
    assert!(state.to_string().ends_with(", type=PENDING)"), "{state}");
    assert_eq!(stopped.run_count(), 0);
    Ok(())
}

#[test]
fn ended_runs_speak_as_in_prefect() {
    run(all_states()).unwrap();
}

#[flow]
async fn watched(gate: Gate) -> Result<()> {
    let running = held.submit(&gate);
    let waiting = inc.submit(&running);
    until(|| running.state().name() == StateName::Running);
    assert_eq!(running.run_count(), 1);
    assert_eq!(running.state().to_string(), "Running()");
    assert_eq!(waiting.state().to_string(), "Pending()");
    assert_eq!(waiting.run_count(), 0);
    let open = waiting.state().result().unwrap_err();
    assert_eq!(open.kind(), ErrorKind::NotReady);
    assert!(open.to_string().contains("PENDING"), "{open}");
    assert!(!running.wait(Duration::from_millis(1)).await);
    gate.open();
    assert_eq!(waiting.await?, 2);
    assert_eq!(running.state().name(), StateName::Completed);
    Ok(())
}

#[test]
fn a_run_is_pending_then_running() {
    run(watched(Gate::default())).unwrap();
}

#[flow]
async fn watched_retry(gate: Gate) -> Result<()> {
    let late = held_once.with_options(|o| o.retries(1).retry_delay(Duration::from_secs(3600)));
    let waiting = late.submit(&gate);
    until(|| waiting.state().name() == StateName::AwaitingRetry);
    let state = waiting.state();
    assert_eq!(state.to_string(), "AwaitingRetry(type=SCHEDULED)");
    assert!(!state.is_settled());

    let now = held_once.with_options(|o| o.retries(1)).submit(&gate);
    until(|| now.state().name() == StateName::Retrying);
    assert_eq!(now.state().to_string(), "Retrying(type=RUNNING)");
    assert_eq!(now.run_count(), 2);

    // A run that waits for its time is cancelled at once.
    waiting.cancel();
    assert!(waiting.wait(None).await);
    assert_eq!(waiting.state().name(), StateName::Cancelled);
    assert_eq!(waiting.run_count(), 1);
    gate.open();
    assert_eq!(now.await?, 2);
    Ok(())
}

#[test]
fn a_retry_is_awaited_and_then_runs() {
    run(watched_retry(Gate::default())).unwrap();
}

#[flow]
async fn by_hand() -> Result<()> {
    let failed = failed_by_hand().state().await;
    assert_eq!(failed.to_string(), r#"Failed("by hand")"#);
    let error = failed_by_hand.submit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(error.to_string(), "by hand");

    let cancelled = cancelled_by_hand.submit();
    let error = cancelled.result().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(cancelled.state().to_string(), r#"Cancelled("no need")"#);
    // Whoever needs it cannot start.
    let stopped = inc.submit(cancelled);
    assert_eq!(stopped.await.unwrap_err().kind(), ErrorKind::NotReady);

    assert_eq!(completed_by_hand.submit(3).await?, 3);
    assert_eq!(completed_by_hand(4).await?, 4);
    assert_eq!(inc.map(completed_by_hand.map(0..3)).await?, [1, 2, 3]);

    // Failed by hand is tried again.
    let again = failed_by_hand.with_options(|o| o.retries(2)).submit();
    assert!(again.wait(None).await);
    assert_eq!(again.run_count(), 3);
    Ok(())
}

#[test]
fn a_task_may_return_a_state() {
    run(by_hand()).unwrap();
}

#[test]
fn a_call_outside_of_flows_has_a_state_too() {
    run(async {
        let state = inc(1).state().await;
        assert_eq!(state.to_string(), "Completed()");
        assert_eq!(*state.result().unwrap(), 2);
        let state = fail("alone").state().await;
        assert_eq!(
            state.message(),
            Some("Task run encountered an exception Bad: alone")
        );
    });
}

#[flow]
async fn never() -> Result<i64> {
    Err(Bad::new("broken").into())
}

#[test]
fn a_flow_that_gives_an_error_has_failed() {
    run(async {
        let state = never().state().await;
        assert_eq!(
            state.to_string(),
            r#"Failed("Flow run encountered an exception: Bad: broken")"#
        );
        let error = never().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert_eq!(error.to_string(), "broken");
        assert!(error.downcast_ref::<Bad>().is_some());
        assert!(error.task_key().unwrap().ends_with("states::never"));
        assert!(error.type_name().unwrap().ends_with("Bad"));
    });
}

#[test]
fn states_have_prefects_types() {
    let types = [
        (StateName::Pending, "PENDING", false),
        (StateName::NotReady, "PENDING", true),
        (StateName::Running, "RUNNING", false),
        (StateName::Retrying, "RUNNING", false),
        (StateName::AwaitingRetry, "SCHEDULED", false),
        (StateName::Completed, "COMPLETED", true),
        (StateName::Failed, "FAILED", true),
        (StateName::TimedOut, "FAILED", true),
        (StateName::Crashed, "CRASHED", true),
        (StateName::Cancelled, "CANCELLED", true),
    ];
    for (name, kind, is_settled) in types {
        assert_eq!(name.state_type().as_str(), kind, "{name}");
        assert_eq!(name.is_settled(), is_settled, "{name}");
    }
}

#[test]
fn states_tell_when_they_were_entered() {
    let before = jiff::Timestamp::now();
    let state = run(async { inc(1).state().await });
    let slack = Duration::from_secs(60);
    assert!(state.timestamp() >= before - slack);
    assert!(state.timestamp() <= jiff::Timestamp::now() + slack);
}
