//! The flows of the tests of `DaskTaskRunner`, and, with `FLOW_WORKER` set,
//! their worker: one executable, as users have one.
//!
//! Arguments: a flow's name, and `local`, `processes` or a scheduler's address. The result
//! is printed as one line of JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use flowcore::prelude::*;
use flowdask::{Client, DaskTaskRunner};
use serde_json::{Value, json};

#[task]
fn inc(x: i64) -> i64 {
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

/// The flow of the README.
#[flow]
async fn mapped(rows: i64) -> Result<i64> {
    let range: Vec<i64> = (0..rows).collect();
    let a = inc.map(&range);
    let b = double.map(&range);
    let c = add.map(&a, &b);
    sum_all.submit(c).await
}

#[task]
fn process() -> u32 {
    std::process::id()
}

#[task(local)]
fn home_process() -> u32 {
    std::process::id()
}

/// Where runs are executed: on the cluster, unless they are local.
#[flow]
async fn places() -> Result<(bool, bool)> {
    let own = std::process::id();
    Ok((
        process.submit().await? == own,
        home_process.submit().await? == own,
    ))
}

#[derive(Debug, thiserror::Error)]
#[error("row {0} is bad")]
struct Bad(i64, #[source] std::num::ParseIntError);

#[task]
fn picky(x: i64) -> Result<i64, Bad> {
    match x % 3 {
        0 => Err(Bad(x, "x".parse::<i64>().unwrap_err())),
        _ => Ok(x),
    }
}

#[task]
fn after(x: i64) -> i64 {
    x
}

#[task]
fn told(x: Result<i64>) -> String {
    x.map_or_else(|error| error.to_string(), |x| x.to_string())
}

/// Failures, what depends on them, and what allows them.
#[flow]
async fn failures() -> Result<Value> {
    let good = picky.submit(1);
    let bad = picky.submit(3);
    let dependent = after.submit(&bad);
    let allowed = told.submit(allow_failure(&bad));
    let also_allowed = told.submit(allow_failure(&good));
    let map = picky.map(0..5);
    flowcore::wait([&map], None).await;
    let names: Vec<String> = map.states().iter().map(ToString::to_string).collect();
    flowcore::wait([&dependent], None).await;
    let error = bad.await.unwrap_err();
    let dependent = dependent.state();
    Ok(json!({
        "good": good.await?,
        "error": chain(&error),
        "dependent": dependent.name().to_string(),
        "allowed": allowed.await?,
        "also_allowed": also_allowed.await?,
        "states": names,
    }))
}

fn chain(error: &flowcore::Error) -> Vec<String> {
    let first: &(dyn std::error::Error + 'static) = &**error;
    std::iter::successors(Some(first), |error| error.source())
        .map(ToString::to_string)
        .collect()
}

/// Fails until the file is there.
#[task(retries = 2, retry_delay = "10ms")]
fn flaky(file: String) -> Result<String> {
    if Path::new(&file).exists() {
        return Ok("at last".to_owned());
    }
    std::fs::write(&file, "")?;
    Err(flowcore::Error::msg("not yet"))
}

/// A run that is retried where it is executed.
#[flow]
async fn retried() -> Result<String> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("tried");
    flaky.submit(file.display().to_string()).await
}

#[task]
fn values(words: Vec<String>, counts: BTreeMap<String, Option<f64>>) -> (usize, Vec<u8>, bool) {
    (words.len() + counts.len(), vec![0, 255], true)
}

#[task]
fn nothing(_: (usize, Vec<u8>, bool)) {}

/// Values of many kinds.
#[flow]
async fn kinds() -> Result<Value> {
    let counts = BTreeMap::from([("a".to_owned(), Some(1.5)), ("b".to_owned(), None)]);
    let made = values.submit(vec!["x".to_owned()], counts);
    nothing.submit(&made).await?;
    let (length, bytes, flag) = made.await?;
    Ok(json!([length, bytes, flag]))
}

#[task]
async fn sleeps(x: u64, milliseconds: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    x
}

/// Fails unless the file is there, and makes it.
#[task(retries = 1)]
fn second_time(file: String) -> Result<usize> {
    if Path::new(&file).exists() {
        return Ok(file.len());
    }
    std::fs::write(&file, "")?;
    Err(flowcore::Error::msg("the first time"))
}

/// Maps that travel in batches: rows that fail, what reads them, retries.
#[flow]
async fn batched(rows: i64) -> Result<Value> {
    let directory = tempfile::tempdir()?;
    let started = inc.map(0..rows);
    let some = picky.map(&started);
    let dependents = double.map(&some);
    let lenient = told.map(allow_failure(&some));
    let shifted = add.map(
        started.slice(7..),
        dependents.slice(..usize::try_from(rows - 7)?),
    );
    let files = (0..rows).map(|row| directory.path().join(row.to_string()).display().to_string());
    let again = second_time.map(files);
    let total = sum_all.submit(&started);
    flowcore::wait([&dependents], None).await;
    flowcore::wait([&shifted], None).await;
    let count = |states: Vec<flowcore::StateName>| {
        let mut counts = BTreeMap::new();
        for state in states {
            *counts.entry(state.to_string()).or_insert(0) += 1;
        }
        counts
    };
    Ok(json!({
        "total": total.await?,
        "retried": again.await?.len(),
        "lenient": lenient.await?,
        "row": dependents.get(3).await?,
        "error": chain(&some.get(2).await.unwrap_err()),
        "first": dependents.clone().await.unwrap_err().to_string().contains("row 2"),
        "some": count(some.states()),
        "dependents": count(dependents.states()),
        "shifted": count(shifted.states()),
        "single": told.submit(allow_failure(some.get(2))).await?,
    }))
}

#[task]
fn blocks(x: u64, milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    x
}

/// Rows of running batches are cancelled: one of them, then all of a map.
#[flow]
async fn cancelled_rows() -> Result<Value> {
    let one = blocks.map(0..200, unmapped(5_u64));
    one.get(199).cancel();
    flowcore::wait([&one], None).await;
    let states = one.states();
    let completed = |state: &&flowcore::StateName| **state == flowcore::StateName::Completed;
    let all = sleeps.map(0..200, unmapped(200_u64));
    all.get(0).await?;
    all.cancel();
    flowcore::wait([&all], None).await;
    let left = all.states();
    Ok(json!([
        states.iter().filter(completed).count(),
        states[199].to_string(),
        left[199].to_string(),
        left.iter().all(|state| state.is_settled()),
    ]))
}

/// A run that would never end, cancelled.
#[flow]
async fn cancelled() -> Result<String> {
    let endless = sleeps.submit(1, u64::MAX / 2);
    while endless.state().name() != flowcore::StateName::Running {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    endless.cancel();
    flowcore::wait([&endless], None).await;
    Ok(endless.state().name().to_string())
}

/// Rows that take a while: time to kill workers.
#[flow]
async fn slow(rows: u64) -> Result<u64> {
    let rows = blocks.map(0..rows, unmapped(100_u64)).await?;
    Ok(rows.iter().sum())
}

/// Kills its process unless the file is there.
#[task]
fn dies(file: String) -> String {
    if !Path::new(&file).exists() {
        std::fs::write(&file, "").expect("a temporary directory");
        std::process::abort();
    }
    "alive".to_owned()
}

/// A run that takes its first worker down.
#[flow]
async fn killer() -> Result<String> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("killed");
    dies.submit(file.display().to_string()).await
}

#[task]
fn always_dies() {
    std::process::abort();
}

/// A run that takes every worker down.
#[flow]
async fn poison() -> Result<Value> {
    let dead = always_dies.submit();
    flowcore::wait([&dead], None).await;
    let state = dead.state();
    Ok(json!([state.name().to_string(), state.message()]))
}

#[task]
fn panics() {
    panic!("at the disco");
}

#[task(timeout = "50ms")]
async fn late() {
    std::future::pending::<()>().await;
}

/// Ends of other kinds.
#[flow]
async fn ends() -> Result<Value> {
    let panicked = panics.submit();
    let overdue = late.submit();
    flowcore::wait([&panicked], None).await;
    flowcore::wait([&overdue], None).await;
    Ok(json!([
        panicked.state().name().to_string(),
        panicked.state().message(),
        overdue.state().name().to_string()
    ]))
}

/// Submits runs of its own.
#[task]
async fn parent(x: i64) -> Result<i64> {
    let child = inc.submit(x);
    Ok(child.await? * 10)
}

/// Tasks that submit tasks.
#[flow]
async fn nested() -> Result<Vec<i64>> {
    parent.map(0..4).await
}

#[task]
fn length_of(text: String) -> usize {
    text.len()
}

/// Writes lines, and submits a run with a text of so many bytes.
#[task]
async fn talks(lines: usize, length: usize) -> Result<usize> {
    for line in 0..lines {
        tracing::info!("this is line {line} of a run that says a lot");
    }
    length_of.submit("x".repeat(length)).await
}

/// What runs say and ask that does not fit into one message.
#[flow]
async fn talkative() -> Result<Value> {
    let length = talks.submit(3000, 100_000).await?;
    let refusal = talks.submit(0, 20_000_000).await.unwrap_err();
    Ok(json!([length, chain(&refusal)]))
}

#[task]
fn texts(count: usize, length: usize) -> Vec<String> {
    vec!["x".repeat(length); count]
}

#[task]
fn lists(count: usize) -> Vec<i64> {
    vec![1; count]
}

/// Rows whose values are too large to travel together, and maps over lists
/// that lie with a worker, alone and in a batch. Gives the sums.
#[flow]
async fn large() -> Result<Value> {
    let own: Vec<String> = (0..100).map(|row| "y".repeat(200_000 + row)).collect();
    let own: usize = length_of.map(own).await?.iter().sum();
    let elsewhere: usize = length_of.map(texts.submit(30, 100_000)).await?.iter().sum();
    let rows = lists.map((0..100).collect::<Vec<usize>>());
    let in_batch: i64 = inc.map(rows.get(70)).await?.iter().sum();
    Ok(json!([own, elsewhere, in_batch]))
}

#[task]
fn fails(x: i64) -> Result<i64> {
    Err(Error::msg(format!("{x} is bad")))
}

#[task]
fn after_failure(outcome: Result<i64>, x: i64) -> i64 {
    assert!(outcome.is_err(), "it always fails");
    x
}

/// Many results that are read and let go, and one that is kept. Gives how many
/// keys the scheduler has in memory once it has heard of it.
#[flow]
async fn forgetful(address: String) -> Result<usize> {
    let kept = inc.submit(41);
    for round in 0..5 {
        let rows: Vec<i64> = (0..100).collect();
        let doubled = double.map(inc.map(&rows));
        let sum = sum_all.submit(doubled).await?;
        // It goes before its reader has begun.
        let mut chain = inc.submit(sum);
        for _ in 0..3 {
            chain = inc.submit(chain);
        }
        let unread = inc.submit(round);
        drop(unread);
        let broken = fails.submit(1);
        let fallback = after_failure.submit(allow_failure(broken), chain);
        assert_eq!(fallback.await?, sum + 4);
    }
    let client = Client::connect(&address).await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let keys = client.who_has_all().await?;
        if keys.len() <= 1 || Instant::now() > deadline {
            assert_eq!(kept.await?, 42, "what is held is there");
            return Ok(keys.len());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One of a table's values, after a pause.
#[task]
fn pick(row: usize, table: &[i64], milliseconds: u64) -> i64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    table[row % table.len()]
}

/// Rows that all read one large value, and after them a run that reads it too.
/// Gives the sum without the table's offset, and under how many keys workers
/// had the value.
#[flow]
async fn shared_value(address: String, rows: usize, milliseconds: u64) -> Result<(i64, usize)> {
    const OFFSET: i64 = 1 << 40;
    let table: Vec<i64> = (0..125_000).map(|x| x + OFFSET).collect();
    let client = Client::connect(&address).await?;
    let held = async || -> Result<Vec<String>> {
        // The scheduler knows the task while there are results of it.
        let keys = client.who_has_all().await?.into_iter();
        let keys = keys.filter(|(_, workers)| !workers.is_empty());
        let keys = keys.map(|(key, _)| key.to_string());
        Ok(keys.filter(|key| key.starts_with("value-")).collect())
    };
    let picked = pick.map(0..rows, unmapped(table.clone()), unmapped(milliseconds));
    let mut picked = std::pin::pin!(picked.into_future());
    let mut seen = BTreeSet::new();
    let picked = loop {
        seen.extend(held().await?);
        if let Ok(picked) = tokio::time::timeout(Duration::from_millis(20), &mut picked).await {
            break picked?;
        }
    };
    let sum: i64 = picked.iter().map(|value| value - OFFSET).sum();
    let one = pick.submit(7, table, 0).await?;
    seen.extend(held().await?);
    Ok((sum + one - OFFSET, seen.len()))
}

async fn run(flow: &str, runner: DaskTaskRunner) -> Result<Value> {
    Ok(match flow {
        "mapped" => json!(mapped.with_options(|o| o.task_runner(runner))(100).await?),
        "large" => large.with_options(|o| o.task_runner(runner))().await?,
        "forgetful" => {
            let address = std::env::args().nth(2).unwrap_or_default();
            json!(forgetful.with_options(|o| o.task_runner(runner))(address).await?)
        }
        "shared_value" | "shared_value_slowly" => {
            let address = std::env::args().nth(2).unwrap_or_default();
            let (rows, milliseconds) = match flow {
                "shared_value" => (2000, 1),
                _ => (200, 25),
            };
            let flow = shared_value.with_options(|o| o.task_runner(runner));
            json!(flow(address, rows, milliseconds).await?)
        }
        "talkative" => talkative.with_options(|o| o.task_runner(runner))().await?,
        "places" => json!(places.with_options(|o| o.task_runner(runner))().await?),
        "failures" => failures.with_options(|o| o.task_runner(runner))().await?,
        "retried" => json!(retried.with_options(|o| o.task_runner(runner))().await?),
        "kinds" => kinds.with_options(|o| o.task_runner(runner))().await?,
        "cancelled" => json!(cancelled.with_options(|o| o.task_runner(runner))().await?),
        "batched" => batched.with_options(|o| o.task_runner(runner))(500).await?,
        "cancelled_rows" => cancelled_rows.with_options(|o| o.task_runner(runner))().await?,
        "million" => json!(mapped.with_options(|o| o.task_runner(runner))(1_000_000).await?),
        "many" => json!(slow.with_options(|o| o.task_runner(runner))(200).await?),
        "slow" => json!(slow.with_options(|o| o.task_runner(runner))(40).await?),
        "killer" => json!(killer.with_options(|o| o.task_runner(runner))().await?),
        "poison" => poison.with_options(|o| o.task_runner(runner))().await?,
        "ends" => ends.with_options(|o| o.task_runner(runner))().await?,
        "nested" => json!(nested.with_options(|o| o.task_runner(runner))().await?),
        _ => return Err(flowcore::Error::msg(format!("no flow is called `{flow}`"))),
    })
}

#[flowcore::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flow, place] = &arguments[..] else {
        return Err(flowcore::Error::msg(
            "usage: dask_flow FLOW (local | processes | ADDRESS)",
        ));
    };
    if (flow.as_str(), place.as_str()) == ("batched", "embedded") {
        println!("{}", batched(500).await?);
        return Ok(());
    }
    let runner = match place.as_str() {
        "local" => DaskTaskRunner::local(),
        "processes" => DaskTaskRunner::local().processes(true).n_workers(2),
        address => DaskTaskRunner::address(address).worker_timeout(Duration::from_secs(20)),
    };
    println!("{}", run(flow, runner).await?);
    Ok(())
}
