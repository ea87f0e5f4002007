//! The helpers that everything else here stands on.

use flow_tests::dask::{PythonWorker, Scheduler, Script};

#[test]
fn a_stock_cluster_runs_a_stock_task_and_dies() {
    let mut scheduler = Scheduler::start().expect("a scheduler");
    let mut worker = PythonWorker::start(&scheduler, "alice").expect("a worker");

    let sum: i64 = Script::new(&scheduler, "add")
        .argument("20")
        .argument("22")
        .run()
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sum, 42);
    let names: Vec<String> = Script::new(&scheduler, "worker_names")
        .run()
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names, ["alice"]);

    let address = scheduler
        .address()
        .strip_prefix("tcp://")
        .expect("plain TCP")
        .to_owned();
    std::net::TcpStream::connect(&address).expect("a scheduler that listens");
    worker.kill().expect("an end");
    scheduler.kill().expect("an end");
    std::net::TcpStream::connect(&address).expect_err("nobody listens any more");
}
