//! A worker of ours, as a process of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::python::{Error, Result};

/// The same executable as a flow's, as a worker; dropping it kills it.
#[derive(Debug)]
pub struct RustWorker {
    child: Child,
}

impl RustWorker {
    /// Starts a worker with one thread and a name; it joins in a moment.
    ///
    /// # Errors
    ///
    /// If the program cannot be started.
    pub fn start(program: &Path, scheduler: &str, name: &str) -> Result<Self> {
        let child = Command::new(program)
            .env("FLOW_WORKER", scheduler)
            .env("FLOW_WORKER_NAME", name)
            .env("FLOW_WORKER_NTHREADS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(Error::io("start", program))?;
        Ok(Self { child })
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as `kill -9` does.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for RustWorker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
    }
}
