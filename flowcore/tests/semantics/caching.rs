//! Caching: what makes two runs the same, what a record is worth, and that a
//! task runs whatever is wrong with keys, records and stores.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowcore::StateName;
use flowcore::prelude::*;
use flowcore::results::{
    DEFAULT, FLOW_PARAMETERS, INPUTS, NO_CACHE, RUN_ID, ResultStore, TASK_SOURCE,
};

use crate::support::run;

/// Counts calls; each test has one of its own.
struct Calls(AtomicU32);

impl Calls {
    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    fn count(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn so_far(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

static SQUARES: Calls = Calls::new();

#[task(cache = INPUTS, result_store = "memory://squares")]
fn square(x: i64) -> i64 {
    SQUARES.count();
    x * x
}

#[task(cache = INPUTS + TASK_SOURCE, result_store = "memory://squares")]
async fn square_async(x: i64) -> i64 {
    SQUARES.count();
    x * x
}

#[task(cache = INPUTS, result_store = "memory://lengths")]
fn length(text: &str, rows: &[f64]) -> usize {
    SQUARES.count();
    text.len() + rows.len()
}

#[task(cache = INPUTS, result_store = "memory://lengths-async")]
async fn length_async(text: &str, by: usize) -> usize {
    SQUARES.count();
    text.len() * by
}

#[task]
fn plus_one(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn squares() -> Result<()> {
    let first = square.submit(3);
    assert_eq!(*first.result().await?, 9);
    assert_eq!(first.state().to_string(), "Completed()");
    let second = square.submit(3);
    let after = plus_one.submit(&second);
    assert_eq!(after.await?, 10);
    assert_eq!(second.state().name(), StateName::Cached);
    assert_eq!(second.state().to_string(), "Cached(type=COMPLETED)");
    assert!(second.state().is_completed());
    assert_eq!(second.run_count(), 1);
    assert_eq!(square(3).await?, 9);
    assert_eq!(SQUARES.so_far(), 1);

    let rows = square.map([4, 5]);
    assert_eq!(rows.await?, [16, 25]);
    let rows = square.map([5, 6, 3, 4]);
    let more = plus_one.map(&rows);
    assert_eq!(more.await?, [26, 37, 10, 17]);
    use StateName::{Cached, Completed};
    assert_eq!(rows.states(), [Cached, Completed, Cached, Cached]);
    assert_eq!(SQUARES.so_far(), 4);

    assert_eq!(square_async.submit(7).await?, 49);
    assert_eq!(square_async(7).state().await.name(), Cached);
    let rows = square_async.map([7, 8]);
    rows.wait(None).await;
    assert_eq!(rows.states(), [Cached, Completed]);
    assert_eq!(SQUARES.so_far(), 6);

    // Loans and values have the same keys.
    assert_eq!(length("abc", &[1.0]).await?, 4);
    assert_eq!(length("abc", &[1.0]).state().await.name(), Cached);
    let owned = length.submit("abc", vec![1.0]);
    assert_eq!(*owned.result().await?, 4);
    assert_eq!(owned.state().name(), Cached);
    assert_eq!(length_async("abc", 2).await?, 6);
    assert_eq!(length_async("abc", 2).state().await.name(), Cached);
    assert_eq!(SQUARES.so_far(), 8);
    Ok(())
}

#[test]
fn a_run_with_the_same_key_takes_the_value() {
    run(async {
        let state = squares().state().await;
        assert_eq!(state.to_string(), "Completed()");
        // Outside of flows too.
        assert_eq!(square(3).state().await.name(), StateName::Cached);
    });
}

static RETRIED: Calls = Calls::new();

#[task(retries = 2, cache = INPUTS, result_store = "memory://retried")]
fn second_time(x: i64) -> Result<i64, String> {
    if RETRIED.count() == 1 {
        return Err("not yet".to_owned());
    }
    Ok(x)
}

#[test]
fn retries_and_failures_write_no_record_of_their_own() {
    run(async {
        assert_eq!(second_time(1).await.unwrap(), 1);
        assert_eq!(second_time(1).state().await.name(), StateName::Cached);
        assert_eq!(RETRIED.so_far(), 2);
    });
}

static SEEN: Calls = Calls::new();

#[task]
fn seen(x: i64, verbose: bool) -> u32 {
    let _ = (x, verbose);
    SEEN.count()
}

#[flow(persist_result)]
async fn seen_by_default(x: i64) -> Result<(u32, u32)> {
    let copy = seen.with_options(|o| o.result_store("memory://by-default"));
    Ok((copy(x, true).await?, copy.submit(x, true).await?))
}

#[flow]
async fn seen_by_flow(day: String, n: i64) -> Result<u32> {
    let _ = (day, n);
    let copy = seen.with_options(|o| o.cache(FLOW_PARAMETERS).result_store("memory://by-flow"));
    copy(n, false).await
}

#[test]
fn policies_say_what_is_the_same() {
    run(async {
        let with = |policy, store: &str| {
            seen.with_options(|o| {
                o.cache(policy)
                    .result_store(format!("memory://seen-{store}"))
            })
        };
        let inputs = with(INPUTS - "verbose", "inputs");
        let first = inputs(1, true).await.unwrap();
        assert_eq!(inputs(1, false).await.unwrap(), first);
        assert_ne!(inputs(2, true).await.unwrap(), first);

        let source = with(TASK_SOURCE, "source");
        let first = source(1, true).await.unwrap();
        assert_eq!(source(2, false).await.unwrap(), first);

        // Outside of flows every run is a run of its own.
        let by_run = with(RUN_ID + INPUTS, "run");
        let first = by_run(1, true).await.unwrap();
        assert_ne!(by_run(1, true).await.unwrap(), first);
        let by_default = with(DEFAULT, "default");
        let first = by_default(1, true).await.unwrap();
        assert_ne!(by_default(1, true).await.unwrap(), first);

        let never = with(NO_CACHE, "never");
        let first = never(1, true).await.unwrap();
        assert_ne!(never(1, true).await.unwrap(), first);

        // The second flow run finds nothing of the first.
        let (first, second) = seen_by_default(1).await.unwrap();
        assert_eq!(first, second);
        assert_ne!(seen_by_default(1).await.unwrap().0, first);

        // The changed copy must be there before the flow begins.
        drop(seen.with_options(|o| o.cache(FLOW_PARAMETERS)));
        let first = seen_by_flow("mon".into(), 1).await.unwrap();
        assert_eq!(seen_by_flow("mon".into(), 1).await.unwrap(), first);
        assert_ne!(seen_by_flow("tue".into(), 1).await.unwrap(), first);
    });
}

static KEPT: Calls = Calls::new();

#[task]
fn kept(x: i64) -> u32 {
    let _ = x;
    KEPT.count()
}

#[task(persist_result = false)]
fn not_kept(x: i64) -> u32 {
    let _ = x;
    KEPT.count()
}

#[flow]
async fn below() -> Result<(u32, u32)> {
    Ok((kept(1).await?, kept(1).await?))
}

#[flow(result_store = "memory://kept")]
async fn above() -> Result<()> {
    assert_eq!(kept(1).await?, kept(1).await?);
    assert_ne!(not_kept(1).await?, not_kept(1).await?);
    let (first, second) = below().await?;
    assert_eq!(first, second);
    Ok(())
}

#[test]
fn a_flow_says_it_for_its_tasks_and_subflows() {
    run(async {
        let (first, second) = below().await.unwrap();
        assert_ne!(first, second);
        above().await.unwrap();
    });
}

static TIMED: Calls = Calls::new();

#[task(cache = INPUTS, cache_expiration = "1h", result_store = "memory://timed")]
fn timed(x: i64) -> u32 {
    let _ = x;
    TIMED.count()
}

#[test]
fn records_expire_and_are_refreshed() {
    run(async {
        let short = timed.with_options(|o| o.cache_expiration(Duration::from_nanos(1)));
        assert_eq!(short(1).await.unwrap(), 1);
        assert_eq!(short(1).await.unwrap(), 2);
        assert_eq!(timed(1).await.unwrap(), 3);
        assert_eq!(timed(1).await.unwrap(), 3);
        let again = timed.with_options(|o| o.refresh_cache(true));
        assert_eq!(again(1).await.unwrap(), 4);
        assert_eq!(timed(1).await.unwrap(), 4);
    });
}

static KEYED: Calls = Calls::new();

fn by_day(day: &str, n: &i64) -> Result<Option<String>, String> {
    match (day, n) {
        ("never", _) => Ok(None),
        ("broken", _) => Err("no key today".to_owned()),
        ("panic", _) => panic!("no key at all"),
        (day, n) => Ok(Some(format!("day-{day}-{}", n % 10))),
    }
}

#[task(cache_key = by_day, result_store = "memory://keyed")]
fn keyed(day: String, n: i64) -> u32 {
    let _ = (day, n);
    KEYED.count()
}

#[task(cache_key = by_day, result_store = "memory://keyed")]
fn keyed_by_loan(day: &str, n: i64) -> u32 {
    let _ = (day, n);
    KEYED.count()
}

#[test]
fn a_function_may_give_the_key_or_none() {
    run(async {
        let key = |day: &str, n| keyed(day.to_owned(), n);
        let first = key("mon", 1).await.unwrap();
        assert_eq!(key("mon", 11).await.unwrap(), first);
        assert_ne!(key("mon", 2).await.unwrap(), first);
        let store = ResultStore::open("memory://keyed").unwrap();
        assert_eq!(store.read::<u32>("day-mon-1").await.unwrap(), Some(first));
        assert_eq!(keyed_by_loan("mon", 1).await.unwrap(), first);
        for day in ["never", "broken", "panic"] {
            let first = key(day, 1).await.unwrap();
            assert_ne!(key(day, 1).await.unwrap(), first, "{day}");
            assert_ne!(keyed_by_loan(day, 1).await.unwrap(), first, "{day}");
        }
    });
}

static SETS: Calls = Calls::new();

#[task(cache = INPUTS, result_store = "memory://sets")]
fn of_set(set: HashSet<u32>) -> u32 {
    let _ = set;
    SETS.count()
}

#[task(cache = INPUTS, result_store = "memory://maps")]
fn of_map(map: HashMap<String, u32>) -> u32 {
    let _ = map;
    SETS.count()
}

#[test]
fn only_values_with_a_stable_form_have_a_key() {
    run(async {
        let set = || (0..100).collect::<HashSet<u32>>();
        let first = of_set(set()).await.unwrap();
        assert_ne!(of_set(set()).await.unwrap(), first);
        let map = || (0..100).map(|i| (i.to_string(), i)).collect();
        let first = of_map(map()).await.unwrap();
        assert_eq!(of_map(map()).await.unwrap(), first);
    });
}

static STORED: Calls = Calls::new();

fn fixed(_: &i64) -> &'static str {
    "the-key"
}

#[task(cache_key = fixed)]
fn stored(x: i64) -> u32 {
    let _ = x;
    STORED.count()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_record_that_is_not_right_is_computed_again() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("the-key");
        let url = directory.path().to_str().unwrap().to_owned();
        let copy = stored.with_options(|o| o.result_store(url.clone()));
        let store = ResultStore::open(&url).unwrap();
        let first = copy(1).await.unwrap();
        assert_eq!(copy(1).await.unwrap(), first);
        let whole = std::fs::read_to_string(&file).unwrap();

        let mut last = first;
        let mut recomputed = async || {
            let value = copy(1).await.unwrap();
            assert_ne!(value, last);
            last = value;
            // The new record has taken its place.
            assert_eq!(copy(1).await.unwrap(), value);
        };
        write(&file, &whole[..whole.len() / 2]);
        recomputed().await;
        write(&file, "");
        recomputed().await;
        write(
            &file,
            &whole.replace("\"result\":\"1\"", "\"result\":\"7\""),
        );
        recomputed().await;
        store.write("the-key", &"text".to_owned()).await.unwrap();
        recomputed().await;
        // The same text, but of another type.
        store.write("the-key", &1_u64).await.unwrap();
        recomputed().await;
        write(
            &file,
            r#"{"metadata":{"serializer":{"type":"pickle"}},"result":"gAVLMS4=\n"}"#,
        );
        recomputed().await;
        write(
            &file,
            r#"{"metadata":{"serializer":{"type":"json"},"expiration":"soon"},"result":"1"}"#,
        );
        recomputed().await;
        // One of Python's is as good as ours.
        write(
            &file,
            r#"{"metadata":{"serializer":{"type":"json"},"expiration":null},"result":"4711"}"#,
        );
        assert_eq!(copy(1).await.unwrap(), 4711);
    });
}

static UNSTORED: Calls = Calls::new();

#[task(cache = INPUTS)]
async fn unstored(x: i64) -> u32 {
    let _ = x;
    UNSTORED.count()
}

#[test]
fn runs_complete_without_their_store() {
    run(async {
        let nowhere = unstored.with_options(|o| o.result_store("/dev/null/nowhere"));
        assert_eq!(nowhere(1).await.unwrap(), 1);
        assert_eq!(nowhere(1).await.unwrap(), 2);
        let unknown = unstored.with_options(|o| o.result_store("ftp://nowhere"));
        assert_eq!(unknown(1).await.unwrap(), 3);

        // Readable once, and then neither readable nor writable.
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("store");
        let lost = unstored.with_options(|o| o.result_store(place.to_str().unwrap()));
        assert_eq!(lost(1).await.unwrap(), 4);
        assert_eq!(lost(1).await.unwrap(), 4);
        std::fs::remove_dir_all(&place).unwrap();
        write(&place, "no directory");
        let state = lost(1).state().await;
        assert_eq!(state.to_string(), "Completed()");
        assert_eq!(UNSTORED.so_far(), 5);
    });
}
