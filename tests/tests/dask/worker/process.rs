//! A Rust worker as a process of its own.

use std::process::{Child, Command, ExitStatus};

use flow_tests::dask::Scheduler;

/// Ends with this value, however the test ends.
pub(super) struct WorkerProcess {
    child: Child,
}

impl WorkerProcess {
    /// It registers some time later.
    pub(super) fn start(scheduler: &Scheduler, name: &str) -> Self {
        Self::with_memory(scheduler, name, 0)
    }

    /// As [`start`](Self::start), with a memory limit.
    pub(super) fn with_memory(scheduler: &Scheduler, name: &str, limit: u64) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_dask_worker_child"))
            .args([scheduler.address(), name, &limit.to_string()])
            // As Dask's nannies set it: memory that is free goes back to the
            // system, so that the process is seen to have it no more.
            .env("MALLOC_TRIM_THRESHOLD_", "65536")
            .spawn()
            .expect("a process");
        Self { child }
    }

    /// Sends a signal, such as `KILL`.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .expect("a shell");
        assert!(sent.success());
    }

    pub(super) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("an end")
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
