//! Older releases of Dask as schedulers.

use flow_tests::dask::{Calculator, Scheduler};
use flow_tests::python::{Environment, Requirements};
use serde_json::json;

use crate::flows::Cluster;
use crate::support::call;
use crate::worker::worker;

#[tokio::test]
#[ignore = "slow lane: four more Python environments"]
async fn older_releases_run_flows_and_serve_stock_clients() {
    for requirements in &Requirements::OLDER_DASK {
        println!("{}", requirements.name());
        on(requirements).await;
    }
}

async fn on(requirements: &Requirements) {
    let scheduler = || {
        Environment::new(requirements)
            .and_then(|environment| Scheduler::in_environment(environment, None))
            .unwrap_or_else(|error| panic!("{}: {error}", requirements.name()))
    };
    let name = requirements.name();
    let cluster = Cluster::on(scheduler(), 2);
    assert_eq!(cluster.flow("mapped").result(), json!(14950), "{name}");
    assert_eq!(cluster.flow("retried").result(), json!("at last"), "{name}");
    assert_eq!(cluster.flow("kinds").result(), json!([3, [0, 255], true]));
    assert_eq!(cluster.flow("nested").result(), json!([10, 20, 30, 40]));
    assert_eq!(cluster.flow("cancelled").result(), json!("Cancelled"));
    let failures = cluster.flow("failures").result();
    assert_eq!(failures["dependent"], "NotReady", "{name}");
    assert_eq!(cluster.keys(), Vec::<String>::new(), "{name}");

    // Single tasks of a stock client, which gathers their results.
    let scheduler = scheduler();
    let _alice = worker(&scheduler, Calculator::new(), "alice").await;
    let _bob = worker(&scheduler, Calculator::new(), "bob").await;
    let chain: Vec<i64> = call(&scheduler, "worker.py", "chain", &[]);
    assert_eq!(chain, [1, 3, 6], "{name}");
    let between: Vec<i64> = call(&scheduler, "worker.py", "between", &["alice", "bob"]);
    assert_eq!(between, [12, 12], "{name}");
    let lent: (i64, String, i64) = call(&scheduler, "worker.py", "lent", &[]);
    assert_eq!(lent, (10, "pending".to_owned(), 1), "{name}");
    let errors: Vec<serde_json::Value> = call(&scheduler, "worker.py", "errors", &[]);
    assert_eq!(errors[0], "RuntimeError('no luck')", "{name}");
    assert_eq!(errors[3], 7, "{name}");
}
