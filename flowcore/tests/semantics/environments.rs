//! The same flow in every kind of executor, and in none.

use std::time::Duration;

use flowcore::prelude::*;

use crate::support::in_time;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task(retries = 1, retry_delay = "1ms", timeout = "1h")]
async fn sleeps(x: i64) -> Result<i64, String> {
    // Needs a timer, wherever the flow is polled.
    tokio::time::sleep(Duration::from_millis(1)).await;
    match flowcore::run_info().unwrap().attempt {
        1 => Err("again".to_owned()),
        _ => Ok(x + 1),
    }
}

#[flow(timeout = "1h")]
async fn main_flow(x: i64) -> Result<i64> {
    let rows = sleeps.map(0..x);
    let next = inc.map(&rows);
    let one = inc.submit(rows.get(0));
    assert!(one.wait(Duration::from_secs(3600)).await);
    Ok(next.await?.into_iter().sum::<i64>() + one.await? + inc(x).await?)
}

#[flow]
fn sync_flow(x: i64) -> Result<i64> {
    let rows = sleeps.map(0..x).block()?;
    Ok(rows.into_iter().sum::<i64>() + sleeps.submit(x).block()?)
}

const FLOW: i64 = 9 + 2 + 4;
const SYNC_FLOW: i64 = 6 + 4;

#[tokio::test]
async fn in_a_current_thread_runtime() {
    assert_eq!(main_flow(3).await.unwrap(), FLOW);
    assert_eq!(sync_flow(3).await.unwrap(), SYNC_FLOW);
    assert_eq!(sleeps(1).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_multi_thread_runtime() {
    assert_eq!(main_flow(3).await.unwrap(), FLOW);
    assert_eq!(sync_flow(3).await.unwrap(), SYNC_FLOW);
    let spawned = tokio::spawn(async { main_flow(3).await });
    assert_eq!(spawned.await.unwrap().unwrap(), FLOW);
}

#[test]
fn in_no_runtime_at_all() {
    in_time(|| {
        assert_eq!(main_flow(3).block().unwrap(), FLOW);
        assert_eq!(sync_flow(3).block().unwrap(), SYNC_FLOW);
        assert_eq!(inc(3).block().unwrap(), 4);
        assert_eq!(pollster::block_on(main_flow(3)).unwrap(), FLOW);
    });
}

#[test]
fn a_direct_call_of_async_code_without_a_runtime() {
    // Its timer is the caller's to give: a failed run, not a lost process.
    let end = in_time(|| sleeps(1).block());
    if let Err(error) = &end {
        assert!(error.to_string().contains("reactor"), "{error}");
    }
    assert_eq!(in_time(|| main_flow(3).block()).unwrap(), FLOW);
}

#[test]
fn without_timers_of_the_callers_own() {
    in_time(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(main_flow(3)).unwrap(), FLOW);
        assert_eq!(runtime.block_on(sync_flow(3)).unwrap(), SYNC_FLOW);
    });
}

#[test]
fn from_many_plain_threads() {
    in_time(|| {
        std::thread::scope(|scope| {
            let flows: Vec<_> = (0..8)
                .map(|at| {
                    scope.spawn(move || match at % 2 {
                        0 => (main_flow(3).block().unwrap(), FLOW),
                        _ => (sync_flow(3).block().unwrap(), SYNC_FLOW),
                    })
                })
                .collect();
            for flow in flows {
                let (found, wanted) = flow.join().unwrap();
                assert_eq!(found, wanted);
            }
        });
    });
}

#[test]
fn a_runtime_that_goes_away_in_between() {
    in_time(|| {
        for _ in 0..3 {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let running = runtime.spawn(main_flow(3));
            drop(runtime);
            drop(running);
            assert_eq!(main_flow(3).block().unwrap(), FLOW);
        }
    });
}
