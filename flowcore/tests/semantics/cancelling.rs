//! Flow runs that are started and cancelled from outside, code that is asked
//! to stop, handles that cancel when they go.

use std::sync::Arc;
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, FlowHandle, Settles, StateName, StateType};
use parking_lot::Mutex;

use crate::support::{Bad, Gate, Kept, Meter, in_time, names, run, until};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task(local)]
async fn held(gate: &Gate, meter: &Meter) -> i64 {
    let _inside = meter.enter();
    gate.passed().await;
    1
}

/// Sync code that looks whether it shall stop.
#[task(local)]
fn busy(meter: &Meter) -> Result<i64> {
    let _inside = meter.enter();
    let cancellation = flowcore::cancellation();
    loop {
        cancellation.check()?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[flow(flow_run_name = "held-up")]
async fn holds(gate: Gate, meter: Meter, kept: Kept<i64>) -> Result<i64> {
    let first = held.submit(&gate, &meter);
    let second = inc.submit(&first);
    kept.lock().extend([first, second.clone()]);
    second.await
}

/// Waits in sync code until the future is there.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

#[test]
fn a_started_flow_goes_on_by_itself() {
    in_time(|| {
        let (gate, meter, kept) = (Gate::default(), Meter::default(), Kept::default());
        let mut flow = holds.start(gate.clone(), meter.clone(), Kept::clone(&kept));
        until(|| meter.inside() == 1);
        assert_eq!(flow.name(), "held-up");
        assert_eq!(flow.state().name(), StateName::Running);
        assert!(!wait_for(flow.wait(Duration::from_millis(10))));
        let text = format!("{flow:?}");
        assert_eq!(text, "FlowHandle(held-up Running())");
        gate.open();
        assert!(wait_for(flow.wait(None)));
        assert!(flow.state().is_completed());
        assert_eq!(wait_for(&mut flow).unwrap(), 2);
        // It has ended: nothing changes any more.
        flow.cancel();
        assert!(flow.state().is_completed());

        // A flow run has the id that its code sees.
        let flow = tells_its_id.start();
        let id = flow.id();
        assert_eq!(flow.block().unwrap(), id.to_string());
        let failed = fails.start("no".to_owned());
        assert!(wait_for(failed.wait(None)));
        assert!(failed.state().is_failed());
        assert_eq!(failed.block().unwrap_err().to_string(), "no");
        // Nobody holds the handle: it goes on all the same.
        let (gate, meter, kept) = (Gate::default(), Meter::default(), Kept::default());
        drop(holds.start(gate.clone(), meter.clone(), Kept::clone(&kept)));
        until(|| meter.inside() == 1);
        gate.open();
        until(|| names(&kept) == ["Completed"; 2]);
    });
}

#[flow]
async fn tells_its_id() -> String {
    flowcore::run_info().unwrap().flow_run_id.to_string()
}

#[flow]
async fn fails(text: String) -> Result<i64> {
    Err(Bad::new(text).into())
}

#[test]
fn a_cancelled_flow_ends_with_its_runs() {
    in_time(|| {
        let (meter, kept) = (Meter::default(), Kept::default());
        let flow = holds.start(Gate::default(), meter.clone(), Kept::clone(&kept));
        until(|| meter.inside() == 1 && kept.lock().len() == 2);
        flow.cancel();
        // What had not started is Cancelled before `cancel` returns.
        assert_eq!(names(&kept)[1], "Cancelled");
        assert!(wait_for(flow.wait(None)));
        assert_eq!(names(&kept), ["Cancelled"; 2]);
        assert_eq!(meter.inside(), 0);
        let state = flow.state();
        assert_eq!(state.state_type(), StateType::Cancelled);
        let message = "Flow run was cancelled successfully.";
        assert_eq!(state.message(), Some(message));
        let error = flow.block().unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Cancelled, message)
        );
        assert_eq!(error.run_name(), Some("held-up"));
    });
}

#[flow]
async fn uses_a_run_of_another(upstream: TaskFuture<i64>) -> Result<i64> {
    inc.submit(upstream).await
}

#[test]
fn dependents_in_other_flows_are_not_ready() {
    in_time(|| {
        let (meter, kept) = (Meter::default(), Kept::default());
        let flow = holds.start(Gate::default(), meter.clone(), Kept::clone(&kept));
        until(|| meter.inside() == 1 && kept.lock().len() == 2);
        let upstream = kept.lock()[0].clone();
        let other = uses_a_run_of_another.start(upstream);
        flow.cancel();
        let error = other.block().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotReady);
        assert_eq!(error.root().kind(), ErrorKind::Cancelled);
    });
}

#[flow]
async fn keeps_a_sync_task_busy(meter: Meter, kept: Kept<i64>) -> Result<i64> {
    let run = busy.submit(&meter);
    kept.lock().push(run.clone());
    run.await
}

#[test]
fn a_flow_waits_for_sync_code_that_was_asked_to_stop() {
    in_time(|| {
        let (meter, kept) = (Meter::default(), Kept::default());
        let flow = keeps_a_sync_task_busy.start(meter.clone(), Kept::clone(&kept));
        until(|| meter.inside() == 1);
        flow.cancel();
        assert!(matches!(
            flow.state().name(),
            StateName::Cancelling | StateName::Cancelled
        ));
        assert!(wait_for(flow.wait(None)));
        assert_eq!((meter.inside(), names(&kept)), (0, vec!["Cancelled"]));
    });
}

/// A flow whose code is sync: it ends where it waits.
#[flow]
fn blocks(gate: Gate, meter: Meter, late: Arc<Mutex<Option<TaskFuture<i64>>>>) -> Result<i64> {
    let value = held.submit(&gate, &meter).block();
    // Whatever comes after that is Cancelled too, and never begins.
    *late.lock() = Some(held.submit(&gate, &meter));
    value
}

#[test]
fn sync_flows_end_where_they_wait() {
    in_time(|| {
        let meter = Meter::default();
        let late: Arc<Mutex<Option<TaskFuture<i64>>>> = Arc::default();
        let flow = blocks.start(Gate::default(), meter.clone(), Arc::clone(&late));
        until(|| meter.inside() == 1);
        flow.cancel();
        assert_eq!(flow.block().unwrap_err().kind(), ErrorKind::Cancelled);
        let state = late.lock().take().unwrap().state();
        assert_eq!(state.name(), StateName::Cancelled);
        assert_eq!(state.message(), Some("Flow run was cancelled."));
        assert_eq!((meter.inside(), meter.total()), (0, 1));
    });
}

#[flow]
async fn calls_a_subflow(gate: Gate, meter: Meter, kept: Kept<i64>) -> Result<i64> {
    holds(gate, meter, kept).await
}

#[flow]
fn blocks_on_a_subflow(gate: Gate, meter: Meter, kept: Kept<i64>) -> Result<i64> {
    holds(gate, meter, kept).block()
}

#[flow]
async fn starts_a_subflow(gate: Gate, meter: Meter, kept: Kept<i64>) -> Result<i64> {
    // Nobody waits for it but the flow itself.
    drop(holds.start(gate, meter, kept));
    Ok(0)
}

#[task(local)]
fn runs_a_flow(gate: &Gate, meter: &Meter, kept: &Kept<i64>) -> Result<i64> {
    holds(gate.clone(), meter.clone(), Kept::clone(kept)).block()
}

#[flow]
async fn submits_a_task_that_runs_a_flow(gate: Gate, meter: Meter, kept: Kept<i64>) -> Result<i64> {
    runs_a_flow.submit(&gate, &meter, &kept).await
}

#[test]
fn subflows_are_cancelled_with_their_parents() {
    in_time(|| {
        type Start = fn(Gate, Meter, Kept<i64>) -> FlowHandle<i64>;
        let starts: [Start; 4] = [
            |gate, meter, kept| calls_a_subflow.start(gate, meter, kept),
            |gate, meter, kept| blocks_on_a_subflow.start(gate, meter, kept),
            |gate, meter, kept| starts_a_subflow.start(gate, meter, kept),
            |gate, meter, kept| submits_a_task_that_runs_a_flow.start(gate, meter, kept),
        ];
        for start in starts {
            let (meter, kept) = (Meter::default(), Kept::default());
            let flow = start(Gate::default(), meter.clone(), Kept::clone(&kept));
            until(|| meter.inside() == 1);
            flow.cancel();
            assert!(wait_for(flow.wait(None)));
            // The parent ends when all of the subflow has.
            assert_eq!((meter.inside(), names(&kept)), (0, vec!["Cancelled"; 2]));
            assert_eq!(flow.state().name(), StateName::Cancelled);
        }
    });
}

#[flow]
async fn goes_on_without(gate: Gate, meter: Meter, handled: Meter) -> i64 {
    let first = held.submit(&gate, &meter);
    let queued = inc.after(&first).submit(1);
    match queued.await {
        Ok(value) => value,
        Err(_) => {
            let _inside = handled.enter();
            0
        }
    }
}

#[flow]
async fn calls_what_goes_on_without(gate: Gate, meter: Meter, handled: Meter) -> i64 {
    goes_on_without(gate, meter, handled).await.unwrap_or(0)
}

/// Runs that were stopped with their flow end with errors; nobody goes on with
/// those.
#[test]
fn code_that_handles_errors_does_not_go_on_when_its_flow_is_cancelled() {
    in_time(|| {
        type Start = fn(Gate, Meter, Meter) -> FlowHandle<i64>;
        let starts: [Start; 2] = [
            |gate, meter, handled| goes_on_without.start(gate, meter, handled),
            |gate, meter, handled| calls_what_goes_on_without.start(gate, meter, handled),
        ];
        for start in starts.repeat(100) {
            let (meter, handled) = (Meter::default(), Meter::default());
            let flow = start(Gate::default(), meter.clone(), handled.clone());
            until(|| meter.inside() == 1);
            flow.cancel();
            assert!(wait_for(flow.wait(None)));
            assert_eq!(flow.state().name(), StateName::Cancelled);
            assert_eq!(handled.total(), 0);
        }
    });
}

#[flow]
async fn returns_and_is_joined(gate: Gate, meter: Meter) -> Result<i64> {
    drop(held.submit(&gate, &meter));
    Ok(7)
}

#[test]
fn a_flow_that_only_waits_for_its_runs_is_cancelled_too() {
    in_time(|| {
        let meter = Meter::default();
        let flow = returns_and_is_joined.start(Gate::default(), meter.clone());
        until(|| meter.inside() == 1);
        flow.cancel();
        assert_eq!(flow.block().unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(meter.inside(), 0);
    });
}

#[test]
fn a_flow_can_be_cancelled_before_it_begins() {
    in_time(|| {
        for _ in 0..100 {
            let (meter, kept) = (Meter::default(), Kept::default());
            let flow = holds.start(Gate::default(), meter.clone(), kept);
            flow.cancel();
            assert!(wait_for(flow.wait(None)));
            assert_eq!(flow.state().name(), StateName::Cancelled);
            assert_eq!(meter.inside(), 0);
        }
    });
}

#[flow]
async fn cancels_rows(meter: Meter) -> Result<()> {
    let rows = busy.map(vec![&meter; 2]);
    let next = inc.map(&rows);
    until(|| rows.states() == [StateName::Running; 2]);
    rows.get(1).cancel();
    assert!(rows.get(1).wait(None).await);
    assert_eq!(rows.states(), [StateName::Running, StateName::Cancelled]);
    assert_eq!(
        rows.get(1).state().message(),
        Some("Task run was cancelled.")
    );
    assert_eq!(next.states()[1], StateName::NotReady);
    rows.cancel();
    assert!(next.wait(None).await);
    assert_eq!(rows.states(), [StateName::Cancelled; 2]);
    Ok(())
}

#[test]
fn rows_of_sync_code_see_that_they_shall_stop() {
    // A thread for each row, whatever the machine has.
    let flow =
        cancels_rows.with_options(|o| o.task_runner(ThreadPoolTaskRunner::new().max_workers(2)));
    run(async move { flow(Meter::default()).await }).unwrap();
}

/// Waits in sync code for what async code does.
#[task(local)]
fn waits_for_the_token(meter: &Meter) -> Result<i64> {
    let _inside = meter.enter();
    let cancellation = flowcore::cancellation();
    assert!(!cancellation.is_cancelled());
    // The token goes to other threads.
    let other = cancellation.clone();
    let thread = std::thread::spawn(move || wait_for(other.cancelled()));
    thread.join().unwrap();
    assert!(cancellation.is_cancelled());
    assert_eq!(
        cancellation.check().unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    cancellation.check()?;
    unreachable!("it was cancelled")
}

#[flow]
async fn cancels_waiting_code(meter: Meter) -> Result<()> {
    let single = waits_for_the_token.submit(&meter);
    until(|| meter.inside() == 1);
    single.cancel();
    assert_eq!(single.await.unwrap_err().kind(), ErrorKind::Cancelled);
    let rows = waits_for_the_token.map([&meter]);
    until(|| meter.inside() == 1);
    rows.cancel();
    let error = rows.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    // In time or not at all, a token is no reason to fail.
    let late = waits_for_the_token.with_options(|o| o.timeout(Duration::from_millis(10)));
    assert_eq!(
        late.submit(&meter).await.unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    until(|| meter.inside() == 0);
    Ok(())
}

#[test]
fn a_token_can_be_waited_for() {
    run(cancels_waiting_code(Meter::default())).unwrap();
    // Outside of runs nobody asks.
    let cancellation = flowcore::cancellation();
    assert!(!cancellation.is_cancelled() && cancellation.check().is_ok());
    assert_eq!(format!("{cancellation:?}"), "Cancellation(false)");
}

/// Sync code that waits for another run.
#[task(local)]
fn waits_for_another(
    gate: &Gate,
    meter: &Meter,
    errors: &Arc<Mutex<Vec<ErrorKind>>>,
) -> Result<i64> {
    let mine = Meter::default();
    let _inside = meter.enter();
    let other = held.submit(gate, &mine);
    let value = other.block();
    errors
        .lock()
        .extend(value.as_ref().err().map(flowcore::Error::kind));
    value
}

#[flow]
async fn cancels_a_waiting_task(gate: Gate, meter: Meter) -> Result<()> {
    let errors: Arc<Mutex<Vec<ErrorKind>>> = Arc::default();
    let run = waits_for_another.submit(&gate, &meter, &errors);
    until(|| meter.inside() == 1);
    run.cancel();
    assert_eq!(run.await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(*errors.lock(), [ErrorKind::Cancelled]);
    // The run that it waited for is the flow's, and goes on.
    gate.open();
    Ok(())
}

#[test]
fn sync_code_ends_where_it_blocks() {
    run(cancels_a_waiting_task(Gate::default(), Meter::default())).unwrap();
}

#[flow]
async fn drops_guards(gate: Gate, meter: Meter) -> Result<()> {
    let guard = held.submit(&gate, &meter).cancel_on_drop();
    until(|| meter.inside() == 1);
    let run = guard.clone();
    assert_eq!(guard.id(), run.id());
    drop(guard);
    assert_eq!(run.await.unwrap_err().kind(), ErrorKind::Cancelled);

    let guard = held.map(vec![&gate; 3], unmapped(&meter)).cancel_on_drop();
    until(|| meter.inside() == 3);
    let rows = guard.clone();
    drop(guard);
    assert!(rows.wait(None).await);
    assert_eq!(rows.states(), [StateName::Cancelled; 3]);

    // A subflow, and code that was spawned: the flow does not wait for either.
    let kept = Kept::default();
    let flow = holds
        .start(gate.clone(), meter.clone(), Kept::clone(&kept))
        .cancel_on_drop();
    let spawned = flowcore::spawn(std::future::pending::<()>()).cancel_on_drop();
    until(|| meter.inside() == 1);
    drop((flow, spawned));
    let runs = kept.lock().clone();
    assert!(flowcore::wait(runs, None).await.1.is_empty());
    assert_eq!(names(&kept), ["Cancelled"; 2]);

    // Kept, or awaited, it cancels nothing.
    let kept = held.submit(&gate, &meter).cancel_on_drop().keep();
    let awaited = held.submit(&gate, &meter).cancel_on_drop();
    gate.open();
    assert_eq!((kept.await?, awaited.await?), (1, 1));
    Ok(())
}

#[test]
fn guards_cancel_when_they_go() {
    run(drops_guards(Gate::default(), Meter::default())).unwrap();
}

#[flow]
async fn waits_for_flows(gate: Gate) -> Result<()> {
    let (meter, kept) = (Meter::default(), Kept::default());
    let flows = [
        holds.start(gate.clone(), meter.clone(), Kept::clone(&kept)),
        tells_two.start(),
    ];
    let text = tells_its_id.start();
    let all: [&dyn Settles; 3] = [&flows[0], &text, &flows[1]];
    flows[1].wait(None).await;
    text.wait(None).await;
    let (done, not_done) = flowcore::wait(all, Duration::from_millis(10)).await;
    assert_eq!((done.len(), not_done.len()), (2, 1));
    gate.open();
    let mut settled = flowcore::as_completed(flows, None);
    let mut sum = 0;
    while let Some(flow) = settled.next().await {
        sum += flow?.await?;
    }
    assert_eq!(sum, 4);
    Ok(())
}

#[flow]
async fn tells_two() -> Result<i64> {
    Ok(2)
}

#[test]
fn flows_are_waited_for_like_runs() {
    run(waits_for_flows(Gate::default())).unwrap();
}

#[flow]
fn borrows(text: &str, gate: &Gate) -> usize {
    gate.pass();
    text.len()
}

#[test]
fn a_started_flow_with_loans_blocks_nobody() {
    in_time(|| {
        let gate: &'static Gate = Box::leak(Box::default());
        let flows: Vec<_> = (0..64).map(|_| borrows.start("four", gate)).collect();
        // Whoever polls async code is still at work.
        assert_eq!(tells_two.start().block().unwrap(), 2);
        gate.open();
        for flow in flows {
            assert_eq!(flow.block().unwrap(), 4);
        }
    });
}

/// Waits for flows that need the only slot.
#[task]
async fn starts_below(depth: i64) -> Result<i64> {
    match depth {
        0 => Ok(0),
        _ => Ok(below.start(depth - 1).await? + 1),
    }
}

#[task]
fn starts_below_in_sync_code(depth: i64) -> Result<i64> {
    match depth {
        0 => Ok(0),
        _ => Ok(below.start(depth - 1).block()? + 1),
    }
}

static ONE_THREAD: std::sync::LazyLock<ThreadPoolTaskRunner> =
    std::sync::LazyLock::new(|| ThreadPoolTaskRunner::new().max_workers(1));

#[flow(task_runner = ONE_THREAD.clone())]
async fn below(depth: i64) -> Result<i64> {
    match depth % 2 {
        0 => starts_below.submit(depth).await,
        _ => starts_below_in_sync_code.submit(depth).await,
    }
}

#[test]
fn tasks_that_wait_for_started_flows_leave_room_for_them() {
    run(async { assert_eq!(below(20).await.unwrap(), 20) });
}

#[flow]
async fn cancels_a_map_and_a_row(gate: Gate) -> Result<()> {
    let meter = Meter::default();
    let whole = held.map(vec![gate.clone(); 3], unmapped(meter.clone()));
    let after_whole = inc.after(&whole).submit(1);
    whole.cancel();
    let text = after_whole.await.unwrap_err().to_string();
    assert!(
        text.starts_with("upstream task run 'held-") || text.contains("of 'held'"),
        "{text}"
    );

    // One that waits for a run that never ends has not begun.
    let never = held.submit(&gate, &meter);
    let row = inc.after(&never).map([1, 2]).get(1);
    let after_row = inc.submit(&row);
    row.cancel();
    let text = after_row.await.unwrap_err().to_string();
    assert!(text.starts_with("upstream task run 'inc-"), "{text}");
    gate.open();
    Ok(())
}

#[test]
fn who_waited_for_a_cancelled_run_is_told_its_name() {
    run(cancels_a_map_and_a_row(Gate::default())).unwrap();
}

#[flow(persist_result, result_store = "memory://resumed-too-early")]
async fn takes_long(gate: Gate) -> i64 {
    gate.passed().await;
    1
}

#[test]
fn a_flow_run_that_runs_is_not_resumed() {
    run(async {
        let gate = Gate::default();
        let first = takes_long.start(gate.clone());
        until(|| first.state().name() == StateName::Running);
        let again = takes_long.resume(first.id())(gate.clone());
        let error = again.await.unwrap_err().to_string();
        assert!(error.contains("resume it when it has ended"), "{error}");
        // It is not the first one's end.
        assert!(!first.state().is_settled());
        gate.open();
        assert_eq!(first.await.unwrap(), 1);
    });
}
