//! Links that come about, break, and come back.

use std::time::Duration;

use flow_tests::dask::Tls;
use flowdask::Client;
use flowdask::client::{Cancelled, ClientBuilder, ClientError, KeyState, ScatterOptions};
use flowdask::wire::{Key, Security};

use crate::link::{Damage, Link};
use crate::support::{PATIENCE, connect, eventually, hear, integer, python, scheduler, worker};

/// A client, once it knows of a worker.
async fn with_a_worker(builder: ClientBuilder) -> Client {
    let client = builder.connect().await.expect("a client");
    let worker = client.wait_for_workers(1, PATIENCE).await;
    worker.expect("a worker");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_file_names_the_scheduler() {
    let scheduler = scheduler();
    let client = Client::builder()
        .scheduler_file(scheduler.file())
        .connect()
        .await
        .expect("a client");
    assert_eq!(client.scheduler_address().to_string(), scheduler.address());
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_works_from_files_and_from_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let tls = Tls::make(directory.path());
    let scheduler = flow_tests::dask::Scheduler::with_tls(tls.clone()).expect("a scheduler");
    let _worker = worker(&scheduler, "alice");
    let read = |path| std::fs::read(path).expect("a file");

    let files = Security::tls_files(&tls.authority, &tls.certificate, &tls.key);
    let texts = Security::tls_pem(
        &read(&tls.authority),
        &read(&tls.certificate),
        &read(&tls.key),
    );
    for (index, security) in [files, texts].into_iter().enumerate() {
        let client = Client::builder()
            .address(scheduler.address())
            .security(security.expect("certificates"))
            .direct_to_workers(index == 1);
        let client = with_a_worker(client).await;
        let key = Key::from(format!("secret-{index}"));
        let futures = client
            .scatter(vec![(key.clone(), integer(6))], &ScatterOptions::default())
            .await
            .expect("a worker");
        let read: (i64,) = python(&scheduler, "values", &[&key.to_string()]);
        assert_eq!(read, (6,));
        assert_eq!(futures.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_scheduler_ends_what_waits_and_the_client() {
    let mut scheduler = scheduler();
    let _worker = worker(&scheduler, "alice");
    let client = Client::builder()
        .address(scheduler.address())
        .timeout(Duration::from_secs(1))
        .connect()
        .await
        .expect("a client");
    let key: String = python(&scheduler, "publish_pending", &["pending"]);
    let future = client.future(key.as_str()).expect("an open client");
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let future = future.clone();
            tokio::spawn(async move { future.result().await })
        })
        .collect();
    let mut events = client.subscribe_topic("news").expect("an open client");
    let question = tokio::spawn({
        let client = client.clone();
        // Answered by nobody: nobody publishes it.
        async move { client.wait_for_workers(100, PATIENCE).await }
    });

    scheduler.kill().expect("an end");
    for waiting in waiting {
        let error = waiting.await.expect("no panic").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{key}` was cancelled: the link to the scheduler is lost")
        );
    }
    question.await.expect("no panic").unwrap_err();
    // Nobody comes back, and the client says so.
    assert_eq!(events.next().await, None);
    assert!(matches!(client.future("another"), Err(ClientError::Closed)));
    let error = client.ncores().await.unwrap_err();
    assert!(matches!(error, ClientError::Closed), "{error:?}");
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_comes_back_is_found_again() {
    let mut scheduler = scheduler();
    let client = Client::builder()
        .address(scheduler.address())
        .timeout(PATIENCE)
        .connect()
        .await
        .expect("a client");
    let mut events = client.subscribe_topic("news").expect("an open client");
    let old = client.future("never-heard-of").expect("an open client");
    old.wait().await;

    scheduler.kill().expect("an end");
    let waits_for_the_next = client.future("still-unknown").expect("an open client");
    scheduler.start_again().expect("a scheduler");
    let _worker = worker(&scheduler, "bob");
    client
        .wait_for_workers(1, PATIENCE)
        .await
        .expect("a worker");

    // What was submitted on either side of the gap has ended, not hung.
    let state = waits_for_the_next.wait().await;
    assert!(
        matches!(
            state,
            KeyState::Cancelled(Cancelled::Forgotten | Cancelled::ConnectionLost)
        ),
        "{state:?}"
    );
    let key = Key::from("after-the-gap");
    let futures = client
        .scatter(vec![(key.clone(), integer(8))], &ScatterOptions::default())
        .await
        .expect("a worker");
    eventually("the stream is back", || async {
        matches!(futures[0].state(), KeyState::Memory)
    })
    .await;
    let event = hear(&client, &mut events, "we are back".into()).await;
    assert_eq!(event.message.as_str(), Some("we are back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_breaks_in_the_middle_of_a_message_ends_what_is_waited_for() {
    let scheduler = scheduler();
    let _worker = worker(&scheduler, "alice");
    for damage in [Damage::Cut, Damage::Garbage] {
        let link = Link::to(scheduler.address());
        let client = Client::builder().address(link.address()).timeout(PATIENCE);
        let client = with_a_worker(client).await;
        let future = client.future("never-heard-of").expect("an open client");
        let mut events = client.subscribe_topic("news").expect("an open client");
        hear(&client, &mut events, "we are here".into()).await;
        // The next message is that of the event, on the stream.
        link.damage_after(11, damage);
        let other = connect(&scheduler).await;
        let logged = other.log_event("news", "cut off".into()).await;
        logged.expect("a scheduler");
        eventually("the link is damaged", || async { link.damages() == 1 }).await;
        let state = future.wait().await;
        let wanted = matches!(
            state,
            KeyState::Cancelled(Cancelled::ConnectionLost | Cancelled::Forgotten)
        );
        assert!(wanted, "{state:?}");
        // And it goes on with a new one.
        let heard = hear(&client, &mut events, "we are back".into()).await;
        assert_eq!(heard.message.as_str(), Some("we are back"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_forgotten() {
    let scheduler = scheduler();
    let _worker = worker(&scheduler, "alice");
    let watching = connect(&scheduler).await;
    watching
        .wait_for_workers(1, PATIENCE)
        .await
        .expect("a worker");
    for politely in [true, false] {
        let client = connect(&scheduler).await;
        let key = Key::from("mine");
        let futures = client
            .scatter(vec![(key.clone(), integer(9))], &ScatterOptions::default())
            .await
            .expect("a worker");
        if politely {
            client.close().await;
            assert!(matches!(
                futures[0].state(),
                KeyState::Cancelled(Cancelled::Closed)
            ));
        } else {
            drop((client, futures));
        }
        eventually("the value is freed", || async {
            let holders = watching.who_has(std::slice::from_ref(&key)).await;
            holders.expect("a scheduler")[&key].is_empty()
        })
        .await;
    }
}
