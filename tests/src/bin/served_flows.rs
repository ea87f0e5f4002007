//! Flows that are served and deployed by tests.
//!
//! `serve NAME FLOW..` serves flows, `deploy NAME POOL FLOW..` leaves
//! flows to a work pool; without arguments a flow runs here and now.

use std::io::Write as _;
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{Deployment, DeploymentError};
use serde_json::{Value, json};

#[task]
fn length(text: String) -> usize {
    text.chars().count()
}

/// Greets somebody.
#[flow(version = "2", flow_run_name = "greets-{name}")]
async fn served_greeting(
    name: String,
    #[default(1)] times: u32,
    file: Option<String>,
) -> Result<usize> {
    println!("written by hand: {name}");
    let greeting = format!("Hello, {name}! ").repeat(times as usize);
    let counted = length.submit(&greeting).await?;
    note(file.as_deref(), &format!("{name} {counted}"));
    Ok(counted)
}

/// Writes a line for each of its runs.
#[flow]
async fn served_once(file: String) {
    let run = std::env::var("PREFECT__FLOW_RUN_ID").unwrap_or_default();
    note(Some(&file), &run);
}

fn note(file: Option<&str>, line: &str) {
    let Some(file) = file else { return };
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .create(true)
        .append(true)
        .open(file)
        .expect("the file can be written");
    // At once, so that lines of several processes do not mix.
    let line = format!("{line}\n");
    file.write_all(line.as_bytes()).expect("there is space");
}

#[task]
async fn forever(file: String) {
    note(Some(&file), "begun");
    std::future::pending::<()>().await;
}

/// Waits until somebody ends it.
#[flow]
async fn served_waiting(file: String) -> Result<()> {
    forever.submit(file).await
}

/// Takes some time, or as long as there is no file of this name with `.end`.
#[flow]
async fn served_slow(file: String, seconds: u64) {
    note(Some(&file), "begun");
    let end = format!("{file}.end");
    let is_asked_to_end = async {
        while !std::path::Path::new(&end).exists() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(seconds), is_asked_to_end).await;
}

/// Does not listen to anybody.
#[flow]
fn served_deaf(file: String) {
    note(Some(&file), "begun");
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Ends its process.
#[flow]
async fn served_death(how: String) {
    match how.as_str() {
        "memory" => {
            // Pages count when they are written.
            let mut kept = Vec::new();
            loop {
                kept.push(vec![1_u8; 16 << 20]);
            }
        }
        "killed" => {
            let kill = format!("kill -9 {}", std::process::id());
            let _ = std::process::Command::new("sh")
                .args(["-c", &kill])
                .status();
        }
        code => std::process::exit(code.parse().expect("an exit code")),
    }
}

#[flow]
async fn served_failure() -> Result<()> {
    Err(Error::msg("the disk is full"))
}

#[task]
fn served_step(file: String) -> usize {
    note(Some(&file), "step");
    7
}

/// Fails the first time that it is executed.
#[flow(persist_result)]
async fn served_second(file: String) -> Result<usize> {
    let step = served_step.submit(&file).await?;
    note(Some(&file), "flow");
    let text = std::fs::read_to_string(&file)?;
    let before = text.lines().filter(|line| *line == "flow").count();
    if before == 1 {
        return Err(Error::msg("not yet"));
    }
    Ok(step)
}

/// Its first attempt fails.
#[flow(retries = 1, retry_delay = "8s")]
async fn served_retried(file: String) -> Result<()> {
    note(Some(&file), "flow");
    match flowcore::run_info().map(|run| run.attempt) {
        Some(1) => Err(Error::msg("not yet")),
        _ => Ok(()),
    }
}

#[derive(schemars::JsonSchema, serde::Deserialize)]
struct Approval {
    by: String,
}

/// Leaves its process until somebody says yes.
#[flow(persist_result)]
async fn served_suspended(file: String) -> Result<String> {
    served_step.submit(&file).await?;
    note(Some(&file), "before");
    let asked = flowcore::suspend_for_input::<Approval>().description("May it go on?");
    let approval = asked.await?;
    note(Some(&file), &format!("after {}", approval.by));
    Ok(approval.by)
}

#[task(tags = ["quiet"])]
async fn background_note(file: String, times: u32) -> u32 {
    note(Some(&file), &format!("noted {times}"));
    times
}

#[task]
fn background_failure() -> Result<()> {
    Err(Error::msg("the disk is full"))
}

#[task]
async fn background_slow(file: String, seconds: u64) {
    note(Some(&file), "begun");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    note(Some(&file), "ended");
}

/// Nobody serves it.
#[task]
fn background_nobody(a: i64, b: i64) -> i64 {
    a + b
}

/// Calls a function with a flow of this name, whatever its type is.
macro_rules! with_flow {
    ($name:expr, |$flow:ident| $code:expr) => {
        with_flow!(
            $name, $flow, $code,
            served_greeting served_once served_slow served_waiting served_deaf served_death
            served_failure served_retried served_second served_suspended
        )
    };
    ($name:expr, $flow:ident, $code:expr, $($known:ident)*) => {
        match $name {
            $(stringify!($known) => {
                let $flow = &$known;
                $code
            })*
            other => panic!("there is no flow `{other}`"),
        }
    };
}

/// Deploys each, and prints what comes of it: nothing, or the error's kind and
/// text.
async fn deploy_all(plans: &[Value]) -> Result<()> {
    let mut ends = Vec::new();
    for plan in plans {
        let text = |name: &str| plan[name].as_str();
        let mut deployment = Deployment::new(text("name").unwrap_or("of-a-list")).paused(true);
        deployment = deployment.work_pool(text("pool").unwrap_or("of-a-list"));
        if let Some(queue) = text("queue") {
            deployment = deployment.work_queue(queue);
        }
        if let Some(cron) = text("cron") {
            deployment = deployment.cron(cron);
        }
        if let Some(rule) = text("rrule") {
            deployment = deployment.rrule(rule);
        }
        if let Some(seconds) = plan["interval"].as_f64() {
            deployment = deployment.interval(Duration::from_secs_f64(seconds));
        }
        if let Some(zone) = text("timezone") {
            deployment = deployment.timezone(zone);
        }
        ends.push(served_failure.deploy(deployment).await.err().map(|error| {
            let kind = match error.downcast_ref() {
                Some(DeploymentError::Name { .. }) => "name",
                Some(DeploymentError::Cron { .. }) => "cron",
                Some(DeploymentError::Rrule { .. }) => "rrule",
                Some(DeploymentError::Interval { .. }) => "interval",
                Some(DeploymentError::TimeZone { .. }) => "timezone",
                _ => "another",
            };
            json!([kind, error.to_string()])
        }));
    }
    println!("{}", json!(ends));
    Ok(())
}

#[flowcore::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", name, ref flows @ ..] => {
            let served = flows.iter().map(|name_of_flow| {
                with_flow!(*name_of_flow, |flow| flow
                    .to_deployment(Deployment::new(name)))
            });
            flowcore::serve(served)
                .poll_every(Duration::from_secs(1))
                .grace(Duration::from_secs(6))
                .patience(Duration::from_secs(20))
                .await
        }
        ["every", seconds, name, file] => {
            let seconds = Duration::from_secs(seconds.parse()?);
            let plan = Deployment::new(name)
                .interval(seconds)
                .parameter("file", file);
            served_once
                .serve(plan)
                .poll_every(Duration::from_secs(2))
                .pause_on_shutdown(false)
                .await
        }
        ["limited", name] => {
            let plan = Deployment::new(name).concurrency_limit(1);
            let every = Duration::from_secs(1);
            served_slow.serve(plan).poll_every(every).await
        }
        ["deploy", name, pool, ref flows @ ..] => {
            for name_of_flow in flows {
                let plan = Deployment::new(name).work_pool(pool);
                let id = with_flow!(*name_of_flow, |flow| flow.deploy(plan).await?);
                println!("{id}");
            }
            Ok(())
        }
        ["deployments", plans] => deploy_all(&serde_json::from_str::<Vec<_>>(plans)?).await,
        ["tasks"] => {
            flowcore::serve_tasks([&background_note, &background_failure, &background_slow])
                .patience(Duration::from_secs(20))
                .await
        }
        ["delay", what, file] => {
            let run = match what {
                "note" => background_note.delay((file, 2)).await?,
                "failure" => background_failure.delay(()).await?,
                "slow" => {
                    let arguments = serde_json::json!({"file": file, "seconds": 3});
                    background_slow.delay(arguments).await?
                }
                _ => background_nobody.delay((1, 2)).await?,
            };
            println!("{}", serde_json::to_string(&run)?);
            Ok(())
        }
        ["wait", file] => {
            let run = background_note.delay((file, 3)).await?;
            let ended = run.wait(Duration::from_secs(120)).await?;
            println!("{}", serde_json::to_string(&ended)?);
            ended.into_result()
        }
        ["wrong"] => {
            let mut errors = vec![background_note.delay(("a", "b")).await.unwrap_err()];
            errors.push(background_note.delay((1, 2, 3)).await.unwrap_err());
            errors.push(flowcore::serve_tasks([&served_once]).await.unwrap_err());
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            println!("{}", serde_json::to_string(&errors)?);
            Ok(())
        }
        _ => {
            let greeted = served_greeting("nobody".to_owned(), 1, None).await?;
            println!("counted {greeted}");
            Ok(())
        }
    }
}
