//! `codec`: how results become bytes, in records and for second values.

use std::sync::atomic::{AtomicU32, Ordering};

use flowcore::StateName;
use flowcore::prelude::*;
use flowcore::results::ResultStore;
use serde::{Deserialize, Serialize};

use crate::support::run;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Measured {
    label: String,
    values: Vec<u32>,
}

static MEASURED: AtomicU32 = AtomicU32::new(0);

fn measured(label: &str) -> Measured {
    let label = label.to_owned();
    let values = vec![MEASURED.fetch_add(1, Ordering::SeqCst); 3];
    Measured { label, values }
}

#[task(codec = bincode, cache_key = of_label, result_store = "memory://codecs")]
fn measure(label: &str) -> Measured {
    measured(label)
}

/// The same key: as if the attribute had been changed.
#[task(codec = message_pack, cache_key = of_label, result_store = "memory://codecs")]
fn measure_plainly(label: &str) -> Measured {
    measured(label)
}

fn of_label(label: &str) -> String {
    label.to_owned()
}

#[flow]
async fn measuring() -> Result<()> {
    let first = measure.submit("a");
    let value = first.result().await?;
    let again = measure.submit("a");
    assert_eq!(again.result().await?, value);
    assert_eq!(again.state().name(), StateName::Cached);

    let store = ResultStore::open("memory://codecs")?;
    let record = store.read::<Measured>("a").await?;
    assert_eq!(record.as_ref(), Some(&*value), "by hand, any codec is read");

    // A record of another codec is not believed, in either direction.
    let other = measure_plainly.submit("a");
    assert_ne!(other.result().await?, value);
    assert_eq!(other.state().name(), StateName::Completed);
    let back = measure.submit("a");
    assert_ne!(back.result().await?, value);
    assert_eq!(back.state().name(), StateName::Completed);
    Ok(())
}

#[test]
fn records_are_of_the_codec_of_the_task() {
    run(measuring()).unwrap();
}

#[task(codec = bincode, cache = INPUTS, result_store = "memory://codecs-sums")]
fn sum(values: Vec<i64>) -> i64 {
    values.iter().sum()
}

#[flow]
async fn summed() -> Result<StateName> {
    // The key of arguments does not depend on the codec of results.
    assert_eq!(sum.submit(vec![1, 2]).await?, 3);
    let again = sum.submit(vec![1, 2]);
    again.result().await?;
    Ok(again.state().name())
}

#[test]
fn keys_are_of_the_arguments() {
    assert_eq!(run(summed()).unwrap(), StateName::Cached);
}

/// Not `Clone`: a second value is a trip through the codec.
#[derive(Debug, Serialize, Deserialize)]
struct Only(u64);

#[task(codec = bincode)]
fn only(x: u64) -> Only {
    Only(x)
}

#[task]
fn taken(value: Only) -> u64 {
    value.0
}

#[flow]
async fn twice() -> Result<(u64, u64)> {
    // The future's second value goes through its task's codec, the argument
    // through the reader's.
    let one = only.submit(7);
    let first = one.clone().await?;
    Ok((first.0, taken.submit(&one).await?))
}

#[test]
fn second_values_go_through_the_codec() {
    assert_eq!(run(twice()).unwrap(), (7, 7));
}

/// What bincode cannot hold: the field is left out, and then missed.
#[derive(Debug, Serialize, Deserialize)]
struct Partial {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    count: u64,
}

#[task(codec = bincode, cache_key = of_nothing, result_store = "memory://codecs-partial")]
fn partial() -> Partial {
    let note = None;
    Partial { note, count: 1 }
}

fn of_nothing() -> &'static str {
    "partial"
}

#[flow]
async fn kept_in_vain() -> Result<[StateName; 2]> {
    let first = partial.submit();
    first.result().await?;
    let second = partial.submit();
    assert_eq!(second.result().await?.count, 1);
    Ok([first.state().name(), second.state().name()])
}

#[test]
fn a_record_that_bincode_cannot_read_is_not_believed() {
    assert_eq!(run(kept_in_vain()).unwrap(), [StateName::Completed; 2]);
}
