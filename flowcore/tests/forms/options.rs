//! The options of `#[task]` and `#[flow]`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName, run_info};

fn attempt() -> u32 {
    run_info().unwrap().attempt
}

fn task_run_name() -> String {
    run_info().unwrap().task_run_name.unwrap()
}

fn flow_run_name() -> String {
    run_info().unwrap().flow_run_name.unwrap()
}

#[task(
    name = "reads",
    description = "Reads what is there.",
    tags = ["io", "nightly"],
)]
fn read() -> String {
    task_run_name()
}

#[tokio::test]
async fn names_descriptions_and_tags() {
    assert!(read().await.unwrap().starts_with("reads-"));
    let info = read.info();
    assert_eq!((info.key, info.function), ("reads", "read"));
    let tags: Vec<_> = info.options.all_tags().collect();
    assert_eq!(tags, ["io", "nightly"]);
    let options = format!("{:?}", info.options);
    assert!(options.contains("Reads what is there."), "{options}");
}

const RETRIES: u32 = 2;

#[task(retries = 2, retry_delay = "1ms")]
fn third_time(x: &str) -> Result<u32, String> {
    match attempt() {
        3 => Ok(x.len() as u32),
        attempt => Err(format!("attempt {attempt}")),
    }
}

#[task(retries = RETRIES, retry_delay = Duration::from_millis(1))]
async fn third_time_async(value: Vec<u8>) -> Result<usize, String> {
    match attempt() {
        3 => Ok(value.len()),
        attempt => Err(format!("attempt {attempt}")),
    }
}

#[task(retries = 1)]
fn never() -> Result<(), String> {
    Err(format!("attempt {}", attempt()))
}

#[tokio::test]
async fn failed_runs_are_tried_again() {
    assert_eq!(third_time("abc").await.unwrap(), 3);
    assert_eq!(third_time_async(vec![1, 2]).await.unwrap(), 2);
    assert_eq!(never().await.unwrap_err().to_string(), "attempt 2");
}

#[flow]
async fn retried() -> Result<(u32, Vec<usize>)> {
    let one = third_time.submit("abc");
    let rows = third_time_async.map([vec![1], vec![1, 2]]);
    Ok((one.await?, rows.await?))
}

#[tokio::test]
async fn submitted_runs_are_tried_again() {
    assert_eq!(retried().await.unwrap(), (3, vec![1, 2]));
}

#[task(retries = 1, retry_delay = "50ms")]
fn delayed() -> Result<(), String> {
    if attempt() == 2 {
        Ok(())
    } else {
        Err("not yet".into())
    }
}

#[tokio::test]
async fn retries_wait() {
    let start = Instant::now();
    delayed().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[task(timeout = "20ms")]
async fn slow(seconds: u64) -> u64 {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    seconds
}

#[task(timeout = 0.02)]
fn slow_sync() {
    while !run_info().unwrap().is_cancelled {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[flow(timeout = "20ms")]
async fn slow_flow() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn runs_have_a_time_limit() {
    assert_eq!(slow(0).await.unwrap(), 0);
    assert_eq!(slow(60).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(slow_sync().await.unwrap_err().kind(), ErrorKind::TimedOut);
    let state = slow_flow().state().await;
    assert_eq!(state.name(), StateName::TimedOut);
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Shown(u8);

#[task(task_run_name = "{text}/{number}/{list}/{shown}/{{}}")]
fn owned_name(text: String, number: f64, list: Vec<i64>, shown: Shown) -> String {
    let _ = (text, number, list, shown);
    task_run_name()
}

#[task(task_run_name = "{text}/{number}/{list}/{shown}/{path}")]
fn borrowed_name(
    text: &str,
    number: f64,
    list: &[i64],
    shown: &Shown,
    path: &std::path::Path,
) -> String {
    let _ = (text, number, list, shown, path);
    task_run_name()
}

#[flow(flow_run_name = "{day}-{count}")]
async fn named_runs(day: &str, count: usize) -> Result<Vec<String>> {
    let _ = (day, count);
    Ok(vec![
        owned_name("a b".into(), 1.5, vec![1], Shown(2)).await?,
        owned_name.submit("a b", 1.5, vec![1], Shown(2)).await?,
        borrowed_name("a b", 1.5, &[1], &Shown(2), "p/q".as_ref()).await?,
        borrowed_name
            .submit("a b", 1.5, vec![1], Shown(2), "p/q")
            .await?,
        flow_run_name(),
    ])
}

#[tokio::test]
async fn run_names_are_templates() {
    let names = named_runs("monday", 3).await.unwrap();
    let owned = "a b/1.5/[1]/Shown(2)/{}";
    let borrowed = "a b/1.5/[1]/Shown(2)/\"p/q\"";
    assert_eq!(names, [owned, owned, borrowed, borrowed, "monday-3"]);
}

#[flow]
async fn rows_with_names() -> Result<Vec<String>> {
    owned_name
        .map(
            ["a", "b"],
            [1.0, 2.0],
            unmapped(vec![0]),
            unmapped(Shown(1)),
        )
        .await
}

#[tokio::test]
async fn rows_have_names_of_their_own() {
    let names = rows_with_names().await.unwrap();
    assert_eq!(names, ["a/1/[0]/Shown(1)/{}", "b/2/[0]/Shown(1)/{}"]);
}

/// Can neither be cloned nor serialized, but sent.
struct Connection(AtomicU32);

#[task(local)]
fn open() -> Connection {
    Connection(AtomicU32::new(1))
}

#[task(local)]
fn query(connection: &Connection, text: &str) -> u32 {
    connection.0.fetch_add(text.len() as u32, Ordering::Relaxed)
}

#[task(local = true)]
fn close(connection: Connection) -> u32 {
    connection.0.into_inner()
}

#[flow]
async fn local_values() -> Result<(u32, u32, u32)> {
    let connection = open.submit();
    let first = query.submit(&connection, "ab");
    let second = query.after(&first).submit(&connection, "abc");
    let (first, second) = (first.await?, second.await?);
    Ok((first, second, close.submit(connection).await?))
}

#[tokio::test]
async fn local_tasks_take_and_give_anything() {
    assert_eq!(local_values().await.unwrap(), (1, 3, 6));
    assert!(query.info().is_local && !read.info().is_local);
}

/// Clone, but not serializable.
#[derive(Clone)]
struct Token(u32);

#[task(local, retries = 1)]
fn spend(token: Token) -> Result<u32, String> {
    if attempt() == 2 {
        Ok(token.0)
    } else {
        Err("again".into())
    }
}

#[tokio::test]
async fn a_retry_gets_a_clone() {
    assert_eq!(spend(Token(7)).await.unwrap(), 7);
}

#[task]
fn thread() -> String {
    format!("{:?}", std::thread::current().id())
}

#[flow(task_runner = SequentialTaskRunner::new())]
async fn one_after_the_other() -> Result<Vec<String>> {
    let rows: Vec<_> = (0..8).map(|_| thread.submit()).collect();
    let mut threads = Vec::new();
    for row in rows {
        threads.push(row.await?);
    }
    Ok(threads)
}

#[tokio::test]
async fn flows_choose_their_task_runner() {
    let mut threads = one_after_the_other().await.unwrap();
    threads.dedup();
    assert_eq!(threads.len(), 1);
}

#[flow(name = "nightly", description = "All of it.", tags = ["x"])]
async fn described() -> String {
    flow_run_name()
}

#[tokio::test]
async fn flows_have_names_descriptions_and_tags() {
    assert!(described().await.unwrap().contains('-'));
    let options = &described.info().options;
    assert_eq!(options.name_in_force(), "nightly");
    assert_eq!(options.description_in_force(), "All of it.");
    assert_eq!(options.all_tags().collect::<Vec<_>>(), ["x"]);
}

#[tokio::test]
async fn options_change_in_copies() {
    let patient = never.with_options(|o| o.retries(2).name("patient").tag("late"));
    assert_eq!(patient().await.unwrap_err().to_string(), "attempt 3");
    assert_eq!(never().await.unwrap_err().to_string(), "attempt 2");

    let named =
        described.with_options(|o| o.flow_run_name("again").timeout(Duration::from_secs(9)));
    assert_eq!(named().await.unwrap(), "again");

    let renamed = borrowed_name.with_options(|o| o.task_run_name("{number}!"));
    let call = renamed("a", 0.5, &[], &Shown(1), "p".as_ref());
    assert_eq!(call.await.unwrap(), "0.5!");
    let again = renamed.with_options(|o| o.retries(1));
    let call = again("a", 0.25, &[], &Shown(1), "p".as_ref());
    assert_eq!(call.await.unwrap(), "0.25!");
}
