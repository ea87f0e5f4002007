//! Flows on a Dask cluster: runs go out as tasks of Dask, are executed by our
//! workers, and what happens to them comes home.

mod annotations;
mod batches;
mod called;
mod executor;
mod fetched;
mod home;
mod inputs;
mod ledger;
mod length;
mod mailbag;
mod payload;
mod performance_report;
mod placement;
mod pump;
mod row_report;
mod runs;
mod session;
mod shared;
mod shared_value;
mod task_runner;

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

pub(crate) use executor::TaskExecutor;
#[cfg(any(test, fuzzing))]
pub(crate) use home::{Arrivals, HomeMessage, Order};
#[cfg(any(test, fuzzing))]
pub(crate) use payload::Payload;
pub use performance_report::PerformanceReportError;
pub(crate) use placement::{ANY_BUILD, own_resources};
#[cfg(any(test, fuzzing))]
pub(crate) use shared_value::from_payload as shared_value_of;
pub(crate) use task_runner::ASYNC_RUNS;
pub use task_runner::DaskTaskRunner;

/// The threads that speak with Dask. Users' code never runs on them, so that
/// no busy loop stops a heartbeat.
pub(crate) fn io() -> &'static Runtime {
    static IO: OnceLock<Runtime> = OnceLock::new();
    IO.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("flow-dask")
            .enable_all()
            .build()
            .expect("the operating system starts threads")
    })
}

/// The guide's page, so that its programs are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/flows-on-dask.md")]
mod guide {}
