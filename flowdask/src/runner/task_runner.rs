//! `DaskTaskRunner`: where a flow's runs go, as its user says it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flowcore::bridge::{Home, RunnerFuture, RunnerSession, TaskRunner};
use flowcore::{Error, Result};

use super::executor::TaskExecutor;
use super::io;
use super::placement::{Placement, own_resource};
use super::session::DaskSession;
use crate::client::Client;
use crate::cluster::{LocalScheduler, WorkerProcess};
use crate::wire::{Address, Security};
use crate::worker::Worker;

/// How long a flow waits for a worker of its build.
const WORKER_TIMEOUT: Duration = Duration::from_mins(1);

/// Runs tasks on a Dask cluster: a temporary one of this machine, or one that
/// is there already.
///
/// The scheduler is Dask's own; the workers are of this program, since they
/// execute its tasks. A cluster's Python workers stay what they are beside
/// them.
///
/// ```no_run
/// use flowcore::prelude::*;
/// use flowdask::DaskTaskRunner;
///
/// #[task]
/// fn inc(x: i64) -> i64 { x + 1 }
///
/// #[flow(task_runner = DaskTaskRunner::local())]
/// async fn increments() -> Result<Vec<i64>> {
///     inc.map(0..10).await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct DaskTaskRunner {
    place: Place,
    n_workers: Option<usize>,
    threads_per_worker: Option<usize>,
    processes: bool,
    memory_limit: Option<u64>,
    resources: Vec<(String, f64)>,
    security: Security,
    worker_timeout: Duration,
}

#[derive(Clone, Debug)]
enum Place {
    Local,
    Address(String),
    SchedulerFile(PathBuf),
}

impl DaskTaskRunner {
    /// A temporary cluster for each flow run: a stock scheduler as a child
    /// process, which needs Dask's Python package, and workers in this
    /// process.
    #[must_use]
    pub fn local() -> Self {
        Self::at(Place::Local)
    }

    /// The cluster whose scheduler is there: `tcp://host:port` or
    /// `tls://host:port`. It needs workers of this program.
    #[must_use]
    pub fn address(address: impl Into<String>) -> Self {
        Self::at(Place::Address(address.into()))
    }

    /// The cluster whose scheduler wrote this file (`--scheduler-file`).
    #[must_use]
    pub fn scheduler_file(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::SchedulerFile(path.into()))
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            n_workers: None,
            threads_per_worker: None,
            processes: false,
            memory_limit: None,
            resources: Vec::new(),
            security: Security::default(),
            worker_timeout: WORKER_TIMEOUT,
        }
    }

    /// How many workers a local cluster has. Default: one; of a process's own
    /// workers more bring nothing but more messages.
    #[must_use]
    pub fn n_workers(mut self, workers: usize) -> Self {
        self.n_workers = Some(workers.max(1));
        self
    }

    /// How many sync tasks a worker of a local cluster executes at once.
    /// Default: the machine's cores, shared among the workers.
    #[must_use]
    pub fn threads_per_worker(mut self, threads: usize) -> Self {
        self.threads_per_worker = Some(threads.max(1));
        self
    }

    /// Whether the workers of a local cluster are processes of their own, this
    /// executable started again, rather than threads of this process. Default:
    /// no. Then [`memory_limit`](Self::memory_limit) counts all that a
    /// worker's process takes. The program must begin with
    /// `#[flowcore::main]` or `flowcore::init()`.
    #[must_use]
    pub fn processes(mut self, processes: bool) -> Self {
        self.processes = processes;
        self
    }

    /// How many bytes of results each worker of a local cluster keeps in
    /// memory; what is above goes to disk. Default: no limit.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// What each worker of a local cluster offers, for tasks that ask for
    /// resources.
    #[must_use]
    pub fn resources<N: Into<String>>(
        mut self,
        resources: impl IntoIterator<Item = (N, f64)>,
    ) -> Self {
        let resources = resources.into_iter();
        self.resources
            .extend(resources.map(|(name, amount)| (name.into(), amount)));
        self
    }

    /// Certificates for a `tls://` scheduler.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// How long a flow waits for a worker of this program on an existing
    /// cluster, before its runs crash. Default: one minute.
    #[must_use]
    pub fn worker_timeout(mut self, timeout: Duration) -> Self {
        self.worker_timeout = timeout;
        self
    }

    async fn open(self, home: Home) -> Result<DaskSession> {
        let mut cluster = Cluster::default();
        let builder = Client::builder().security(self.security.clone());
        let builder = match &self.place {
            Place::Local => {
                let scheduler = LocalScheduler::start().await?;
                let address = scheduler.address().clone();
                cluster.scheduler = Some(scheduler);
                self.start_workers(&address, &mut cluster).await?;
                builder.address(address.to_string())
            }
            Place::Address(address) => builder.address(address.clone()),
            Place::SchedulerFile(path) => builder.scheduler_file(path.clone()),
        };
        let client = builder.connect().await?;
        let events = client.subscribe_topic(client.id())?;
        let placement = Placement::new(self.worker_timeout)?;
        let threads = match &self.place {
            Place::Local => self.workers() * self.threads(),
            _ => placement.threads(&client).await,
        };
        Ok(DaskSession::start(
            home, client, events, placement, cluster, threads,
        ))
    }

    fn workers(&self) -> usize {
        self.n_workers.unwrap_or(1)
    }

    /// Of each worker.
    fn threads(&self) -> usize {
        let threads = self.threads_per_worker;
        threads.unwrap_or_else(|| cores().div_ceil(self.workers()))
    }

    async fn start_workers(&self, scheduler: &Address, cluster: &mut Cluster) -> Result<()> {
        let (workers, threads) = (self.workers(), self.threads());
        if self.processes {
            let options = self.process_options(threads);
            for _ in 0..workers {
                let worker = WorkerProcess::start(scheduler, &options)?;
                cluster.processes.push(worker);
            }
            return Ok(());
        }
        let (resource, offered) = own_resource()?;
        for _ in 0..workers {
            let mut builder = Worker::builder(scheduler.to_string(), Arc::new(TaskExecutor::new()))
                .nthreads(threads)
                .resource(&resource, offered);
            for (name, amount) in &self.resources {
                builder = builder.resource(name, *amount);
            }
            if let Some(limit) = self.memory_limit {
                builder = builder.memory_limit(limit);
            }
            cluster.workers.push(builder.start().await?);
        }
        Ok(())
    }

    /// The options of a worker process, as its variables.
    fn process_options(&self, threads: usize) -> Vec<(&'static str, String)> {
        let mut options = vec![("NTHREADS", threads.to_string())];
        if let Some(limit) = self.memory_limit {
            options.push(("MEMORY_LIMIT", limit.to_string()));
        }
        let resources = self.resources.iter();
        let resources: Vec<String> = resources
            .map(|(name, amount)| format!("{name}={amount}"))
            .collect();
        options.push(("RESOURCES", resources.join(" ")));
        options
    }
}

impl TaskRunner for DaskTaskRunner {
    fn name(&self) -> &'static str {
        "DaskTaskRunner"
    }

    fn start(&self, home: Home) -> RunnerFuture<Result<Arc<dyn RunnerSession>>> {
        let session = io().spawn(self.clone().open(home));
        Box::pin(async move {
            let session = session.await.map_err(Error::from)??;
            Ok(Arc::new(session) as Arc<dyn RunnerSession>)
        })
    }
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What belongs to a session and ends with it.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    // The workers leave before the scheduler goes.
    workers: Vec<Worker>,
    processes: Vec<WorkerProcess>,
    scheduler: Option<LocalScheduler>,
}

impl Cluster {
    pub(super) async fn stop(self) {
        for worker in self.workers {
            if let Err(error) = worker.close().await {
                tracing::warn!(%error, "a worker did not leave in order");
            }
        }
        for process in self.processes {
            process.stop().await;
        }
        drop(self.scheduler);
    }
}
