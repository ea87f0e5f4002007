//! A stock Dask scheduler and what works beside it, for benchmarks: what each
//! process of such a cluster has cost.

use std::error::Error;
use std::time::Duration;

use flow_tests::dask::{PythonWorker, RustWorker, Scheduler};
use flowdask::Client;
use tokio::runtime::{Builder, Runtime};

use crate::{memory, processor};

/// Workers of one kind, each a process with one thread.
#[derive(Debug)]
pub enum Workers {
    /// This program.
    Rust(Vec<RustWorker>),
    /// Stock `dask worker`s.
    Python(Vec<PythonWorker>),
}

impl Workers {
    /// This program, so often as a worker. It must begin with
    /// `flowcore::init()`.
    ///
    /// # Errors
    ///
    /// They cannot be started, or the scheduler is gone.
    pub fn rust(
        runtime: &Runtime,
        scheduler: &Scheduler,
        count: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let program = std::env::current_exe()?;
        let names = (0..count).map(|worker| format!("rust-{worker}"));
        let workers = names.map(|name| RustWorker::start(&program, scheduler.address(), &name));
        let workers = Self::Rust(workers.collect::<Result<_, _>>()?);
        runtime.block_on(are_there(scheduler, count))?;
        Ok(workers)
    }

    /// So many stock workers.
    ///
    /// # Errors
    ///
    /// As [`rust`](Self::rust).
    pub fn python(
        runtime: &Runtime,
        scheduler: &Scheduler,
        count: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let names = (0..count).map(|worker| format!("python-{worker}"));
        let workers = names.map(|name| PythonWorker::start(scheduler, &name));
        let workers = Self::Python(workers.collect::<Result<_, _>>()?);
        runtime.block_on(are_there(scheduler, count))?;
        Ok(workers)
    }

    /// The ids of their processes.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        match self {
            Self::Rust(workers) => workers.iter().map(RustWorker::id).collect(),
            Self::Python(workers) => workers.iter().map(PythonWorker::id).collect(),
        }
    }

    /// The processor time that all of them took so far.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let seconds = self.processes().into_iter().map(processor::seconds_of);
        seconds.sum()
    }

    /// The memory of the one that has the most.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<u64> {
        let bytes = self.processes().into_iter().map(memory::resident_bytes);
        bytes.max().flatten()
    }
}

/// Waits for workers that were just started, and for those to be gone that were
/// there before: with the scheduler, these are all.
async fn are_there(scheduler: &Scheduler, count: usize) -> Result<(), Box<dyn Error>> {
    let client = Client::connect(scheduler.address()).await?;
    while client.ncores().await?.len() != count {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.close().await;
    Ok(())
}

/// The runtime of a flow's own code.
///
/// # Errors
///
/// The operating system starts no thread.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}
