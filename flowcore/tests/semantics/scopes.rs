//! Tags and options for all that is submitted inside some code.

use flowcore::prelude::*;
use flowcore::{ErrorKind, Scope, with_tags, with_task_options};

use crate::support::{Bad, in_time, run};

fn tags() -> Vec<String> {
    flowcore::run_info().unwrap().tags
}

#[task(tags = ["own"])]
fn tagged() -> Vec<String> {
    tags()
}

#[task(tags = ["own"])]
async fn tagged_async() -> Vec<String> {
    tags()
}

#[task]
fn tagged_row(_x: i64) -> Vec<String> {
    tags()
}

#[task]
fn borrows(_text: &str) -> Vec<String> {
    tags()
}

/// Submits another, which is in the scope too.
#[task]
async fn submits() -> Result<Vec<String>> {
    tagged.submit().await
}

#[task]
fn submits_in_sync_code() -> Result<Vec<String>> {
    tagged.submit().block()
}

#[flow(tags = ["flow"])]
async fn inner() -> Result<Vec<String>> {
    assert_eq!(tags(), ["flow", "a"]);
    tagged.submit().await
}

#[flow(tags = ["flow"])]
fn inner_in_sync_code() -> Result<Vec<String>> {
    assert_eq!(tags(), ["flow", "a"]);
    tagged.submit().block()
}

async fn every_way() -> Result<Vec<Vec<String>>> {
    let spawned = flowcore::spawn(async { tagged.submit().await });
    let carried = tokio::spawn(flowcore::in_current_run(async { tagged.submit().await }));
    Ok(vec![
        tagged.submit().await?,
        tagged_async.submit().await?,
        tagged().await?,
        tagged_async().await?,
        submits.submit().await?,
        submits_in_sync_code.submit().await?,
        inner().await?,
        inner_in_sync_code().await?,
        inner.start().await?,
        spawned.await??,
        carried.await??,
    ])
}

#[flow]
async fn outer() -> Result<()> {
    assert_eq!(tagged.submit().await?, ["own"]);
    for found in with_tags(["a"], every_way()).await? {
        assert_eq!(found, ["own", "a"]);
    }
    // Rows too; what they have already they do not get twice.
    let rows = Scope::new()
        .tags(["a", "own", "a"])
        .enter(|| tagged_row.map(0..100));
    for found in rows.await? {
        assert_eq!(found, ["a", "own"]);
    }
    let text = String::from("loan");
    assert_eq!(with_tags(["a"], borrows(&text)).await?, ["a"]);

    // Scopes nest, and end.
    let nested = with_tags(["a"], async {
        let inside = with_tags(vec![String::from("b")], async { tagged.submit().await });
        (inside.await, tagged.submit().await)
    });
    let (inside, after) = nested.await;
    assert_eq!(inside?, ["own", "a", "b"]);
    assert_eq!(after?, ["own", "a"]);
    assert_eq!(tagged.submit().await?, ["own"]);

    // Sync code.
    let run = Scope::new()
        .tags(["x", "y"])
        .enter(|| Scope::new().tag("z").enter(|| tagged.submit()));
    assert_eq!(run.await?, ["own", "x", "y", "z"]);
    Ok(())
}

#[test]
fn tags_reach_all_that_is_submitted_inside() {
    run(outer()).unwrap();
}

#[test]
fn tags_around_flows_and_calls() {
    run(async {
        assert_eq!(with_tags(["a"], inner()).await.unwrap(), ["own", "a"]);
        assert_eq!(with_tags(["a"], tagged()).await.unwrap(), ["own", "a"]);
        let started = Scope::new().tag("a").enter(|| inner.start());
        assert_eq!(started.await.unwrap(), ["own", "a"]);
    });
    in_time(|| {
        let found = Scope::new().tag("a").enter(|| inner_in_sync_code().block());
        assert_eq!(found.unwrap(), ["own", "a"]);
        assert_eq!(
            format!("{:?}", Scope::new().tag("a")),
            r#"Scope { tags: ["a"], changes: 0 }"#
        );
    });
}

#[task]
async fn third_time() -> Result<u32, Bad> {
    match flowcore::run_info().unwrap().attempt {
        attempt @ (1 | 2) => Err(Bad::new(format!("attempt {attempt}"))),
        attempt => Ok(attempt),
    }
}

/// Neither `Clone` nor serializable.
struct Once;

#[task(local)]
fn takes_once(_: Once) {}

#[flow]
async fn with_options() -> Result<()> {
    assert_eq!(
        third_time.submit().await.unwrap_err().to_string(),
        "attempt 1"
    );
    let patient = with_task_options(|o| o.retries(2), async {
        // An inner scope has the last word, also over a changed copy.
        let short = with_task_options(|o| o.retries(1), async { third_time.submit().await });
        assert_eq!(short.await.unwrap_err().to_string(), "attempt 2");
        let impatient = third_time.with_options(|o| o.retries(0).name("impatient"));
        let named = impatient.submit();
        (third_time.submit().await, third_time().await, named.await)
    });
    let (submitted, called, changed) = patient.await;
    assert_eq!((submitted?, called?, changed?), (3, 3, 3));

    // Options that a task cannot have are refused as if it had them itself.
    let refused = with_task_options(|o| o.retries(1), async { takes_once.submit(Once).await });
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::Invalid);
    Ok(())
}

#[test]
fn options_reach_all_that_is_submitted_inside() {
    run(with_options()).unwrap();
}
