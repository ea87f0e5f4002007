//! What a worker does in a cluster where all goes well.

use std::time::Duration;

use flow_tests::dask::{PythonWorker, Scheduler};
use flowdask::worker::Worker;

use super::calculator::calculator;
use super::{ask, builder, worker};

#[tokio::test]
async fn tasks_run_and_their_results_are_inputs_and_python_values() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let worker = worker(&scheduler, calculator(), "alice").await;
    let results: Vec<i64> = ask(&scheduler, "chain", &[]);
    assert_eq!(results, [1, 3, 6]);
    let events: Vec<String> = ask(&scheduler, "logged", &[]);
    assert_eq!(events, ["hello"], "sent before the result");
    worker.close().await.expect("a quiet end");
}

#[tokio::test]
async fn a_panic_is_an_erred_task_and_not_the_end_of_the_worker() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _worker = worker(&scheduler, calculator(), "alice").await;
    let (failed, dependent, panicked, after): (String, String, String, i64) =
        ask(&scheduler, "errors", &[]);
    assert_eq!(failed, "RuntimeError('no luck')");
    assert_eq!(dependent, "RuntimeError('no luck')");
    assert_eq!(panicked, "RuntimeError('the executor panicked: ')");
    assert_eq!(after, 7);
}

#[tokio::test]
async fn values_move_between_rust_and_python_workers() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _alice = worker(&scheduler, calculator(), "alice").await;
    let _bob = worker(&scheduler, calculator(), "bob").await;
    let sums: Vec<i64> = ask(&scheduler, "between", &["alice", "bob"]);
    assert_eq!(sums, [12, 12]);

    let copies: (Vec<usize>, i64, i64) = ask(&scheduler, "copies", &[]);
    assert_eq!(copies, (vec![2], 21, 21));

    let _python = PythonWorker::start(&scheduler, "carol").expect("a worker");
    let sum: i64 = ask(&scheduler, "with_python", &[]);
    assert_eq!(sum, 105);
    let failed: usize = ask(&scheduler, "lambdas", &["200"]);
    assert_eq!(failed, 0, "Python tasks are handed back");
}

#[tokio::test]
async fn tasks_that_nobody_here_can_run_fail_and_say_why() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let alice = worker(&scheduler, calculator(), "alice").await;
    let error: String = ask(&scheduler, "lost_lambda", &[]);
    assert!(error.contains("there is no Python worker"), "{error}");
    let error: String = ask(&scheduler, "wrong_build", &[alice.address()]);
    assert!(error.contains("no worker offers FLOW-other=1"), "{error}");
}

#[tokio::test]
async fn stock_clients_see_the_worker_as_one_of_theirs() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _worker = worker(&scheduler, calculator(), "alice").await;
    let reversed: String = ask(&scheduler, "information", &[]);
    assert_eq!(reversed, "cba");
}

#[tokio::test]
async fn a_slot_that_is_lent_runs_others_and_a_cancelled_task_hears_of_it() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let executor = calculator();
    let _worker = worker(&scheduler, executor.clone(), "alice").await;
    let (others, status, lent): (i64, String, i64) = ask(&scheduler, "lent", &[]);
    assert_eq!((others, status.as_str(), lent), (10, "pending", 1));
    let one: i64 = ask(&scheduler, "cancelled", &[]);
    assert_eq!(one, 1);
    let cancelled = executor.cancelled.lock().unwrap();
    assert_eq!(*cancelled, ["cancelled-one".into()]);
}

#[tokio::test]
async fn a_worker_that_joins_late_takes_over_work() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _alice = worker(&scheduler, calculator(), "alice").await;
    let () = ask(&scheduler, "start_sleepers", &["60", "50"]);
    let executor = calculator();
    let _bob = worker(&scheduler, executor.clone(), "bob").await;
    let finished: usize = ask(&scheduler, "finish_sleepers", &[]);
    assert_eq!(finished, 60);
    assert!(!executor.executed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_retired_worker_leaves_its_data_behind_and_ends() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let alice = worker(&scheduler, calculator(), "alice").await;
    let bob = worker(&scheduler, calculator(), "bob").await;
    let left: (i64, Vec<String>) = ask(&scheduler, "retire", &["alice"]);
    assert_eq!(left, (20, vec!["bob".to_owned()]));
    alice.closed().await.expect("a quiet end");

    // And of its own accord.
    let () = ask(&scheduler, "hold", &["add 5", "bob"]);
    let _carol = worker(&scheduler, calculator(), "carol").await;
    bob.close().await.expect("a quiet end");
    let held: i64 = ask(&scheduler, "held", &[]);
    assert_eq!(held, 5);
}

#[tokio::test]
async fn more_data_than_memory_goes_to_disk_and_is_not_lost() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let directory = tempfile::tempdir().expect("a directory");
    let worker: Worker = builder(scheduler.address(), calculator(), "alice")
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
