//! Code that is spawned beside a flow's runs.

use flowcore::ErrorKind;
use flowcore::prelude::*;

use crate::support::{Bad, Gate, Meter, run, until};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn spawns(gate: Gate, meter: Meter) -> Result<i64> {
    // Nobody awaits it, and yet it may submit, and its runs may spawn.
    let given = (gate.clone(), meter.clone());
    drop(flowcore::spawn(async move {
        let (gate, meter) = given;
        gate.passed().await;
        let value = inc.submit(1).await.unwrap();
        let _inside = meter.enter();
        drop(flowcore::spawn(async move {
            let name = flowcore::run_info().unwrap().flow_run_name;
            assert_eq!(name.as_deref(), Some("spawner"));
            let _inside = meter.enter();
            assert_eq!(inc.submit(value).await.unwrap(), 3);
        }));
    }));
    drop(flowcore::spawn(async move { gate.open() }));
    let value = flowcore::spawn(async { inc.submit(6).await });
    value.await?
}

#[test]
fn a_flow_waits_for_what_was_spawned() {
    let meter = Meter::default();
    let given = meter.clone();
    let flow = spawns.with_options(|o| o.flow_run_name("spawner"));
    let value = run(async move { flow(Gate::default(), given).await });
    assert_eq!(value.unwrap(), 7);
    assert_eq!((meter.inside(), meter.total()), (0, 2));
}

#[flow]
async fn fails_beside_it(gate: Gate, meter: Meter) -> Result<()> {
    let given = meter.clone();
    drop(flowcore::spawn(async move {
        let _inside = given.enter();
        gate.passed().await;
    }));
    until(|| meter.inside() == 1);
    Err(Bad::new("over").into())
}

#[test]
fn a_flow_that_fails_ends_what_was_spawned() {
    let meter = Meter::default();
    let error = run(fails_beside_it(Gate::default(), meter.clone())).unwrap_err();
    assert_eq!(error.to_string(), "over");
    assert_eq!((meter.inside(), meter.total()), (0, 1));
}

#[flow]
async fn panics_and_cancels() -> Result<()> {
    let error = flowcore::spawn(async { panic!("spawned and lost") })
        .await
        .map(|(): ()| ())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.to_string().contains("spawned and lost"), "{error}");
    assert!(error.to_string().contains("spawning.rs:"), "{error}");
    let endless = flowcore::spawn(std::future::pending::<()>());
    endless.cancel();
    assert_eq!(endless.await.unwrap_err().kind(), ErrorKind::Cancelled);
    Ok(())
}

#[test]
fn spawned_code_that_gives_no_value_gives_an_error() {
    run(panics_and_cancels()).unwrap();
}

#[task]
async fn spawns_in_a_task() -> Result<String> {
    let name = flowcore::spawn(async { flowcore::run_info().unwrap().task_run_name });
    Ok(name.await?.unwrap())
}

#[flow]
async fn asks_a_task() -> Result<String> {
    spawns_in_a_task.submit().await
}

#[test]
fn spawned_code_belongs_to_its_run() {
    run(async {
        assert!(
            asks_a_task()
                .await
                .unwrap()
                .starts_with("spawns_in_a_task-")
        );
        assert!(
            spawns_in_a_task()
                .await
                .unwrap()
                .starts_with("spawns_in_a_task-")
        );
        // Outside of runs it is `tokio::spawn`.
        let outside = flowcore::spawn(async { (flowcore::run_info(), 1) });
        assert_eq!(outside.await.unwrap(), (None, 1));
    });
}

/// Waits for spawned code whose runs need the only slot.
#[task]
async fn spawns_the_next(depth: i64) -> Result<i64> {
    if depth == 0 {
        return Ok(0);
    }
    let next = flowcore::spawn(async move { spawns_the_next.submit(depth - 1).await });
    Ok(next.await?? + 1)
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn spawns_on_one_thread() -> Result<i64> {
    spawns_the_next.submit(20).await
}

#[flow(task_runner = SequentialTaskRunner)]
async fn spawns_one_by_one() -> Result<i64> {
    spawns_the_next.submit(20).await
}

#[test]
fn tasks_that_wait_for_spawned_code_leave_room_for_its_runs() {
    run(async {
        assert_eq!(spawns_on_one_thread().await.unwrap(), 20);
        assert_eq!(spawns_one_by_one().await.unwrap(), 20);
    });
}
