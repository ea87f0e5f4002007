//! Rust workers under a stock scheduler, beside stock workers, driven by a
//! stock client.

mod broken_links;
mod cluster;
mod faults;
mod process;
mod tls;

use std::sync::Arc;

use flow_tests::dask::Scheduler;
use flowdask::worker::{Executor, Worker, WorkerBuilder};
use serde::de::DeserializeOwned;

use crate::support::call;

/// A worker with one thread, for tasks that want `RUST`.
fn builder(address: &str, executor: Arc<dyn Executor>, name: &str) -> WorkerBuilder {
    Worker::builder(address, executor)
        .name(name)
        .nthreads(1)
        .resource("RUST", 100.0)
}

/// As [`builder`], and started.
pub(crate) async fn worker(
    scheduler: &Scheduler,
    executor: Arc<dyn Executor>,
    name: &str,
) -> Worker {
    builder(scheduler.address(), executor, name)
        .start()
        .await
        .expect("a worker")
}

/// What a function of `worker.py` returns.
fn ask<T: DeserializeOwned>(scheduler: &Scheduler, function: &str, arguments: &[&str]) -> T {
    call(scheduler, "worker.py", function, arguments)
}

/// What several functions of `worker.py` return, called by one client.
fn ask_for<T: DeserializeOwned>(scheduler: &Scheduler, functions: &[&str]) -> T {
    ask(scheduler, "all_of", functions)
}
