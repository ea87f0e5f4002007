//! Everything that `submit` takes for a parameter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowcore::ErrorKind;
use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn sum(z: Vec<i64>) -> i64 {
    z.iter().sum()
}

#[task]
fn total(z: &[i64]) -> i64 {
    z.iter().sum()
}

#[task]
fn length(text: String) -> usize {
    text.len()
}

#[task]
fn file(path: PathBuf) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

#[task]
fn both((x, text): (i64, String)) -> String {
    format!("{text}{x}")
}

#[task]
fn fail(x: i64) -> Result<i64, String> {
    Err(format!("bad {x}"))
}

#[task]
fn or_zero(x: Result<i64>) -> i64 {
    x.unwrap_or(0)
}

#[task]
fn count_good(rows: Vec<Result<i64>>) -> usize {
    rows.iter().filter(|row| row.is_ok()).count()
}

#[task]
fn maybe(x: Option<i64>) -> i64 {
    x.unwrap_or(-1)
}

#[flow]
#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a reference to a value is an argument"
)]
async fn one_value() -> Result<Vec<i64>> {
    let shared = Arc::new(3);
    let future = inc.submit(3);
    let state = inc(3).state().await;
    Ok(vec![
        inc.submit(3).await?,
        inc.submit(&3).await?,
        inc.submit(&shared).await?,
        inc.submit(shared).await?,
        inc.submit(&future).await?,
        inc.submit(future).await?,
        inc.submit(&state).await?,
        inc.submit(state).await?,
        maybe.submit(None).await?,
        maybe.submit(Some(1)).await?,
    ])
}

#[tokio::test]
async fn a_value_or_what_will_be_one() {
    let expected = [4, 4, 4, 4, 5, 5, 5, 5, -1, 1];
    assert_eq!(one_value().await.unwrap(), expected);
}

#[flow]
async fn texts() -> Result<(Vec<usize>, Vec<Option<String>>)> {
    let text = String::from("abc");
    let path = PathBuf::from("a/b");
    Ok((
        vec![
            length.submit("abc").await?,
            length.submit(&text).await?,
            length.submit(text).await?,
        ],
        vec![
            file.submit("a/b").await?,
            file.submit(Path::new("a/b")).await?,
            file.submit(&path).await?,
            file.submit(path).await?,
        ],
    ))
}

#[tokio::test]
async fn borrowed_texts_and_paths_for_owned_ones() {
    let (lengths, files) = texts().await.unwrap();
    assert_eq!(lengths, [3; 3]);
    assert_eq!(files, vec![Some("b".to_owned()); 4]);
}

#[flow]
async fn lists() -> Result<Vec<i64>> {
    let rows = inc.map(0..3);
    let futures = vec![inc.submit(0), inc.submit(1), inc.submit(2)];
    let states = vec![
        inc(0).state().await,
        inc(1).state().await,
        inc(2).state().await,
    ];
    let values = vec![1, 2, 3];
    Ok(vec![
        sum.submit(&rows).await?,
        total.submit(rows.slice(0..)).await?,
        sum.submit(rows).await?,
        sum.submit(&futures).await?,
        sum.submit(&futures[..]).await?,
        total.submit(futures).await?,
        sum.submit([inc.submit(0), inc.submit(1), inc.submit(2)])
            .await?,
        sum.submit(&states).await?,
        total.submit(states).await?,
        sum.submit(&values).await?,
        sum.submit(&values[..]).await?,
        total.submit(values).await?,
    ])
}

#[tokio::test]
async fn lists_of_futures_and_whole_maps_for_a_list() {
    assert_eq!(lists().await.unwrap(), [6; 12]);
}

#[flow]
async fn tuples() -> Result<(String, String)> {
    #[task]
    fn text() -> String {
        "n".into()
    }
    Ok((
        both.submit((1, "n".to_owned())).await?,
        both.submit((inc.submit(1), text.submit())).await?,
    ))
}

#[tokio::test]
async fn tuples_of_futures_for_a_tuple() {
    assert_eq!(tuples().await.unwrap(), ("n1".into(), "n2".into()));
}

#[flow]
async fn failures() -> Result<Vec<i64>> {
    let failed = fail.submit(1);
    let rows = fail.map(0..2);
    let mixed = inc.map([failed.clone(), inc.submit(1)]);
    Ok(vec![
        or_zero.submit(allow_failure(&failed)).await?,
        or_zero.submit(allow_failure(failed)).await?,
        or_zero.submit(allow_failure(inc.submit(1))).await?,
        count_good.submit(allow_failure(&rows)).await? as i64,
        count_good.submit(allow_failure(mixed)).await? as i64,
    ])
}

#[tokio::test]
async fn failures_may_be_allowed() {
    assert_eq!(failures().await.unwrap(), [0, 0, 2, 0, 1]);
}

#[flow]
async fn not_ready() -> Result<i64> {
    let failed = fail.submit(1);
    sum.submit(vec![inc.submit(1), inc.submit(failed)]).await
}

#[tokio::test]
async fn a_failed_argument_stops_its_dependents() {
    let error = not_ready().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.root().to_string(), "bad 1");
}
