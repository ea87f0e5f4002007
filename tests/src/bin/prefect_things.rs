//! A program whose flows make things on a Prefect server, and read them there.
//! Its argument names the flow; it prints what the flow gave as JSON.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{Artifact, MapReport, PrefectError, emit_event, run_deployment, secret, variables};
use flowdask::DaskTaskRunner;
use serde_json::{Value, json};

#[task]
async fn artifacts() -> Result<Vec<String>> {
    let markdown = Artifact::markdown("# Hi")
        .key("my-md")
        .description("d")
        .create();
    let rows = [json!({"a": 1, "b": "x"}), json!({"a": 2, "b": "y"})];
    let table = Artifact::table(&rows).key("my-table").create();
    let link = Artifact::link("http://example.invalid/x", "x");
    let link = link.key("my-link").create();
    let image = Artifact::image("http://example.invalid/x.png");
    let image = image.key("my-image").create();
    let progress = Artifact::progress(10.0).key("my-progress").create().await?;
    progress.update_progress(80.0).await?;
    let mut ids = vec![progress.id().to_string()];
    for one in [markdown, table, link, image] {
        ids.push(one.await?.id().to_string());
    }
    Ok(ids)
}

#[task]
fn artifact_in_sync_code(key: &str) -> Result<String> {
    let made = Artifact::markdown("from sync code")
        .key(key)
        .create()
        .block()?;
    Ok(made.id().to_string())
}

#[flow]
async fn makes_artifacts() -> Result<Vec<String>> {
    let mut ids = artifacts.submit().await?;
    ids.push(artifact_in_sync_code.submit("from-here").await?);
    Ok(ids)
}

#[task]
async fn nested() -> Result<String> {
    artifact_in_sync_code.submit("from-afar").await
}

#[flow(task_runner = DaskTaskRunner::local().n_workers(1))]
async fn makes_artifacts_elsewhere() -> Result<String> {
    nested.submit().await
}

#[flow]
async fn keeps_variables() -> Result<Value> {
    let before: Option<i64> = variables::get("page-of-a-test").await?;
    variables::set("page-of-a-test", 7).await?;
    let first: Option<i64> = variables::get("page-of-a-test").await?;
    variables::set("page-of-a-test", json!({"page": 8})).await?;
    let second: Option<Value> = variables::get("page-of-a-test").await?;
    let wrong = variables::get::<Vec<u8>>("page-of-a-test")
        .await
        .unwrap_err();
    variables::delete("page-of-a-test").await?;
    variables::delete("page-of-a-test").await?;
    let after: Option<i64> = variables::get("page-of-a-test").await?;
    Ok(json!({
        "before": before, "first": first, "second": second, "after": after,
        "wrong": wrong.to_string(),
    }))
}

#[flow]
async fn reads_secrets() -> Result<Value> {
    let password = secret("of-a-test").await?;
    let missing = secret("of-nobody").await.unwrap_err();
    Ok(json!({
        "length": password.expose().len(),
        "shown": format!("{password:?}"),
        "missing": missing.to_string(),
    }))
}

#[flow]
async fn emits_events() -> Result<String> {
    let event = emit_event("cellar.read", "sensor.cellar")
        .label("prefect.resource.name", "cellar")
        .payload(&json!({"degrees": 11.5}))
        .emit();
    Ok(event.await?.to_string())
}

#[flow]
async fn starts_deployments(name: String) -> Result<Value> {
    let good = run_deployment(&name, &json!({"n": 4}))
        .timeout(Duration::from_secs(120))
        .await?;
    let wrong = run_deployment(&name, &json!({"n": "four"}))
        .await
        .unwrap_err();
    let missing = run_deployment("no/such", &json!({})).await.unwrap_err();
    let at_once = run_deployment(&name, &json!({"n": 5}))
        .timeout(Duration::ZERO)
        .await?;
    Ok(json!({
        "good": good, "at_once": at_once.state_type,
        "wrong": wrong.to_string(), "missing": missing.to_string(),
        "is_typed": matches!(missing.downcast_ref(), Some(PrefectError::NotFound { .. })),
    }))
}

/// Writes that it begins and, after a while, that it ends.
async fn note_times(file: &str) -> Result<()> {
    let note = |line: &str| {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
    };
    note("begin\n")?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    note("end\n")?;
    Ok(())
}

#[task(tags = ["of-a-test"])]
async fn has_a_tag(_number: u32, file: String) -> Result<()> {
    note_times(&file).await
}

#[flow]
async fn has_limited_runs(file: String) -> Result<()> {
    let first = has_a_tag.submit(0, file.clone());
    let rows = has_a_tag.map([1, 2, 3], unmapped(file.clone()));
    // Waits in the server's queue, until it is cancelled.
    let waits = has_a_tag.submit(4, file);
    waits.cancel();
    first.await?;
    rows.await.map(drop)
}

/// Writes when it has a slot, and when it gives it back.
#[task]
async fn holds_a_slot(limit: String, file: String) -> Result<()> {
    let slots = flowcore::concurrency(limit, 1).strict().await?;
    note_times(&file).await?;
    drop(slots);
    Ok(())
}

#[flow]
async fn holds_slots(limit: String, file: String) -> Result<()> {
    let runs = [(); 2].map(|()| holds_a_slot.submit(&limit, &file));
    for run in runs {
        run.await?;
    }
    Ok(())
}

#[task]
fn sync_code_has_a_rate(limit: String) -> Result<()> {
    flowcore::rate_limit(limit, 1).strict().block()
}

#[flow]
async fn asks_for_slots(limit: String, rate: String) -> Result<Value> {
    sync_code_has_a_rate.submit(&rate).await?;
    let too_many = flowcore::concurrency(&*limit, 9).await;
    let no_rate = flowcore::rate_limit(&*limit, 1).await;
    let unknown = flowcore::concurrency("never-made", 1).strict().await;
    let ignored = flowcore::concurrency("never-made", 1).await;
    let held = flowcore::concurrency(&*limit, 1).await?;
    let full = flowcore::concurrency(&*limit, 1).timeout(Duration::from_millis(300));
    let full = full.await;
    // What nobody waits for any more does not take slots either.
    drop(held);
    let text = |error: Error| error.to_string();
    Ok(json!({
        "too_many": too_many.map(drop).map_err(text),
        "no_rate": no_rate.map_err(text),
        "unknown": unknown.map(drop).map_err(text),
        "ignored": ignored.is_ok(),
        "full": full.map(drop).map_err(text),
    }))
}

#[task]
async fn for_ever() {
    std::future::pending::<()>().await;
}

#[task(cache = INPUTS, cache_expiration = "1h")]
async fn keeps(x: i64) -> Result<i64> {
    match x {
        0 => Err(Error::msg("there is no record of this")),
        _ => Ok(x + 1),
    }
}

/// No JSON.
#[task(persist_result, codec = bincode)]
fn coded(x: i64) -> BTreeMap<i64, f64> {
    [(x, f64::INFINITY)].into()
}

#[task]
fn forgets(x: i64) -> i64 {
    x
}

async fn keep() -> Result<()> {
    let named = |name| keeps.with_options(move |o| o.name(name));
    forgets.submit(1).await?;
    coded.submit(1).await?;
    named("fails").submit(0).wait(None).await;
    named("keeps").map([1, 2]).await?;
    // From the record of the row.
    named("finds").submit(1).await?;
    let summed = named("summed").with_options(|o| o.report(MapReport::Summary));
    summed.map([3, 4]).await.map(drop)
}

#[flow]
async fn keeps_results() -> Result<()> {
    let named = |name| keeps.with_options(move |o| o.name(name));
    keep().await?;
    named("direct")(10).await?;
    let undone = flowcore::transaction(async |_| {
        let undone = named("undone").with_options(|o| o.task_run_name("undone-{x}"));
        undone.submit(20).await?;
        Err::<(), _>(Error::msg("all was in vain"))
    });
    assert!(undone.await.is_err());
    let done = flowcore::transaction(async |_| named("done").submit(21).await);
    done.await.map(drop)
}

#[flow(task_runner = DaskTaskRunner::local().n_workers(1))]
async fn keeps_results_elsewhere() -> Result<()> {
    keep().await?;
    let named = |o: flowcore::TaskOptions| o.name("named").task_run_name("named-{x}");
    keeps.with_options(named).submit(0).wait(None).await;
    let named = forgets.with_options(named);
    named.submit(1).await?;
    named.map([2, 3]).await.map(drop)
}

/// Ends when the file is there.
#[task(task_run_name = "fetch-{page}")]
async fn fetch(page: String, end: String) -> String {
    while !Path::new(&end).exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    page
}

/// The same, and holds a thread.
#[task(task_run_name = "hold-{page}")]
fn hold(page: String, end: String) -> String {
    while !Path::new(&end).exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    page
}

async fn wait_for_file(end: &str) -> Result<()> {
    let fetched = fetch.submit("one", end);
    let held = hold.submit("one", end);
    let rows = fetch.map(["two", "three"], unmapped(end));
    let called = fetch("four".to_owned(), end.to_owned());
    called.await?;
    fetched.await?;
    held.await?;
    rows.await.map(drop)
}

#[flow(flow_run_name = "crawl of {site}")]
async fn crawls(site: String, end: String) -> Result<String> {
    wait_for_file(&end).await?;
    Ok(site)
}

#[flow(
    flow_run_name = "crawl of {site}",
    task_runner = DaskTaskRunner::local().n_workers(1).threads_per_worker(8),
)]
async fn crawls_elsewhere(site: String, end: String) -> Result<String> {
    wait_for_file(&end).await?;
    Ok(site)
}

/// Ends when somebody cancels it.
#[flow]
async fn waits_to_be_cancelled() -> Result<()> {
    for_ever.submit().await
}

#[flow]
async fn waits_to_be_cancelled_early() -> Result<()> {
    for_ever.submit().await
}

#[flow(task_runner = DaskTaskRunner::local().n_workers(1))]
async fn waits_elsewhere_to_be_cancelled() -> Result<()> {
    for_ever.submit().await
}

#[derive(schemars::JsonSchema, serde::Deserialize, serde::Serialize)]
struct Approval {
    by: String,
    #[serde(default)]
    amount: u32,
}

/// Waits for people, once for input and once for nothing.
#[flow]
async fn waits_for_people() -> Result<Value> {
    let pause = flowcore::pause_for_input::<Approval>().description("May it go on?");
    let approval = pause.poll_interval(Duration::from_millis(200)).await?;
    let pause = flowcore::pause_flow_run().poll_interval(Duration::from_millis(200));
    pause.await?;
    Ok(json!(approval))
}

/// Nobody would start it again.
#[flow]
async fn leaves_for_ever() -> Result<()> {
    flowcore::suspend_flow_run().await
}

#[flow]
async fn nobody_comes() -> Result<()> {
    let pause = flowcore::pause_flow_run().timeout(Duration::from_millis(500));
    pause.await
}

/// Fails in its attempts before this one.
#[flow(retries = 2, retry_delay = "1s")]
async fn retried_in_rust(good_at: u32) -> Result<u32> {
    let attempt = flowcore::run_info().map_or(0, |run| run.attempt);
    if attempt < good_at {
        return Err(Error::msg(format!("attempt {attempt}")));
    }
    Ok(attempt)
}

/// What comes of each of these names: nothing, or whether the error says that
/// it is the name, and its text.
async fn names(kind: String, names: &[String]) -> Value {
    let mut ends = Vec::new();
    for name in names {
        let end = match kind.as_str() {
            "variables" => variables::set(name, 1).await,
            "artifacts" => {
                let artifact = Artifact::markdown("x").key(name);
                artifact.create().await.map(drop)
            }
            "limits" => {
                let slots = flowcore::concurrency(name.as_str(), 1).strict().await;
                slots.map(drop)
            }
            "lax-limits" => flowcore::concurrency(name.as_str(), 1).await.map(drop),
            _ => emit_event(name, "sensor.cellar").emit().await.map(drop),
        };
        ends.push(end.err().map(|error| {
            let is_name = matches!(error.downcast_ref(), Some(PrefectError::Name { .. }));
            json!([is_name, error.to_string()])
        }));
    }
    json!(ends)
}

#[flow]
async fn asks_without_a_server() -> Result<String> {
    Ok(variables::get::<u8>("x").await.unwrap_err().to_string())
}

#[flowcore::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let flow = arguments.next().unwrap_or_default();
    let mut argument = || arguments.next().unwrap_or_default();
    let value = match flow.as_str() {
        "artifacts" => json!(makes_artifacts().await?),
        "artifacts_elsewhere" => json!(makes_artifacts_elsewhere().await?),
        "variables" => keeps_variables().await?,
        "secrets" => reads_secrets().await?,
        "events" => json!(emits_events().await?),
        "deployments" => starts_deployments(argument()).await?,
        "tags" => json!(has_limited_runs(argument()).await?),
        "holds" => json!(holds_slots(argument(), argument()).await?),
        "slots" => asks_for_slots(argument(), argument()).await?,
        "keeps" => json!(keeps_results().await?),
        "keeps_elsewhere" => json!(keeps_results_elsewhere().await?),
        "crawls" => json!(crawls("here".to_owned(), argument()).await?),
        "crawls_elsewhere" => json!(crawls_elsewhere("there".to_owned(), argument()).await?),
        "cancelled_early" => {
            let ended = waits_to_be_cancelled_early().await;
            json!(ended.map_err(|e| e.to_string()))
        }
        "cancelled" => json!(waits_to_be_cancelled().await.map_err(|e| e.to_string())),
        "cancelled_elsewhere" => {
            json!(
                waits_elsewhere_to_be_cancelled()
                    .await
                    .map_err(|e| e.to_string())
            )
        }
        "people" => waits_for_people().await?,
        "leaves" => {
            let error = leaves_for_ever().await.unwrap_err();
            let is_typed = matches!(
                error.downcast_ref(),
                Some(PrefectError::NotSuspended { .. })
            );
            json!({"typed": is_typed, "error": error.to_string()})
        }
        "nobody" => json!(nobody_comes().await.map_err(|e| e.to_string())),
        "retried" => {
            let good_at = argument().parse()?;
            json!(retried_in_rust(good_at).await.map_err(|e| e.to_string()))
        }
        "names" => {
            let kind = argument();
            names(kind, &serde_json::from_str::<Vec<_>>(&argument())?).await
        }
        "no_server" => json!(asks_without_a_server().await?),
        other => return Err(Error::msg(format!("there is no flow `{other}`"))),
    };
    println!("{value}");
    Ok(())
}
