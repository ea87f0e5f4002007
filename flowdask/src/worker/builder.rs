//! Choosing what a worker is, and starting it.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};

use super::executor::{Executor, StreamHandle};
use super::mail::{Mail, Mailbox};
use super::metrics::{Counts, Metrics, Process};
use super::registration::{self, Link};
use super::run_loop::RunLoop;
use super::server;
use super::shared::{Shared, Transfers};
use super::store::Store;
use super::threads::Threads;
use super::{Worker, WorkerError};
use crate::wire::{Address, Listener, RpcPool, Security, Value};

/// Only this machine, unless somebody wants more.
const LOOPBACK: &str = "127.0.0.1";

/// Threads of the runtime: a long transfer holds no heartbeat up.
const RUNTIME_THREADS: usize = 2;

/// What a worker is; made by [`Worker::builder`].
#[must_use = "a worker takes part once it is started"]
pub struct WorkerBuilder {
    scheduler: String,
    executor: Arc<dyn Executor>,
    name: Option<String>,
    nthreads: usize,
    memory_limit: Option<u64>,
    resources: Vec<(String, f64)>,
    security: Security,
    local_directory: Option<PathBuf>,
    host: String,
    port: u16,
    contact_address: Option<String>,
    death_timeout: Duration,
    owns_process: bool,
}

impl WorkerBuilder {
    pub(super) fn new(scheduler: String, executor: Arc<dyn Executor>) -> Self {
        Self {
            scheduler,
            executor,
            name: None,
            nthreads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            memory_limit: None,
            resources: Vec::new(),
            security: Security::default(),
            local_directory: None,
            host: LOOPBACK.to_owned(),
            port: 0,
            contact_address: None,
            death_timeout: Duration::from_secs(30),
            owns_process: false,
        }
    }

    /// Its name, unique in the cluster; by default its address.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many tasks run at a time, at least one; by default as many as the
    /// machine has cores.
    pub fn nthreads(mut self, nthreads: usize) -> Self {
        self.nthreads = nthreads.max(1);
        self
    }

    /// How many bytes its values may take, or the whole process if it
    /// [is the worker's](Self::owns_process). Above 60 % the values that were
    /// used the longest ago go to disk, above 80 % the worker pauses, as Dask's
    /// workers do. By default there is no limit.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// An amount of something that tasks may ask for. A task holds it until its
    /// end, also while its slot is lent.
    pub fn resource(mut self, name: impl Into<String>, amount: f64) -> Self {
        self.resources.push((name.into(), amount));
        self
    }

    /// Certificates; needed if the scheduler's address begins with `tls://`.
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Where the worker makes a directory for values on disk; by default among
    /// the system's temporary ones. It is removed when the worker ends.
    pub fn local_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.local_directory = Some(directory.into());
        self
    }

    /// The interface that it listens on, `0.0.0.0` for all of them; by default
    /// only loopback, which no other machine reaches. Without TLS, everybody who reaches it can read
    /// its values.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// The port that it listens on; by default a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The address with port under which others reach it, if that is not the
    /// one where it listens.
    pub fn contact_address(mut self, address: impl Into<String>) -> Self {
        self.contact_address = Some(address.into());
        self
    }

    /// How long it tries to come back after it lost the scheduler; by default
    /// 30 seconds.
    pub fn death_timeout(mut self, timeout: Duration) -> Self {
        self.death_timeout = timeout;
        self
    }

    /// Whether the process is this worker's alone, so that the memory limit
    /// counts all of the process; by default only the worker's values count.
    ///
    /// Memory that is free again must then go back to the system, or the worker
    /// stays paused: with glibc, start the process with
    /// `MALLOC_TRIM_THRESHOLD_=65536`, as Dask's nannies do.
    pub fn owns_process(mut self, owns: bool) -> Self {
        self.owns_process = owns;
        self
    }

    /// Starts the worker on threads of its own, and waits until the scheduler
    /// has taken it.
    ///
    /// # Errors
    ///
    /// An address that is none, no interface or directory of that name, a
    /// scheduler that cannot be reached or is too old, certificates that do not
    /// fit, a name that is taken.
    ///
    /// # Cancel safety
    ///
    /// A worker that registers while the future is dropped leaves again.
    pub async fn start(self) -> Result<Worker, WorkerError> {
        let (mailbox, mail) = Mailbox::new();
        let (started, starts) = oneshot::channel();
        let (ended, is_ended) = watch::channel(false);
        let end = Arc::new(Mutex::new(None));
        let its_end = Arc::clone(&end);
        let its_mailbox = mailbox.clone();
        std::thread::Builder::new()
            .name("flow-worker".to_owned())
            .spawn(move || {
                let runtime = match runtime() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(started.send(Err(error))),
                };
                runtime.block_on(async {
                    match self.register(its_mailbox).await {
                        Err(error) => drop(started.send(Err(error))),
                        Ok(registered) => {
                            let shared = Arc::clone(&registered.shared);
                            // Nobody waits any more: it leaves when it reads
                            // the worker's last letter.
                            let _ = started.send(Ok(shared));
                            *its_end.lock() = Some(registered.run(mail).await);
                            let _ = ended.send(true);
                        }
                    }
                });
                // What still executes must not hold us up.
                runtime.shutdown_background();
            })
            .map_err(WorkerError::Thread)?;
        // Dropped while it waits, it says goodbye.
        let mut worker = Worker {
            address: String::new(),
            name: String::new(),
            mailbox,
            ended: is_ended,
            end,
        };
        let shared = starts.await.unwrap_or(Err(WorkerError::Broken))?;
        worker.address = shared.address.to_string();
        worker.name.clone_from(&shared.name);
        Ok(worker)
    }

    async fn register(self, mailbox: Mailbox) -> Result<Registered, WorkerError> {
        let scheduler: Address = self.scheduler.parse()?;
        let listener = Listener::bind(&self.host, self.port, &self.security)
            .await
            .map_err(WorkerError::Listen)?;
        let address = match &self.contact_address {
            Some(address) => address.parse()?,
            None => reachable(listener.address(), &scheduler).map_err(|source| {
                WorkerError::NoAddress {
                    host: self.host.clone(),
                    source,
                }
            })?,
        };
        let address = address.to_string();
        let parent = self.local_directory.unwrap_or_else(std::env::temp_dir);
        let directory = tempfile::Builder::new()
            .prefix("flow-worker-")
            .tempdir_in(&parent)
            .map_err(|source| WorkerError::LocalDirectory {
                path: parent,
                source,
            })?;
        let resources = self
            .resources
            .into_iter()
            .map(|(name, amount)| (name.into(), amount))
            .collect();
        let shared = Arc::new(Shared {
            scheduler,
            name: self.name.unwrap_or_else(|| address.clone()),
            id: format!("Worker-{}", uuid::Uuid::new_v4()),
            address: address.into(),
            nthreads: self.nthreads,
            resources,
            memory_limit: self.memory_limit.filter(|limit| *limit > 0),
            owns_process: self.owns_process,
            death_timeout: self.death_timeout,
            pool: RpcPool::new(self.security.clone()),
            security: self.security,
            store: Store::new(directory),
            executor: self.executor,
            mailbox,
            stream: StreamHandle::default(),
            versions: Mutex::new(Value::map([])),
            process: Mutex::new(Process::new()?),
            is_paused: AtomicBool::new(false),
            transfers: Transfers::default(),
        });
        // Before anybody knows of us, so that nobody asks in vain.
        tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        let mut metrics = Metrics::new()?;
        let first = metrics.measure(&shared, &Counts::default());
        let link = registration::register(&shared, first).await?;
        Ok(Registered {
            shared,
            metrics,
            link,
        })
    }
}

/// The address under which others reach a listener: one that listens on all
/// interfaces is reached by the one that leads to the scheduler.
fn reachable(listening: &Address, scheduler: &Address) -> io::Result<Address> {
    let is_unspecified = listening
        .host()
        .parse()
        .is_ok_and(|ip: IpAddr| ip.is_unspecified());
    if !is_unspecified {
        return Ok(listening.clone());
    }
    // Nothing is sent: the system only chooses the way.
    let way = UdpSocket::bind((listening.host(), 0))?;
    way.connect((scheduler.host(), scheduler.port()))?;
    let host = way.local_addr()?.ip().to_string();
    Ok(Address::new(listening.scheme(), host, listening.port()))
}

/// A worker that the scheduler has taken.
struct Registered {
    shared: Arc<Shared>,
    metrics: Metrics,
    link: Link,
}

impl Registered {
    async fn run(self, mail: UnboundedReceiver<Mail>) -> Result<(), WorkerError> {
        let threads = Threads::new("flow-worker".to_owned(), self.shared.nthreads);
        RunLoop::new(self.shared, threads, self.metrics)
            .run(self.link, mail)
            .await
    }
}

fn runtime() -> Result<Runtime, WorkerError> {
    Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("flow-worker-io")
        .enable_all()
        .build()
        .map_err(WorkerError::Thread)
}
