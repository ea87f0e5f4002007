//! Sync and async functions; owned and borrowed parameters; plain values.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowcore::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    name: String,
    values: Vec<f64>,
}

fn row() -> Row {
    Row {
        name: "a".into(),
        values: vec![1.0, 2.0],
    }
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
async fn double(x: i64) -> i64 {
    tokio::task::yield_now().await;
    x * 2
}

#[task]
fn nothing() {}

#[task]
async fn waited() {
    tokio::task::yield_now().await;
}

#[task]
pub(crate) fn sum(z: Vec<i64>) -> i64 {
    z.iter().sum()
}

#[task]
fn total(values: &[f64]) -> f64 {
    values.iter().sum()
}

#[task]
fn length(text: &str) -> usize {
    text.len()
}

#[task]
fn extension(path: &Path) -> Option<String> {
    path.extension().and_then(OsStr::to_str).map(str::to_owned)
}

#[task]
fn absolute(path: &std::path::Path) -> bool {
    path.is_absolute()
}

#[task]
fn name_of(row: &Row) -> String {
    row.name.clone()
}

#[task]
async fn first(row: &Row, others: &[Row], default: f64) -> f64 {
    tokio::task::yield_now().await;
    let row = others.first().unwrap_or(row);
    row.values.first().copied().unwrap_or(default)
}

#[task]
fn scaled(row: Row, by: f64) -> Row {
    Row {
        values: row.values.iter().map(|value| value * by).collect(),
        ..row
    }
}

#[task]
fn pair(key: (i64, String)) -> (String, i64) {
    (key.1, key.0)
}

#[task]
#[expect(clippy::too_many_arguments, reason = "the most there may be")]
fn twelve(
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    e: u8,
    f: u8,
    g: u8,
    h: u8,
    i: u8,
    j: u8,
    k: u8,
    l: u8,
) -> u8 {
    a + b + c + d + e + f + g + h + i + j + k + l
}

#[task]
fn word() -> Cow<'static, str> {
    "word".into()
}

#[task(local)]
fn shout(text: &'static str) -> String {
    text.to_uppercase()
}

#[flow]
async fn owned_values(n: i64) -> Result<(i64, i64)> {
    let direct = double(inc(n).await?).await?;
    let submitted = double.submit(inc.submit(n)).await?;
    Ok((direct, submitted))
}

#[tokio::test]
async fn sync_and_async_tasks_take_and_give_values() {
    assert_eq!(owned_values(4).await.unwrap(), (10, 10));
    assert_eq!(inc(1).await.unwrap(), 2);
    assert_eq!(double(2).await.unwrap(), 4);
}

#[flow]
fn in_sync_code(n: i64) -> Result<i64> {
    nothing().block()?;
    let list = vec![inc.submit(n), double.submit(n)];
    sum.submit(list).block()
}

#[test]
fn flows_may_be_sync() {
    assert_eq!(in_sync_code(4).block().unwrap(), 13);
}

#[flow]
async fn units() {
    nothing().await.unwrap();
    waited().await.unwrap();
    nothing.submit().await.unwrap();
    waited.submit().await.unwrap();
}

#[tokio::test]
async fn a_function_may_return_nothing() {
    units().await.unwrap();
}

#[flow]
async fn borrowed_here(row: &Row, path: &Path) -> Result<(f64, usize, String, f64)> {
    assert_eq!(extension(path).await?.as_deref(), Some("csv"));
    assert!(!absolute(path).await?);
    Ok((
        total(&row.values).await?,
        length(&row.name).await?,
        name_of(row).await?,
        first(row, &[], 0.5).await?,
    ))
}

#[tokio::test]
async fn direct_calls_borrow_from_the_caller() {
    let row = row();
    let answer = borrowed_here(&row, Path::new("a.csv")).await.unwrap();
    assert_eq!(answer, (3.0, 1, "a".to_owned(), 1.0));
}

#[flow]
fn borrowed_in_sync_code(values: &[f64], name: &str) -> Result<(f64, usize)> {
    Ok((total(values).block()?, length(name).block()?))
}

#[test]
fn sync_flows_borrow_too() {
    let values = [1.0, 2.5];
    let answer = borrowed_in_sync_code(&values, "abc").block().unwrap();
    assert_eq!(answer, (3.5, 3));
}

/// Holds a loan, as a flow's arguments may.
struct Log<'a>(&'a std::sync::Mutex<Vec<i64>>);

#[flow(flow_run_name = "{words}")]
async fn borrowed_parts(log: &Log<'_>, words: &[&str], more: Vec<&str>, n: i64) -> Result<usize> {
    let next = inc.submit(n).await?;
    log.0.lock().unwrap().push(next);
    Ok(words.len() + length(more[0]).await?)
}

#[flow]
fn borrowed_parts_in_sync_code(log: Log<'_>, text: Option<&str>) -> Result<usize> {
    log.0.lock().unwrap().push(1);
    length(text.unwrap_or("none")).block()
}

#[tokio::test]
async fn flows_take_what_holds_loans() {
    let list = std::sync::Mutex::new(Vec::new());
    let text = String::from("abc");
    let (log, words) = (Log(&list), [text.as_str(), "b"]);
    let call = borrowed_parts(&log, &words, vec![&text], 6);
    assert_eq!(call.await.unwrap(), 5);
    let call = borrowed_parts_in_sync_code(log, Some(&text));
    assert_eq!(call.await.unwrap(), 3);
    assert_eq!(*list.lock().unwrap(), [7, 1]);
}

#[flow]
async fn shared_with_runs(row: Row) -> Result<(f64, usize, String, f64)> {
    let shared = Arc::new(row.clone());
    Ok((
        total.submit(&row.values[..]).await?,
        length.submit(row.name.as_str()).await?,
        name_of.submit(&shared).await?,
        first.submit(shared, vec![row], 0.5).await?,
    ))
}

#[tokio::test]
async fn borrowed_parameters_take_owned_arguments_of_runs() {
    let answer = shared_with_runs(row()).await.unwrap();
    assert_eq!(answer, (3.0, 1, "a".to_owned(), 1.0));
}

#[flow]
async fn paths() -> Result<Vec<bool>> {
    let path = PathBuf::from("/a.csv");
    assert_eq!(
        extension.submit(path.as_path()).await?.as_deref(),
        Some("csv")
    );
    absolute.map(vec![path, PathBuf::from("b")]).await
}

#[tokio::test]
async fn paths_are_stored_as_path_bufs() {
    assert_eq!(paths().await.unwrap(), [true, false]);
}

#[tokio::test]
async fn values_may_be_of_any_serializable_type() {
    assert_eq!(scaled(row(), 2.0).await.unwrap().values, [2.0, 4.0]);
    let answer = pair((1, "a".into())).await.unwrap();
    assert_eq!(answer, ("a".to_owned(), 1));
    assert_eq!(word().await.unwrap(), "word");
    assert_eq!(shout("hey").await.unwrap(), "HEY");
}

#[tokio::test]
async fn there_may_be_twelve_parameters() {
    let call = twelve(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    assert_eq!(call.await.unwrap(), 78);
}
