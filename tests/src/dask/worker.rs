//! A stock `dask worker`.

use super::scheduler::Scheduler;
use crate::python::{Result, Running};

/// A running worker of Python Dask, without a nanny; dropping it kills it.
///
/// It registers some time after it was started: wait for it where its presence
/// matters.
#[derive(Debug)]
pub struct PythonWorker {
    running: Running,
}

impl PythonWorker {
    /// A worker with this name and one thread, in the scheduler's environment.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(scheduler: &Scheduler, name: &str) -> Result<Self> {
        let mut program = scheduler
            .environment()
            .module("distributed.cli.dask_worker")
            .in_directory(scheduler.directory())
            .argument(scheduler.address())
            .argument("--name")
            .argument(name)
            .argument("--host")
            .argument("127.0.0.1")
            .argument("--nthreads")
            .argument("1")
            .argument("--no-nanny")
            .argument("--no-dashboard")
            .argument("--local-directory")
            .argument(scheduler.directory().join(name));
        for argument in scheduler.tls().iter().flat_map(|tls| tls.arguments()) {
            program = program.argument(argument);
        }
        Ok(Self {
            running: program.start()?,
        })
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Kills it, as `kill -9` does.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.running.end().map(drop)
    }
}
