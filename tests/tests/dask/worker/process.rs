//! A Rust worker as a process of its own.

use std::process::Command;

use flow_tests::dask::{RustWorker, Scheduler};

/// A worker without a memory limit.
pub(super) fn start(scheduler: &Scheduler, name: &str) -> RustWorker {
    with_memory(scheduler, name, 0)
}

/// A worker with a memory limit.
pub(super) fn with_memory(scheduler: &Scheduler, name: &str, limit: u64) -> RustWorker {
    RustWorker::spawn(
        Command::new(env!("CARGO_BIN_EXE_dask_worker_child"))
            .args([scheduler.address(), name, &limit.to_string()])
            // As Dask's nannies set it: memory that is free goes back to the
            // system, so that the process is seen to have it no more.
            .env("MALLOC_TRIM_THRESHOLD_", "65536"),
    )
    .expect("a process")
}
