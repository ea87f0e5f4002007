//! The child of the test of results: a flow in a process of its own, which may
//! be killed.
//!
//!     results_child STEP DIRECTORY [RUN]
//!
//! The store is `FLOW_TEST_STORE` or else `DIRECTORY/store`; each computation appends a line to
//! `DIRECTORY/computed`.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowcore::prelude::*;

fn directory() -> PathBuf {
    std::env::args().nth(2).expect("a directory").into()
}

fn store() -> String {
    std::env::var("FLOW_TEST_STORE")
        .unwrap_or_else(|_| directory().join("store").display().to_string())
}

/// Notes that a value was computed.
fn note(text: &str) {
    let path = directory().join("computed");
    let mut file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .expect("the directory of the test");
    // Runs note at the same time: a line is one write.
    let line = format!("{text}\n");
    file.write_all(line.as_bytes())
        .expect("the directory of the test");
}

fn say(text: &str) {
    println!("{text}");
    std::io::stdout().flush().expect("the test reads");
}

#[task(cache = INPUTS, isolation = serializable)]
fn slowly(x: i64) -> i64 {
    note("slowly");
    std::thread::sleep(Duration::from_millis(300));
    x + 1
}

#[task(cache = INPUTS, isolation = serializable)]
fn never(x: i64) -> i64 {
    say("locked");
    if x == 1 && !directory().join("computed").exists() {
        note("never");
        loop {
            std::thread::park();
        }
    }
    note("after all");
    x
}

#[task]
fn step(n: i64) -> i64 {
    note(&format!("step {n}"));
    n * 10
}

#[task]
fn dies(n: i64) -> i64 {
    if !directory().join("again").exists() {
        say("working");
        loop {
            std::thread::park();
        }
    }
    note("last step");
    n + 1
}

#[flow(persist_result)]
async fn nightly() -> Result<i64> {
    let run = flowcore::run_info().expect("in a flow").flow_run_id;
    say(&run.to_string());
    let steps = step.map([1, 2, 3]);
    steps.wait(None).await;
    for state in steps.states() {
        say(state.as_str());
    }
    let last = dies.submit(steps.get(2));
    last.await
}

#[task(cache = INPUTS)]
fn plain(x: i64) -> i64 {
    note("plain");
    x
}

#[task(persist_result)]
fn by_default(x: i64) -> i64 {
    note("by default");
    x
}

#[flow]
async fn settings() -> Result<()> {
    for _ in 0..2 {
        let run = plain.with_options(|o| o.result_store(store())).submit(7);
        run.wait(None).await;
        say(run.state().name().as_str());
    }
    for _ in 0..2 {
        let run = by_default
            .with_options(|o| o.result_store(store()))
            .submit(7);
        run.wait(None).await;
        say(run.state().name().as_str());
    }
    Ok(())
}

#[task(cache = INPUTS)]
fn large(x: u64) -> String {
    note("large");
    x.to_string().repeat(1_000_000)
}

#[task(cache = INPUTS, isolation = serializable)]
async fn large_alone(x: u64) -> String {
    note("large alone");
    x.to_string().repeat(1_000_000)
}

/// Not all of it has room in the store.
#[flow]
async fn without_room() -> Result<()> {
    let (few, many) = (
        plain.with_options(|o| o.result_store(store())),
        large.with_options(|o| o.result_store(store())),
    );
    let locked = large_alone.with_options(|o| o.result_store(store()));
    for _ in 0..2 {
        let runs = many.map([1, 2]);
        let (small, alone) = (few.submit(1), locked.submit(1));
        tokio::join!(runs.wait(None), small.wait(None), alone.wait(None));
        let states = runs.states();
        let others = [small.state().name(), alone.state().name()];
        for state in states.into_iter().chain(others) {
            say(state.as_str());
        }
        assert_eq!(
            runs.await?.iter().map(String::len).sum::<usize>(),
            2_000_000
        );
    }
    // What must be written counts only if it is.
    let undone = flowcore::transaction(async |_| {
        let run = many.submit(3);
        run.wait(None).await;
        Ok::<_, flowcore::Error>(run)
    });
    say(undone.await?.state().name().as_str());
    let store = flowcore::results::ResultStore::open(store())?;
    let error = store.write("by-hand", &"x".repeat(1_000_000)).await;
    let error = error.expect_err("there is no room");
    say(&format!("{:?}", error.kind()));
    say(&error.to_string());
    for entry in std::fs::read_dir(store.url())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            say(&format!("{} bytes", entry.metadata()?.len()));
        }
    }
    Ok(())
}

/// Fails until it was called so often in this process.
fn fails_until(calls: u32, counter: &AtomicU32) -> Result<u32> {
    match counter.fetch_add(1, Ordering::SeqCst) + 1 {
        call if call < calls => Err(flowcore::Error::msg(format!("call {call}"))),
        call => Ok(call),
    }
}

#[task]
fn says_no_retries() -> Result<u32> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    fails_until(3, &CALLS)
}

#[task(retries = 0)]
fn says_none() -> Result<u32> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    fails_until(2, &CALLS)
}

#[task(retries = 1)]
fn says_one() -> Result<u32> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    fails_until(3, &CALLS)
}

#[flow]
async fn flow_says_no_retries() -> Result<u32> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    fails_until(2, &CALLS)
}

#[flow(retries = 0)]
async fn default_retries() -> Result<()> {
    for state in [
        says_no_retries.submit().await.is_ok(),
        says_none().await.is_ok(),
        says_one.submit().await.is_ok(),
        flow_says_no_retries().await.is_ok(),
    ] {
        say(if state { "Completed" } else { "Failed" });
    }
    Ok(())
}

#[flowcore::main]
async fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("slowly") => {
            let kept = slowly.with_options(|o| o.result_store(store()));
            say(&kept(1).await?.to_string());
        }
        Some("never") => {
            let kept = never.with_options(|o| o.result_store(store()));
            say(&kept(1).await?.to_string());
        }
        Some("nightly") => {
            let kept = nightly.with_options(|o| o.result_store(store()));
            let value = match std::env::args().nth(3) {
                None => kept().await?,
                Some(run) => kept.resume(run.parse()?)().await?,
            };
            say(&value.to_string());
        }
        Some("settings") => settings().await?,
        Some("retries") => default_retries().await?,
        Some("without room") => without_room().await?,
        other => return Err(flowcore::Error::msg(format!("no step {other:?}"))),
    }
    Ok(())
}
