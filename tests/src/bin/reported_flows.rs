//! The child of the tests of reporting: one flow in a process of its own, which
//! reports to the server that its environment names, and tells on standard
//! output, as JSON, what the engine did.
//!
//! ```text
//! reported_flows FLOW [ARGUMENT …]
//! reported_flows FLOW_elsewhere
//! reported_flows replay
//! ```

use std::thread;
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{Artifact, FlowOptions, MapReport, PrefectError, RunReport};
use flowdask::DaskTaskRunner;
use serde_json::json;

#[task(tags = ["numbers"], version = "7")]
fn inc(x: i64) -> i64 {
    tracing::info!("x is {x}");
    x + 1
}

#[task]
fn double(x: i64) -> i64 {
    x * 2
}

#[task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task]
fn sum_all(z: Vec<i64>) -> i64 {
    z.iter().sum()
}

#[flow(version = "1.2", tags = ["design"])]
async fn inc_double_add_sum(a_range: Vec<i64>, label: Option<String>) -> Result<i64> {
    tracing::warn!("a warning of the flow");
    drop(label);
    let a = inc.map(&a_range);
    let b = double.map(&a_range);
    let c = add.map(&a, &b);
    sum_all.submit(c).await
}

#[task(retries = 3, retry_delay = ["10ms", "10ms", "2s"])]
fn shaky(x: i64) -> Result<i64> {
    match flowcore::run_info() {
        Some(run) if run.attempt < 3 => Err(Error::msg(format!("attempt {} of {x}", run.attempt))),
        _ => Ok(x),
    }
}

#[task]
fn bad(x: i64) -> Result<i64> {
    Err(Error::msg(format!("bad thing {x}")))
}

#[task]
fn outer(x: i64) -> Result<i64> {
    inc.submit(x).block()
}

#[task(timeout = "100ms")]
async fn takes_too_long() {
    std::future::pending::<()>().await;
}

#[task]
async fn is_cancelled() {
    std::future::pending::<()>().await;
}

#[flow]
async fn child(x: i64) -> Result<i64> {
    inc.submit(x).await
}

#[flow(name = "every-kind")]
async fn every_kind(n: i64) -> Result<i64> {
    let first = shaky.submit(n);
    let failed = bad.submit(n);
    let never = inc.submit(&failed);
    let after = inc.after(&first).submit(1);
    let nested = outer.submit(5);
    let late = takes_too_long.submit();
    let cancelled = is_cancelled.submit();
    cancelled.cancel();
    let sub = child(2).await?;
    late.wait(None).await;
    cancelled.wait(None).await;
    never.wait(None).await;
    Ok(first.await? + after.await? + nested.await? + sub)
}

/// Maps on maps, with rows that fail and rows that are tried again, and a
/// subflow after them.
#[flow]
async fn ordered() -> Result<i64> {
    let steps = step.map(0..10, unmapped(20));
    let first = sleeps.map(0..10);
    let named = add.with_options(|o| o.task_run_name("add {x}"));
    let second = named.map(&first, &first);
    let after = follows.map(&steps, &second);
    let sum = sum_all.submit(&second);
    let last = inc.after(&after).submit(sum.clone());
    let nested = outer.after(&sum).submit(5);
    let sub = child(sum.await?).await?;
    after.wait(None).await;
    last.wait(None).await;
    Ok(nested.await? + sub)
}

#[task(task_run_name = "sleeps {x}")]
fn sleeps(x: i64) -> i64 {
    thread::sleep(Duration::from_millis(10));
    x
}

#[task(task_run_name = "follows {x}")]
fn follows(number: u64, x: i64) -> i64 {
    thread::sleep(Duration::from_millis(5));
    i64::try_from(number).unwrap_or_default() + x
}

/// One in ten fails, another one is tried again.
#[task(retries = 1, task_run_name = "step {number}")]
fn step(number: u64, pause: u64) -> Result<u64> {
    thread::sleep(Duration::from_millis(pause));
    let attempt = flowcore::run_info().map_or(1, |run| run.attempt);
    tracing::info!("step {number}, attempt {attempt}");
    match number % 10 {
        3 if attempt == 1 => Err(Error::msg("not at first")),
        7 => Err(Error::msg(format!("never {number}"))),
        _ => Ok(number),
    }
}

#[flow]
async fn substep(number: u64) -> Result<i64> {
    tracing::info!("step {number} goes down");
    inc.submit(i64::try_from(number).unwrap_or_default()).await
}

/// Step by step, so that it takes its time whatever its server does. With
/// `stays` it does not end.
#[flow]
async fn steady(steps: u64, pause: u64, stays: bool) -> Result<()> {
    for number in 0..steps {
        step.submit(number, pause).wait(None).await;
        if number % 20 == 10 {
            substep(number).await?;
            let artifact = Artifact::markdown(format!("step {number}")).key("steps");
            artifact.create().await?;
        }
    }
    if stays {
        std::future::pending::<()>().await;
    }
    Ok(())
}

#[task(task_run_name = "row {number}")]
fn row(number: u64) -> u64 {
    number
}

/// More at once than a server records in a moment.
#[flow]
async fn burst(rows: u64) -> Result<()> {
    let mut rows_of_maps = Vec::new();
    for first in (0..rows).step_by(1_000) {
        let numbers: Vec<u64> = (first..rows.min(first + 1_000)).collect();
        rows_of_maps.push(row.map(numbers));
    }
    for mapped in rows_of_maps {
        mapped.wait(None).await;
    }
    Ok(())
}

#[task(report = summary)]
fn odd_ones_fail(x: i64) -> Result<i64> {
    match x % 10 {
        7 => Err(Error::msg(format!("{x} is odd"))),
        _ => Ok(x),
    }
}

#[flow]
async fn maps_as_asked() -> Result<i64> {
    let counted = odd_ones_fail.map(0..30);
    let in_batches = inc
        .with_options(|o| o.report(MapReport::Batches))
        .map(0..250);
    let whole = double
        .with_options(|o| o.report(MapReport::Summary))
        .map(&in_batches);
    counted.outcomes().await?;
    sum_all.submit(whole).await
}

#[task]
fn kept(number: u64) -> u64 {
    number
}

#[task(cache = NO_CACHE)]
async fn stays_at_work(stays: bool) {
    if stays {
        std::future::pending::<()>().await;
    }
}

#[task]
async fn with_others(number: u64) -> Result<u64> {
    kept.submit(number).await
}

/// Finishes some runs, and with `stays` no other one.
#[flow(persist_result)]
async fn resumed(stays: bool) -> Result<u64> {
    let one = kept.submit(1).await?;
    with_others.submit(2).await?;
    let rows = kept.map([3, 4]).await?;
    stays_at_work.submit(stays).await?;
    kept.submit(100 + one + rows[0]).await
}

#[flow(api = required)]
async fn audited(x: i64) -> Result<i64> {
    tracing::info!("the flow's function runs");
    inc.submit(x).await
}

/// No server takes its name.
#[flow(name = "a/b: c")]
async fn misnamed(x: i64) -> Result<i64> {
    tracing::info!("nobody hears of it");
    let artifact = Artifact::markdown("x").key("of-the-misnamed");
    artifact.create().await?;
    inc.submit(x).await
}

/// As [`misnamed`], and its server has to know it.
#[flow(name = "a<b", api = required)]
async fn misnamed_and_audited(x: i64) -> Result<i64> {
    tracing::info!("the flow's function runs");
    inc.submit(x).await
}

/// Every letter that servers take, and a subflow that they do not.
#[flow(
    name = "letters !\"#$'()*+,-.:;=?@[\\]^_`{|}~ ä\u{1f600}\n",
    flow_run_name = "run {tag} /%&<>\n",
    tags = ["/%&<>", "a b", "ä\n"]
)]
async fn letters(tag: String) -> Result<i64> {
    let named = inc.with_options(|o| o.name("task /%&<>").tags(["/%&<>\n"]));
    let named = named.with_options(|o| o.task_run_name("one of /%&<> {x}\n"));
    named.submit(1).await?;
    drop(tag);
    misnamed(2).await
}

/// How it ended, and what is known of the reason.
async fn tell_audited(run: impl IntoFuture<Output = Result<i64>>) {
    let told = match run.await {
        Ok(value) => json!({"value": value}),
        Err(error) => match error.downcast_ref() {
            Some(PrefectError::NotReported { url, status, .. }) => {
                json!({"error": error.to_string(), "url": url, "status": status})
            }
            _ => json!({"another error": error.to_string()}),
        },
    };
    println!("{told}");
}

/// What the engine did.
fn tell<T>(report: &RunReport<T>) {
    let states = |states: &[flowcore::StateChange]| {
        let states = states.iter().map(|state| {
            json!({
                "name": state.name().as_str(),
                "message": state.message(),
                "at": state.timestamp().to_string(),
            })
        });
        states.collect::<Vec<_>>()
    };
    let flows = report.flow_runs().map(|flow| {
        json!({"name": flow.name(), "flow": flow.flow_name(), "states": states(flow.states())})
    });
    let runs = report.runs().map(|run| {
        json!({
            "name": run.name(),
            "task": run.task_name(),
            "flow_run": run.flow_run_name(),
            "states": states(run.states()),
        })
    });
    let told = json!({
        "flows": flows.collect::<Vec<_>>(),
        "runs": runs.collect::<Vec<_>>(),
    });
    println!("{told}");
}

/// Tasks are executed by a worker of Dask's.
fn elsewhere(options: FlowOptions) -> FlowOptions {
    options.task_runner(DaskTaskRunner::local().n_workers(1).threads_per_worker(4))
}

#[flowcore::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next();
    let mut number = || {
        let number = arguments.next().and_then(|text| text.parse().ok());
        number.unwrap_or_default()
    };
    match what.as_deref() {
        Some("design") => tell(&inc_double_add_sum((0..4).collect(), None).report().await),
        Some("design_elsewhere") => {
            let flow = inc_double_add_sum.with_options(elsewhere);
            tell(&flow((0..4).collect(), None).report().await);
        }
        Some("every_kind_elsewhere") => {
            tell(&every_kind.with_options(elsewhere)(3).report().await);
        }
        Some("every_kind") => tell(&every_kind(3).report().await),
        Some("ordered") => tell(&ordered().report().await),
        Some("ordered_elsewhere") => {
            tell(&ordered.with_options(elsewhere)().report().await);
        }
        Some("steady") => tell(&steady(number(), number(), number() > 0).report().await),
        Some("resumed") => match arguments.next() {
            None => tell(&resumed(true).report().await),
            Some(run) => tell(&resumed.resume(run.parse()?)(false).report().await),
        },
        Some("burst") => tell(&burst(number()).report().await),
        Some("replay") => println!("{}", flowcore::replay().await?),
        Some("maps_as_asked") => tell(&maps_as_asked().report().await),
        Some("audited") => tell_audited(audited(3)).await,
        Some("misnamed_and_audited") => tell_audited(misnamed_and_audited(3)).await,
        Some("misnamed") => tell(&misnamed(3).report().await),
        Some("letters") => tell(&letters("<&>".to_owned()).report().await),
        Some("alone") => println!("{}", inc(4).await?),
        other => return Err(Error::msg(format!("there is no flow {other:?}"))),
    }
    Ok(())
}
