//! The scheduler's dashboard, with Rust workers only.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_tests::dask::{Calculator, Scheduler};
use flowdask::worker::Worker;

use crate::support::call;

#[tokio::test]
#[ignore = "slow lane: an environment of its own, with Bokeh"]
async fn pages_of_the_dashboard_answer() {
    let scheduler = Scheduler::with_dashboard().unwrap_or_else(|error| panic!("{error}"));
    let start = |name: &str| {
        let executor: Arc<Calculator> = Calculator::new();
        Worker::builder(scheduler.address(), executor)
            .name(name)
            .nthreads(1)
            .resource("RUST", 100.0)
            .start()
    };
    let _alice = start("alice").await.expect("a worker");
    let _bob = start("bob").await.expect("a worker");
    let statuses: BTreeMap<String, u16> = call(&scheduler, "worker.py", "pages", &[]);
    assert!(statuses.len() > 30, "{statuses:?}");
    let wrong: Vec<_> = statuses.iter().filter(|(_, code)| **code != 200).collect();
    assert!(wrong.is_empty(), "{wrong:?} of {}", statuses.len());
}
