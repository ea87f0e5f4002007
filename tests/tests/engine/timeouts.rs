//! Timeouts: a run is TimedOut at once, wherever its code is.

use std::sync::Arc;
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName, StateType, run_info};

use crate::support::{Counter, Gate, Tracked, run, until};

#[task(local, timeout = "10ms")]
async fn never(guard: Tracked) -> usize {
    std::future::pending::<()>().await;
    guard.0.get()
}

#[task(local, timeout = "10ms")]
fn stuck(gate: Arc<Gate>, told: Counter) -> i64 {
    gate.pass();
    if run_info().is_some_and(|run| run.is_cancelled) {
        told.add();
    }
    1
}

#[task(local, timeout = "10ms", retries = 1)]
fn stuck_once(gate: Arc<Gate>, calls: Counter) -> usize {
    if calls.add() == 1 {
        gate.pass();
    }
    calls.get()
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

const MESSAGE: &str = "Task run exceeded timeout of 0.01 second(s)";

#[test]
fn async_code_is_dropped_where_it_stands() {
    #[flow]
    async fn flow() -> Result<()> {
        let dropped = Counter::new();
        let run = never.submit(Tracked(dropped.clone()));
        run.wait(None).await;
        let state = run.state();
        assert_eq!(state.name(), StateName::TimedOut);
        assert_eq!(state.state_type(), StateType::Failed);
        assert_eq!(state.message(), Some(MESSAGE));
        assert_eq!(
            state.to_string(),
            format!("TimedOut({MESSAGE:?}, type=FAILED)")
        );
        assert_eq!(dropped.get(), 1);
        assert_eq!(run.await.unwrap_err().kind(), ErrorKind::TimedOut);
        let error = never(Tracked(dropped.clone())).await.unwrap_err();
        assert_eq!((error.kind(), dropped.get()), (ErrorKind::TimedOut, 2));
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_stuck_thread_is_left_behind_and_replaced() {
    #[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
    async fn flow() -> Result<()> {
        let (gate, told) = (Gate::new(), Counter::new());
        let run = stuck.submit(&gate, &told);
        run.wait(None).await;
        // Its code still waits, and the only thread with it.
        assert_eq!(run.state().name(), StateName::TimedOut);
        assert_eq!(run.state().message(), Some(MESSAGE));
        for x in 0..10 {
            assert_eq!(inc.submit(x).await?, x + 1);
        }
        assert_eq!(inc.map(0..10).await?.len(), 10);
        gate.open();
        // The late value changes nothing, and the code could know.
        until(|| told.get() == 1).await;
        assert_eq!(run.state().name(), StateName::TimedOut);
        for x in 0..10 {
            assert_eq!(inc.submit(x).await?, x + 1);
        }
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_retry_waits_until_the_old_call_has_returned() {
    #[flow]
    async fn flow() -> Result<()> {
        let (gate, calls) = (Gate::new(), Counter::new());
        let run = stuck_once.submit(&gate, &calls);
        gate.until_arrived(1);
        until(|| run.state().name() == StateName::AwaitingRetry).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(calls.get(), 1);
        gate.open();
        assert_eq!(run.await?, 2);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn rows_time_out_one_by_one() {
    #[flow]
    async fn flow() -> Result<()> {
        let (open, closed) = (Gate::new(), Gate::new());
        open.open();
        let patient = stuck.with_options(|o| o.timeout(Duration::from_millis(200)));
        let rows = patient.map([&open, &closed, &open], unmapped(Counter::new()));
        rows.wait(None).await;
        let states = rows.states();
        closed.open();
        assert_eq!(states[1], StateName::TimedOut);
        assert_eq!(rows.outcomes().await?.len(), 3);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_direct_call_of_a_stuck_task_comes_back() {
    #[flow]
    async fn flow() -> Result<()> {
        let gate = Gate::new();
        let error = stuck(Arc::clone(&gate), Counter::new()).await.unwrap_err();
        gate.open();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), MESSAGE);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_flow_times_out_and_takes_its_runs_with_it() {
    #[task(local)]
    async fn waits(ended: Tracked) -> usize {
        std::future::pending::<()>().await;
        ended.0.get()
    }
    #[flow(timeout = "20ms")]
    async fn flow(ended: Counter) -> i64 {
        let _run = waits.submit(Tracked(ended));
        std::future::pending::<()>().await;
        1
    }
    let ended = Counter::new();
    let seen = ended.clone();
    let state = run(async move { flow(ended).state().await });
    assert_eq!(
        state.to_string(),
        r#"TimedOut("Flow run exceeded timeout of 0.02 second(s)", type=FAILED)"#
    );
    assert_eq!(state.error().unwrap().kind(), ErrorKind::TimedOut);
    // On a busy machine the run may have waited for a thread until now: it
    // never begins, and the thread that looks at it lets its argument go.
    run(until(move || seen.get() == 1));
}
