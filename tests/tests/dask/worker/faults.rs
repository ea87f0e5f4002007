//! What a worker does when others fail.

use std::time::Duration;

use flow_tests::dask::{Calculator, PythonWorker, Scheduler};
use flowdask::wire::Value;
use flowdask::worker::WorkerError;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::{ask, builder, process, worker};
use crate::client::bad_input::peer;
use crate::link::Link;

#[tokio::test]
async fn a_worker_whose_link_is_cut_comes_back_with_a_fresh_state() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let link = Link::to(scheduler.address());
    let worker = builder(link.address(), Calculator::new(), "alice")
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
    let worker = builder(link.address(), Calculator::new(), "alice")
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
async fn what_killed_workers_held_is_made_again() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let mut python = PythonWorker::start(&scheduler, "carol").expect("a worker");
    let () = ask(&scheduler, "hold_lambda", &["carol"]);
    let _alice = worker(&scheduler, Calculator::new(), "alice").await;
    let _other = PythonWorker::start(&scheduler, "dave").expect("a worker");
    let mut bob = process::start(&scheduler, "bob");
    let () = ask(&scheduler, "wait_for_workers", &["4"]);
    python.kill().expect("an end");
    let sum: i64 = ask(&scheduler, "add_to_held", &[]);
    assert_eq!(sum, 42);

    // A Rust worker that holds results and runs tasks.
    let () = ask(&scheduler, "start_sleepers", &["20", "50"]);
    bob.kill().expect("an end");
    let finished: usize = ask(&scheduler, "finish_sleepers", &[]);
    assert_eq!(finished, 20);
}

#[tokio::test]
async fn a_worker_that_stops_for_a_while_goes_on_and_one_that_is_to_terminate_leaves() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _alice = worker(&scheduler, Calculator::new(), "alice").await;
    let mut bob = process::start(&scheduler, "bob");
    let () = ask(&scheduler, "wait_for_workers", &["2"]);
    bob.signal("STOP");
    let () = ask(&scheduler, "start_sleepers", &["20", "50"]);
    bob.signal("CONT");
    let finished: usize = ask(&scheduler, "finish_sleepers", &[]);
    assert_eq!(finished, 20);

    let () = ask(&scheduler, "hold", &["add 5", "bob"]);
    bob.signal("TERM");
    assert!(bob.wait().expect("an end").success());
    let held: i64 = ask(&scheduler, "held", &[]);
    assert_eq!(held, 5);
}

#[tokio::test]
async fn a_process_with_more_data_than_memory_loses_nothing() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _bob = process::with_memory(&scheduler, "bob", 60_000_000);
    let spilled: (i64, bool) = ask(&scheduler, "spilled", &["24", "5000000"]);
    assert_eq!(spilled, (120_000_000, true));
}

/// Nobody who talks nonsense does a worker harm.
#[tokio::test]
async fn garbage_ends_a_connection_and_nothing_else() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let worker = worker(&scheduler, Calculator::new(), "alice").await;
    let address = worker.address().strip_prefix("tcp://").expect("plain TCP");
    for garbage in [&[0xff_u8; 64][..], b"GET / HTTP/1.1\r\n\r\n", &[0; 8]] {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(garbage).await.expect("a write");
        // Half a message, and the end.
        drop(stream);
    }
    let results: Vec<i64> = ask(&scheduler, "chain", &[]);
    assert_eq!(results, [1, 3, 6]);
}

#[tokio::test]
async fn what_cannot_start_says_what_and_why() {
    let start = |address: String| builder(&address, Calculator::new(), "alice").start();
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
    let _alice = worker(&scheduler, Calculator::new(), "alice").await;
    let error = start(scheduler.address().to_owned()).await.unwrap_err();
    assert!(matches!(error, WorkerError::NameTaken { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("already has a worker `alice`: give this one another name"),
        "{error}"
    );
    let packages = Value::map([("distributed", "2023.12.1".into())]);
    let old = peer(Value::map([("packages", packages)])).await;
    let error = start(old).await.unwrap_err();
    assert!(matches!(error, WorkerError::Release(_)), "{error}");
    assert!(
        error.to_string().contains("2023.12.1, older than 2024.8.0"),
        "{error}"
    );

    let error = builder(scheduler.address(), Calculator::new(), "bob")
        .local_directory("/no/such/directory")
        .start()
        .await
        .unwrap_err();
    assert!(
        matches!(error, WorkerError::LocalDirectory { .. }),
        "{error}"
    );
}
