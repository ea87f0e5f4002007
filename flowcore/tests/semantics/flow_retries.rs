//! Retries of flows: the whole function again, as one flow run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flowcore::prelude::*;
use flowcore::{ErrorKind, RunReport, StateChange, StateName};
use parking_lot::Mutex;

use crate::support::{Bad, Gate, Meter, run, until};

/// The states that the flow run went through.
fn history<T>(report: &RunReport<T>) -> String {
    let flow_run = report.flow_runs().next().unwrap();
    let states: Vec<_> = flow_run.states().iter().map(ToString::to_string).collect();
    states.join(" → ")
}

fn attempt() -> u32 {
    flowcore::run_info().unwrap().attempt
}

#[task(local)]
fn step(runs: &Meter, x: u32) -> u32 {
    let _inside = runs.enter();
    x + 1
}

/// Fails until attempt number `good`.
#[flow(retries = 2)]
async fn good_at(good: u32, runs: Meter) -> Result<u32> {
    let tens = step.submit(&runs, 1).await?;
    if attempt() < good {
        Err(Bad::new(format!("attempt {}", attempt())))?;
    }
    Ok(tens * 10 + attempt())
}

#[test]
fn the_whole_flow_runs_again() {
    run(async {
        let runs = Meter::default();
        let report = good_at(3, runs.clone()).report().await;
        assert_eq!(
            history(&report),
            "Pending() → Running() \
             → AwaitingRetry(\"Flow run encountered an exception: Bad: attempt 1\", type=SCHEDULED) \
             → Running() \
             → AwaitingRetry(\"Flow run encountered an exception: Bad: attempt 2\", type=SCHEDULED) \
             → Running() → Completed()"
        );
        // One flow run, and a new run of the task in each attempt.
        assert_eq!(report.flow_runs().count(), 1);
        assert_eq!(report.runs().count(), 3);
        assert_eq!(runs.total(), 3);
        let mut names: Vec<_> = report.runs().map(|run| run.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(report.into_result().unwrap(), 23);
    });
}

#[test]
fn retries_run_out() {
    run(async {
        let runs = Meter::default();
        let error = good_at(9, runs.clone()).await.unwrap_err();
        assert_eq!(error.to_string(), "attempt 3");
        assert_eq!(runs.total(), 3);
        let once = good_at.with_options(|o| o.retries(0));
        assert_eq!(once(9, runs).await.unwrap_err().to_string(), "attempt 1");
    });
}

#[flow(retries = 2)]
async fn restless(told: Arc<Mutex<Vec<String>>>) -> Result<()> {
    told.lock().push(format!("attempt {}", attempt()));
    Err(flowcore::Error::msg("bad"))
}

#[test]
fn hooks_are_called_for_each_beginning_and_for_the_end() {
    let told = Arc::new(Mutex::new(Vec::new()));
    run({
        let told = Arc::clone(&told);
        async move {
            let hook = |text: &'static str| {
                let told = Arc::clone(&told);
                move |_: &flowcore::FlowInfo, run: &flowcore::RunInfo, state: &State| {
                    let line = format!("{text} {} {}", run.attempt, state.name());
                    told.lock().push(line);
                }
            };
            let flow = restless.with_options(|o| {
                o.on_running(hook("running"))
                    .on_failure(hook("failure"))
                    .on_completion(hook("completion"))
            });
            flow(Arc::clone(&told)).await.unwrap_err();
        }
    });
    assert_eq!(
        *told.lock(),
        [
            "running 1 Running",
            "attempt 1",
            "running 2 Running",
            "attempt 2",
            "running 3 Running",
            "attempt 3",
            "failure 3 Failed",
        ]
    );
}

/// A value that is counted while it lives, and each of its clones.
#[flow]
async fn holder(values: Vec<crate::support::Inside>, inside: Meter) -> Result<usize> {
    let most = inside.inside();
    drop(values);
    if attempt() == 1 && most > 1 {
        return Err(flowcore::Error::msg("once more"));
    }
    Ok(inside.inside())
}

#[test]
fn the_last_attempt_gets_the_arguments_themselves() {
    run(async {
        let meter = Meter::default();
        let values = |meter: &Meter| vec![meter.enter()];
        assert_eq!(holder(values(&meter), meter.clone()).await.unwrap(), 0);
        assert_eq!(meter.total(), 1, "without retries nothing is cloned");
        let twice = holder.with_options(|o| o.retries(1));
        assert_eq!(twice(values(&meter), meter.clone()).await.unwrap(), 0);
        assert_eq!((meter.total(), meter.inside()), (3, 0));
    });
}

struct Socket(u16);

#[flow]
async fn connected(socket: Socket, runs: Meter) -> Result<()> {
    let _inside = runs.enter();
    assert_eq!(socket.0, 80);
    Ok(())
}

#[test]
fn an_argument_that_is_there_once_is_named() {
    run(async {
        let runs = Meter::default();
        connected(Socket(80), runs.clone()).await.unwrap();
        let retried = connected.with_options(|o| o.retries(1));
        let report = retried(Socket(80), runs.clone()).report().await;
        assert_eq!(runs.total(), 1, "the function did not run");
        assert!(history(&report).starts_with("Pending() → Failed("));
        let error = report.into_result().unwrap_err();
        for part in ["parameter `socket`", "Socket`", "not `Clone`"] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    });
}

#[test]
fn a_delay_that_cannot_be_is_told() {
    run(async {
        let flow = good_at.with_options(|o| o.retry_delay(Vec::new()));
        let error = flow(1, Meter::default()).await.unwrap_err();
        assert!(error.to_string().contains("empty list"), "{error}");
    });
}

#[flow(retries = 1, timeout = "20ms")]
async fn slow_at_first() -> u32 {
    if attempt() == 1 {
        std::future::pending::<()>().await;
    }
    attempt()
}

/// Its first call does not return for a while after its time is up.
#[flow(retries = 1, timeout = "20ms")]
fn stubborn_at_first(calls: Meter, gate: Gate) -> u32 {
    let _inside = calls.enter();
    if attempt() == 1 {
        gate.pass();
    }
    attempt()
}

#[test]
fn an_attempt_that_takes_too_long_is_repeated() {
    run(async {
        let report = slow_at_first().report().await;
        assert_eq!(
            history(&report),
            "Pending() → Running() → AwaitingRetry(\"Flow run exceeded timeout of 0.02 second(s)\", \
             type=SCHEDULED) → Running() → Completed()"
        );
        assert_eq!(report.into_result().unwrap(), 2);
    });
}

#[test]
fn a_thread_that_is_left_behind_returns_before_the_next_attempt() {
    run(async {
        let (calls, gate) = (Meter::default(), Gate::default());
        let flow = stubborn_at_first.start(calls.clone(), gate.clone());
        until(|| flow.state().name() == StateName::AwaitingRetry);
        assert_eq!(calls.total(), 1);
        gate.open();
        // The second attempt may be too slow for its limit as well.
        let _ = flow.await;
        assert_eq!((calls.total(), calls.most()), (2, 1));
    });
}

#[flow(retries = 1, retry_delay = "1h")]
async fn patient(calls: Meter) -> Result<()> {
    let _inside = calls.enter();
    Err(flowcore::Error::msg("not yet"))
}

#[test]
fn a_flow_that_waits_for_its_retry_is_cancelled() {
    run(async {
        let calls = Meter::default();
        let flow = patient.start(calls.clone());
        until(|| flow.state().name() == StateName::AwaitingRetry);
        flow.cancel();
        assert_eq!(flow.await.unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(calls.total(), 1);

        // Dropped, it does not go on either.
        let flow = patient.start(calls.clone());
        until(|| flow.state().name() == StateName::AwaitingRetry);
        drop(flow.cancel_on_drop());
        assert_eq!(calls.total(), 2);
    });
}

#[flow(retries = 3)]
async fn cancels_itself() -> State<u32> {
    State::cancelled("not today")
}

#[flow(retries = 3)]
async fn held(gate: Gate, calls: Meter) {
    let _inside = calls.enter();
    gate.passed().await;
}

#[test]
fn what_is_cancelled_is_not_repeated() {
    run(async {
        let report = cancels_itself().report().await;
        let states = "Pending() → Running() → Cancelled(\"not today\")";
        assert_eq!(history(&report), states);

        let (gate, calls) = (Gate::default(), Meter::default());
        let flow = held.start(gate, calls.clone());
        until(|| calls.inside() == 1);
        flow.cancel();
        assert_eq!(flow.await.unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(calls.total(), 1);
    });
}

#[task]
fn odd_number_of_times(x: u32, attempt: u32) -> Result<u32, Bad> {
    match (x, attempt) {
        (2, 1) => Err(Bad::new("two")),
        _ => Ok(x),
    }
}

/// Fails by what it returns.
#[flow(retries = 1)]
async fn returns_runs() -> Mapped<u32> {
    odd_number_of_times.map([1, 2], unmapped(attempt()))
}

#[flow(retries = 1)]
async fn panics_at_first() -> u32 {
    assert!(attempt() > 1, "at first");
    attempt()
}

#[test]
fn every_kind_of_failure_is_repeated() {
    run(async {
        let report = returns_runs().report().await;
        assert_eq!(
            history(&report),
            "Pending() → Running() → AwaitingRetry(\"1/2 states failed.\", type=SCHEDULED) \
             → Running() → Completed(\"All states completed.\")"
        );
        assert_eq!(panics_at_first().await.unwrap(), 2);
    });
}

#[task(local)]
async fn waits(gate: &Gate, runs: &Meter) {
    let _inside = runs.enter();
    gate.passed().await;
}

/// Leaves runs behind that wait, and code beside them.
#[flow(retries = 1)]
async fn untidy(gate: Gate, runs: Meter) -> Result<Vec<StateName>> {
    if attempt() == 1 {
        let first = waits.submit(&gate, &runs);
        drop(waits.after(&first).submit(&gate, &runs));
        flowcore::spawn(std::future::pending::<()>());
        until(|| runs.inside() == 1);
        return Err(flowcore::Error::msg("leaves"));
    }
    // Nothing of the first attempt runs any more.
    assert_eq!(runs.inside(), 0);
    assert!(!flowcore::cancellation().is_cancelled());
    gate.open();
    let again = waits.submit(&gate, &runs);
    let spawned = flowcore::spawn(async { 5 });
    assert_eq!(spawned.await?, 5);
    again.wait(None).await;
    Ok(vec![again.state().name()])
}

#[test]
fn an_attempt_ends_whole_before_the_next_begins() {
    run(async {
        let runs = Meter::default();
        let states = untidy(Gate::default(), runs.clone()).await.unwrap();
        assert_eq!(states, [StateName::Completed]);
        assert_eq!(runs.total(), 2);
    });
}

#[task]
fn costly(x: u32) -> u32 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    x + CALLS.fetch_add(1, Ordering::SeqCst)
}

#[flow(retries = 1, persist_result, result_store = "memory://flow-retries")]
async fn keeps_results() -> Result<(u32, StateName)> {
    let run = costly.submit(1);
    let value = *run.result().await?;
    if attempt() == 1 {
        return Err(flowcore::Error::msg("after the costly part"));
    }
    Ok((value, run.state().name()))
}

#[test]
fn results_that_were_written_down_are_found() {
    run(async {
        assert_eq!(keeps_results().await.unwrap(), (1, StateName::Cached));
    });
}

#[flow(retries = 1, retry_delay = exponential_backoff("1ms"))]
fn borrows(texts: &[String], seen: &Mutex<Vec<usize>>) -> Result<usize> {
    seen.lock().push(texts.len());
    if attempt() == 1 {
        return Err(flowcore::Error::msg("again"));
    }
    Ok(texts.len())
}

#[test]
fn loans_are_lent_again() {
    run(async {
        let (texts, seen) = (["a".to_owned(), "b".to_owned()], Mutex::default());
        assert_eq!(borrows(&texts, &seen).await.unwrap(), 2);
        assert_eq!(*seen.lock(), [2, 2]);
    });
}

#[flow(retries = 1)]
async fn inner(of: u32) -> Result<u32> {
    if attempt() == 1 || of == 1 {
        Err(Bad::new(format!("inner {}", attempt())))?;
    }
    Ok(attempt())
}

#[flow(retries = 1)]
async fn outer() -> Result<u32> {
    inner(attempt()).await
}

#[test]
fn flows_in_flows_have_their_own_attempts() {
    run(async {
        let report = outer().report().await;
        let states = |record: flowcore::FlowRunRecord<'_>| -> Vec<_> {
            record.states().iter().map(StateChange::name).collect()
        };
        let all: Vec<_> = report.flow_runs().map(states).collect();
        use StateName::{AwaitingRetry, Completed, Failed, Pending, Running};
        assert_eq!(
            all,
            [
                vec![Pending, Running, AwaitingRetry, Running, Completed],
                vec![Pending, Running, AwaitingRetry, Running, Failed],
                vec![Pending, Running, AwaitingRetry, Running, Completed],
            ]
        );
        assert_eq!(report.into_result().unwrap(), 2);
    });
}
