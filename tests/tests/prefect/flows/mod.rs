//! The flows of the table, as they are written here.
//!
//! Each chapter has the flows of the same chapter in `tests/python/prefect/flows.py`,
//! under the same names and in the same order. What all of them use stands here.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex};

use flowcore::prelude::*;
use tokio::sync::watch;

use crate::table::Row;
use crate::text::named;

mod caching;
mod cancellation;
mod ends;
mod flow_retries;
mod hooks;
mod limits;
mod maps;
mod names;
mod retries;
mod returned;
mod runs;
mod subflows;
mod tasks;
mod timeouts;
mod transactions;
mod waiting;

/// The whole table, in order.
pub(crate) fn table() -> impl Iterator<Item = &'static Row> {
    let chapters = [
        returned::ROWS,
        tasks::ROWS,
        runs::ROWS,
        maps::ROWS,
        waiting::ROWS,
        ends::ROWS,
        cancellation::ROWS,
        limits::ROWS,
        hooks::ROWS,
        retries::ROWS,
        caching::ROWS,
        transactions::ROWS,
        timeouts::ROWS,
        subflows::ROWS,
        flow_retries::ROWS,
        names::ROWS,
    ];
    chapters.into_iter().flatten()
}

/// Python's exception of this name.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ValueError(String);

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
fn total(values: Vec<i64>) -> i64 {
    values.iter().sum()
}

#[task]
fn bad(x: i64) -> Result<i64, ValueError> {
    Err(ValueError(format!("bad {x}")))
}

#[task]
fn even(x: i64) -> Result<i64, ValueError> {
    if x % 2 != 0 {
        return Err(ValueError(format!("{x} is odd")));
    }
    Ok(x)
}

#[task]
fn numbers(n: i64) -> Vec<i64> {
    (0..n).collect()
}

/// What a task is given in place of a value.
#[task]
fn text_of(x: Result<i64>) -> String {
    match x {
        Ok(x) => x.to_string(),
        Err(error) => named(&error),
    }
}

static CALLS: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);

/// How often this was called in the row.
fn attempt(who: &str) -> u32 {
    let mut calls = CALLS.lock().expect("nobody panics here");
    let count = calls.entry(who.to_owned()).or_default();
    *count += 1;
    *count
}

static EVENTS: LazyLock<watch::Sender<HashSet<&str>>> = LazyLock::new(watch::Sender::default);

fn tell(event: &'static str) {
    EVENTS.send_modify(|events| {
        events.insert(event);
    });
}

async fn told(event: &str) {
    let mut events = EVENTS.subscribe();
    let heard = events.wait_for(|events| events.contains(event)).await;
    drop(heard.expect("the sender stays"));
}

/// Before each row.
pub(crate) fn forget() {
    hooks::forget();
    CALLS.lock().expect("nobody panics here").clear();
    EVENTS.send_modify(HashSet::clear);
}
