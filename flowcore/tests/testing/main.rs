//! Flows under the paused clock of `flowcore::testing`, as users test theirs.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateChange, TaskFuture, testing};
use jiff::SignedDuration;
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3600);

fn between(states: &[StateChange], first: usize, second: usize) -> SignedDuration {
    let times = [first, second].map(|index| states[index].timestamp());
    times[1].duration_since(times[0])
}

#[task(retries = 2, retry_delay = ["1h", "2h"])]
fn flaky_in_sync_code() -> Result<i64, std::io::Error> {
    match flowcore::run_info().unwrap().attempt {
        3 => Ok(7),
        _ => Err(std::io::Error::other("503")),
    }
}

#[task(retries = 2, retry_delay = ["1h", "2h"])]
async fn flaky() -> Result<i64, std::io::Error> {
    match flowcore::run_info().unwrap().attempt {
        3 => Ok(7),
        _ => Err(std::io::Error::other("503")),
    }
}

#[flow]
async fn flaky_flow() -> Result<Vec<i64>> {
    let direct = flaky().await?;
    let runs = [flaky_in_sync_code.submit(), flaky.submit()];
    let mut values = vec![direct];
    for run in runs {
        values.push(run.await?);
    }
    Ok(values)
}

#[test]
fn retries_wait_on_the_paused_clock_and_no_longer() {
    testing::run(async {
        let began = Instant::now();
        let report = flaky_flow().report().await;
        assert_eq!(report.result().unwrap(), &[7, 7, 7]);
        // One after the other, then two at the same time.
        assert_eq!(began.elapsed(), HOUR * 6);
        for run in report.runs() {
            assert_eq!(
                run.history(),
                [
                    "Pending",
                    "Running",
                    "AwaitingRetry",
                    "Retrying",
                    "AwaitingRetry",
                    "Retrying",
                    "Completed"
                ],
            );
            assert_eq!(between(run.states(), 1, 3), SignedDuration::from_hours(1));
            assert_eq!(between(run.states(), 3, 6), SignedDuration::from_hours(2));
        }
        let flow = report.flow_runs().next().unwrap();
        assert_eq!(flow.history(), ["Pending", "Running", "Completed"]);
        assert_eq!(between(flow.states(), 1, 2), SignedDuration::from_hours(6));
    });
}

#[flow(retries = 2, retry_delay = "1d")]
async fn tried_daily() -> Result<(), std::io::Error> {
    Err(std::io::Error::other("503"))
}

#[test]
fn flows_are_retried_on_the_paused_clock_too() {
    testing::run(async {
        let began = Instant::now();
        assert!(tried_daily().await.is_err());
        assert_eq!(began.elapsed(), HOUR * 48);
    });
}

#[task(timeout = "10s")]
async fn slow(seconds: u64) -> u64 {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    seconds
}

#[flow]
async fn slow_rows() -> Result<u64> {
    let rows = slow.map([9, 11, 1]);
    let outcomes = rows.outcomes().await?;
    let (done, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(failed.len(), 1);
    let error = failed.into_iter().next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    Ok(done.into_iter().flatten().sum())
}

#[test]
fn timeouts_are_those_of_the_paused_clock() {
    testing::run(async {
        let began = Instant::now();
        let report = slow_rows().report().await;
        assert_eq!(report.result().unwrap(), &10);
        assert_eq!(began.elapsed(), Duration::from_secs(10));
        let summary = report.summary();
        let [task] = summary.tasks() else {
            panic!("{summary}");
        };
        assert_eq!(task.count(flowcore::StateName::Completed), 2);
        assert_eq!(task.count(flowcore::StateName::TimedOut), 1);
        let timed_out = report.runs_of("slow").nth(1).unwrap();
        assert_eq!(
            timed_out.states().last().unwrap().message(),
            Some("Task run exceeded timeout of 10.0 second(s)"),
        );
    });
}

#[flow(timeout = "1m")]
async fn waits_for_ever() {
    std::future::pending::<()>().await;
}

#[test]
fn a_flow_has_its_timeout_too() {
    testing::run(async {
        let began = Instant::now();
        let state = waits_for_ever().state().await;
        assert_eq!(state.name(), flowcore::StateName::TimedOut);
        assert_eq!(began.elapsed(), Duration::from_secs(60));
        // And so has waiting.
        let still_there = waits_for_ever.start();
        assert!(!still_there.wait(Duration::from_secs(59)).await);
        assert!(still_there.wait(Duration::from_secs(2)).await);
        assert_eq!(began.elapsed(), Duration::from_secs(120));
    });
}

#[task]
fn works(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

#[task]
async fn an_hour() {
    tokio::time::sleep(HOUR).await;
}

#[flow]
async fn works_beside_a_timer() -> Result<()> {
    let hour = an_hour.submit();
    // Each is done before any time passes.
    let began = Instant::now();
    let work: Vec<_> = (0..8).map(|_| works.submit(2)).collect();
    for run in work {
        run.await?;
    }
    works.map([1, 1, 1, 1]).await?;
    works(1).await?;
    assert_eq!(began.elapsed(), Duration::ZERO);
    hour.await
}

#[test]
fn time_stands_still_while_sync_code_works() {
    testing::run(async {
        works_beside_a_timer().await.unwrap();
    });
}

#[task]
fn blocks_on(run: i64) -> i64 {
    let retried = flaky.submit().block().unwrap();
    run + retried
}

#[flow]
fn sync_flow(runs: i64) -> Result<i64> {
    // More than there are threads, each of which waits.
    let runs: Vec<TaskFuture<i64>> = (0..runs).map(|run| blocks_on.submit(run)).collect();
    let mut sum = 0;
    for run in runs {
        sum += run.block()?;
    }
    Ok(sum)
}

#[test]
fn code_that_blocks_lets_time_go_on() {
    testing::run(async {
        let began = Instant::now();
        assert_eq!(sync_flow(20).await.unwrap(), 190 + 7 * 20);
        assert_eq!(began.elapsed(), HOUR * 3);
    });
}

#[flow(task_runner = SequentialTaskRunner::new())]
async fn one_by_one() -> Result<i64> {
    let runs = [flaky.submit(), flaky_in_sync_code.submit(), flaky.submit()];
    let mut sum = slow.submit(1).await? as i64;
    for run in runs {
        sum += run.await?;
    }
    Ok(sum)
}

#[test]
fn a_sequential_runner_has_the_clock_too() {
    testing::run(async {
        let began = Instant::now();
        assert_eq!(one_by_one().await.unwrap(), 22);
        assert!(began.elapsed() >= HOUR * 3);
        assert!(began.elapsed() < HOUR * 3 + Duration::from_secs(3));
    });
}

#[task]
async fn asks() -> Result<()> {
    flowcore::rate_limit("api", 1).await
}

#[flow]
async fn asks_often() -> Result<()> {
    let runs: Vec<_> = (0..7).map(|_| asks.submit()).collect();
    for run in runs {
        run.await?;
    }
    Ok(())
}

#[test]
fn rates_are_those_of_the_paused_clock_and_limits_those_of_the_test() {
    assert_eq!(flowcore::limits().active_slots("api"), None);
    for _ in 0..2 {
        testing::run(async {
            assert_eq!(flowcore::limits().active_slots("api"), None);
            flowcore::limits().set_rate("api", 1, 0.1).unwrap();
            let began = Instant::now();
            asks_often().await.unwrap();
            assert!(began.elapsed() >= Duration::from_secs(60));
            assert!(began.elapsed() < Duration::from_secs(70));
        });
    }
    assert_eq!(flowcore::limits().active_slots("api"), None);
}

static ASKED: AtomicU32 = AtomicU32::new(0);

#[task(cache = INPUTS, cache_expiration = "1d")]
fn weather(city: String) -> usize {
    ASKED.fetch_add(1, Ordering::Relaxed);
    city.len()
}

#[flow]
async fn forecast() -> Result<usize> {
    weather.submit("Ulm").await
}

#[test]
fn results_expire_on_the_paused_clock_and_stay_in_memory() {
    for tests in 1..3 {
        testing::run(async {
            for _ in 0..2 {
                assert_eq!(forecast().await.unwrap(), 3);
            }
            assert_eq!(ASKED.load(Ordering::Relaxed), 2 * tests - 1);
            tokio::time::sleep(HOUR * 25).await;
            let report = forecast().report().await;
            let run = report.runs_of("weather").next().unwrap();
            assert_eq!(run.state(), flowcore::StateName::Completed);
            let report = forecast().report().await;
            let run = report.runs_of("weather").next().unwrap();
            assert_eq!(run.state(), flowcore::StateName::Cached);
            assert_eq!(ASKED.load(Ordering::Relaxed), 2 * tests);
        });
    }
}

#[flow]
async fn blocks_the_driver() -> Result<()> {
    an_hour.submit().block()
}

#[test]
fn async_code_that_blocks_its_thread_is_told_so() {
    testing::run(async {
        let error = blocks_the_driver().await.unwrap_err();
        assert!(
            error.to_string().contains("await instead of `.block()`"),
            "{error}"
        );
    });
}

#[test]
fn a_test_that_panics_leaves_nothing_behind() {
    let panicked = std::panic::catch_unwind(|| {
        testing::run(async {
            let _run = waits_for_ever.start();
            assert!(flaky_flow().await.is_err(), "as intended");
        });
    });
    assert!(panicked.is_err());
    // This thread has its own time again, and the process's limits.
    flowcore::limits().set("left behind", 1);
    testing::run(async {
        assert_eq!(flowcore::limits().active_slots("left behind"), None);
    });
    flowcore::limits().remove("left behind");
}

#[tokio::test]
async fn a_runtime_of_ones_own_is_refused() {
    let panicked = std::panic::catch_unwind(|| testing::run(async {}));
    let message = panicked.unwrap_err();
    let message = message.downcast_ref::<&str>().unwrap();
    assert!(message.contains("`#[test] fn"), "{message}");
}

#[flow]
async fn hundred_days() -> Result<()> {
    for _ in 0..100 {
        tokio::time::sleep(HOUR * 24).await;
        works.submit(0).await?;
    }
    Ok(())
}

/// Many at a time, so that a race between a thread and the clock shows.
#[test]
fn tests_in_parallel_have_clocks_of_their_own() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                testing::run(async {
                    let began = Instant::now();
                    let report = hundred_days().report().await;
                    report.result().unwrap();
                    assert_eq!(began.elapsed(), HOUR * 2400);
                    for run in report.runs() {
                        assert_eq!(between(run.states(), 0, 2), SignedDuration::ZERO);
                    }
                });
            });
        }
    });
}

#[flowcore::test]
async fn the_attribute_pauses_the_clock() -> flowcore::Result<()> {
    let began = Instant::now();
    assert_eq!(flaky_flow().await?, [7, 7, 7]);
    assert_eq!(began.elapsed(), 6 * HOUR);
    Ok(())
}

#[flowcore::test]
#[should_panic(expected = "fails as any test")]
async fn a_test_with_the_attribute_fails_as_any_test() {
    assert_eq!(flaky().await.unwrap(), 8, "fails as any test");
}
