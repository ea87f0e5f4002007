//! How many runs run at once, and that waiting runs never dead-lock.

use flowcore::prelude::*;
use parking_lot::Mutex;
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use crate::support::{Bad, Gate, Meter, in_time, run, until};

#[task(local)]
fn counted(meter: &Meter, x: i64) -> i64 {
    let _inside = meter.enter();
    std::thread::yield_now();
    x
}

#[task(local)]
async fn counted_async(meter: &Meter, x: i64) -> i64 {
    let _inside = meter.enter();
    tokio::task::yield_now().await;
    x
}

#[task(local)]
fn noted(order: &Arc<Mutex<Vec<i64>>>, x: i64) {
    order.lock().push(x);
}

#[flow(task_runner = SequentialTaskRunner)]
async fn one_by_one(meter: Meter, order: Arc<Mutex<Vec<i64>>>) -> Result<()> {
    let rows = counted.map(unmapped(&meter), 0..200);
    let other = counted_async.map(unmapped(&meter), 0..200);
    let singles: Vec<_> = (0..50).map(|x| counted.submit(&meter, x)).collect();
    let others: Vec<_> = (0..50).map(|x| counted_async.submit(&meter, x)).collect();
    rows.await?;
    other.await?;
    for run in singles.into_iter().chain(others) {
        run.await?;
    }
    // In the order in which they were submitted.
    for x in 0..100 {
        drop(noted.submit(&order, x));
    }
    Ok(())
}

#[test]
fn the_sequential_runner_runs_one_at_a_time() {
    let (meter, order) = (Meter::default(), Arc::default());
    run(one_by_one(meter.clone(), Arc::clone(&order))).unwrap();
    assert_eq!(meter.total(), 500);
    assert_eq!(meter.most(), 1);
    assert!(order.lock().iter().copied().eq(0..100));
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(3))]
async fn three_at_once(meter: Meter, others: Meter) -> Result<()> {
    let rows = counted.map(unmapped(&meter), 0..500);
    let async_rows = counted_async.map(unmapped(&others), 0..500);
    let singles: Vec<_> = (0..100).map(|x| counted.submit(&meter, x)).collect();
    rows.await?;
    async_rows.await?;
    for single in singles {
        single.await?;
    }
    Ok(())
}

#[test]
fn max_workers_is_a_limit() {
    let (meter, others) = (Meter::default(), Meter::default());
    run(three_at_once(meter.clone(), others.clone())).unwrap();
    assert_eq!((meter.total(), others.total()), (600, 500));
    assert!(meter.most() <= 3, "{} sync runs at once", meter.most());
    assert!(others.most() <= 3, "{} async runs at once", others.most());
}

#[task(local)]
fn meets(gate: &Gate, meter: &Meter) {
    let _inside = meter.enter();
    gate.pass();
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(5))]
async fn five_meet(gate: Gate, meter: Meter) -> Result<()> {
    let rows = meets.map(vec![&gate; 4], unmapped(&meter));
    let single = meets.submit(&gate, &meter);
    until(|| meter.inside() == 5);
    gate.open();
    rows.await?;
    single.await
}

#[test]
fn max_workers_are_really_at_work_together() {
    run(five_meet(Gate::default(), Meter::default())).unwrap();
}

#[flow]
async fn thousand_wait(gate: Gate, meter: Meter) -> Result<()> {
    let rows = waits.map(vec![&gate; 1000], unmapped(&meter));
    until(|| meter.inside() == 1000);
    gate.open();
    rows.await.map(drop)
}

#[task(local)]
async fn waits(gate: &Gate, meter: &Meter) {
    let _inside = meter.enter();
    gate.passed().await;
}

#[test]
fn a_thousand_async_runs_wait_together() {
    run(thousand_wait(Gate::default(), Meter::default())).unwrap();
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn fails(x: i64) -> Result<i64, Bad> {
    Err(Bad::new(format!("no {x}")))
}

/// One of a chain; counts those that begin beside other work.
#[task(local)]
fn begins_beside(work: &Meter, beside: &Meter, _before: i64) -> i64 {
    if work.inside() > 0 {
        drop(beside.enter());
    }
    std::thread::sleep(Duration::from_millis(20));
    0
}

/// Lends its slot out for the first of a chain, and works then.
#[task(local)]
fn lends_and_works(work: &Meter, beside: &Meter) -> Result<()> {
    let first = inc.submit(0);
    let mut last = begins_beside.submit(work, beside, &first);
    for _ in 0..4 {
        last = begins_beside.submit(work, beside, last);
    }
    first.block()?;
    let _inside = work.enter();
    std::thread::sleep(Duration::from_millis(300));
    Ok(())
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn lending(work: Meter, beside: Meter) -> Result<()> {
    lends_and_works.submit(&work, &beside).await
}

#[test]
fn a_thread_in_a_lent_slot_does_not_go_on_when_it_is_taken_back() {
    let beside = Meter::default();
    run(lending(Meter::default(), beside.clone())).unwrap();
    // One may have been on its way when the slot was taken back.
    assert!(beside.total() <= 1, "{} began beside", beside.total());
}

/// Each submits the next and waits for it.
#[task]
fn nested(depth: i64) -> Result<i64> {
    if depth == 0 {
        return Ok(0);
    }
    Ok(nested.submit(depth - 1).block()? + 1)
}

#[task]
async fn nested_async(depth: i64) -> Result<i64> {
    if depth == 0 {
        return Ok(0);
    }
    Ok(nested_async.submit(depth - 1).await? + 1)
}

#[task]
fn nested_calls(depth: i64) -> Result<i64> {
    if depth == 0 {
        return Ok(0);
    }
    Ok(nested_calls(depth - 1).block()? + 1)
}

#[task]
async fn nested_async_calls(depth: i64) -> Result<i64> {
    if depth == 0 {
        return Ok(0);
    }
    Ok(nested_async_calls(depth - 1).await? + 1)
}

#[task]
fn maps_inside(rows: i64) -> Result<i64> {
    Ok(inc.map(0..rows).block()?.into_iter().sum())
}

#[task]
async fn maps_inside_async(rows: i64) -> Result<i64> {
    Ok(inc.map(0..rows).await?.into_iter().sum())
}

#[task]
async fn joins(x: i64) -> Result<i64> {
    let (one, two) = futures_util::future::try_join(inc.submit(x), nested_async.submit(3)).await?;
    Ok(one + two)
}

#[flow]
async fn small_flow(x: i64) -> Result<i64> {
    inc.submit(x).await
}

#[task]
fn calls_a_flow(x: i64) -> Result<i64> {
    small_flow(x).block()
}

#[flow]
async fn nesting() -> Result<()> {
    assert_eq!(nested.submit(30).await?, 30);
    assert_eq!(nested_async.submit(100).await?, 100);
    assert_eq!(nested_calls.submit(30).await?, 30);
    assert_eq!(nested_async_calls.submit(30).await?, 30);
    assert_eq!(nested.map(vec![5; 20]).await?, [5; 20]);
    assert_eq!(nested_async.map(vec![5; 200]).await?, [5; 200]);
    assert_eq!(maps_inside.map(1..20).await?.len(), 19);
    assert_eq!(maps_inside_async.map(1..20).await?.len(), 19);
    assert_eq!(joins.map(0..50).await?.len(), 50);
    assert_eq!(calls_a_flow.map(0..20).await?.len(), 20);
    // Called where the flow is, while the pool is busy.
    let busy = maps_inside.map(vec![50; 10]);
    assert_eq!(nested(5).await?, 5);
    assert_eq!(busy.await?.len(), 10);
    Ok(())
}

fn nests(runner: impl flowcore::TaskRunner) {
    run(async move { nesting.with_options(|o| o.task_runner(runner))().await }).unwrap();
}

#[test]
fn one_worker_is_enough_for_runs_that_wait_for_runs() {
    nests(ThreadPoolTaskRunner::new().max_workers(1));
}

#[test]
fn no_worker_counts_as_one() {
    nests(ThreadPoolTaskRunner::new().max_workers(0));
}

#[test]
fn the_sequential_runner_runs_what_its_run_waits_for() {
    nests(SequentialTaskRunner::new());
}

#[test]
fn the_shared_pool_runs_what_its_runs_wait_for() {
    nests(ThreadPoolTaskRunner::new());
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn wide(gate: Gate, meter: Meter) -> Result<i64> {
    // What waits for its inputs takes no slot.
    let held = waits.submit(&gate, &meter);
    let waiting: Vec<_> = (0..100).map(|x| inc.after(&held).submit(x)).collect();
    let all = inc.map(waiting);
    assert_eq!(inc.submit(1).await?, 2);
    gate.open();
    Ok(all.await?.into_iter().sum())
}

#[test]
fn what_waits_for_inputs_takes_no_slot() {
    let sum = run(wide(Gate::default(), Meter::default())).unwrap();
    assert_eq!(sum, (0..100).map(|x| x + 2).sum::<i64>());
}

#[flow]
fn sync_flow(x: i64) -> Result<i64> {
    let rows = inc.map(0..x);
    let sum: i64 = rows.block()?.into_iter().sum();
    let one = inc.submit(sum).block()?;
    inc(one).block()
}

#[flow]
fn sync_parent(x: i64) -> Result<i64> {
    let error = fails.submit(x).block().unwrap_err();
    assert_eq!(error.to_string(), format!("no {x}"));
    sync_flow(x).block()
}

#[test]
fn sync_flows_wait_with_block() {
    assert_eq!(in_time(|| sync_flow(4).block()).unwrap(), 12);
    assert_eq!(in_time(|| sync_parent(4).block()).unwrap(), 12);
    assert_eq!(run(sync_parent(3)).unwrap(), 8);
    let one = ThreadPoolTaskRunner::new().max_workers(1);
    let flow = sync_parent.with_options(|o| o.task_runner(one));
    assert_eq!(in_time(move || flow(4).block()).unwrap(), 12);
}

#[task]
async fn inc_in_async_code(x: i64) -> i64 {
    tokio::task::yield_now().await;
    x + 1
}

/// `join_all` of so many polls only those that were woken.
#[task]
async fn joins_many(depth: i64) -> Result<i64> {
    if depth == 0 {
        return inc_in_async_code(0).await;
    }
    let runs = (0..40).map(|x| inc_in_async_code.submit(x));
    let mut sum: i64 = futures_util::future::try_join_all(runs).await?.iter().sum();
    let spawned =
        (0..40).map(|x| flowcore::spawn(async move { inc_in_async_code.submit(x).await }));
    for value in futures_util::future::try_join_all(spawned).await? {
        sum += value?;
    }
    let rows = inc_in_async_code.map(0..40);
    sum += futures_util::future::try_join_all(rows.iter()?)
        .await?
        .iter()
        .sum::<i64>();
    let flows = (0..40).map(|x| small_async_flow.start(x));
    sum += futures_util::future::try_join_all(flows)
        .await?
        .iter()
        .sum::<i64>();
    let deeper = (0..2).map(|_| joins_many.submit(depth - 1));
    sum += futures_util::future::try_join_all(deeper)
        .await?
        .iter()
        .sum::<i64>();
    Ok(sum)
}

#[flow]
async fn small_async_flow(x: i64) -> Result<i64> {
    inc_in_async_code.submit(x).await
}

#[flow]
async fn joining() -> Result<i64> {
    joins_many.submit(2).await
}

#[test]
fn runs_that_join_many_leave_room_for_them() {
    let all = 4 * (1..=40).sum::<i64>();
    let wanted = all + 2 * (all + 2);
    run(async move {
        let one = ThreadPoolTaskRunner::new().max_workers(1);
        let flow = joining.with_options(|o| o.task_runner(one));
        assert_eq!(flow().await.unwrap(), wanted);
        let flow = joining.with_options(|o| o.task_runner(SequentialTaskRunner::new()));
        assert_eq!(flow().await.unwrap(), wanted);
    });
}

#[flow(task_runner = SequentialTaskRunner)]
async fn one_by_one_below(depth: i64) -> Result<i64> {
    match depth {
        0 => inc.submit(-1).await,
        _ => Ok(calls_flows_below.submit(depth - 1).await? + 1),
    }
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
fn one_thread_below(depth: i64) -> Result<i64> {
    match depth {
        0 => inc.submit(-1).block(),
        _ => Ok(calls_flows_in_sync_code_below.submit(depth - 1).block()? + 1),
    }
}

#[task]
async fn calls_flows_below(depth: i64) -> Result<i64> {
    one_thread_below(depth).await
}

#[task]
fn calls_flows_in_sync_code_below(depth: i64) -> Result<i64> {
    one_by_one_below(depth).block()
}

#[test]
fn subflows_in_tasks_of_subflows_have_runners_of_their_own() {
    assert_eq!(run(one_by_one_below(20)).unwrap(), 20);
    assert_eq!(in_time(|| one_thread_below(21).block()).unwrap(), 21);
}

#[task]
fn thread_of_owned(_text: String) -> String {
    format!("{:?}", std::thread::current().id())
}

#[task]
fn thread_of_borrowed(_text: &str) -> String {
    format!("{:?}", std::thread::current().id())
}

#[task]
async fn thread_of_async(_text: String) -> String {
    format!("{:?}", std::thread::current().id())
}

#[test]
fn direct_calls_run_in_the_pool_or_where_the_caller_is() {
    run(async {
        let here = format!("{:?}", std::thread::current().id());
        assert_ne!(thread_of_owned("a".into()).await.unwrap(), here);
        assert_eq!(thread_of_borrowed("a").await.unwrap(), here);
        assert_eq!(thread_of_async("a".into()).await.unwrap(), here);
    });
}

type Own = Arc<Mutex<Option<TaskFuture<i64>>>>;

/// No argument can be a run's own future, since that exists only when the run
/// has been submitted; a shared variable can hold it.
#[task(local)]
async fn waits_for_itself(gate: &Gate, own: &Own) -> Result<i64> {
    gate.passed().await;
    let own = own.lock().clone();
    own.expect("it was put there").await
}

#[flow]
async fn waits_in_a_circle() -> Result<()> {
    let (gate, own) = (Gate::default(), Own::default());
    let limited =
        waits_for_itself.with_options(|o| o.timeout(std::time::Duration::from_millis(50)));
    let run = limited.submit(&gate, &own);
    *own.lock() = Some(run.clone());
    gate.open();
    assert_eq!(run.await.unwrap_err().kind(), flowcore::ErrorKind::TimedOut);
    let gate = Gate::default();
    let run = waits_for_itself.submit(&gate, &own);
    *own.lock() = Some(run.clone());
    gate.open();
    run.cancel();
    assert_eq!(
        run.await.unwrap_err().kind(),
        flowcore::ErrorKind::Cancelled
    );
    own.lock().take();
    Ok(())
}

#[test]
fn a_run_that_waits_for_itself_can_be_ended() {
    run(waits_in_a_circle()).unwrap();
}

#[task(local)]
async fn passes(gate: &Gate) {
    gate.passed().await;
}

#[task(local)]
fn blocks(gate: &Gate) -> Result<()> {
    passes.submit(gate).block()
}

#[task(local)]
fn meet_here(barrier: &Arc<Barrier>) {
    barrier.wait();
}

#[task(local)]
fn says(sender: &mpsc::Sender<()>) {
    let _ = sender.send(());
}

/// Blocks, and then waits for another run without giving its thread away.
#[task(local)]
fn blocks_and_keeps_its_thread(gate: &Gate) -> Result<bool> {
    passes.submit(gate).block()?;
    let (sender, receiver) = mpsc::channel();
    let other = says.submit(sender);
    // Sleeping threads look for work by themselves too, but not that soon.
    let was_heard = receiver.recv_timeout(Duration::from_secs(5)).is_ok();
    other.block()?;
    Ok(was_heard)
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(2))]
async fn too_many_threads() -> Result<bool> {
    let (gate, other_gate) = (Gate::default(), Gate::default());
    let asked = blocks_and_keeps_its_thread.submit(&gate);
    let other = blocks.submit(&other_gate);
    // Both have lent their slots when two other threads meet.
    let barrier = Arc::new(Barrier::new(2));
    let met = [meet_here.submit(&barrier), meet_here.submit(&barrier)];
    for run in met {
        run.await?;
    }
    // Those two go to sleep, and one of them is too many when the gate opens.
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.open();
    let was_heard = asked.await?;
    other_gate.open();
    other.await?;
    Ok(was_heard)
}

#[test]
fn a_thread_that_is_too_many_passes_its_call_on() {
    assert!(run(too_many_threads()).unwrap());
}
