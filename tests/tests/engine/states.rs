//! How runs end: names, types, messages and errors, in Prefect's words.

use std::sync::Arc;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName, StateType};

use crate::support::{Counter, Gate, run};

#[derive(Debug, thiserror::Error)]
#[error("no such table `{name}`")]
struct NoTable {
    name: String,
    #[source]
    cause: std::io::Error,
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task]
fn read(name: String) -> Result<i64, NoTable> {
    let cause = std::io::Error::other("disk is gone");
    Err(NoTable { name, cause })
}

#[task]
fn bad(x: i64) -> Result<i64, String> {
    Err(format!("bad {x}"))
}

#[task]
fn boom(x: &[i64]) -> i64 {
    x[7]
}

#[task]
async fn late_boom(x: i64) -> i64 {
    tokio::task::yield_now().await;
    panic!("number {x}")
}

#[task(local)]
fn gated(gate: Arc<Gate>) -> i64 {
    gate.pass();
    1
}

#[task(local)]
fn counted(counter: Counter, _x: i64) -> i64 {
    counter.add() as i64
}

#[task]
fn total(z: Vec<i64>) -> i64 {
    z.iter().sum()
}

#[task]
fn or_zero(x: Result<i64>) -> i64 {
    x.unwrap_or(0)
}

#[task]
fn failures(outcomes: Vec<Result<i64>>) -> Vec<String> {
    outcomes
        .into_iter()
        .filter_map(|outcome| outcome.err().map(|error| error.to_string()))
        .collect()
}

#[test]
fn a_completed_run_says_nothing_more() {
    #[flow]
    async fn flow() -> Result<()> {
        let run = inc.submit(1);
        assert!(run.wait(None).await);
        let state = run.state();
        assert_eq!(state.to_string(), "Completed()");
        assert_eq!(state.name(), StateName::Completed);
        assert_eq!(state.state_type(), StateType::Completed);
        assert!(state.is_completed() && state.is_settled() && !state.is_failed());
        assert!(state.message().is_none() && state.error().is_none());
        assert_eq!(*state.result()?, 2);
        assert_eq!(run.run_count(), 1);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_failed_run_names_type_and_text_and_keeps_the_error() {
    #[flow]
    async fn flow() -> Result<()> {
        let run = read.submit("prices");
        run.wait(None).await;
        let state = run.state();
        assert_eq!(state.state_type(), StateType::Failed);
        assert_eq!(
            state.message(),
            Some("Task run encountered an exception NoTable: no such table `prices`")
        );
        assert_eq!(
            state.to_string(),
            "Failed(\"Task run encountered an exception NoTable: no such table `prices`\")"
        );
        let error = run.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert_eq!(error.to_string(), "no such table `prices`");
        assert!(error.task_key().unwrap().ends_with("::states::read"));
        assert!(error.run_name().unwrap().starts_with("read-"));
        assert!(error.type_name().unwrap().ends_with("NoTable"));
        assert_eq!(error.downcast_ref::<NoTable>().unwrap().name, "prices");
        assert_eq!(error.source().unwrap().to_string(), "disk is gone");
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_text_is_an_error_too() {
    #[flow]
    async fn flow() -> Result<()> {
        let state = bad(3).state().await;
        assert_eq!(
            state.to_string(),
            r#"Failed("Task run encountered an exception Error: bad 3")"#
        );
        assert_eq!(state.error().unwrap().to_string(), "bad 3");
        assert!(state.error().unwrap().source().is_none());
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn panics_fail_their_run_with_message_and_place() {
    #[flow]
    async fn flow() -> Result<()> {
        let runs = [
            boom.submit(vec![1, 2]),
            late_boom.submit(5),
            // In the caller's place, and on the pool.
            boom.map([vec![1]]).get(0),
        ];
        for run in &runs {
            run.wait(None).await;
            let state = run.state();
            assert_eq!(state.name(), StateName::Failed);
            let message = state.message().unwrap().to_owned();
            assert!(
                message.starts_with("Task run encountered an exception panic at "),
                "{message}"
            );
            assert!(message.contains("engine/states.rs:"), "{message}");
        }
        let error = late_boom(6).await.unwrap_err();
        assert!(error.to_string().contains("number 6"), "{error}");
        let error = boom(&[1, 2]).await.unwrap_err();
        assert!(error.to_string().contains("len is 2"), "{error}");
        // The threads live on.
        assert_eq!(inc.submit(1).await?, 2);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_run_is_pending_then_running_then_completed() {
    #[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
    async fn flow() -> Result<()> {
        let gate = Gate::new();
        let run = add.submit(1, 2);
        run.wait(None).await;
        let first = gated.submit(&gate);
        let second = add.submit(&first, 1);
        gate.until_arrived(1);
        assert_eq!(first.state().to_string(), "Running()");
        assert_eq!(first.state().state_type(), StateType::Running);
        assert_eq!(second.state().to_string(), "Pending()");
        assert_eq!(
            second.state().result().unwrap_err().to_string(),
            "run is in PENDING state, its result is not available"
        );
        assert!(!second.wait(std::time::Duration::from_millis(1)).await);
        gate.open();
        assert_eq!(second.await?, 2);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn the_first_cause_is_named_however_far_away() {
    #[flow]
    async fn flow() -> Result<()> {
        let counter = Counter::new();
        let failed = read.submit("prices");
        let second = inc.submit(&failed);
        let third = counted.submit(&counter, &second);
        let last = add.submit(1, &third);
        last.wait(None).await;
        for run in [&second, &third, &last] {
            let state = run.state();
            assert_eq!(state.name(), StateName::NotReady);
            assert_eq!(state.state_type(), StateType::Pending);
            assert!(state.is_settled());
            let name = failed
                .state()
                .error()
                .unwrap()
                .run_name()
                .unwrap()
                .to_owned();
            let text = format!("Upstream task run '{name}' did not reach a 'COMPLETED' state.");
            assert_eq!(state.message(), Some(text.as_str()));
            assert_eq!(
                state.to_string(),
                format!("NotReady({text:?}, type=PENDING)")
            );
        }
        let error = last.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotReady);
        assert_eq!(error.root().to_string(), "no such table `prices`");
        assert!(error.root().task_key().unwrap().ends_with("::read"));
        assert!(error.downcast_ref::<NoTable>().is_some());
        assert_eq!(counter.get(), 0);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn one_bad_input_among_many_stops_a_run() {
    #[flow]
    async fn flow() -> Result<()> {
        let good = [inc.submit(1), inc.submit(2)];
        let state = total
            .submit(vec![good[0].clone(), bad.submit(5), good[1].clone()])
            .await
            .unwrap_err();
        assert_eq!(state.root().to_string(), "bad 5");
        let after = inc.after(bad.submit(6)).submit(1);
        assert_eq!(after.await.unwrap_err().root().to_string(), "bad 6");
        let whole = total.submit(bad.map([7, 8]));
        let root = whole.await.unwrap_err().root().to_string();
        assert!(root == "bad 7" || root == "bad 8", "{root}");
        // Row by row, only the rows under the failed ones stop.
        let mixed = inc.map([inc.submit(1), bad.submit(9), inc.submit(2)]);
        mixed.wait(None).await;
        assert_eq!(
            mixed.states(),
            [
                StateName::Completed,
                StateName::NotReady,
                StateName::Completed
            ]
        );
        let above = inc.map(&mixed);
        above.wait(None).await;
        assert_eq!(above.get(1).await.unwrap_err().root().to_string(), "bad 9");
        assert_eq!(above.get(2).await?, 5);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn allowed_failures_reach_the_task() {
    #[flow]
    async fn flow() -> Result<()> {
        assert_eq!(or_zero.submit(allow_failure(bad.submit(1))).await?, 0);
        assert_eq!(or_zero.submit(allow_failure(inc.submit(1))).await?, 2);
        // NotReady is forgiven too.
        let not_ready = inc.submit(bad.submit(2));
        assert_eq!(or_zero.submit(allow_failure(&not_ready)).await?, 0);
        let texts = failures.submit(allow_failure(bad.map([3, 4]))).await?;
        assert_eq!(texts, ["bad 3", "bad 4"]);
        let rows = or_zero.map(allow_failure(&bad.map([5, 6])));
        assert_eq!(rows.await?, [0, 0]);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_cancelled_upstream_stops_even_those_that_allow_failures() {
    #[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
    async fn flow() -> Result<()> {
        let gate = Gate::new();
        let first = gated.submit(&gate);
        let queued = inc.submit(&first);
        let lenient = or_zero.submit(allow_failure(&queued));
        queued.cancel();
        assert_eq!(queued.state().name(), StateName::Cancelled);
        assert_eq!(
            queued.state().to_string(),
            r#"Cancelled("Task run was cancelled.")"#
        );
        assert_eq!(lenient.state().name(), StateName::NotReady);
        gate.open();
        let error = queued.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(first.await?, 1);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn an_error_of_another_run_passes_through_unchanged() {
    #[task]
    async fn asks(x: i64) -> Result<i64> {
        Ok(bad.submit(x).await? + 1)
    }
    #[flow]
    async fn flow() -> Result<()> {
        let error = asks.submit(4).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert_eq!(error.to_string(), "bad 4");
        assert!(error.task_key().unwrap().ends_with("::bad"));
        Ok(())
    }
    run(async { flow().await.unwrap() });
}
