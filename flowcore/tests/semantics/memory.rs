//! When values go: results with their last handle, arguments with their run.

use flowcore::prelude::*;

use crate::support::{Bad, Gate, Inside, Meter, run, until};

/// A value that is counted while it lives.
#[task(local)]
fn make(meter: &Meter, x: i64) -> Counted {
    Counted(meter.enter(), x)
}

#[derive(Debug)]
struct Counted(#[allow(dead_code, reason = "it counts")] Inside, i64);

#[task(local)]
fn read(value: &Counted) -> i64 {
    value.1
}

#[task(local)]
fn read_slowly(value: &Counted, gate: &Gate) -> i64 {
    gate.pass();
    value.1
}

#[task(local)]
fn take(value: Counted) -> i64 {
    value.1
}

#[task(local)]
fn fails_with(value: &Counted) -> Result<i64, Bad> {
    Err(Bad::new(format!("no {}", value.1)))
}

#[task(local)]
async fn held(gate: &Gate) -> i64 {
    gate.passed().await;
    1
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(2))]
async fn results(meter: Meter) -> Result<()> {
    // With the last handle.
    let run = make.submit(&meter, 1);
    assert!(run.wait(None).await);
    assert_eq!(meter.inside(), 1);
    let second = run.clone();
    drop(run);
    assert_eq!(meter.inside(), 1);
    drop(second);
    until(|| meter.inside() == 0);

    // A handle that went before the run.
    drop(make.submit(&meter, 1));
    until(|| meter.total() == 2 && meter.inside() == 0);

    // With the last dependent.
    let gate = Gate::default();
    let dependent = read_slowly.submit(make.submit(&meter, 1), &gate);
    until(|| meter.total() == 3);
    assert_eq!(meter.inside(), 1);
    gate.open();
    assert_eq!(dependent.await?, 1);
    until(|| meter.inside() == 0);

    // A state and a shared result hold it as well.
    let run = make.submit(&meter, 1);
    let shared = run.result().await?;
    let state = run.state();
    drop(run);
    drop(shared);
    assert_eq!(meter.inside(), 1);
    drop(state);
    until(|| meter.inside() == 0);

    // A value that is awaited is the caller's.
    let value = make.submit(&meter, 1).await?;
    assert_eq!(meter.inside(), 1);
    drop(value);
    assert_eq!(meter.inside(), 0);
    Ok(())
}

#[test]
fn a_result_goes_with_its_last_handle_and_dependent() {
    let meter = Meter::default();
    run(results(meter.clone())).unwrap();
    assert_eq!(meter.inside(), 0);
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(2))]
async fn chain(meter: Meter) -> Result<()> {
    // Of a long chain only a few values live at a time.
    let mut last = make.submit(&meter, 0);
    for _ in 0..1000 {
        last = pass.submit(last, &meter);
    }
    assert_eq!(last.await?.1, 1000);
    until(|| meter.inside() == 0);
    assert!(meter.most() < 20, "{} values at once", meter.most());
    Ok(())
}

#[task(local)]
fn pass(value: Counted, meter: &Meter) -> Counted {
    Counted(meter.enter(), value.1 + 1)
}

#[test]
fn a_chain_keeps_no_values_behind() {
    run(chain(Meter::default())).unwrap();
}

#[flow]
async fn map_results(meter: Meter) -> Result<()> {
    let values = make.map(unmapped(&meter), 0..1000);
    assert!(values.wait(None).await);
    assert_eq!(meter.inside(), 1000);
    let readers = read.map(&values);
    assert_eq!(readers.await?.len(), 1000);
    // One row's handle holds the map.
    let row = values.get(3);
    drop(values);
    assert_eq!(row.result().await?.1, 3);
    drop(row);
    until(|| meter.inside() == 0);

    // Nobody holds the first map but the second.
    let sums = take.map(make.map(unmapped(&meter), 0..1000));
    assert_eq!(sums.await?.len(), 1000);
    until(|| meter.inside() == 0);

    // Failed readers let go too.
    let failed = fails_with.map(make.map(unmapped(&meter), 0..100));
    assert!(failed.wait(None).await);
    until(|| meter.inside() == 0);
    drop(failed);

    // A future of a list as a column.
    let list = make_list.submit(&meter, 50);
    assert_eq!(take.map(list).await?.len(), 50);
    until(|| meter.inside() == 0);

    drop(make.map(unmapped(&meter), 0..100));
    let total = 1000 + 1000 + 100 + 50 + 100;
    until(|| meter.total() == total && meter.inside() == 0);
    Ok(())
}

#[task(local)]
fn make_list(meter: &Meter, rows: i64) -> Vec<Counted> {
    (0..rows).map(|x| Counted(meter.enter(), x)).collect()
}

#[test]
fn a_map_goes_with_its_last_handle_and_dependent() {
    let meter = Meter::default();
    run(map_results(meter.clone())).unwrap();
    assert_eq!(meter.inside(), 0);
}

#[flow]
async fn repeated(meter: Meter) -> Result<()> {
    for _ in 0..100 {
        let values = make.map(unmapped(&meter), 0..100);
        let passed = pass.map(values, unmapped(&meter));
        assert_eq!(count.submit(passed).await?, 100);
        until(|| meter.inside() == 0);
    }
    assert_eq!(meter.total(), 100 * 200);
    Ok(())
}

#[task(local)]
fn count(values: &[Counted]) -> usize {
    values.len()
}

#[test]
fn repeated_maps_leave_nothing_behind() {
    let meter = Meter::default();
    run(repeated(meter.clone())).unwrap();
    // Never more than the rows of two maps and their list.
    assert!(meter.most() <= 300, "{} values at once", meter.most());
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(2))]
async fn arguments(meter: Meter) -> Result<()> {
    let value = || Counted(meter.enter(), 1);
    // While a handle of the run is kept, its arguments go.
    let kept = [read.submit(value()), take.submit(value())];
    for run in &kept {
        assert!(run.wait(None).await);
    }
    until(|| meter.inside() == 0);
    let failed = fails_with.submit(value());
    assert!(failed.wait(None).await);
    until(|| meter.inside() == 0);
    let rows = read.map([value(), value()]);
    assert!(rows.wait(None).await);
    until(|| meter.inside() == 0);
    let rows = take.map([value(), value()]);
    assert!(rows.wait(None).await);
    until(|| meter.inside() == 0);

    // Runs that never start.
    let gate = Gate::default();
    let upstream = held.submit(&gate);
    let cancelled = read.after(&upstream).submit(value());
    let stopped = read.after(&cancelled).submit(value());
    let stopped_rows = read.after(&cancelled).map([value(), value()]);
    assert_eq!(meter.inside(), 4);
    cancelled.cancel();
    assert!(stopped.wait(None).await && stopped_rows.wait(None).await);
    until(|| meter.inside() == 0);
    gate.open();

    // Refused calls.
    let refused = read2.map([value(), value()], [1, 2, 3]);
    assert!(refused.wait(None).await);
    assert_eq!(meter.inside(), 0);

    // A call that is never awaited.
    drop(take(value()));
    assert_eq!(meter.inside(), 0);

    // The handles are still good.
    let [one, two] = kept;
    assert_eq!(one.await? + two.await?, 2);
    Ok(())
}

#[task(local)]
fn read2(value: &Counted, x: i64) -> i64 {
    value.1 + x
}

#[test]
fn arguments_go_when_the_run_has_settled() {
    let meter = Meter::default();
    run(arguments(meter.clone())).unwrap();
    assert_eq!(meter.inside(), 0);
}

#[flow]
async fn leaves_handles(meter: Meter) -> Result<(TaskFuture<Counted>, Mapped<Counted>)> {
    drop(read.submit(make.submit(&meter, 1)));
    Ok((make.submit(&meter, 2), make.map(unmapped(&meter), 0..3)))
}

#[flow]
async fn leaves_nothing(meter: Meter) -> Result<()> {
    let kept = make.submit(&meter, 1);
    let rows = make.map(unmapped(&meter), 0..10);
    drop(read.map(&rows));
    drop(read.submit(&kept));
    Err(Bad::new("all is lost").into())
}

#[test]
fn nothing_is_left_of_a_flow() {
    let meter = Meter::default();
    let given = meter.clone();
    let (one, rows) = run(async move { leaves_handles(given).await.unwrap() });
    // Values outlive their flow with their handles.
    assert_eq!(meter.inside(), 4);
    assert_eq!(pollster::block_on(one).unwrap().1, 2);
    assert_eq!(rows.block().unwrap().len(), 3);
    assert_eq!(meter.inside(), 0);

    run(leaves_nothing(meter.clone())).unwrap_err();
    until(|| meter.inside() == 0);
}
