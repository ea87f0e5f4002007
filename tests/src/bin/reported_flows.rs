//! The child of the tests of reporting: one flow in a process of its own, which
//! reports to the server that its environment names, and tells on standard
//! output, as JSON, what the engine did.
//!
//!     reported_flows FLOW

use flowcore::RunReport;
use flowcore::prelude::*;
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

#[task(retries = 2)]
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
    let sub = child(2).await?;
    never.wait(None).await;
    Ok(first.await? + after.await? + nested.await? + sub)
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

#[flowcore::main]
async fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("design") => tell(&inc_double_add_sum((0..4).collect(), None).report().await),
        Some("every_kind") => tell(&every_kind(3).report().await),
        Some("alone") => println!("{}", inc(4).await?),
        other => return Err(Error::msg(format!("there is no flow {other:?}"))),
    }
    Ok(())
}
