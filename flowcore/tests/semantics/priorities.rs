//! Which ready run comes first, and what runs need of their runner.

use std::sync::Arc;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName, TaskRunner, limits};
use parking_lot::Mutex;

use crate::support::{Gate, Meter, run, until};

type Order = Arc<Mutex<Vec<i64>>>;

#[task(local)]
fn noted(order: &Order, x: i64) {
    order.lock().push(x);
}

#[task(local, priority = -3)]
async fn noted_async(order: &Order, x: i64) {
    order.lock().push(x);
}

#[task(local)]
fn passes(gate: &Gate) {
    gate.pass();
}

#[task(local)]
async fn awaits(gate: &Gate) {
    gate.passed().await;
}

#[flow]
async fn by_priority(order: Order, gate: Gate) -> Result<()> {
    let held = passes.submit(&gate);
    let held_async = awaits.submit(&gate);
    until(|| held.state().name() == StateName::Running);
    let with = |priority| noted.with_options(move |o| o.priority(priority));
    let (low, high) = (with(-1), with(7));
    let runs = [
        low.submit(&order, 1),
        noted.submit(&order, 2),
        high.submit(&order, 3),
        high.submit(&order, 4),
        noted_async.submit(&order, 5),
        noted.submit(&order, 6),
    ];
    let rows = with(5).map(unmapped(&order), [7, 8]);
    gate.open();
    rows.await?;
    for run in runs {
        run.await?;
    }
    held.await?;
    held_async.await
}

#[test]
fn higher_priorities_start_first_and_equal_ones_in_their_order() {
    let order = Order::default();
    let flow = by_priority.with_options(|o| o.task_runner(SequentialTaskRunner::new()));
    let ended = flow(Arc::clone(&order), Gate::default());
    run(ended).unwrap();
    assert_eq!(*order.lock(), [3, 4, 7, 8, 2, 6, 1, 5]);
}

#[task(local)]
fn noted_after(order: &Order, x: i64, _before: ()) {
    order.lock().push(x);
}

/// Two chains, the first as long as this, which are there before any of them
/// begins.
#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn two_chains(order: Order, gate: Gate, length: i64) -> Result<()> {
    let held = passes.submit(&gate);
    until(|| held.state().name() == StateName::Running);
    let chain = |range: std::ops::Range<i64>| {
        let first = noted.submit(&order, range.start);
        (range.start + 1..range.end).fold(first, |before, x| noted_after.submit(&order, x, before))
    };
    let ends = [chain(0..length), chain(1000..1003)];
    gate.open();
    for end in ends {
        end.await?;
    }
    held.await
}

#[test]
fn a_thread_goes_on_with_what_it_made_ready() {
    let order = Order::default();
    run(two_chains(Arc::clone(&order), Gate::default(), 4)).unwrap();
    assert_eq!(*order.lock(), [0, 1, 2, 3, 1000, 1001, 1002]);
}

#[test]
fn but_others_need_not_wait_for_all_of_a_long_chain() {
    let order = Order::default();
    run(two_chains(Arc::clone(&order), Gate::default(), 500)).unwrap();
    let order = order.lock();
    assert!(order.iter().filter(|x| **x < 1000).is_sorted());
    let other = order.iter().position(|x| *x == 1000);
    assert_eq!(other, Some(65));
}

#[task(local, priority = 2)]
async fn high_async(order: &Order, x: i64) {
    order.lock().push(x);
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn async_by_priority(order: Order) -> Result<()> {
    // The only lane is busy until all are there.
    let both = submits_both.submit(&order);
    both.await
}

#[task(local)]
async fn submits_both(order: &Order) {
    drop(noted_async.map(unmapped(order), 0..3));
    drop(high_async.submit(order, 9));
    order.lock().push(-1);
}

#[test]
fn async_runs_keep_to_their_priority_too() {
    let order = Order::default();
    run(async_by_priority(Arc::clone(&order))).unwrap();
    assert_eq!(*order.lock(), [-1, 9, 0, 1, 2]);
}

/// Makes a chain ready, and before that something urgent.
#[task(local)]
fn submits_urgent(order: &Order, x: i64) {
    order.lock().push(x);
    let urgent = noted.with_options(|o| o.priority(1));
    drop(urgent.submit(order, 100));
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn urgent_in_a_chain(order: Order, gate: Gate) -> Result<()> {
    let held = passes.submit(&gate);
    until(|| held.state().name() == StateName::Running);
    let first = submits_urgent.submit(&order, 0);
    let last = noted_after.submit(&order, 1, first);
    gate.open();
    last.await?;
    held.await
}

#[test]
fn an_urgent_run_comes_before_what_a_run_made_ready() {
    let order = Order::default();
    run(urgent_in_a_chain(Arc::clone(&order), Gate::default())).unwrap();
    assert_eq!(*order.lock(), [0, 100, 1]);
}

#[task(local)]
fn opens(gate: &Gate, _before: ()) {
    gate.open();
}

#[task(local)]
fn passes_after(gate: &Gate, _before: ()) {
    gate.pass();
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(2))]
async fn two_made_ready(order: Order, gate: Gate) -> Result<()> {
    let first = noted.submit(&order, 0);
    let waits = passes_after.submit(&gate, &first);
    opens.submit(&gate, first).await?;
    waits.await
}

#[test]
fn what_else_a_run_made_ready_is_not_kept_from_other_threads() {
    run(two_made_ready(Order::default(), Gate::default())).unwrap();
}

#[task(local)]
fn first_row_submits(order: &Order, x: i64) {
    order.lock().push(x);
    if x == 0 {
        let urgent = noted.with_options(|o| o.priority(1));
        drop(urgent.submit(order, 100));
    }
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn in_between(order: Order) -> Result<()> {
    first_row_submits.map(unmapped(&order), 0..5).await?;
    Ok(())
}

#[test]
fn an_urgent_run_comes_between_the_rows_of_a_map() {
    let order = Order::default();
    run(in_between(Arc::clone(&order))).unwrap();
    assert_eq!(*order.lock(), [0, 100, 1, 2, 3, 4]);
}

#[flow]
async fn slots_by_priority(order: Order, gate: Gate) -> Result<()> {
    let limited = |priority| noted.with_options(move |o| o.priority(priority).tag("by-priority"));
    let held = passes.with_options(|o| o.tag("by-priority")).submit(&gate);
    let runs = [
        limited(0).submit(&order, 1),
        limited(5).submit(&order, 2),
        limited(-5).submit(&order, 3),
        limited(5).submit(&order, 4),
    ];
    gate.open();
    held.await?;
    for run in runs {
        run.await?;
    }
    Ok(())
}

#[test]
fn slots_of_limits_go_to_higher_priorities_first() {
    limits().set("tag:by-priority", 1);
    let order = Order::default();
    run(slots_by_priority(Arc::clone(&order), Gate::default())).unwrap();
    assert_eq!(*order.lock(), [2, 4, 1, 3]);
}

#[task(local, resources = [GPU = 0.5, "my-disk" = 1])]
fn trains(meter: &Meter, x: i64) -> i64 {
    let _inside = meter.enter();
    std::thread::sleep(std::time::Duration::from_millis(1));
    x
}

#[task(local, resources = [GPU = 0.3])]
async fn trains_async(meter: &Meter, x: i64) -> i64 {
    let _inside = meter.enter();
    tokio::task::yield_now().await;
    x
}

#[flow]
async fn training(meter: Meter) -> Result<i64> {
    let rows = trains.map(unmapped(&meter), 0..20);
    let single = trains.submit(&meter, 100);
    let called = trains(&meter, 1000);
    let sum: i64 = rows.await?.into_iter().sum();
    Ok(sum + single.await? + called.await?)
}

#[flow]
async fn training_async(meter: Meter) -> Result<i64> {
    let rows = trains_async.map(unmapped(&meter), 0..20).await?;
    Ok(rows.into_iter().sum::<i64>() + trains_async(&meter, 0).await?)
}

#[test]
fn runs_share_what_their_runner_has() {
    let runner = ThreadPoolTaskRunner::new()
        .max_workers(8)
        .resources([("GPU", 1.0), ("my-disk", 7.0)]);
    let (meter, others) = (Meter::default(), Meter::default());
    let flow = training.with_options(|o| o.task_runner(runner.clone()));
    let ended = flow(meter.clone());
    assert_eq!(run(ended).unwrap(), 190 + 1100);
    assert_eq!((meter.total(), meter.most()), (22, 2));
    let flow = training_async.with_options(|o| o.task_runner(runner));
    let ended = flow(others.clone());
    assert_eq!(run(ended).unwrap(), 190);
    assert_eq!(others.total(), 21);
    assert!(others.most() <= 3, "{}", others.most());
}

fn refused_by(runner: impl TaskRunner, part: &'static str) {
    let flow = refusing.with_options(|o| o.task_runner(runner));
    let ended = flow(part.to_owned());
    run(ended).unwrap();
}

#[flow]
async fn refusing(part: String) -> Result<()> {
    let meter = Meter::default();
    let errors = [
        trains.submit(&meter, 1).await.unwrap_err(),
        trains.map(unmapped(&meter), 0..3).await.unwrap_err(),
        trains(&meter, 1).await.unwrap_err(),
        trains_async(&meter, 1).await.unwrap_err(),
    ];
    for error in &errors {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.contains("of resource `GPU` are needed"), "{text}");
        assert!(text.contains("`trains"), "{text}");
    }
    assert!(errors[0].to_string().contains(&part), "{}", errors[0]);
    assert_eq!(meter.total(), 0);
    Ok(())
}

#[test]
fn what_a_runner_never_has_is_an_error_that_names_the_cure() {
    let pool = ThreadPoolTaskRunner::new;
    refused_by(pool(), "has 0: give it more");
    refused_by(pool().resources([("GPU", 0.2)]), "has 0.2: give it more");
    refused_by(
        SequentialTaskRunner::new(),
        "ThreadPoolTaskRunner::new().resources([(\"GPU\", 0.5)])",
    );
}

#[test]
fn outside_of_flows_no_runner_is_asked() {
    let meter = Meter::default();
    let called = run(async move { trains(&meter, 4).await });
    assert_eq!(called.unwrap(), 4);
}

#[flow]
async fn negative() -> Result<()> {
    let with = |amount| trains.with_options(move |o| o.resources([("GPU", amount)]));
    for amount in [-1.0, 0.0, f64::NAN, f64::INFINITY] {
        let error = with(amount).submit(Meter::default(), 1).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("is no amount of resource `GPU`"), "{text}");
    }
    Ok(())
}

#[test]
fn amounts_are_greater_than_zero() {
    run(negative()).unwrap();
    let flow = negative
        .with_options(|o| o.task_runner(ThreadPoolTaskRunner::new().resources([("GPU", 0.0)])));
    let ended = flow();
    let error = run(ended).unwrap_err();
    assert!(error.to_string().contains("is no amount"), "{error}");
}
