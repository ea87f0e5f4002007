//! Transactions.

use flowcore::prelude::*;
use flowcore::transaction;
use flowcore::transactions::{CommitMode, Transaction, TransactionOptions};

use super::hooks::{heard, note};
use super::{attempt, bad, inc};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    commit_hook_outside_of_transactions,
    committed_transaction,
    rolled_back_transaction,
    rolled_back_by_a_failure_that_is_caught,
    nested_transaction_that_commits,
    nested_transaction_that_is_rolled_back,
    failure_in_a_nested_transaction,
    eager_transaction_in_one_that_is_rolled_back,
    transaction_that_nobody_commits,
    transaction_committed_by_hand,
    task_in_a_task_that_fails,
    submitted_tasks_in_a_transaction,
    values_of_transactions,
    commit_hook_that_fails,
    records_of_a_transaction,
];

fn commit_room(_: &Transaction) {
    note("commit room".to_owned());
}

fn free_room(_: &Transaction) {
    note("free room".to_owned());
}

fn free_keys(_: &Transaction) {
    note("free keys".to_owned());
}

fn commit_car(_: &Transaction) {
    note("commit car".to_owned());
}

fn free_car(_: &Transaction) {
    note("free car".to_owned());
}

#[task(on_commit = commit_room, on_rollback = [free_room, free_keys])]
fn room(x: i64) -> i64 {
    x
}

#[task(on_commit = commit_car, on_rollback = free_car)]
fn car(x: i64) -> i64 {
    x
}

#[flow]
async fn commit_hook_outside_of_transactions() -> Result<Vec<String>> {
    room(1).await?;
    note("after".to_owned());
    Ok(heard())
}

#[flow]
async fn committed_transaction() -> Result<Vec<String>> {
    transaction(async |_| {
        room(1).await?;
        car(2).await?;
        note("before".to_owned());
        inc(3).await
    })
    .await?;
    Ok(heard())
}

#[flow]
async fn rolled_back_transaction() -> Result<Vec<String>> {
    let ended: Result<()> = transaction(async |_| {
        room(1).await?;
        car(2).await?;
        inc(3).await?;
        Err(Error::msg("no"))
    })
    .await;
    note(ended.unwrap_err().to_string());
    Ok(heard())
}

#[flow]
async fn rolled_back_by_a_failure_that_is_caught() -> Result<Vec<String>> {
    let _ = transaction(async |_| {
        room(1).await?;
        let _ = bad(1).state().await;
        note("caught".to_owned());
        Ok::<_, Error>(())
    })
    .await;
    Ok(heard())
}

#[flow]
async fn nested_transaction_that_commits() -> Result<Vec<String>> {
    transaction(async |_| {
        room(1).await?;
        transaction(async |_| car(2).await).await?;
        note("outer".to_owned());
        Ok::<_, Error>(())
    })
    .await?;
    Ok(heard())
}

#[flow]
async fn nested_transaction_that_is_rolled_back() -> Result<Vec<String>> {
    let ended: Result<()> = transaction(async |_| {
        room(1).await?;
        transaction(async |_| {
            car(2).await?;
            room(3).await
        })
        .await?;
        Err(Error::msg("no"))
    })
    .await;
    ended.unwrap_err();
    Ok(heard())
}

#[flow]
async fn failure_in_a_nested_transaction() -> Result<Vec<String>> {
    let _ = transaction(async |outer| {
        room(1).await?;
        let inner: Result<()> = transaction(async |_| {
            car(2).await?;
            Err(Error::msg("no"))
        })
        .await;
        inner.unwrap_err();
        note(format!("outer is rolled back: {}", outer.is_rolled_back()));
        Ok::<_, Error>(())
    })
    .await;
    Ok(heard())
}

#[flow]
async fn eager_transaction_in_one_that_is_rolled_back() -> Result<Vec<String>> {
    let ended: Result<()> = transaction(async |_| {
        room(1).await?;
        let eager = TransactionOptions::new().commit_mode(CommitMode::Eager);
        eager.run(async |_| car(2).await).await?;
        note("after the eager one".to_owned());
        Err(Error::msg("no"))
    })
    .await;
    ended.unwrap_err();
    Ok(heard())
}

#[flow]
async fn transaction_that_nobody_commits() -> Result<Vec<String>> {
    let off = TransactionOptions::new().commit_mode(CommitMode::Off);
    off.run(async |_| room(1).await).await?;
    Ok(heard())
}

#[flow]
async fn transaction_committed_by_hand() -> Result<Vec<String>> {
    let off = TransactionOptions::new().commit_mode(CommitMode::Off);
    off.run(async |txn| {
        room(1).await?;
        txn.commit().await?;
        note(format!("is committed: {}", txn.is_committed()));
        Ok::<_, Error>(())
    })
    .await?;
    Ok(heard())
}

#[task]
async fn books_and_fails(x: i64) -> Result<i64> {
    room(x).await?;
    note("booked".to_owned());
    bad(x).await
}

#[flow]
async fn task_in_a_task_that_fails() -> Result<Vec<String>> {
    let _ = books_and_fails(1).state().await;
    Ok(heard())
}

#[flow]
async fn submitted_tasks_in_a_transaction() -> Result<Vec<String>> {
    let ended: Result<()> = transaction(async |_| {
        room.submit(1).await?;
        car.map([2, 3]).await?;
        Err(Error::msg("no"))
    })
    .await;
    ended.unwrap_err();
    Ok(heard())
}

fn tell_value(txn: &Transaction) -> Result<()> {
    note(format!("place {}", txn.get::<i64>("place")?));
    Ok(())
}

#[task(on_commit = tell_value)]
fn place(x: i64) -> i64 {
    x
}

#[flow]
async fn values_of_transactions() -> Result<Vec<String>> {
    transaction(async |txn| {
        txn.set("place", 1_i64);
        transaction(async |inner| {
            note(format!("inner {}", inner.get::<i64>("place")?));
            inner.set("place", 2_i64);
            place(0).await
        })
        .await?;
        note(format!("outer {}", txn.get::<i64>("place")?));
        place(0).await
    })
    .await?;
    Ok(heard())
}

fn cannot_commit(_: &Transaction) -> Result<()> {
    note("cannot commit".to_owned());
    Err(Error::msg("no"))
}

#[task(on_commit = cannot_commit, on_rollback = free_car)]
fn uncommittable(x: i64) -> i64 {
    x
}

#[flow]
async fn commit_hook_that_fails() -> Result<Vec<String>> {
    transaction(async |_| {
        uncommittable(1).await?;
        room(2).await
    })
    .await?;
    Ok(heard())
}

#[task(cache = INPUTS, result_store = "memory://table-of-transactions")]
fn counted_in_transactions(x: i64) -> i64 {
    let _ = x;
    i64::from(attempt("counted_in_transactions"))
}

#[flow]
async fn records_of_a_transaction() -> Result<Vec<i64>> {
    let mut values = Vec::new();
    let ended: Result<()> = transaction(async |_| {
        values.push(counted_in_transactions(4711).await?);
        Err(Error::msg("no"))
    })
    .await;
    ended.unwrap_err();
    transaction(async |_| {
        values.push(counted_in_transactions(4711).await?);
        values.push(counted_in_transactions(4711).await?);
        Ok::<_, Error>(())
    })
    .await?;
    values.push(counted_in_transactions(4711).await?);
    Ok(values)
}
