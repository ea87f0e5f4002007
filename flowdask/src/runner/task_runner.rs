//! `DaskTaskRunner`: where a flow's runs go, as its user says it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flowcore::bridge::{Home, RunnerFuture, RunnerSession, TaskRunner};
use flowcore::{Error, Result};
use serde_json::Value;
use tokio::task::AbortHandle;

use super::executor::TaskExecutor;
use super::io;
use super::performance_report::PerformanceReport;
use super::placement::{Placement, own_resources};
use super::session::DaskSession;
use crate::client::{Client, TopicEvents};
use crate::cluster::{ClusterClass, ClusterProcess, LocalScheduler, Shipping, WorkerProcess};
use crate::wire::{Address, Security};
use crate::worker::Worker;

/// How long a flow waits for a worker of its build.
const WORKER_TIMEOUT: Duration = Duration::from_mins(1);

/// How many async runs of a worker wait beside its slots: each has a thread.
pub(crate) const ASYNC_RUNS: usize = 64;

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
    async_runs: usize,
    processes: bool,
    memory_limit: Option<u64>,
    resources: Vec<(String, f64)>,
    security: Security,
    worker_timeout: Duration,
    performance_report: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum Place {
    Local,
    Address(String),
    SchedulerFile(PathBuf),
    Cluster(ClusterClass),
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

    /// A cluster that a class of Dask's starts for each flow run, as
    /// prefect-dask's `cluster_class` and `cluster_kwargs`: its dotted name, and
    /// what it is called with. The class must be installed where `dask` is. It
    /// lives in a Python process that ends with this one and closes the
    /// cluster.
    ///
    /// The workers of such a cluster are stock ones: each starts one of this
    /// program's beside itself, whose executable is copied there. So the
    /// machines must be of this one's kind, and the program must begin with
    /// `#[flowcore::main]` or `flowcore::init()`. Clusters with TLS are not
    /// supported yet.
    ///
    /// ```no_run
    /// use flowdask::DaskTaskRunner;
    /// use serde_json::json;
    ///
    /// let local = DaskTaskRunner::cluster("distributed.LocalCluster", [("n_workers", 2)]);
    /// let cloud = DaskTaskRunner::cluster(
    ///     "coiled.Cluster",
    ///     [("n_workers", json!(10)), ("region", json!("eu-central-1"))],
    /// )
    /// .adapt(1, 20);
    /// ```
    #[must_use]
    pub fn cluster<N: Into<String>, V: Into<Value>>(
        class: impl Into<String>,
        options: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut class = ClusterClass::new(class.into());
        for (name, value) in options {
            class.option(name.into(), value.into());
        }
        Self::at(Place::Cluster(class))
    }

    /// Lets a [`cluster`](Self::cluster) grow and shrink with the work, between
    /// so many of its workers, as its method `adapt` does. At least one is
    /// needed to start this program's.
    ///
    /// # Panics
    ///
    /// On a runner for another kind of cluster, which cannot.
    #[must_use]
    pub fn adapt(mut self, minimum: usize, maximum: usize) -> Self {
        let Place::Cluster(class) = &mut self.place else {
            panic!("`adapt` is for runners made by `DaskTaskRunner::cluster(..)`");
        };
        class.adapt("minimum", minimum.max(1).into());
        class.adapt("maximum", maximum.max(1).into());
        self
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            n_workers: None,
            threads_per_worker: None,
            async_runs: ASYNC_RUNS,
            processes: false,
            memory_limit: None,
            resources: Vec::new(),
            security: Security::default(),
            worker_timeout: WORKER_TIMEOUT,
            performance_report: None,
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

    /// How many async tasks a worker of a local cluster has waiting at once,
    /// beside those that it executes. Each has a thread, though not one of
    /// [`threads_per_worker`](Self::threads_per_worker). Default: 64; with 0
    /// they are executed as sync ones are.
    #[must_use]
    pub fn async_runs(mut self, runs: usize) -> Self {
        self.async_runs = runs;
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

    /// Writes a page of what ran when and where on the cluster, when the flow
    /// run has ended, however it ended: timelines of the workers, the tasks
    /// with their states, transfers. It is one HTML file that needs no network.
    /// A flow that runs again, also as a subflow, writes it again.
    ///
    /// ```
    /// use flowdask::DaskTaskRunner;
    ///
    /// let runner = DaskTaskRunner::local().performance_report("nightly.html");
    /// ```
    #[must_use]
    pub fn performance_report(mut self, path: impl Into<PathBuf>) -> Self {
        self.performance_report = Some(path.into());
        self
    }

    async fn open(self, home: Home) -> Result<DaskSession> {
        let report = self
            .performance_report
            .clone()
            .map(PerformanceReport::create);
        let report = report.transpose()?;
        let mut cluster = Cluster::default();
        match self.connect(&mut cluster, report.is_some()).await {
            Ok(connected) => Ok(DaskSession::start(home, connected, cluster, report)),
            Err(error) => {
                cluster.stop().await;
                Err(error)
            }
        }
    }

    async fn connect(&self, cluster: &mut Cluster, reports: bool) -> Result<Connected> {
        let builder = Client::builder().security(self.security.clone());
        let builder = match &self.place {
            Place::Local => {
                let scheduler = LocalScheduler::start().await?;
                let address = scheduler.address().clone();
                cluster.scheduler = Some(scheduler);
                self.start_workers(&address, cluster).await?;
                builder.address(address.to_string())
            }
            Place::Address(address) => builder.address(address.clone()),
            Place::SchedulerFile(path) => builder.scheduler_file(path.clone()),
            Place::Cluster(class) => {
                let process = ClusterProcess::start(class).await?;
                let address = process.address().to_string();
                cluster.class = Some(process);
                builder.address(address)
            }
        };
        let client = builder.connect().await?;
        if let Place::Cluster(_) = &self.place {
            let mut shipping = Shipping::new(client.clone()).await?;
            shipping.begin(self.worker_timeout).await?;
            cluster.shipping = Some(io().spawn(shipping.go_on()).abort_handle());
        }
        if reports {
            client.start_task_stream().await?;
        }
        let events = client.subscribe_topic(client.id())?;
        let placement = Placement::new(self.worker_timeout)?;
        let threads = match &self.place {
            Place::Local => self.workers() * self.threads(),
            _ => placement.threads(&client).await,
        };
        Ok(Connected {
            client,
            events,
            placement,
            threads,
        })
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
        let own = own_resources()?;
        for _ in 0..workers {
            let mut builder =
                Worker::builder(scheduler.to_string(), TaskExecutor::new(self.async_runs))
                    .nthreads(threads);
            for (name, amount) in own.iter().chain(&self.resources) {
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
        let mut options = vec![
            ("NTHREADS", threads.to_string()),
            ("ASYNC_RUNS", self.async_runs.to_string()),
        ];
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

/// What a session works with.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) events: TopicEvents,
    pub(super) placement: Placement,
    /// How many tasks the cluster executes at once.
    pub(super) threads: usize,
}

/// What belongs to a session and ends with it.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    // The workers leave before the scheduler goes.
    workers: Vec<Worker>,
    processes: Vec<WorkerProcess>,
    scheduler: Option<LocalScheduler>,
    class: Option<ClusterProcess>,
    shipping: Option<AbortHandle>,
}

impl Cluster {
    pub(super) async fn stop(self) {
        if let Some(shipping) = self.shipping {
            shipping.abort();
        }
        if let Some(class) = self.class {
            class.stop().await;
        }
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
