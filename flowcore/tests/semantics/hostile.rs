//! Users' code that panics where nobody expects it, and async code that
//! blocks.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::results::ResultStore;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::run;

/// Panics as it goes.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// Panics when it is cloned.
#[derive(Debug, PartialEq)]
struct Once(i64);

impl Clone for Once {
    fn clone(&self) -> Self {
        panic!("cloned")
    }
}

#[task(local)]
fn bomb() -> Bomb {
    Bomb
}

#[task(local)]
async fn slow_bomb() -> Bomb {
    Bomb
}

#[task(local)]
fn look(_bomb: &Bomb) -> i64 {
    1
}

#[task(local)]
fn make_once() -> Once {
    Once(3)
}

#[task(local, retries = 1)]
fn eat(once: Once) -> i64 {
    once.0
}

#[task]
fn payload() -> i64 {
    panic_any(Bomb)
}

#[task]
async fn slow_payload() -> i64 {
    panic_any(Bomb)
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

/// If the value is there already, it goes in this code with its handle.
fn let_go<T>(handle: TaskFuture<T>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(handle)));
}

#[flow]
async fn hostile() -> Result<()> {
    let_go(bomb.submit());
    let_go(slow_bomb.submit());
    drop(look.submit(bomb.submit()));
    // One only: two that go together end any Rust program.
    drop(look.map([bomb.submit()]));
    // The first attempt clones; the last one takes the value itself.
    assert_eq!(eat.map([Once(1), Once(2)]).await?, [1, 2]);
    // Where the value is needed twice, every attempt clones.
    let once = make_once.submit();
    let rows = eat.map([&once, &once]).outcomes().await?;
    assert!(rows.iter().all(Result::is_err), "{rows:?}");
    assert!(eat.submit(&once).await.is_err());
    assert!(payload.submit().await.is_err());
    assert!(payload().await.is_err());
    assert!(slow_payload.submit().await.is_err());
    // All threads and lanes are still there.
    assert_eq!(inc.map(0..1000).await?.len(), 1000);
    Ok(())
}

#[test]
fn panics_outside_of_tasks_leave_nothing_open() {
    run(hostile()).unwrap();
}

#[task]
async fn waits(x: i64) -> i64 {
    tokio::task::yield_now().await;
    x
}

#[task]
async fn blocks(x: i64) -> Result<i64> {
    waits.submit(x).block()
}

#[flow]
async fn blocking(n: i64) -> Result<i64> {
    Ok(blocks.map(0..n).await?.iter().sum())
}

#[test]
fn async_code_may_block() {
    run(async {
        assert_eq!(blocking(50).await.unwrap(), 1225);
        let one =
            blocking.with_options(|o| o.task_runner(ThreadPoolTaskRunner::new().max_workers(1)));
        assert_eq!(one(5).await.unwrap(), 10);
        let sequential = blocking.with_options(|o| o.task_runner(SequentialTaskRunner::new()));
        assert_eq!(sequential(5).await.unwrap(), 10);
    });
}

#[flow]
async fn missing() -> Result<()> {
    let rows = inc.map(0..3);
    rows.wait(None).await;
    let row = rows.get(9);
    assert!(row.wait(None).await);
    assert!(row.state().is_failed(), "{}", row.state());
    Ok(())
}

#[test]
fn a_row_that_does_not_exist_has_failed() {
    run(missing()).unwrap();
}

/// Panics when it is written.
#[derive(Clone, Debug)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("written")
    }
}

impl<'de> Deserialize<'de> for Unwritable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

#[task(persist_result, retries = 1)]
fn unwritable(_x: i64) -> Unwritable {
    Unwritable
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(2))]
async fn persists_unwritable(url: String) -> Result<()> {
    let kept = unwritable.with_options(|o| o.result_store(url));
    let run = kept.submit(1);
    run.wait(None).await;
    assert_eq!(run.state().name().as_str(), "Completed");
    assert_eq!(run.run_count(), 1);
    assert_eq!(kept.map(0..20).await?.len(), 20);
    Ok(())
}

#[test]
fn a_result_that_panics_as_it_is_written_is_not_written() {
    run(async {
        let store = ResultStore::memory();
        persists_unwritable(store.url().to_owned()).await.unwrap();
    });
}

#[flow]
async fn gives_unwritable() -> Unwritable {
    Unwritable
}

#[test]
fn a_value_that_panics_as_it_becomes_json_is_an_error() {
    let given = run(async {
        let call = gives_unwritable.call_json(serde_json::json!({})).unwrap();
        call.await.unwrap()
    });
    let error = given.unwrap_err().to_string();
    assert!(
        error.contains("cannot be written as JSON: panic"),
        "{error}"
    );
}

#[task]
fn plus(x: i64, y: i64) -> i64 {
    x + y
}

#[flow]
async fn endless() -> Result<()> {
    for rows in [
        plus.map([1, 2], 0..),
        plus.map(std::iter::repeat(5), [1, 2]),
        plus.map([1, 2], [1, 2].into_iter().cycle()),
        plus.map(0..(1_i64 << 40), unmapped(1)),
    ] {
        let error = rows.await.unwrap_err();
        assert_eq!(error.kind(), flowcore::ErrorKind::Invalid);
        let text = error.to_string();
        let names = |name| text.starts_with(&format!("`plus.map`: `{name}` has no end"));
        assert!(names("x") || names("y"), "{text}");
        assert!(
            text.contains("`0..n`") && text.contains("`unmapped(..)`"),
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn a_column_without_end_is_refused() {
    run(endless()).unwrap();
}

#[flow]
async fn naps() -> u64 {
    tokio::time::sleep(Duration::from_millis(20)).await;
    3
}

#[test]
fn async_code_that_blocks_the_only_thread_of_a_runtime_comes_back() {
    // The timer is not one of the blocked thread's runtime.
    assert_eq!(run(async { naps().block() }).unwrap(), 3);
}
