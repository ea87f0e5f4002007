//! What a worker does when others fail.

use std::time::Duration;

use flow_tests::dask::{PythonWorker, Scheduler};
use flowdask::worker::WorkerError;
use tokio::net::TcpListener;

use super::calculator::calculator;
use super::links::Link;
use super::{ask, builder, worker};

#[tokio::test]
async fn a_worker_whose_link_is_cut_comes_back_with_a_fresh_state() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let link = Link::to(scheduler.address());
    let worker = builder(link.address(), calculator(), "alice")
        .start()
        .await
        .expect("a worker");
    let results: Vec<i64> = ask(&scheduler, "chain", &[]);
    assert_eq!(results, [1, 3, 6]);
    let () = ask(&scheduler, "hold", &["add 5", "alice"]);

    link.cut();
    // What it held is made again, by whoever comes: itself.
    let held: i64 = ask(&scheduler, "held", &[]);
    assert_eq!(held, 5);
    assert!(link.connections() > 2);
    worker.close().await.expect("a quiet end");
}

#[tokio::test]
async fn a_worker_without_a_scheduler_ends_with_an_error() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let link = Link::to(scheduler.address());
    let worker = builder(link.address(), calculator(), "alice")
        .death_timeout(Duration::from_millis(500))
        .start()
        .await
        .expect("a worker");
    link.end();
    let error = worker.closed().await.expect_err("there is no scheduler");
    assert!(
        matches!(error, WorkerError::SchedulerLost { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_killed_worker_held_is_made_again() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let mut python = PythonWorker::start(&scheduler, "carol").expect("a worker");
    let () = ask(&scheduler, "hold_lambda", &["carol"]);
    let _alice = worker(&scheduler, calculator(), "alice").await;
    let _other = PythonWorker::start(&scheduler, "dave").expect("a worker");
    let () = ask(&scheduler, "wait_for_workers", &["3"]);
    python.kill().expect("an end");
    let sum: i64 = ask(&scheduler, "add_to_held", &[]);
    assert_eq!(sum, 42);

    // A Rust worker that leaves without a word.
    let bob = worker(&scheduler, calculator(), "bob").await;
    drop(bob);
    let results: Vec<i64> = ask(&scheduler, "chain", &[]);
    assert_eq!(results, [1, 3, 6]);
}

#[tokio::test]
async fn what_cannot_start_says_what_and_why() {
    let start = |address: String| builder(&address, calculator(), "alice").start();
    let error = start("http://127.0.0.1:1".to_owned()).await.unwrap_err();
    assert!(matches!(error, WorkerError::Address(_)), "{error}");

    // A port that nobody listens on any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = start(address.clone()).await.unwrap_err();
    assert!(matches!(error, WorkerError::Register { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");

    let scheduler = Scheduler::start().expect("a scheduler");
    let _alice = worker(&scheduler, calculator(), "alice").await;
    let error = start(scheduler.address().to_owned()).await.unwrap_err();
    assert!(matches!(error, WorkerError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("name taken"), "{error}");

    let error = builder(scheduler.address(), calculator(), "bob")
        .local_directory("/no/such/directory")
        .start()
        .await
        .unwrap_err();
    assert!(
        matches!(error, WorkerError::LocalDirectory { .. }),
        "{error}"
    );
}
