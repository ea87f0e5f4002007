//! The scheduler's dashboard, with Rust workers only.

use std::collections::BTreeMap;

use flow_tests::dask::{Calculator, Scheduler};

use crate::support::call;
use crate::worker::worker;

#[tokio::test]
#[ignore = "slow lane: an environment of its own, with Bokeh"]
async fn pages_of_the_dashboard_answer() {
    let scheduler = Scheduler::with_dashboard().unwrap_or_else(|error| panic!("{error}"));
    let _alice = worker(&scheduler, Calculator::new(), "alice").await;
    let _bob = worker(&scheduler, Calculator::new(), "bob").await;
    let statuses: BTreeMap<String, u16> = call(&scheduler, "worker.py", "pages", &[]);
    assert!(statuses.len() > 30, "{statuses:?}");
    let wrong: Vec<_> = statuses.iter().filter(|(_, code)| **code != 200).collect();
    assert!(wrong.is_empty(), "{wrong:?} of {}", statuses.len());
}
