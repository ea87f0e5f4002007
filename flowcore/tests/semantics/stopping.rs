//! Dropping, cancelling, failing half-way, and joining at the end.

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};
use futures_util::FutureExt as _;

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

#[task(local)]
fn blocked(gate: &Gate, meter: &Meter) -> i64 {
    let _inside = meter.enter();
    gate.pass();
    1
}

#[flow]
async fn waits_for_ever(gate: Gate, meter: Meter, kept: Kept<i64>) -> Result<i64> {
    let first = held.submit(&gate, &meter);
    let second = inc.submit(&first);
    let third = inc.submit(&second);
    kept.lock().extend([first, second.clone(), third.clone()]);
    until(|| meter.inside() == 1);
    third.await
}

#[test]
fn a_dropped_flow_cancels_its_runs() {
    let (meter, kept) = (Meter::default(), Kept::default());
    let (given, runs) = (meter.clone(), Kept::clone(&kept));
    run(async move {
        let mut flow = Box::pin(waits_for_ever(Gate::default(), given, runs));
        assert!(flow.as_mut().now_or_never().is_none());
        drop(flow);
    });
    until(|| kept.lock().iter().all(|run| run.state().is_settled()));
    assert_eq!(names(&kept), ["Cancelled"; 3]);
    assert_eq!((meter.inside(), meter.total()), (0, 1));
}

#[flow]
async fn parent(gate: Gate, meter: Meter, kept: Kept<i64>) -> Result<i64> {
    waits_for_ever(gate, meter, kept).await
}

#[test]
fn a_dropped_flow_drops_its_subflows() {
    let (meter, kept) = (Meter::default(), Kept::default());
    let (given, runs) = (meter.clone(), Kept::clone(&kept));
    run(async move {
        let mut flow = Box::pin(parent(Gate::default(), given, runs));
        assert!(flow.as_mut().now_or_never().is_none());
    });
    until(|| kept.lock().iter().all(|run| run.state().is_settled()));
    assert_eq!(names(&kept), ["Cancelled"; 3]);
}

#[test]
fn a_flow_that_is_never_awaited_never_begins() {
    let kept = Kept::default();
    drop(waits_for_ever(
        Gate::default(),
        Meter::default(),
        Kept::clone(&kept),
    ));
    assert!(kept.lock().is_empty());
}

#[task(local)]
fn blocked_owned(gate: Gate, meter: Meter) -> i64 {
    blocked.func(&gate, &meter)
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(2))]
async fn dropped_calls(gate: Gate, meter: Meter) -> Result<()> {
    // Async code ends where it waits.
    let mut call = Box::pin(held(&gate, &meter));
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!(meter.inside(), 1);
    drop(call);
    assert_eq!(meter.inside(), 0);

    // Sync code in the pool goes on; the flow waits for it.
    let mut call = Box::pin(blocked_owned(gate.clone(), meter.clone()));
    assert!(call.as_mut().now_or_never().is_none());
    until(|| meter.inside() == 1);
    drop(call);
    gate.open();
    Ok(())
}

#[test]
fn a_dropped_call_is_cancelled() {
    let meter = Meter::default();
    run(dropped_calls(Gate::default(), meter.clone())).unwrap();
    assert_eq!((meter.inside(), meter.total()), (0, 2));
}

#[flow]
async fn drops_handles(gate: Gate, meter: Meter) -> Result<()> {
    drop(held.submit(&gate, &meter));
    drop(held.map(vec![&gate; 10], unmapped(&meter)));
    until(|| meter.inside() == 11);
    gate.open();
    Ok(())
}

#[test]
fn a_dropped_handle_cancels_nothing_and_the_flow_joins() {
    let meter = Meter::default();
    run(drops_handles(Gate::default(), meter.clone())).unwrap();
    assert_eq!((meter.inside(), meter.total()), (0, 11));
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn fails_half_way(gate: Gate, meter: Meter, kept: Kept<i64>) -> Result<()> {
    let running = blocked.submit(&gate, &meter);
    until(|| meter.inside() == 1);
    let waiting = inc.submit(&running);
    let queued = inc.submit(5);
    let rows = inc.map(0..3);
    kept.lock().extend([running, waiting, queued]);
    kept.lock().extend(rows.iter()?);
    Err(Bad::new("half-way").into())
}

#[test]
fn an_error_cancels_what_is_queued_and_waits_for_what_runs() {
    let (gate, meter, kept) = (Gate::default(), Meter::default(), Kept::default());
    let given = (gate.clone(), meter.clone(), Kept::clone(&kept));
    let (sender, receiver) = std::sync::mpsc::channel();
    let flow = std::thread::spawn(move || {
        let end = run(fails_half_way(given.0, given.1, given.2));
        sender.send(()).unwrap();
        end
    });
    until(|| names(&kept).get(1..) == Some(&["Cancelled"; 5]));
    // The flow has not ended: something still runs.
    assert_eq!(meter.inside(), 1);
    assert!(receiver.try_recv().is_err());
    gate.open();
    assert_eq!(flow.join().unwrap().unwrap_err().to_string(), "half-way");
    assert_eq!(meter.inside(), 0);
    // It had completed before anyone could stop it.
    assert!(["Completed", "Cancelled"].contains(&names(&kept)[0]));
    let error = kept.lock()[1].state().error().cloned().unwrap();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[flow]
async fn panics_half_way(gate: Gate, meter: Meter, kept: Kept<i64>) -> Result<()> {
    let running = held.submit(&gate, &meter);
    until(|| meter.inside() == 1);
    kept.lock().extend([inc.submit(&running), running]);
    panic!("half-way")
}

#[test]
fn a_panic_cancels_what_was_submitted() {
    let (meter, kept) = (Meter::default(), Kept::default());
    let given = (meter.clone(), Kept::clone(&kept));
    let end = run(panics_half_way(Gate::default(), given.0, given.1));
    assert!(end.unwrap_err().to_string().contains("half-way"));
    assert_eq!(names(&kept), ["Cancelled"; 2]);
    assert_eq!(meter.inside(), 0);
}

/// Submits more, long after the flow's function has returned.
#[task(local)]
async fn spreads(depth: i64, meter: &Meter) {
    let _inside = meter.enter();
    tokio::task::yield_now().await;
    if depth > 0 {
        drop(spreads.submit(depth - 1, meter));
        drop(spreads.submit(depth - 1, meter));
    }
}

#[flow]
async fn returns_at_once(meter: Meter) -> Result<()> {
    drop(spreads.submit(9, &meter));
    Ok(())
}

#[test]
fn a_normal_return_joins_everything() {
    let meter = Meter::default();
    run(returns_at_once(meter.clone())).unwrap();
    assert_eq!((meter.inside(), meter.total()), (0, 1023));
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn cancels(gate: Gate, meter: Meter) -> Result<()> {
    // What has not started is Cancelled at once.
    let running = blocked.submit(&gate, &meter);
    until(|| meter.inside() == 1);
    let queued = inc.submit(1);
    let dependent = inc.submit(&queued);
    queued.cancel();
    assert_eq!(queued.state().name(), StateName::Cancelled);
    assert_eq!(dependent.state().name(), StateName::NotReady);
    assert_eq!(
        dependent.state().error().unwrap().root().kind(),
        ErrorKind::Cancelled
    );
    // Sync code ends by itself.
    running.cancel();
    assert_eq!(running.state().name(), StateName::Running);
    gate.open();
    assert!(running.wait(None).await);

    // Async code ends at its next await.
    let shut = Gate::default();
    let waiting = held.submit(&shut, &meter);
    until(|| meter.inside() == 1);
    waiting.cancel();
    assert_eq!(
        waiting.result().await.unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    assert_eq!(meter.inside(), 0);
    assert_eq!(waiting.state().message(), Some("Task run was cancelled."));

    // Twice, or too late, changes nothing.
    waiting.cancel();
    assert_eq!(waiting.state().name(), StateName::Cancelled);
    let done = inc.submit(1);
    assert_eq!(*done.result().await?, 2);
    done.cancel();
    assert_eq!(done.await?, 2);
    Ok(())
}

#[test]
fn cancelled_runs_stop() {
    run(cancels(Gate::default(), Meter::default())).unwrap();
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn cancels_rows(gate: Gate, meter: Meter) -> Result<()> {
    let open = Gate::default();
    open.open();
    let rows = blocked.map([&open, &gate, &open, &open], unmapped(&meter));
    let next = inc.map(&rows);
    until(|| meter.inside() == 1 && rows.get(0).state().is_settled());
    rows.get(2).cancel();
    assert_eq!(rows.get(2).state().name(), StateName::Cancelled);
    gate.open();
    assert!(next.wait(None).await);
    let wanted = [
        StateName::Completed,
        StateName::Completed,
        StateName::Cancelled,
        StateName::Completed,
    ];
    assert_eq!(rows.states(), wanted);
    assert_eq!(next.states()[2], StateName::NotReady);
    assert_eq!(meter.total(), 3);

    // The whole map, and a part of one.
    let shut = Gate::default();
    let rows = held.map(vec![&shut; 5], unmapped(&meter));
    rows.slice(1..3).cancel();
    rows.slice(1..3).wait(None).await;
    assert_eq!(rows.states()[1..3], [StateName::Cancelled; 2]);
    assert!(!rows.get(0).state().is_settled());
    rows.cancel();
    assert!(rows.wait(None).await);
    assert_eq!(rows.states(), [StateName::Cancelled; 5]);
    Ok(())
}

#[test]
fn cancelled_rows_stop() {
    run(cancels_rows(Gate::default(), Meter::default())).unwrap();
}

#[task(local)]
fn looks(gate: &Gate) -> bool {
    gate.open();
    until(|| flowcore::run_info().unwrap().is_cancelled);
    true
}

#[flow]
async fn asks_to_stop(kept: Kept<bool>) -> Result<()> {
    let started = Gate::default();
    let run = looks.submit(&started);
    kept.lock().push(run);
    started.passed().await;
    Err(Bad::new("stop").into())
}

#[test]
fn sync_code_sees_that_its_flow_stops() {
    let kept = Kept::default();
    let error = run(asks_to_stop(Kept::clone(&kept))).unwrap_err();
    assert_eq!(error.to_string(), "stop");
    assert!(kept.lock()[0].state().is_settled());
}

#[flow]
async fn gives_a_spawner(gate: Gate) -> tokio::task::JoinHandle<Result<i64>> {
    tokio::spawn(flowcore::in_current_run(async move {
        gate.passed().await;
        let rows = inc.map(0..3).await.unwrap_err();
        assert_eq!(rows.kind(), ErrorKind::Invalid);
        inc.submit(1).await
    }))
}

#[test]
fn submit_after_the_end_names_the_cure() {
    let gate = Gate::default();
    let error = run(async move {
        let late = gives_a_spawner(gate.clone()).await.unwrap();
        gate.open();
        late.await.unwrap().unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains("`inc.submit(..)` was called after its flow run"),
        "{text}"
    );
    assert!(text.contains("must await whatever submits tasks"), "{text}");
}

#[test]
fn submit_outside_of_flows_names_the_cure() {
    in_time(|| {
        let run = inc.submit(1);
        assert_eq!(run.id(), None);
        assert!(run.state().is_failed());
        run.cancel();
        let error = run.block().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.help(), Some("docs/errors/invalid-call.md"));
        let text = error.to_string();
        assert!(
            text.contains("`inc.submit(..)` was called outside a flow"),
            "{text}"
        );
        assert!(
            text.contains("`#[flow]`") && text.contains("`inc(..)`"),
            "{text}"
        );

        let rows = inc.map(0..3);
        assert_eq!((rows.len(), rows.states()), (None, vec![]));
        rows.cancel();
        assert!(pollster::block_on(rows.wait(None)));
        assert!(rows.iter().is_err());
        assert!(pollster::block_on(rows.length()).is_err());
        assert!(pollster::block_on(rows.clone().outcomes()).is_err());
        assert!(rows.get(0).block().is_err());
        let error = rows.block().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`inc.map(..)` was called outside"),
            "{error}"
        );
    });
}
