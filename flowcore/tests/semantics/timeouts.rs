//! Timeouts of async and sync code, of flows and rows.

use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};

use crate::support::{Gate, Kept, Meter, in_time, names, run, until};

#[task(local, timeout = "20ms")]
async fn waits(gate: &Gate, meter: &Meter) -> i64 {
    let _inside = meter.enter();
    gate.passed().await;
    1
}

#[task(local, timeout = "20ms")]
fn blocks(gate: &Gate, meter: &Meter) -> i64 {
    let _inside = meter.enter();
    gate.pass();
    1
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn async_runs(meter: Meter) -> Result<()> {
    let gate = Gate::default();
    let run = waits.submit(&gate, &meter);
    let error = run.result().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.help(), Some("docs/errors/timed-out.md"));
    assert_eq!(
        run.state().to_string(),
        r#"TimedOut("Task run exceeded timeout of 0.02 second(s)", type=FAILED)"#
    );
    assert!(run.state().is_failed());
    // It was dropped where it waited.
    assert_eq!((meter.inside(), meter.total()), (0, 1));

    let direct = waits(&gate, &meter).state().await;
    assert_eq!(direct.name(), StateName::TimedOut);
    let rows = waits.map([&gate, &gate], unmapped(&meter));
    assert_eq!(rows.await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!((meter.inside(), meter.total()), (0, 4));
    Ok(())
}

#[test]
fn async_code_is_dropped_where_it_waits() {
    run(async_runs(Meter::default())).unwrap();
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn sync_runs(gate: Gate, meter: Meter) -> Result<()> {
    let run = blocks.submit(&gate, &meter);
    let error = run.result().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    // The old call still runs, and the only thread is replaced.
    assert_eq!(meter.inside(), 1);
    assert_eq!(inc.submit(1).await?, 2);
    assert_eq!(inc.map(0..100).await?.len(), 100);
    assert_eq!(meter.inside(), 1);
    gate.open();
    until(|| meter.inside() == 0);
    // What it gave at last is thrown away.
    assert_eq!(run.state().name(), StateName::TimedOut);
    assert_eq!(inc.submit(1).await?, 2);
    Ok(())
}

#[test]
fn sync_code_is_left_behind_and_its_thread_replaced() {
    run(sync_runs(Gate::default(), Meter::default())).unwrap();
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(2))]
async fn many_left_behind(gate: Gate, meter: Meter) -> Result<()> {
    let rows = blocks.map(vec![&gate; 10], unmapped(&meter));
    assert!(rows.wait(None).await);
    assert_eq!(rows.states(), [StateName::TimedOut; 10]);
    assert_eq!(meter.inside(), 10);
    assert_eq!(inc.map(0..100).await?.len(), 100);
    gate.open();
    until(|| meter.inside() == 0);
    // Slots are what they were: two at once and no more.
    let after = Meter::default();
    let open = Gate::default();
    open.open();
    let brief = blocks.with_options(|o| o.timeout(Duration::from_secs(3600)));
    assert_eq!(
        brief.map(vec![&open; 200], unmapped(&after)).await?.len(),
        200
    );
    assert!(after.most() <= 2, "{} at once", after.most());
    Ok(())
}

#[test]
fn slots_come_back_when_late_calls_return() {
    run(many_left_behind(Gate::default(), Meter::default())).unwrap();
}

/// The first attempt is late, the second is not.
#[task(local, retries = 1, timeout = "20ms")]
fn late_once(gate: &Gate, meter: &Meter) -> u32 {
    let _inside = meter.enter();
    let run = flowcore::run_info().unwrap();
    if run.attempt == 1 {
        gate.pass();
        // The token is set for code that looks.
        assert!(flowcore::run_info().unwrap().is_cancelled);
    }
    run.attempt
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(2))]
async fn retry_waits_for_the_old_call(gate: Gate, meter: Meter) -> Result<()> {
    let quick = late_once.with_options(|o| o.timeout(Duration::from_secs(3600)));
    let run = late_once.submit(&gate, &meter);
    until(|| run.state().name() == StateName::AwaitingRetry);
    // There is a free slot, and still it does not start.
    for _ in 0..50 {
        assert_eq!(inc.submit(1).await?, 2);
        assert_eq!(meter.total(), 1);
        assert_eq!(run.state().name(), StateName::AwaitingRetry);
    }
    gate.open();
    assert!(run.wait(None).await);
    assert_eq!(meter.total(), 2);
    assert_eq!(meter.most(), 1);
    assert_eq!(run.run_count(), 2);
    drop(quick);
    Ok(())
}

#[test]
fn a_retry_starts_when_the_old_call_has_returned() {
    run(retry_waits_for_the_old_call(
        Gate::default(),
        Meter::default(),
    ))
    .unwrap();
}

#[task(local, timeout = "20ms")]
fn obeys(meter: &Meter) {
    let _inside = meter.enter();
    until(|| flowcore::run_info().unwrap().is_cancelled);
}

#[flow]
async fn obedient(meter: Meter) -> Result<()> {
    let error = obeys.submit(&meter).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    until(|| meter.inside() == 0);
    Ok(())
}

#[test]
fn sync_code_can_see_that_its_time_is_up() {
    run(obedient(Meter::default())).unwrap();
}

#[task(retries = 2, timeout = "10ms")]
async fn always_late() -> i64 {
    std::future::pending().await
}

#[flow]
async fn late_thrice() -> Result<()> {
    let run = always_late.submit();
    assert!(run.wait(None).await);
    assert_eq!(run.run_count(), 3);
    assert_eq!(run.state().name(), StateName::TimedOut);
    let after = inc.submit(&run).await.unwrap_err();
    assert_eq!(after.root().kind(), ErrorKind::TimedOut);
    Ok(())
}

#[test]
fn timeouts_are_tried_again() {
    run(late_thrice()).unwrap();
}

#[flow(timeout = "20ms")]
async fn late_flow(gate: Gate, kept: Kept<i64>) -> Result<i64> {
    let held = waits.with_options(|o| o.timeout(Duration::from_secs(3600)));
    let first = held.submit(&gate, Meter::default());
    kept.lock().push(inc.submit(&first));
    kept.lock().insert(0, first);
    gate.passed().await;
    Ok(1)
}

#[test]
fn a_late_flow_is_timed_out_and_its_runs_cancelled() {
    let kept = Kept::default();
    let given = Kept::clone(&kept);
    let state = run(async { late_flow(Gate::default(), given).state().await });
    assert_eq!(
        state.to_string(),
        r#"TimedOut("Flow run exceeded timeout of 0.02 second(s)", type=FAILED)"#
    );
    assert_eq!(state.error().unwrap().kind(), ErrorKind::TimedOut);
    assert_eq!(names(&kept), ["Cancelled", "Cancelled"]);
}

#[flow]
async fn passes_it_on() -> Result<i64> {
    waits(&Gate::default(), &Meter::default()).await
}

#[test]
fn a_flow_that_passes_it_on_has_timed_out_too() {
    let state = run(passes_it_on().state());
    assert_eq!(
        state.to_string(),
        r#"TimedOut("Flow run failed due to timeout: Error(\"Task run exceeded timeout of 0.02 second(s)\")", type=FAILED)"#
    );
    assert_eq!(state.error().unwrap().kind(), ErrorKind::TimedOut);
}

#[flow(timeout = "20ms")]
fn late_sync_flow(gate: Gate) -> i64 {
    gate.pass();
    1
}

#[test]
fn a_late_sync_flow_is_left_behind() {
    let gate = Gate::default();
    let given = gate.clone();
    let error = in_time(move || late_sync_flow(given).block()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    gate.open();
}

#[flow]
async fn in_time_flow() -> Result<i64> {
    let calm = waits.with_options(|o| o.timeout(Duration::from_secs(3600)));
    let gate = Gate::default();
    gate.open();
    let forever = calm.with_options(|o| o.timeout(Duration::MAX));
    Ok(calm.submit(&gate, Meter::default()).await?
        + forever.submit(&gate, Meter::default()).await?)
}

#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    assert_eq!(run(in_time_flow()).unwrap(), 2);
}

/// Stops as soon as it is told that its time is up.
#[task(local, timeout = "1ms")]
fn stops_at_once(row: i64) -> Result<i64> {
    let cancellation = flowcore::cancellation();
    while !cancellation.is_cancelled() {
        std::hint::spin_loop();
    }
    Ok(row)
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn stop_at_once() -> Vec<StateName> {
    let rows = stops_at_once.map(0..50);
    rows.wait(None).await;
    rows.states()
}

#[test]
fn code_that_returns_while_its_timeout_is_told_has_timed_out() {
    assert_eq!(
        run(stop_at_once().into_future()).unwrap(),
        [StateName::TimedOut; 50]
    );
}
