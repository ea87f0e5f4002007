//! What a worker does in a cluster where all goes well.

use std::collections::HashMap;
use std::time::Duration;

use flow_tests::dask::{Calculator, PythonWorker, Scheduler};
use serde_json::json;

use super::{ask, ask_for, builder, worker};
use crate::support::{PATIENCE, call};

#[tokio::test]
async fn a_worker_does_what_stock_clients_ask_of_theirs() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let executor = Calculator::new();
    let worker = worker(&scheduler, executor.clone(), "alice").await;
    let mut answers: HashMap<String, serde_json::Value> = ask_for(
        &scheduler,
        &[
            "information",
            "chain",
            "logged",
            "errors",
            "lent",
            "cancelled",
            "lost_lambda",
        ],
    );
    let mut answer = |function| answers.remove(function).expect("an answer");

    assert_eq!(answer("information"), "cba", "an order, reversed");
    assert_eq!(answer("chain"), json!([1, 3, 6]));
    assert_eq!(answer("logged"), json!(["hello"]), "before the result");
    // A panic is an erred task, and not the end of the worker.
    let errors = json!([
        "RuntimeError('no luck')",
        "RuntimeError('no luck')",
        "RuntimeError('the executor panicked: ')",
        7
    ]);
    assert_eq!(answer("errors"), errors);
    assert_eq!(answer("lent"), json!([10, "pending", 1]));
    assert_eq!(answer("cancelled"), 1);
    assert_eq!(executor.cancelled(), ["cancelled-one".into()]);
    let error = answer("lost_lambda").to_string();
    assert!(error.contains("there is no Python worker"), "{error}");

    let error: String = ask(&scheduler, "wrong_build", &[worker.address()]);
    assert!(error.contains("no worker offers FLOW-other=1"), "{error}");
    worker.close().await.expect("a quiet end");
}

#[tokio::test]
async fn values_move_between_rust_and_python_workers() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _alice = worker(&scheduler, Calculator::new(), "alice").await;
    let _bob = worker(&scheduler, Calculator::new(), "bob").await;
    let sums: Vec<i64> = ask(&scheduler, "between", &["alice", "bob"]);
    assert_eq!(sums, [12, 12]);
    let copies: (usize, i64, i64) = ask(&scheduler, "copies", &[]);
    assert_eq!(copies, (2, 21, 21));

    let _python = PythonWorker::start(&scheduler, "carol").expect("a worker");
    let sum: i64 = ask(&scheduler, "with_python", &["3"]);
    assert_eq!(sum, 105);
    let failed: usize = ask(&scheduler, "lambdas", &["200"]);
    assert_eq!(failed, 0, "Python tasks are handed back");
}

#[tokio::test]
async fn work_and_data_move_when_workers_come_and_leave() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let alice = worker(&scheduler, Calculator::new(), "alice").await;
    let () = ask(&scheduler, "start_sleepers", &["60", "50"]);
    let executor = Calculator::new();
    let bob = worker(&scheduler, executor.clone(), "bob").await;
    let finished: usize = ask(&scheduler, "finish_sleepers", &[]);
    assert_eq!(finished, 60);
    assert!(!executor.executed().is_empty(), "bob has stolen nothing");

    let left: (i64, Vec<String>) = ask(&scheduler, "retire", &["alice"]);
    assert_eq!(left, (20, vec!["bob".to_owned()]));
    alice.closed().await.expect("a quiet end");

    // And of its own accord.
    let () = ask(&scheduler, "hold", &["add 5", "bob"]);
    let _carol = worker(&scheduler, Calculator::new(), "carol").await;
    bob.close().await.expect("a quiet end");
    let held: i64 = ask(&scheduler, "held", &[]);
    assert_eq!(held, 5);
}

/// Also if nobody orders it to close: the scheduler just does not know it.
#[tokio::test]
async fn a_worker_that_is_retired_does_not_come_back() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let alice = worker(&scheduler, Calculator::new(), "alice").await;
    let () = ask(&scheduler, "retire_without_closing", &["alice"]);
    let closed = tokio::time::timeout(PATIENCE, alice.closed()).await;
    closed.expect("an end").expect("a quiet end");
    let names: Vec<String> = call(&scheduler, "client.py", "worker_names", &[]);
    assert_eq!(names, [""; 0]);
}

#[tokio::test]
async fn more_data_than_memory_goes_to_disk_and_is_not_lost() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let directory = tempfile::tempdir().expect("a directory");
    let worker = builder(scheduler.address(), Calculator::new(), "alice")
        .memory_limit(4_000_000)
        .local_directory(directory.path())
        .start()
        .await
        .expect("a worker");
    let spilled: (i64, bool) = ask(&scheduler, "spilled", &["30", "500000"]);
    assert_eq!(spilled, (15_000_000, true));
    tokio::time::timeout(Duration::from_mins(1), worker.close())
        .await
        .expect("an end")
        .expect("a quiet end");
}

#[tokio::test]
async fn a_stock_client_sees_rust_and_python_workers_alike() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _alice = worker(&scheduler, Calculator::new(), "alice").await;
    let _carol = PythonWorker::start(&scheduler, "carol").expect("a worker");
    let seen: serde_json::Value = ask(&scheduler, "mixed", &["2"]);
    let wanted = json!({
        "value": 104,
        "names": ["alice", "carol"],
        "result": ["alice"],
        "total": "carol",
        "recorded": ["one-0", "one-1", "one-2", "one-3", "result", "total"],
    });
    assert_eq!(seen, wanted);
}
