//! Flows: their final states, subflows, many at once.

use std::sync::Arc;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};
use parking_lot::Mutex;

use crate::support::{Bad, Gate, Meter, in_time, run, until};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn positive(x: i64) -> Result<i64, Bad> {
    if x > 0 {
        Ok(x)
    } else {
        Err(Bad::new(format!("{x} is not positive")))
    }
}

#[task(local)]
async fn held(gate: &Gate) -> i64 {
    gate.passed().await;
    1
}

#[flow]
async fn gives_value(x: i64) -> i64 {
    // A failed run that nobody asks has no influence.
    drop(positive.submit(-x));
    x
}

#[flow]
async fn nothing() {}

#[flow]
async fn gives_one(x: i64) -> TaskFuture<i64> {
    positive.submit(x)
}

#[flow]
async fn gives_list(xs: Vec<i64>) -> Vec<TaskFuture<i64>> {
    xs.into_iter().map(|x| positive.submit(x)).collect()
}

#[flow]
async fn gives_tuple(x: i64, y: i64) -> (TaskFuture<i64>, State<i64>) {
    (positive.submit(x), positive(y).state().await)
}

#[flow]
async fn gives_rows(xs: Vec<i64>) -> Mapped<i64> {
    positive.map(xs)
}

#[flow]
async fn gives_mixed(x: i64) -> (i64, TaskFuture<i64>) {
    (x, positive.submit(x))
}

#[flow]
async fn by_hand(kind: String) -> State<i64> {
    match kind.as_str() {
        "completed" => State::completed(3, "enough"),
        "failed" => State::failed("no more"),
        _ => State::cancelled("not today"),
    }
}

#[flow]
async fn unfinished(x: i64) -> Vec<TaskFuture<i64>> {
    let failed = positive.submit(x);
    vec![inc.submit(&failed)]
}

#[flow]
async fn cancelled() -> Vec<TaskFuture<i64>> {
    let run = held.submit(Gate::default());
    run.cancel();
    vec![inc.submit(1), run, positive.submit(0)]
}

#[test]
fn plain_values_complete() {
    run(async {
        assert_eq!(gives_value(2).state().await.to_string(), "Completed()");
        assert_eq!(*gives_value(2).state().await.result().unwrap(), 2);
        assert_eq!(gives_value(2).await.unwrap(), 2);
        assert_eq!(nothing().state().await.to_string(), "Completed()");
        // Futures beside other things do not count.
        let state = gives_mixed(-1).state().await;
        assert_eq!(state.to_string(), "Completed()");
        assert!(gives_mixed(-1).await.unwrap().1.await.is_err());
    });
}

#[test]
fn one_future_decides() {
    run(async {
        let state = gives_one(1).state().await;
        assert_eq!(state.to_string(), r#"Completed("All states completed.")"#);
        assert_eq!(gives_one(1).await.unwrap().await.unwrap(), 1);
        let state = gives_one(-1).state().await;
        assert_eq!(state.to_string(), r#"Failed("1/1 states failed.")"#);
        // It raises the task's own error.
        let error = gives_one(-1).await.unwrap_err();
        assert_eq!(error.to_string(), "-1 is not positive");
        assert!(error.downcast_ref::<Bad>().is_some());
    });
}

#[test]
fn a_list_with_failures_is_a_value_and_a_failed_state() {
    run(async {
        let state = gives_list(vec![1, 2]).state().await;
        assert_eq!(state.to_string(), r#"Completed("All states completed.")"#);
        let state = gives_list(vec![1, -2, -3]).state().await;
        assert_eq!(state.to_string(), r#"Failed("2/3 states failed.")"#);
        assert_eq!(state.error().unwrap().to_string(), "-2 is not positive");
        let runs = gives_list(vec![1, -2]).await.unwrap();
        assert_eq!(*runs[0].result().await.unwrap(), 1);
        assert_eq!(runs[1].state().name(), StateName::Failed);

        let state = gives_list(vec![]).state().await;
        assert_eq!(state.to_string(), "Completed()");
    });
}

#[test]
fn a_map_counts_as_a_list() {
    run(async {
        let state = gives_rows(vec![1, -2, 3]).state().await;
        assert_eq!(state.to_string(), r#"Failed("1/3 states failed.")"#);
        let rows_of = gives_rows(vec![1, -2, 3]).await.unwrap();
        assert_eq!(rows_of.len(), Some(3));
        let state = gives_rows(vec![1, 3]).state().await;
        assert_eq!(state.message(), Some("All states completed."));
        assert_eq!(gives_rows(vec![1, 3]).await.unwrap().await.unwrap(), [1, 3]);
        assert!(gives_rows(vec![]).state().await.is_completed());
    });
}

#[test]
fn a_tuple_of_runs_counts_as_a_list() {
    run(async {
        let state = gives_tuple(1, 2).state().await;
        assert_eq!(state.message(), Some("All states completed."));
        let state = gives_tuple(1, -2).state().await;
        assert_eq!(state.to_string(), r#"Failed("1/2 states failed.")"#);
        let (future, state) = gives_tuple(-1, 2).await.unwrap();
        assert!(future.await.is_err());
        assert_eq!(*state.result().unwrap(), 2);
    });
}

#[test]
fn states_made_by_hand_are_the_flows() {
    run(async {
        let state = by_hand("completed".into()).state().await;
        assert_eq!(state.to_string(), r#"Completed("enough")"#);
        let given = by_hand("completed".into()).await.unwrap();
        assert_eq!(*given.result().unwrap(), 3);

        let state = by_hand("failed".into()).state().await;
        assert_eq!(state.to_string(), r#"Failed("no more")"#);
        let error = by_hand("failed".into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert_eq!(error.to_string(), "no more");

        let state = by_hand("cancelled".into()).state().await;
        assert_eq!(state.to_string(), r#"Cancelled("not today")"#);
        let error = by_hand("cancelled".into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    });
}

#[test]
fn unfinished_and_cancelled_runs_count_against_completion() {
    run(async {
        let state = unfinished(0).state().await;
        assert_eq!(state.to_string(), r#"Failed("1/1 states are not final.")"#);
        let state = cancelled().state().await;
        assert_eq!(state.to_string(), r#"Cancelled("1/3 states cancelled.")"#);
        assert_eq!(cancelled().await.unwrap().len(), 3);
    });
}

#[flow]
async fn child(x: i64) -> Result<i64> {
    let id = flowcore::run_info().unwrap().flow_run_id;
    let run = inc.submit(x);
    assert_eq!(run.clone().await?, x + 1);
    assert_eq!(flowcore::run_info().unwrap().flow_run_id, id);
    positive.submit(run).await
}

#[flow]
async fn parent() -> Result<i64> {
    let id = flowcore::run_info().unwrap().flow_run_id;
    assert_eq!(child(1).await?, 2);
    assert_eq!(flowcore::run_info().unwrap().flow_run_id, id);
    // A subflow's failure is a value as well.
    let error = child(-1).await.unwrap_err();
    assert_eq!(error.to_string(), "0 is not positive");
    assert!(child(-1).state().await.is_failed());
    let (one, two) = futures_util::future::join(child(10), child(20)).await;
    Ok(one? + two?)
}

#[test]
fn flows_in_flows() {
    assert_eq!(run(parent()).unwrap(), 32);
}

#[flow]
async fn passes_on() -> Result<i64> {
    child(-1).await
}

#[test]
fn a_subflows_error_keeps_its_first_cause() {
    let error = run(passes_on()).unwrap_err();
    assert!(error.downcast_ref::<Bad>().is_some());
    assert!(
        error.task_key().unwrap().ends_with("flows::positive"),
        "{error:?}"
    );
}

#[flow]
async fn uses_parents_runs(
    run: TaskFuture<i64>,
    failed: TaskFuture<i64>,
    rows: Mapped<i64>,
) -> Result<i64> {
    let one = inc.submit(&run);
    let ordered = inc.after((&run, &rows)).submit(10);
    let listed = sum.submit(&rows);
    let first = inc.submit(rows.get(0));
    let stopped = inc.submit(&failed);
    let error = stopped.result().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.root().to_string(), "-1 is not positive");
    let stopped = inc.after(&failed).submit(1);
    assert_eq!(stopped.await.unwrap_err().kind(), ErrorKind::NotReady);
    assert_eq!(or_zero.submit(allow_failure(&failed)).await?, 0);
    assert_eq!(add.map([1, 2], unmapped(&run)).await?, [2, 3]);
    // Columns are another matter, and the error says what to do.
    for refused in [inc.map(&rows), inc.map([&run, &run])] {
        let error = refused.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.contains("another flow run"), "{text}");
        assert!(text.contains("map over their values"), "{text}");
    }
    Ok(one.await? + ordered.await? + listed.await? + first.await?)
}

#[task]
fn sum(values: Vec<i64>) -> i64 {
    values.into_iter().sum()
}

#[task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task]
fn or_zero(x: Result<i64>) -> i64 {
    x.unwrap_or(0)
}

#[flow]
async fn gives_runs_away() -> Result<i64> {
    let gate = Gate::default();
    let run = held.submit(&gate);
    let rows = inc.after(&run).map(0..3);
    let failed = positive.after(&run).submit(-1);
    let given = uses_parents_runs(run, failed, rows);
    gate.open();
    given.await
}

#[test]
fn runs_of_the_parent_are_arguments_in_the_subflow() {
    assert_eq!(run(gives_runs_away()).unwrap(), 2 + 11 + 6 + 2);
}

#[flow]
async fn gives_out(x: i64) -> TaskFuture<i64> {
    inc.submit(x)
}

#[flow]
async fn takes_over() -> Result<i64> {
    // A run of a flow that has ended.
    let run = gives_out(1).await?;
    inc.after(&run).submit(run).await
}

#[test]
fn runs_of_a_flow_that_has_ended_are_arguments() {
    assert_eq!(run(takes_over()).unwrap(), 3);
}

#[flow]
async fn small(x: i64) -> Result<i64> {
    let rows = inc.map(0..x % 5);
    let last = sum.submit(rows);
    Ok(last.await? + inc(x).await?)
}

fn small_result(x: i64) -> i64 {
    (1..=x % 5).sum::<i64>() + x + 1
}

#[test]
fn a_thousand_flows_at_once() {
    run(async {
        let flows = futures_util::future::join_all((0..1000).map(&*small));
        for (x, end) in (0..).zip(flows.await) {
            assert_eq!(end.unwrap(), small_result(x));
        }
    });
}

#[test]
fn a_thousand_flows_with_runners_of_their_own() {
    run(async {
        let one = ThreadPoolTaskRunner::new().max_workers(1);
        let own = small.with_options(|o| o.task_runner(one));
        let flows = futures_util::future::join_all((0..1000).map(&*own));
        for (x, end) in (0..).zip(flows.await) {
            assert_eq!(end.unwrap(), small_result(x));
        }
    });
}

#[flow]
fn sync_child(x: i64) -> Result<i64> {
    inc.submit(x).block()
}

#[flow]
fn sync_parent(x: i64, gate: Gate, meter: Meter) -> Result<i64> {
    let _inside = meter.enter();
    gate.pass();
    sync_child(x).block()
}

#[test]
fn sync_flows_that_wait_for_their_subflows_leave_room_for_them() {
    let (gate, meter) = (Gate::default(), Meter::default());
    let given = (gate.clone(), meter.clone());
    let opener = std::thread::spawn(move || {
        // All of them are there before the first has its subflow.
        until(|| given.1.inside() == 600);
        given.0.open();
    });
    run(async move {
        let flows = (0..600).map(|x| sync_parent(x, gate.clone(), meter.clone()));
        let ends = futures_util::future::join_all(flows);
        for (x, end) in (0..).zip(ends.await) {
            assert_eq!(end.unwrap(), x + 1);
        }
    });
    opener.join().unwrap();
}

/// Neither `Clone` nor serializable: flows take anything.
struct Log(Mutex<Vec<i64>>);

#[flow]
async fn writes(log: &Log, x: i64) -> Result<()> {
    let value = inc.submit(x).await?;
    log.0.lock().push(value);
    Ok(())
}

#[flow]
fn writes_in_sync_code(log: &Arc<Mutex<Vec<i64>>>) -> Result<usize> {
    let value = inc.submit(4).block()?;
    log.lock().push(value);
    Ok(log.lock().len())
}

#[test]
fn flows_borrow_from_their_callers() {
    in_time(|| {
        let log = Log(Mutex::default());
        writes(&log, 1).block().unwrap();
        writes(&log, 2).block().unwrap();
        assert_eq!(*log.0.lock(), [2, 3]);
        let lines = Arc::new(Mutex::new(vec![]));
        assert_eq!(writes_in_sync_code(&lines).block().unwrap(), 1);
        assert_eq!(*lines.lock(), [5]);
    });
}

#[task]
async fn descend(depth: u32) -> Result<u32> {
    match depth.checked_sub(1) {
        Some(depth) => Ok(Box::pin(descend(depth)).await? + 1),
        None => Ok(0),
    }
}

#[flow]
async fn nested(depth: u32) -> Result<u32> {
    match depth.checked_sub(1) {
        Some(depth) => Ok(Box::pin(nested(depth)).await? + 1),
        None => Ok(descend(150).await? + 1),
    }
}

#[test]
fn calls_nest_deeper_than_a_stack() {
    run(async {
        assert_eq!(nested(150).await.unwrap(), 301);
    });
}
