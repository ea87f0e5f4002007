//! Maps: their handle, their columns, their failures.

use std::collections::BTreeMap;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};
use futures_util::StreamExt as _;

use crate::support::{Bad, Gate, run, until};

#[task]
fn double(x: i64) -> i64 {
    x * 2
}

#[task]
async fn double_async(x: i64) -> i64 {
    x * 2
}

#[task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task]
fn add3(x: i64, y: i64, z: i64) -> i64 {
    x + y + z
}

#[task]
fn even(x: i64) -> Result<i64, Bad> {
    if x % 2 == 0 {
        Ok(x)
    } else {
        Err(Bad::new(format!("{x} is odd")))
    }
}

#[task]
fn count(n: i64) -> Result<Vec<i64>, Bad> {
    if n < 0 {
        return Err(Bad::new("less than nothing"));
    }
    Ok((0..n).collect())
}

#[task]
fn sum(values: &[i64]) -> i64 {
    values.iter().sum()
}

#[task(local)]
async fn held(gate: &Gate, x: i64) -> i64 {
    gate.passed().await;
    x
}

#[task]
fn or_minus_one(x: Result<i64>) -> i64 {
    x.unwrap_or(-1)
}

#[task]
fn count_errors(values: Vec<Result<i64>>) -> usize {
    values.iter().filter(|value| value.is_err()).count()
}

#[flow]
async fn handle() -> Result<()> {
    let rows = double.map(0..10);
    assert_eq!(rows.len(), Some(10));
    assert_eq!(rows.is_empty(), Some(false));
    assert_eq!(rows.length().await?, 10);
    assert_eq!(rows.get(3).await?, 6);
    assert_eq!(rows.iter()?.count(), 10);
    assert!(rows.wait(None).await);
    assert_eq!(rows.states(), [StateName::Completed; 10]);
    assert_eq!(format!("{rows:?}"), "Mapped(10 rows)");

    let part = rows.slice(2..5);
    assert_eq!(part.len(), Some(3));
    assert_eq!(part.states(), [StateName::Completed; 3]);
    assert_eq!(part.get(0).await?, 4);
    assert_eq!((&part).await?, [4, 6, 8]);
    assert_eq!(part.slice(1..).await?, [6, 8]);
    assert_eq!(part.slice(..=1).slice(1..2).await?, [6]);
    assert_eq!(rows.slice(..).await?.len(), 10);
    assert_eq!(rows.slice(9..).await?, [18]);
    assert!(rows.slice(10..).await?.is_empty());
    assert!(rows.slice(4..4).await?.is_empty());
    let outcomes = part.outcomes().await?;
    assert_eq!(
        outcomes.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        [4, 6, 8]
    );

    let mut values = Vec::new();
    for row in rows.iter()? {
        values.push(row.await?);
    }
    assert_eq!(values, (0..10).map(|x| x * 2).collect::<Vec<_>>());
    assert_eq!((&rows).await?, values);
    assert_eq!(rows.await?, values);
    Ok(())
}

#[test]
fn a_map_shows_its_rows() {
    run(handle()).unwrap();
}

#[flow]
async fn missing_rows() -> Result<()> {
    let rows = double.map(0..3);
    let gone = rows.get(3);
    let error = gone.result().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("no row 3"), "{error}");
    assert!(error.to_string().contains("3 rows"), "{error}");
    let error = double.submit(rows.get(1000)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.root().kind(), ErrorKind::Invalid);
    assert_eq!(
        rows.slice(1..).get(2).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert!(rows.get(usize::MAX).await.is_err());

    let error = rows.slice(2..5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("rows 2..5"), "{error}");
    #[allow(clippy::reversed_empty_ranges, reason = "that is the mistake")]
    let reversed = rows.slice(2..1);
    assert_eq!(reversed.await.unwrap_err().kind(), ErrorKind::Invalid);
    let error = double.map(rows.slice(2..5)).await.unwrap_err();
    assert!(error.root().to_string().contains("rows 2..5"), "{error:?}");

    // A length that is not known when rows are asked for.
    let gate = Gate::default();
    let list = count.after(held.submit(&gate, 1)).submit(3);
    let later = double.map(list);
    assert_eq!((later.len(), later.is_empty()), (None, None));
    assert!(later.states().is_empty());
    assert!(later.iter().is_err());
    assert_eq!(format!("{later:?}"), "Mapped(length not known yet)");
    assert!(
        later
            .slice(1..)
            .await
            .unwrap_err()
            .to_string()
            .contains("length()")
    );
    let (there, gone) = (later.get(2), later.get(3));
    let (part, beyond) = (later.slice(1..3), later.slice(2..5));
    let (next, after) = (
        double.submit(later.get(7)),
        double.after(later.slice(2..5)).submit(1),
    );
    gate.open();
    assert_eq!(later.length().await?, 3);
    assert_eq!(there.await?, 4);
    assert!(gone.await.unwrap_err().to_string().contains("no row 3"));
    assert_eq!(part.await?, [2, 4]);
    assert_eq!(beyond.await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(next.await.unwrap_err().kind(), ErrorKind::NotReady);
    assert_eq!(after.await.unwrap_err().kind(), ErrorKind::NotReady);
    Ok(())
}

#[test]
fn rows_that_do_not_exist_are_errors() {
    run(missing_rows()).unwrap();
}

#[flow]
async fn completions(gate: Gate) -> Result<()> {
    let open = Gate::default();
    open.open();
    let gates = [&gate, &open, &gate, &open];
    let rows = held.map(gates, 0..4);
    let mut stream = rows.completions();
    let mut early = vec![
        stream.next().await.unwrap().0,
        stream.next().await.unwrap().0,
    ];
    early.sort_unstable();
    assert_eq!(early, [1, 3]);
    gate.open();
    let late: BTreeMap<_, _> = stream.map(|(row, end)| (row, end.unwrap())).collect().await;
    assert_eq!(late, BTreeMap::from([(0, 0), (2, 2)]));

    // With failures, of a part, of nothing, of unknown length, of none.
    let ends: BTreeMap<_, _> = even
        .map(0..100)
        .slice(10..60)
        .completions()
        .map(|(row, end)| (row, end.map_err(|error| error.to_string())))
        .collect()
        .await;
    assert_eq!(ends.len(), 50);
    assert_eq!(ends[&0], Ok(10));
    assert_eq!(ends[&1], Err("11 is odd".to_owned()));
    assert_eq!(double.map(Vec::<i64>::new()).completions().count().await, 0);
    assert_eq!(double.map(count.submit(7)).completions().count().await, 7);
    assert_eq!(double_async.map(0..1000).completions().count().await, 1000);
    let failed: Vec<_> = double.map(count.submit(-1)).completions().collect().await;
    assert_eq!(failed.len(), 1);
    let error = failed[0].1.as_ref().unwrap_err();
    assert_eq!(error.root().to_string(), "less than nothing");
    Ok(())
}

#[test]
fn completions_come_as_rows_settle() {
    run(completions(Gate::default())).unwrap();
}

#[flow]
async fn failures() -> Result<()> {
    let rows = even.map(0..10);
    let error = (&rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(
        error.to_string(),
        "row 1: 1 is odd (5 of 10 rows did not complete)"
    );
    assert_eq!(error.root().to_string(), "1 is odd");
    assert!(error.downcast_ref::<Bad>().is_some());
    assert!(error.run_name().unwrap().starts_with("even-"));
    let error = even.map([0, 2, 3]).await.unwrap_err();
    assert_eq!(error.to_string(), "row 2: 3 is odd");
    assert_eq!(rows.slice(4..5).await?, [4]);
    let error = rows.slice(4..8).await.unwrap_err();
    assert!(
        error.to_string().contains("(2 of 4 rows did not complete)"),
        "{error}"
    );

    // Row by row: rows of good rows run, the others are NotReady.
    let next = double.map(&rows);
    let last = add.map(&next, &rows);
    assert!(last.wait(None).await);
    for (x, name) in (0..).zip(last.states()) {
        let wanted = [StateName::Completed, StateName::NotReady][x % 2];
        assert_eq!(name, wanted, "row {x}");
    }
    let outcomes = last.outcomes().await?;
    assert_eq!(*outcomes[4].as_ref().unwrap(), 12);
    let error = outcomes[5].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.root().to_string(), "5 is odd");

    // All of them wanted: one failure stops.
    let error = sum.submit(&rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert!(error.root().to_string().ends_with("is odd"), "{error:?}");
    assert_eq!(sum.submit(rows.slice(6..7)).await?, 6);

    // Failures allowed.
    let replaced = or_minus_one.map(allow_failure(&rows));
    assert_eq!(replaced.await?, [0, -1, 2, -1, 4, -1, 6, -1, 8, -1]);
    assert_eq!(
        or_minus_one.map(allow_failure(rows.slice(3..5))).await?,
        [-1, 4]
    );
    assert_eq!(count_errors.submit(allow_failure(&rows)).await?, 5);
    assert_eq!(
        count_errors.submit(allow_failure(rows.slice(0..1))).await?,
        0
    );
    // NotReady counts as a failure, so that it can be allowed too.
    assert_eq!(count_errors.submit(allow_failure(&next)).await?, 5);
    assert_eq!(or_minus_one.submit(allow_failure(next.get(1))).await?, -1);
    assert_eq!(or_minus_one.submit(allow_failure(rows.get(2))).await?, 2);
    Ok(())
}

#[test]
fn failures_go_row_by_row() {
    run(failures()).unwrap();
}

#[flow]
async fn cancelled_upstream() -> Result<()> {
    let run = held.submit(Gate::default(), 1);
    run.cancel();
    let error = or_minus_one.submit(allow_failure(&run)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.root().kind(), ErrorKind::Cancelled);
    let rows = held.map(unmapped(Gate::default()), 0..3);
    rows.cancel();
    let next = or_minus_one.map(allow_failure(&rows));
    assert!(next.wait(None).await);
    assert_eq!(next.states(), [StateName::NotReady; 3]);
    let error = count_errors.submit(allow_failure(&rows)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    Ok(())
}

#[test]
fn cancelled_upstream_runs_stop_all_the_same() {
    run(cancelled_upstream()).unwrap();
}

#[flow]
async fn columns() -> Result<()> {
    let rows = double.map(0..4);
    let list = count.submit(4);
    // Every kind of column beside every other.
    assert_eq!(add3.map(&rows, &list, 0..4).await?, [0, 4, 8, 12]);
    assert_eq!(
        add3.map(&list, unmapped(10), &rows).await?,
        [10, 13, 16, 19]
    );
    assert_eq!(add.map(&list, list.clone()).await?, [0, 2, 4, 6]);
    assert_eq!(add.map(&rows, &rows).await?, [0, 4, 8, 12]);
    assert_eq!(add.map(rows.slice(1..3), rows.slice(2..4)).await?, [6, 10]);
    assert_eq!(add.map(rows.slice(..2), [1, 1]).await?, [1, 3]);
    let futures: Vec<_> = rows.iter()?.collect();
    assert_eq!(add.map(&futures, futures.clone()).await?, [0, 4, 8, 12]);
    assert_eq!(add.map([1, 2], unmapped(rows.get(3))).await?, [7, 8]);
    assert_eq!(
        add.map([1, 2].iter(), (0..2).map(|x| x * 10)).await?,
        [1, 12]
    );
    assert_eq!(double.map(Some(4)).await?, [8]);
    assert_eq!(sum.map([vec![1, 2], vec![]]).await?, [3, 0]);
    assert_eq!(sum.map([&rows, &rows].map(|_| list.clone())).await?, [6, 6]);
    assert_eq!(
        add.map(0..3, unmapped(sum.submit(&rows))).await?,
        [12, 13, 14]
    );

    // Maps of maps, ten deep.
    let mut deep = double_async.map(0..100);
    for _ in 0..10 {
        deep = add.map(deep, unmapped(1));
    }
    assert_eq!(
        deep.await?,
        (0..100).map(|x| x * 2 + 10).collect::<Vec<_>>()
    );
    Ok(())
}

#[test]
fn columns_of_every_kind() {
    run(columns()).unwrap();
}

#[flow]
async fn unknown_lengths(gate: Gate) -> Result<()> {
    let before = held.submit(&gate, 1);
    let list = |n: i64| count.after(&before).submit(n);
    let (five, none, failed) = (list(5), list(0), list(-1));
    let rows = double.map(&five);
    let chain = double.map(double.map(&rows));
    let mixed = add3.map(&rows, &five, unmapped(1));
    let with_known = add.map(&five, 0..5);
    let total = sum.submit(&rows);
    let one = double.submit(rows.get(4));
    let empty = double.map(double.map(&none));
    let empty_sum = sum.submit(&empty);
    let stopped = double.map(double.map(&failed));
    let after = double.after(&stopped).submit(1);
    let mismatch = add.map(&five, 0..4);
    let two_lists = add.map(&five, &none);
    let futures = [rows.clone(), chain.clone(), empty.clone(), stopped.clone()];
    assert!(futures.iter().all(|map| map.len().is_none()));
    gate.open();

    assert_eq!(chain.await?, [0, 8, 16, 24, 32]);
    assert_eq!(mixed.await?, [1, 4, 7, 10, 13]);
    assert_eq!(with_known.await?, [0, 2, 4, 6, 8]);
    assert_eq!((total.await?, one.await?), (20, 16));
    assert_eq!(rows.await?, [0, 2, 4, 6, 8]);

    assert_eq!(empty.length().await?, 0);
    assert_eq!((empty.len(), empty.is_empty()), (Some(0), Some(true)));
    assert!(empty.await?.is_empty());
    assert_eq!(empty_sum.await?, 0);

    let error = (&stopped).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.root().to_string(), "less than nothing");
    assert!(error.downcast_ref::<Bad>().is_some());
    assert!(stopped.length().await.is_err());
    assert!(stopped.get(0).await.is_err());
    assert!(stopped.slice(0..2).await.is_err());
    assert_eq!(stopped.len(), None);
    assert!(stopped.outcomes().await.is_err());
    assert_eq!(
        after.await.unwrap_err().root().to_string(),
        "less than nothing"
    );

    for (map, lengths) in [
        (mismatch, ["`x`: 5", "`y`: 4"]),
        (two_lists, ["`x`: 5", "`y`: 0"]),
    ] {
        let error = map.await.unwrap_err();
        let text = error.root().to_string();
        assert!(lengths.iter().all(|length| text.contains(length)), "{text}");
    }
    Ok(())
}

#[test]
fn lengths_that_become_known_later() {
    run(unknown_lengths(Gate::default())).unwrap();
}

#[flow]
async fn wrong_lengths() -> Result<()> {
    let rows = add3.map(0..3, [1, 2], unmapped(1));
    assert!(rows.wait(None).await);
    let error = (&rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains("`add3.map`"), "{text}");
    assert!(text.contains("`x`: 3") && text.contains("`y`: 2"), "{text}");
    assert!(!text.contains("`z`"), "{text}");
    assert!(text.contains("`unmapped(..)`"), "{text}");
    assert!(error.task_key().unwrap().ends_with("maps::add3"));
    assert!(rows.length().await.is_err());

    // What depends on it names it.
    let error = double.map(&rows).await.unwrap_err();
    assert_eq!(error.root().to_string(), text);
    let error = sum.submit(rows).await.unwrap_err();
    assert_eq!(error.root().to_string(), text);

    let error = add.map(unmapped(1), unmapped(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains("`add.map` received no sequence"), "{text}");
    assert!(text.contains("`unmapped(..)`"), "{text}");
    let error = add.map(0..3, double.map(0..4)).await.unwrap_err();
    assert!(error.to_string().contains("`x`: 3"), "{error}");
    Ok(())
}

#[test]
fn wrong_lengths_name_parameters_and_cure() {
    run(wrong_lengths()).unwrap();
}

#[flow]
async fn zero_rows() -> Result<()> {
    let none = double.map(Vec::<i64>::new());
    assert_eq!((none.len(), none.is_empty()), (Some(0), Some(true)));
    assert!(none.wait(None).await);
    assert!(none.states().is_empty());
    assert_eq!(none.iter()?.count(), 0);
    assert_eq!(sum.submit(&none).await?, 0);
    assert_eq!(add.map(&none, unmapped(1)).await?, [0_i64; 0]);
    assert_eq!(double.after(&none).submit(2).await?, 4);
    assert_eq!(count_errors.submit(allow_failure(&none)).await?, 0);
    assert!(none.get(0).await.is_err());
    assert!(none.slice(..).await?.is_empty());
    assert!(none.clone().outcomes().await?.is_empty());
    none.cancel();
    assert_eq!(none.await?, [0_i64; 0]);
    assert_eq!(double_async.map(0..0).await?, [0_i64; 0]);
    Ok(())
}

#[test]
fn zero_rows_are_fine() {
    run(zero_rows()).unwrap();
}

#[flow]
async fn large() -> Result<i64> {
    let rows = double.map(0..200_000);
    let next = add.map(&rows, 0..200_000);
    sum.submit(next).await
}

#[test]
fn two_hundred_thousand_rows() {
    assert_eq!(
        run(large()).unwrap(),
        (0..200_000).map(|x| 3 * x).sum::<i64>()
    );
}

#[flow]
async fn large_failing(gate: Gate) -> Result<()> {
    // Every second row fails, and all rows wait for one run.
    let start = held.submit(&gate, 0);
    let rows = even.map(add.map(0..20_000, unmapped(&start)));
    let next = double.map(&rows);
    let all = or_minus_one.map(allow_failure(&next));
    gate.open();
    let values = all.await?;
    assert_eq!(values.iter().filter(|value| **value == -1).count(), 10_000);
    assert!(next.wait(None).await);
    let not_ready = next.states().into_iter();
    assert_eq!(
        not_ready
            .filter(|name| *name == StateName::NotReady)
            .count(),
        10_000
    );
    Ok(())
}

#[test]
fn ten_thousand_failed_rows() {
    run(large_failing(Gate::default())).unwrap();
}

#[flow]
async fn seen_early(gate: Gate) -> Result<()> {
    // A row's dependents need not wait for the whole map.
    let open = Gate::default();
    open.open();
    let rows = held.map([&open, &gate], 1..3);
    let next = double.map(&rows);
    until(|| next.get(0).state().is_settled());
    assert_eq!(next.get(0).await?, 2);
    assert!(!rows.get(1).state().is_settled());
    gate.open();
    assert_eq!(next.await?, [2, 4]);
    Ok(())
}

#[test]
fn a_row_waits_for_its_own_row_only() {
    run(seen_early(Gate::default())).unwrap();
}
