//! Everything that `map` takes for a parameter.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowcore::prelude::*;
use flowcore::{Error, ErrorKind};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task]
fn sum(z: Vec<i64>) -> i64 {
    z.iter().sum()
}

#[task]
fn length(text: &str) -> usize {
    text.len()
}

#[task]
fn numbers(n: i64) -> Vec<i64> {
    (0..n).collect()
}

#[task]
fn odd_only(x: i64) -> Result<i64, String> {
    if x % 2 == 1 {
        Ok(x)
    } else {
        Err(format!("{x} is even"))
    }
}

#[task]
fn or_zero(x: Result<i64>) -> i64 {
    x.unwrap_or(0)
}

#[flow]
async fn sequences() -> Result<()> {
    let expected = [1, 2, 3];
    let values = vec![0, 1, 2];
    assert_eq!(inc.map(0..3).await?, expected);
    assert_eq!(inc.map([0, 1, 2]).await?, expected);
    assert_eq!(inc.map(&values).await?, expected);
    assert_eq!(inc.map(&values[..]).await?, expected);
    assert_eq!(inc.map(values.iter().map(|x| x * 10)).await?, [1, 11, 21]);
    assert_eq!(
        inc.map(values.iter().copied().collect::<BTreeSet<_>>())
            .await?,
        expected
    );
    assert_eq!(inc.map(vec![Arc::new(0), Arc::new(1)]).await?, [1, 2]);
    assert_eq!(inc.map(values).await?, expected);
    assert_eq!(length.map(["a", "bc"]).await?, [1, 2]);
    assert_eq!(
        length.map(vec!["a".to_owned(), "bc".to_owned()]).await?,
        [1, 2]
    );
    assert_eq!(sum.map(vec![vec![1], vec![1, 2]]).await?, [1, 3]);
    assert_eq!(inc.map(Vec::<i64>::new()).await?, [0; 0]);
    Ok(())
}

#[tokio::test]
async fn whatever_iterates_is_a_column() {
    sequences().await.unwrap();
}

#[flow]
async fn other_maps() -> Result<()> {
    let rows = inc.map(0..4);
    assert_eq!(add.map(&rows, inc.map(&rows)).await?, [3, 5, 7, 9]);
    assert_eq!(inc.map(rows.slice(1..3)).await?, [3, 4]);
    assert_eq!(add.map(rows.slice(..2), rows.slice(2..)).await?, [4, 6]);
    assert_eq!(add.map(rows, 0..4).await?, [1, 3, 5, 7]);
    Ok(())
}

#[tokio::test]
async fn rows_of_maps_zip() {
    other_maps().await.unwrap();
}

#[flow]
async fn futures() -> Result<()> {
    let future = inc.submit(0);
    assert_eq!(inc.map(vec![&future, &future]).await?, [2, 2]);
    assert_eq!(inc.map([inc.submit(1), future.clone()]).await?, [3, 2]);
    let state = inc(1).state().await;
    assert_eq!(inc.map([state.clone(), state]).await?, [3, 3]);
    let lists = vec![numbers.submit(2), numbers.submit(3)];
    assert_eq!(sum.map(lists).await?, [1, 3]);
    Ok(())
}

#[tokio::test]
async fn futures_are_rows() {
    futures().await.unwrap();
}

#[flow]
async fn future_lists() -> Result<()> {
    let list = numbers.submit(3);
    assert_eq!(inc.map(&list).await?, [1, 2, 3]);
    let rows = inc.map(list);
    assert_eq!(inc.map(&rows).await?, [2, 3, 4]);
    assert_eq!(add.map(numbers.submit(2), [10, 20]).await?, [10, 21]);
    assert_eq!(add.map(numbers.submit(2), unmapped(5)).await?, [5, 6]);
    assert_eq!(sum.submit(inc.map(numbers.submit(4))).await?, 10);
    assert_eq!(inc.map(numbers.submit(0)).await?, [0; 0]);
    Ok(())
}

#[tokio::test]
async fn the_future_of_a_list_is_a_column() {
    future_lists().await.unwrap();
}

#[flow]
async fn repeated() -> Result<()> {
    let one = inc.submit(9);
    assert_eq!(add.map(0..2, unmapped(5)).await?, [5, 6]);
    assert_eq!(add.map(0..2, unmapped(&one)).await?, [10, 11]);
    assert_eq!(add.map(unmapped(one), 0..2).await?, [10, 11]);
    assert_eq!(add.map(0..2, unmapped(Arc::new(5))).await?, [5, 6]);
    let refused = length.map(unmapped("ab")).await.unwrap_err();
    assert!(
        refused.to_string().contains("received no sequence"),
        "{refused}"
    );
    Ok(())
}

#[tokio::test]
async fn unmapped_repeats_one_value() {
    repeated().await.unwrap();
}

#[flow]
async fn failures() -> Result<()> {
    let rows = odd_only.map(0..4);
    assert_eq!(or_zero.map(allow_failure(&rows)).await?, [0, 1, 0, 3]);
    let outcomes = inc.map(&rows).outcomes().await?;
    let kinds: Vec<_> = outcomes
        .iter()
        .map(|row| row.as_ref().map_err(Error::kind))
        .collect();
    assert_eq!(
        kinds,
        [
            Err(ErrorKind::NotReady),
            Ok(&2),
            Err(ErrorKind::NotReady),
            Ok(&4)
        ]
    );
    assert_eq!(or_zero.map(allow_failure(rows)).await?, [0, 1, 0, 3]);
    Ok(())
}

#[tokio::test]
async fn failures_may_be_allowed() {
    failures().await.unwrap();
}

#[flow]
async fn wrong_lengths() -> Result<Vec<i64>> {
    add.map([1, 2, 3], [1, 2]).await
}

#[tokio::test]
async fn columns_have_one_length() {
    let error = wrong_lengths().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains('x') && text.contains('3') && text.contains('2'),
        "{text}"
    );
}
