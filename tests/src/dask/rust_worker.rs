//! Workers of ours, as processes of their own.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::python::{Error, Result};

/// A worker process; dropping it kills it. It registers some time after it was
/// started.
#[derive(Debug)]
pub struct RustWorker {
    child: Child,
}

impl RustWorker {
    /// The executable of a flow, as a worker with one thread and this name.
    ///
    /// # Errors
    ///
    /// If the program cannot be started.
    pub fn start(program: &Path, scheduler: &str, name: &str) -> Result<Self> {
        Self::spawn(&mut Self::command(program, scheduler, name))
    }

    /// The command that [`start`](Self::start) starts, for more variables.
    #[must_use]
    pub fn command(program: &Path, scheduler: &str, name: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("FLOW_WORKER", scheduler)
            .env("FLOW_WORKER_NAME", name)
            .env("FLOW_WORKER_NTHREADS", "1")
            // A backtrace maps all that the compiler wrote down about the program,
            // which would count as the worker's memory.
            .env("RUST_BACKTRACE", "0");
        command
    }

    /// Another program that is a worker.
    ///
    /// # Errors
    ///
    /// If the program cannot be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let program: &OsStr = command.get_program();
        Ok(Self {
            child: child.map_err(Error::io("start", program))?,
        })
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

    /// Sends a signal, such as `STOP`.
    ///
    /// # Panics
    ///
    /// If there is no shell, or no such signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .expect("a shell");
        assert!(sent.success());
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for RustWorker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
    }
}
