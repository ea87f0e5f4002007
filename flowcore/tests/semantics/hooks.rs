//! Hooks: called in the state that they are for, in order, and whatever they
//! do changes nothing.

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{FlowInfo, RunInfo, StateName, TaskInfo};
use parking_lot::Mutex;

use crate::support::{Bad, Gate, Meter, in_time, run, until};

/// What hooks were told, as text.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn of_task(&self, text: &str) -> impl Fn(&TaskInfo, &RunInfo, &State) + use<> {
        let (told, text) = (self.clone(), text.to_owned());
        move |task, run, state| {
            let name = run.task_run_name.as_deref().unwrap();
            let name = name.split('-').next().unwrap();
            assert_eq!(task.function, name);
            let line = format!("{text}{name} {} {state}", run.attempt);
            told.0.lock().push(line);
        }
    }

    fn of_flow(&self, text: &str) -> impl Fn(&FlowInfo, &RunInfo, &State) + use<> {
        let (told, text) = (self.clone(), text.to_owned());
        move |flow, run, state| {
            assert!(run.task_run_name.is_none() && run.flow_run_name.is_some());
            let line = format!("{text}{} {state}", flow.function);
            told.0.lock().push(line);
        }
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

fn on_all_of_task(o: flowcore::TaskOptions, told: &Told) -> flowcore::TaskOptions {
    o.on_running(told.of_task("running: "))
        .on_completion(told.of_task("completion: "))
        .on_failure(told.of_task("failure: "))
        .on_crashed(told.of_task("crashed: "))
        .on_cancellation(told.of_task("cancellation: "))
}

fn on_all_of_flow(o: flowcore::FlowOptions, told: &Told) -> flowcore::FlowOptions {
    o.on_running(told.of_flow("running: "))
        .on_completion(told.of_flow("completion: "))
        .on_failure(told.of_flow("failure: "))
        .on_crashed(told.of_flow("crashed: "))
        .on_cancellation(told.of_flow("cancellation: "))
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
async fn fails(x: i64) -> Result<i64, Bad> {
    Err(Bad::new(format!("bad {x}")))
}

#[task]
fn borrows(text: &str) -> usize {
    text.len()
}

#[task(local)]
async fn held(gate: &Gate, meter: &Meter) -> i64 {
    let _inside = meter.enter();
    gate.passed().await;
    1
}

#[flow]
async fn one_of_each(told: Told) -> Result<()> {
    let completes = inc.with_options(|o| on_all_of_task(o, &told));
    let fails_twice = fails.with_options(|o| on_all_of_task(o, &told).retries(1));
    let lent = borrows.with_options(|o| on_all_of_task(o, &told));
    let seen = |lines: &[&str]| {
        assert_eq!(told.lines(), lines);
        told.0.lock().clear();
    };
    seen(&["running: one_of_each Running()"]);
    // Whoever waited for the run finds that its hooks have been called.
    completes.submit(1).await?;
    let completed = ["running: inc 1 Running()", "completion: inc 1 Completed()"];
    seen(&completed);
    completes(1).await?;
    seen(&completed);
    lent("a").await?;
    seen(&[
        "running: borrows 1 Running()",
        "completion: borrows 1 Completed()",
    ]);
    let failed = [
        "running: fails 1 Running()",
        "running: fails 2 Retrying(type=RUNNING)",
        "failure: fails 2 Failed(\"Task run encountered an exception Bad: bad 1\")",
    ];
    let run = fails_twice.submit(1);
    assert!(run.result().await.is_err());
    seen(&failed);
    assert!(fails_twice(1).await.is_err());
    seen(&failed);
    // It never starts.
    let never = completes.submit(&run);
    assert!(never.await.is_err());
    seen(&[]);
    Ok(())
}

#[test]
fn hooks_are_called_in_every_state() {
    let told = Told::default();
    let seen = told.clone();
    run(async move {
        let flow = one_of_each.with_options(|o| on_all_of_flow(o, &told));
        flow(told.clone()).await.unwrap();
    });
    let lines = seen.lines();
    assert_eq!(lines, ["completion: one_of_each Completed()"]);
}

/// What is slow to be made into text.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Slow(u32);

impl std::fmt::Display for Slow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::thread::sleep(Duration::from_millis(50));
        write!(f, "{}", self.0)
    }
}

#[task(retries = 1)]
fn shows(slow: Slow) -> Result<u32, Bad> {
    Err(Bad::new(format!("bad {}", slow.0)))
}

/// Its argument is lent.
#[task]
fn lends(slow: &Slow) -> u32 {
    slow.0
}

#[flow]
async fn begins_named(told: Told) -> Result<()> {
    let begins = told.clone();
    let begins = move |_: &TaskInfo, run: &RunInfo, state: &State| {
        let name = run.task_run_name.clone().unwrap();
        begins.0.lock().push(format!("{name} {}", state.name()));
    };
    let hooked = |o: flowcore::TaskOptions| o.task_run_name("run-{slow}").on_running(begins);
    let [task, lent] = [(); 2].map(|()| hooked.clone());
    let task = shows.with_options(task);
    // Nobody waits for hooks of a run that begins: they have threads of their own.
    let seen = |lines: &[&str]| {
        until(|| told.0.lock().len() >= lines.len());
        let mut told = told.0.lock();
        told.sort();
        assert_eq!(*told, lines);
        told.clear();
    };
    let begun = ["run-7 Retrying", "run-7 Running"];
    task.submit(Slow(7)).wait(None).await;
    seen(&begun);
    assert!(task(Slow(7)).await.is_err());
    seen(&begun);
    task.map([Slow(7)]).wait(None).await;
    seen(&begun);
    lends.with_options(lent)(&Slow(3)).await?;
    seen(&["run-3 Running"]);
    Ok(())
}

/// However long its template takes.
#[test]
fn hooks_of_a_run_that_begins_see_the_name_of_its_template() {
    run(async { begins_named(Told::default()).await.unwrap() });
}

#[flow]
async fn rows(told: Told, meter: Meter) -> Result<()> {
    let counted = inc.with_options(|o| {
        let meter = meter.clone();
        o.on_completion(move |_, _, _| drop(meter.enter()))
            .on_running(|_, run, _| assert!(run.task_run_id.is_some()))
    });
    counted.map(0..500).await?;
    assert_eq!(meter.total(), 500);
    let named = fails.with_options(|o| {
        o.task_run_name("row-{x}").on_failure({
            let told = told.clone();
            move |_, run, _| told.0.lock().push(run.task_run_name.clone().unwrap())
        })
    });
    let map = named.map(0..3);
    // Whoever waited for one row finds that its hook has been called.
    assert!(map.get(1).await.is_err());
    assert!(told.lines().contains(&"row-1".to_owned()));
    assert!(map.await.is_err());
    let mut lines = told.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["row-0", "row-1", "row-2"]);
    Ok(())
}

#[test]
fn hooks_are_called_row_by_row() {
    run(rows(Told::default(), Meter::default())).unwrap();
}

fn panics<D>(_: &D, _: &RunInfo, _: &State) {
    panic!("boom");
}

#[flow]
async fn with_bad_hooks(told: Told) -> Result<i64> {
    let watched = inc.with_options(|o| {
        o.on_completion(panics)
            .on_completion(|_, _, _| Err("no"))
            .on_completion(told.of_task("third: "))
    });
    watched.submit(watched.submit(1)).await
}

#[test]
fn a_hook_that_fails_or_panics_changes_nothing() {
    let told = Told::default();
    let seen = told.clone();
    run(async move {
        let flow = with_bad_hooks.with_options(|o| {
            o.on_running(panics)
                .on_completion(|_, _, _| Err(Bad::new("no")))
                .on_completion(told.of_flow("then: "))
        });
        assert_eq!(flow(told.clone()).await.unwrap(), 3);
    });
    assert_eq!(
        seen.lines(),
        [
            "third: inc 1 Completed()",
            "third: inc 1 Completed()",
            "then: with_bad_hooks Completed()",
        ]
    );
}

#[flow]
async fn holds(gate: Gate, meter: Meter, told: Told) -> Result<i64> {
    let watched = held.with_options(|o| on_all_of_task(o, &told));
    watched.submit(&gate, &meter).await
}

#[test]
fn hooks_are_called_when_a_flow_is_cancelled_or_dropped() {
    in_time(|| {
        let (gate, meter, told) = (Gate::default(), Meter::default(), Told::default());
        let flow = holds.with_options(|o| on_all_of_flow(o, &told));
        let running = flow.start(gate.clone(), meter.clone(), told.clone());
        until(|| meter.inside() == 1);
        running.cancel();
        assert!(running.block().is_err());
        let begun = ["running: holds Running()", "running: held 1 Running()"];
        let cancelled = [
            "cancellation: held 1 Cancelled(\"Task run was cancelled.\")",
            "cancellation: holds Cancelled(\"Flow run was cancelled successfully.\")",
        ];
        assert_eq!(told.lines(), [begun, cancelled].concat());

        told.0.lock().clear();
        let mut call = Box::pin(flow(gate, meter.clone(), told.clone()));
        pollster::block_on(async {
            let started = async {
                while meter.inside() == 0 {
                    tokio::task::yield_now().await;
                }
            };
            let started = std::pin::pin!(started);
            futures_util::future::select(&mut call, started).await;
        });
        drop(call);
        until(|| told.lines().len() == 4);
        let lines = told.lines();
        assert!(lines[2].starts_with("cancellation: held"), "{lines:?}");
        assert_eq!(
            lines[3],
            "cancellation: holds Cancelled(\"Flow run was dropped before it ended.\")"
        );
    });
}

/// Submits in a hook, and waits for runs with hooks of their own.
#[flow]
async fn cleans_up(told: Told) -> Result<()> {
    let cleanup = inc.with_options(|o| o.on_completion(told.of_task("cleanup: ")));
    let cleaned = fails.with_options(|o| {
        let told = told.clone();
        o.on_failure(move |_, _, _| {
            let result = cleanup.submit(4).block()?;
            told.0.lock().push(format!("cleaned up: {result}"));
            Ok::<_, Error>(())
        })
    });
    assert!(cleaned.submit(1).await.is_err());
    Ok(())
}

#[test]
fn hooks_may_submit_and_wait() {
    let told = Told::default();
    let seen = told.clone();
    run(cleans_up(told)).unwrap();
    let mut lines = seen.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["cleaned up: 5", "cleanup: inc 1 Completed()"]);
}

static NOTED: LazyLock<Told> = LazyLock::new(Told::default);

fn note(task: &TaskInfo, run: &RunInfo, state: &State) {
    assert_eq!(run.task_key, Some(task.key));
    NOTED.0.lock().push(format!("note {}", state.name()));
}

mod alerts {
    use super::*;

    pub(super) fn page(_: &TaskInfo, _: &RunInfo, state: &State) -> Result<(), String> {
        NOTED.0.lock().push(format!("page {}", state.name()));
        Err("nobody is there".to_owned())
    }

    pub(super) fn flow_ended(flow: &FlowInfo, _: &RunInfo, state: &State) {
        NOTED
            .0
            .lock()
            .push(format!("{} {}", flow.function, state.name()));
    }
}

#[task(on_running = note, on_failure = [alerts::page, note], timeout = "10ms")]
async fn sleeps() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[flow(on_failure = alerts::flow_ended)]
async fn noted() -> Result<()> {
    sleeps.submit().await
}

#[test]
fn hooks_of_the_attribute_are_named_functions() {
    run(async {
        let error = noted().await.unwrap_err();
        assert_eq!(error.kind(), flowcore::ErrorKind::TimedOut);
        let expected = [
            "note Running",
            "page TimedOut",
            "note TimedOut",
            "noted TimedOut",
        ];
        assert_eq!(NOTED.lines(), expected);
        NOTED.0.lock().clear();
        let quiet = sleeps.with_options(flowcore::TaskOptions::without_hooks);
        let state = quiet().state().await;
        assert_eq!(state.name(), StateName::TimedOut);
        assert_eq!(NOTED.lines(), [""; 0]);
    });
}

#[task]
fn alarm(text: String) -> String {
    text
}

/// What a hook of a flow that has ended can do.
fn raises_the_alarm(told: &Told) -> impl Fn(&FlowInfo, &RunInfo, &State) + use<> {
    let told = told.clone();
    move |_, _, state| {
        assert!(!flowcore::cancellation().is_cancelled());
        let called = alarm(state.name().to_string()).block();
        told.0.lock().push(format!("called: {}", called.unwrap()));
        let refused = alarm.submit("no".to_owned()).block().unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("in a hook after its flow run"), "{text}");
        assert_eq!(ends(true).block().unwrap(), 1);
    }
}

#[flow]
async fn ends(completes: bool) -> Result<i64> {
    if completes {
        Ok(1)
    } else {
        Err(Error::msg("no"))
    }
}

#[test]
fn hooks_of_a_flow_that_has_ended_call_tasks_and_flows() {
    let told = Told::default();
    let watched = ends.with_options(|o| {
        o.on_completion(raises_the_alarm(&told))
            .on_failure(raises_the_alarm(&told))
            .on_cancellation(raises_the_alarm(&told))
    });
    let dropped = watched.with_options(|o| o);
    run(async move {
        assert_eq!(watched(true).await.unwrap(), 1);
        watched(false).await.unwrap_err();
        let handle = dropped.start(true);
        handle.cancel();
        let _ = handle.await;
    });
    let lines = told.lines();
    assert_eq!(lines[..2], ["called: Completed", "called: Failed"]);
    assert_eq!(lines.len(), 3);
}

#[flow]
async fn waits_for_slow_hooks(gate: Gate) -> Result<()> {
    let behind = gate.clone();
    let slow = alarm.with_options(|o| {
        o.on_completion(move |_: &TaskInfo, _: &RunInfo, _: &State| behind.pass())
    });
    let run = slow.submit("x".to_owned());
    until(|| run.state().is_completed());
    let (done, late) = flowcore::wait([&run], Duration::from_millis(5)).await;
    assert_eq!((done.len(), late.len()), (0, 1));
    gate.open();
    let (done, late) = flowcore::wait([&run], None).await;
    assert_eq!((done.len(), late.len()), (1, 0));
    Ok(())
}

#[test]
fn waiting_for_runs_is_waiting_for_their_hooks() {
    run(waits_for_slow_hooks(Gate::default())).unwrap();
}
