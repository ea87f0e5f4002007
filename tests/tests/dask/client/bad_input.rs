//! Addresses where no client can work: each is a typed error that says what to do.

use std::time::Duration;

use flow_tests::dask::{Scheduler, Tls};
use flowdask::client::{ClientBuilder, ClientError};
use flowdask::wire::{Listener, Security, Value, WireError};
use flowdask::{Client, ReleaseError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::shared;

fn soon(address: &str) -> ClientBuilder {
    Client::builder()
        .address(address)
        .timeout(Duration::from_millis(500))
}

async fn refused(builder: ClientBuilder) -> ClientError {
    builder.connect().await.expect_err("no client")
}

/// All that the error and its causes say.
fn told(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[tokio::test]
async fn addresses_that_cannot_be_read() {
    for address in ["http://localhost:8787", "ucx://a:1", "tcp://a:b", ""] {
        let error = refused(soon(address)).await;
        assert!(matches!(error, ClientError::Address(_)), "{error:?}");
        assert!(error.to_string().contains("tcp://10.0.0.5:8786"), "{error}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let error = refused(soon(&address)).await;
    let ClientError::Unreachable { source, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(**source, WireError::Connect { .. }), "{source:?}");
    assert!(told(&error).contains(&address), "{}", told(&error));
}

#[tokio::test]
async fn a_scheduler_file_that_is_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("missing.json");
    let other = directory.path().join("other.json");
    std::fs::write(&other, "{}").expect("a file");
    for file in [missing, other] {
        let error = refused(soon("").scheduler_file(&file)).await;
        assert!(
            matches!(error, ClientError::SchedulerFile { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("--scheduler-file"), "{error}");
    }
}

#[tokio::test]
async fn peers_that_speak_something_else_or_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let peers = tokio::spawn(async move {
        let (mut talker, _) = listener.accept().await.expect("a client");
        let greeting = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
        talker.write_all(greeting).await.expect("a client");
        drop(talker);
        // Silent until the client gives up.
        listener.accept().await.expect("a client")
    });
    let error = refused(soon(&address)).await;
    assert!(told(&error).contains("no Dask peer"), "{}", told(&error));
    let error = refused(soon(&address)).await;
    assert!(told(&error).contains("within 5"), "{}", told(&error));
    peers.await.expect("both came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_no_scheduler() {
    let client = shared().client().await;
    let workers = client.ncores().await.expect("a scheduler");
    let address = workers.keys().next().expect("a worker");
    let error = refused(soon(address).timeout(Duration::from_secs(10))).await;
    assert_eq!(
        error.to_string(),
        format!(
            "{address} is a worker, not a scheduler: take the address that `dask scheduler` prints"
        )
    );
}

/// A peer that shakes hands and answers every question with this.
pub(crate) async fn peer(answer: Value) -> String {
    let listener = Listener::bind("127.0.0.1", 0, &Security::default())
        .await
        .expect("a port");
    let address = listener.address().to_string();
    tokio::spawn(async move {
        let incoming = listener.accept().await.expect("a client");
        let mut connection = incoming.handshake().await.expect("a handshake");
        while connection.read().await.is_ok() {
            connection.write(&answer).await.expect("a client");
        }
    });
    address
}

#[tokio::test]
async fn a_release_that_is_too_old() {
    let packages = Value::map([("distributed", "2023.12.1".into())]);
    let versions = Value::map([("host", Value::map([])), ("packages", packages)]);
    let error = refused(soon(&peer(versions).await)).await;
    assert!(
        matches!(error, ClientError::Release(ReleaseError::TooOld { .. })),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("2023.12.1, older than 2024.8.0"),
        "{error}"
    );
}

#[tokio::test]
async fn a_peer_without_a_release() {
    for answer in [Value::Nil, Value::map([("packages", Value::Nil)])] {
        let error = refused(soon(&peer(answer).await)).await;
        assert!(
            matches!(error, ClientError::NotAScheduler { .. }),
            "{error:?}"
        );
    }
    let odd = Value::map([("packages", Value::map([("distributed", "?".into())]))]);
    let error = refused(soon(&peer(odd).await)).await;
    assert!(matches!(error, ClientError::Release(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_do_not_fit() {
    let directory = tempfile::tempdir().expect("a directory");
    let theirs = Tls::make(directory.path());
    let elsewhere = tempfile::tempdir().expect("a directory");
    let ours = Tls::make(elsewhere.path());
    let scheduler = Scheduler::with_tls(theirs).expect("a scheduler");
    let wrong = Security::tls_files(&ours.authority, &ours.certificate, &ours.key);
    let wrong = wrong.expect("certificates");
    let patient = |address: &str| soon(address).timeout(Duration::from_secs(30));

    let error = refused(patient(scheduler.address()).security(wrong.clone())).await;
    assert!(
        told(&error).contains("cluster's authority"),
        "{}",
        told(&error)
    );
    let error = refused(patient(scheduler.address())).await;
    assert!(
        told(&error).contains("give a `Security`"),
        "{}",
        told(&error)
    );
    let plain = scheduler.address().replace("tls://", "tcp://");
    let error = refused(patient(&plain)).await;
    assert!(told(&error).contains("tls://"), "{}", told(&error));
    let plain = shared().scheduler.address().replace("tcp://", "tls://");
    let error = refused(patient(&plain).security(wrong)).await;
    assert!(told(&error).contains("TLS"), "{}", told(&error));
}
