//! Workers of a local cluster as processes: this executable again.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::child::OwnedChild;
use crate::mode;
use crate::wire::Address;

/// How long a worker may take to leave before it is killed.
const FAREWELL: Duration = Duration::from_secs(10);

/// As Dask's nannies set it: memory that a worker freed goes back to the
/// system, so that it is not counted against its limit any more.
const TRIM_THRESHOLD: &str = "MALLOC_TRIM_THRESHOLD_";

/// A worker of this program that ends with the value, or with this process.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    child: OwnedChild,
}

/// A worker process cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerProcessError {
    /// A process that starts this executable again gets this `main` again.
    #[error(
        "`processes(true)` starts this executable again as workers, and only a program that \
         begins with `#[flowcore::main]` or `flowcore::init()` can be one: add it, or use workers \
         in this process (`processes(false)`), as tests under `cargo test` must"
    )]
    NotInitialized,
    /// The operating system refuses.
    #[error("cannot start this executable as a worker")]
    Start(#[from] io::Error),
}

impl WorkerProcess {
    /// Starts one; it joins the scheduler in a moment. `options` are the
    /// variables after `FLOW_WORKER_`.
    pub(crate) fn start(
        scheduler: &Address,
        options: &[(&str, String)],
    ) -> Result<Self, WorkerProcessError> {
        if !flowcore::bridge::is_initialized() {
            return Err(WorkerProcessError::NotInitialized);
        }
        let mut command = Command::new(std::env::current_exe()?);
        command
            .env(mode::VARIABLE, scheduler.to_string())
            .env(mode::variable(mode::LEASH), "1")
            .env(TRIM_THRESHOLD, "65536")
            .stdin(Stdio::piped());
        for (name, value) in options {
            command.env(mode::variable(name), value);
        }
        let child = OwnedChild::start(&mut command)?;
        Ok(Self { child })
    }

    /// Lets it leave, and kills it if it does not.
    pub(crate) async fn stop(self) {
        // The leash: the worker's standard input ends.
        if !self.child.leave(FAREWELL).await {
            tracing::warn!("a worker process did not leave, and is killed");
        }
    }
}
