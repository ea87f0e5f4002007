//! Concurrency limits by tag and by name, rate limits. Limits belong to the
//! process, so each test has names of its own.

use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName, concurrency, limits, rate_limit};

use crate::support::{Bad, Gate, Meter, run, until};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task(local, tags = ["limits-two"])]
fn two_at_once(x: i64, meter: &Meter) -> i64 {
    let _inside = meter.enter();
    std::thread::sleep(Duration::from_millis(2));
    x
}

#[task(local, tags = ["limits-two"])]
async fn two_at_once_async(x: i64, meter: &Meter) -> i64 {
    let _inside = meter.enter();
    tokio::time::sleep(Duration::from_millis(2)).await;
    x
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(6))]
async fn everybody(meter: Meter) -> Result<i64> {
    let range: Vec<i64> = (0..30).collect();
    let rows = two_at_once.map(&range, unmapped(&meter));
    let after = inc.map(&rows);
    let async_rows = two_at_once_async.map(after.clone(), unmapped(&meter));
    let again = two_at_once.map(&after, unmapped(&meter));
    let single = two_at_once_async.submit(5, &meter);
    let called = two_at_once(6, &meter).await? + two_at_once_async(7, &meter).await?;
    let sums = [async_rows.await?, again.await?].concat();
    Ok(sums.iter().sum::<i64>() + single.await? + called)
}

#[test]
fn runs_with_a_tag_take_slots_whatever_they_are() {
    limits().set("tag:limits-two", 2);
    let meter = Meter::default();
    let (one, other) = (everybody(meter.clone()), everybody(meter.clone()));
    let sums = run(async { futures_util::future::try_join(one, other).await }).unwrap();
    assert_eq!(sums, (2 * 465 + 18, 2 * 465 + 18));
    assert_eq!(meter.total(), 2 * 93);
    assert_eq!(meter.most(), 2);
    assert_eq!(limits().active_slots("tag:limits-two"), Some(0));
}

#[task(local)]
fn passes(gate: &Gate) {
    gate.pass();
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(2))]
async fn one_after_the_other(gate: Gate) -> Result<()> {
    let limited = passes.with_options(|o| o.tag("limits-waiting"));
    let held = limited.submit(&gate);
    let (waits, rows) = (limited.submit(&gate), limited.map(vec![&gate; 20]));
    let dependent = inc.after((&waits, &rows)).submit(1);
    until(|| held.state().name() == StateName::Running);
    assert_eq!(limits().active_slots("tag:limits-waiting"), Some(1));
    // Whoever waits takes no thread.
    assert_eq!(inc.map(0..100).await?.len(), 100);
    let state = waits.state();
    assert_eq!(state.name(), StateName::AwaitingConcurrencySlot);
    assert_eq!(state.to_string(), "AwaitingConcurrencySlot(type=SCHEDULED)");
    assert_eq!(waits.run_count(), 0);
    assert_eq!(rows.states(), vec![StateName::AwaitingConcurrencySlot; 20]);
    assert_eq!(dependent.state().name(), StateName::Pending);
    gate.open();
    assert_eq!(dependent.await?, 2);
    Ok(())
}

#[test]
fn who_waits_for_a_slot_takes_no_thread_and_holds_back_its_dependents() {
    limits().set("tag:limits-waiting", 1);
    run(one_after_the_other(Gate::default())).unwrap();
    assert_eq!(limits().active_slots("tag:limits-waiting"), Some(0));
}

#[flow]
async fn cancelled_while_waiting(gate: Gate) -> Result<()> {
    let limited = passes.with_options(|o| o.tag("limits-cancelled"));
    let held = limited.submit(&gate);
    let (waits, rows) = (limited.submit(&gate), limited.map(vec![&gate; 3]));
    let last = limited.submit(&gate);
    waits.cancel();
    rows.get(1).cancel();
    assert_eq!(waits.state().name(), StateName::Cancelled);
    assert_eq!(rows.get(1).state().name(), StateName::Cancelled);
    gate.open();
    held.await?;
    last.await?;
    rows.wait(None).await;
    assert_eq!(
        rows.states(),
        [
            StateName::Completed,
            StateName::Cancelled,
            StateName::Completed
        ]
    );
    Ok(())
}

#[test]
fn who_waits_for_a_slot_can_be_cancelled() {
    limits().set("tag:limits-cancelled", 1);
    run(cancelled_while_waiting(Gate::default())).unwrap();
    assert_eq!(limits().active_slots("tag:limits-cancelled"), Some(0));
}

#[flow]
async fn gives_up(gate: Gate) -> Result<()> {
    let limited = passes.with_options(|o| o.tag("limits-given-up"));
    let held = limited.submit(&gate);
    let (waits, rows) = (limited.submit(&gate), limited.map(vec![&gate; 50]));
    until(|| held.state().name() == StateName::Running);
    gate.open();
    drop((waits, rows));
    Err(flowcore::Error::msg("enough"))
}

#[test]
fn a_flow_that_ends_gives_back_all_slots() {
    limits().set("tag:limits-given-up", 1);
    for _ in 0..20 {
        let error = run(gives_up(Gate::default())).unwrap_err();
        assert_eq!(error.to_string(), "enough");
        // One may just have been given to a run that was stopped.
        until(|| limits().active_slots("tag:limits-given-up") == Some(0));
    }
}

#[task(tags = ["limits-ends"])]
fn panics() {
    panic!("no");
}

#[task(tags = ["limits-ends"], retries = 2)]
fn fails() -> Result<(), Bad> {
    Err(Bad::new("no"))
}

#[task(tags = ["limits-ends"], timeout = "5ms")]
async fn too_slow() {
    std::future::pending::<()>().await;
}

#[task(tags = ["limits-ends"])]
async fn for_ever() {
    std::future::pending::<()>().await;
}

#[task(tags = ["limits-ends"])]
fn odd(x: i64) -> Result<i64, Bad> {
    match x % 3 {
        0 => Ok(x),
        1 => Err(Bad::new("no")),
        _ => panic!("no"),
    }
}

#[flow]
async fn all_kinds_of_ends() -> Result<()> {
    let ends = [panics.submit(), fails.submit(), too_slow.submit()];
    for end in ends {
        end.await.unwrap_err();
    }
    let rows = odd.map(0..30);
    rows.wait(None).await;
    let stopped = for_ever.submit();
    while stopped.state().name() != StateName::Running {
        tokio::task::yield_now().await;
    }
    stopped.cancel();
    assert_eq!(stopped.await.unwrap_err().kind(), ErrorKind::Cancelled);
    let dropped = async {
        for_ever().await.unwrap();
    };
    let limit = Duration::from_millis(5);
    tokio::time::timeout(limit, dropped).await.unwrap_err();
    Ok(())
}

#[test]
fn a_slot_comes_back_however_its_run_ends() {
    limits().set("tag:limits-ends", 1);
    run(all_kinds_of_ends()).unwrap();
    assert_eq!(limits().active_slots("tag:limits-ends"), Some(0));
}

#[task(local, timeout = "5ms", tags = ["limits-late"])]
fn late(gate: &Gate) {
    gate.pass();
}

#[flow]
async fn left_behind(gate: Gate) -> Result<()> {
    let left = late.submit(&gate);
    assert_eq!(left.await.unwrap_err().kind(), ErrorKind::TimedOut);
    // The call still does what the limit is for.
    assert_eq!(limits().active_slots("tag:limits-late"), Some(1));
    gate.open();
    until(|| limits().active_slots("tag:limits-late") == Some(0));
    Ok(())
}

#[test]
fn a_call_that_outlives_its_run_keeps_its_slot() {
    limits().set("tag:limits-late", 1);
    run(left_behind(Gate::default())).unwrap();
}

#[task(retries = 1, retry_delay = "20ms", tags = ["limits-retries"])]
fn second_time() -> Result<u32, Bad> {
    match flowcore::run_info().unwrap().attempt {
        1 => Err(Bad::new("not yet")),
        attempt => Ok(attempt),
    }
}

#[flow]
async fn retries() -> Result<()> {
    let retried = second_time.submit();
    until(|| retried.state().name() == StateName::AwaitingRetry);
    assert_eq!(limits().active_slots("tag:limits-retries"), Some(1));
    assert_eq!(retried.await?, 2);
    Ok(())
}

#[test]
fn a_run_keeps_its_slot_between_attempts() {
    limits().set("tag:limits-retries", 1);
    run(retries()).unwrap();
    assert_eq!(limits().active_slots("tag:limits-retries"), Some(0));
}

#[flow]
async fn never() -> Result<()> {
    let limited = inc.with_options(|o| o.tag("limits-zero"));
    let single = limited.submit(1);
    let error = single.clone().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("'tag:limits-zero' has 0 slots"),
        "{error}"
    );
    assert_eq!(single.state().name(), StateName::Failed);
    assert_eq!(limited(1).await.unwrap_err().kind(), ErrorKind::Invalid);
    let rows = limited.map(0..3);
    rows.wait(None).await;
    assert_eq!(rows.states(), [StateName::Failed; 3]);
    let error = concurrency("tag:limits-zero", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    Ok(())
}

#[test]
fn a_limit_without_slots_is_an_error_and_no_wait() {
    limits().set("tag:limits-zero", 0);
    run(never()).unwrap();
}

#[flow]
async fn lowered(gate: Gate) -> Result<()> {
    let limited = passes.with_options(|o| o.tag("limits-lowered"));
    let held = limited.submit(&gate);
    let (waits, rows) = (limited.submit(&gate), limited.map(vec![&gate; 3]));
    limits().set("tag:limits-lowered", 0);
    assert_eq!(waits.await.unwrap_err().kind(), ErrorKind::Invalid);
    rows.wait(None).await;
    assert_eq!(rows.states(), [StateName::Failed; 3]);
    limits().remove("tag:limits-lowered");
    gate.open();
    limited.submit(&gate).await?;
    held.await
}

#[test]
fn a_limit_that_is_lowered_to_nothing_tells_those_who_wait() {
    limits().set("tag:limits-lowered", 1);
    run(lowered(Gate::default())).unwrap();
}

#[task(local)]
fn in_sync_code(meter: &Meter) -> Result<()> {
    let _slots = concurrency("limits-named", 2).block()?;
    let _inside = meter.enter();
    std::thread::sleep(Duration::from_millis(2));
    Ok(())
}

#[task(local)]
async fn in_async_code(meter: &Meter) -> Result<()> {
    let _slots = concurrency(["limits-named", "limits-named"], 2).await?;
    let _inside = meter.enter();
    tokio::time::sleep(Duration::from_millis(2)).await;
    Ok(())
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(4))]
async fn named(meter: Meter) -> Result<()> {
    let rows = in_sync_code.map(vec![&meter; 10]);
    let async_rows = in_async_code.map(vec![&meter; 10]);
    rows.await?;
    async_rows.await?;
    Ok(())
}

#[test]
fn code_takes_slots_by_name() {
    limits().set("limits-named", 5);
    let meter = Meter::default();
    run(named(meter.clone())).unwrap();
    assert_eq!((meter.total(), meter.most()), (20, 2));
    assert_eq!(limits().active_slots("limits-named"), Some(0));
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn one_worker(meter: Meter) -> Result<()> {
    let slots = concurrency("limits-one-worker", 2).await?;
    let blocked = in_sync_code_of_one.map(vec![&meter; 3]);
    let waiting = in_async_code_of_one.map(vec![&meter; 3]);
    // The only thread and the only lane are not with those who wait.
    assert_eq!(inc.map(0..10).await?.len(), 10);
    assert_eq!(meter.inside(), 0);
    drop(slots);
    blocked.await?;
    waiting.await?;
    Ok(())
}

#[task(local)]
fn in_sync_code_of_one(meter: &Meter) -> Result<()> {
    let _slots = concurrency("limits-one-worker", 1).block()?;
    let _inside = meter.enter();
    Ok(())
}

#[task(local)]
async fn in_async_code_of_one(meter: &Meter) -> Result<()> {
    let _slots = concurrency("limits-one-worker", 1).await?;
    let _inside = meter.enter();
    Ok(())
}

#[test]
fn code_that_waits_for_slots_lends_its_thread() {
    limits().set("limits-one-worker", 2);
    let meter = Meter::default();
    run(one_worker(meter.clone())).unwrap();
    assert_eq!(meter.total(), 6);
}

#[task(local)]
fn blocks_for_ever() -> Result<()> {
    let _slots = concurrency("limits-blocked", 1).block()?;
    Ok(())
}

#[task(local)]
async fn awaits_for_ever() -> Result<()> {
    let _slots = concurrency("limits-blocked", 1).await?;
    Ok(())
}

#[flow]
async fn who_waits() -> Result<()> {
    let slots = concurrency("limits-blocked", 1).await?;
    for waits in [blocks_for_ever.submit(), awaits_for_ever.submit()] {
        until(|| waits.state().name() == StateName::Running);
        waits.cancel();
        assert_eq!(waits.await.unwrap_err().kind(), ErrorKind::Cancelled);
    }
    drop(concurrency("limits-blocked", 1));
    let limit = Duration::from_millis(5);
    let error = concurrency("limits-blocked", 1)
        .timeout(limit)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(
        error.to_string(),
        "attempt to acquire slots of concurrency limit 'limits-blocked' timed out after 0.005 second(s)"
    );
    drop(slots);
    // Nobody who left took anything along.
    drop(concurrency("limits-blocked", 1).block()?);
    Ok(())
}

#[test]
fn code_that_waits_for_slots_can_be_cancelled() {
    limits().set("limits-blocked", 1);
    run(who_waits()).unwrap();
    assert_eq!(limits().active_slots("limits-blocked"), Some(0));
}

#[test]
fn mistakes_about_limits_are_named() {
    limits().set("limits-mistakes", 2);
    run(async {
        let mistakes = [
            (
                concurrency("limits-mistakes", 3).await.map(drop),
                "3 slots of concurrency limit 'limits-mistakes' were asked for, but it has 2",
            ),
            (
                concurrency("limits-mistakes", 0).await.map(drop),
                "ask for at least one",
            ),
            (
                concurrency("limits-unknown", 1).strict().await.map(drop),
                "concurrency limit 'limits-unknown' does not exist",
            ),
            (
                rate_limit("limits-mistakes", 1).await,
                "'limits-mistakes' cannot limit a rate",
            ),
            (
                limits().set_rate("limits-mistakes", 1, 0.0),
                "give a number greater than zero",
            ),
            (
                limits().set_rate("limits-mistakes", 1, f64::NAN),
                "give a number greater than zero",
            ),
        ];
        for (result, part) in mistakes {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(part), "{error}");
        }
        // As in Prefect, a limit that nobody made limits nothing.
        drop(concurrency("limits-unknown", 1).await.unwrap());
        assert!(!limits().remove("limits-unknown"));
        assert_eq!(limits().active_slots("limits-unknown"), None);
    });
}

#[task]
async fn asks() -> Result<()> {
    rate_limit("limits-rate", 1).await
}

#[flow]
async fn rated() -> Result<()> {
    let runs: Vec<_> = (0..20).map(|_| asks.submit()).collect();
    for run in runs {
        run.await?;
    }
    Ok(())
}

#[test]
fn rates_let_everybody_through_in_time() {
    limits().set_rate("limits-rate", 2, 500.0).unwrap();
    run(rated()).unwrap();
    // What was taken comes back by itself.
    until(|| limits().active_slots("limits-rate") == Some(0));
}
