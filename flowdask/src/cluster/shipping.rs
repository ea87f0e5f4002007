//! Our workers on a cluster of stock ones: the executable is copied through a
//! stock worker of each host, and each stock worker starts it beside itself
//! (protocol, section 14).
//!
//! What the Python code is told are constants and bytes; nothing of a user's
//! becomes code.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::time::Duration;

use bytes::Bytes;

use crate::client::{Client, ClientError, WorkerInfo};
use crate::graph::RemoteException;
use crate::runner::ANY_BUILD;
use crate::values::{self, ValueError};
use crate::wire::pickle::Writer;
use crate::wire::{Address, AddressError};

/// The code that a stock worker executes.
const SOURCE: &str = include_str!("shipping.py");

/// How much of the executable goes with one message.
const PIECE: usize = 8 << 20;

/// How often it is looked whether stock workers have joined.
const PAUSE: Duration = Duration::from_millis(500);

/// Our workers cannot be started on a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShippingError {
    /// This process's executable cannot be read.
    #[error("this program's executable cannot be read, so no worker can be started elsewhere")]
    Executable(#[from] io::Error),
    /// The program cannot be a worker.
    #[error(
        "workers of a cluster are this executable started again, and only a program that begins \
         with `#[flowcore::main]` or `flowcore::init()` can be one"
    )]
    NotInitialized,
    /// The cluster has no workers.
    #[error(
        "no stock worker is on the cluster after {0:?}, and only they can start ours: ask the \
         cluster for workers, such as `option(\"n_workers\", 2)`"
    )]
    NoWorkers(Duration),
    /// The cluster cannot be asked.
    #[error("the cluster cannot be asked")]
    Client(#[from] ClientError),
    /// A stock worker could not do it.
    #[error("the stock worker at {worker} could not start one of ours")]
    Worker {
        /// Its address.
        worker: String,
        /// What it raised.
        #[source]
        source: RemoteException,
    },
    /// A stock worker said something strange.
    #[error("an answer of a stock worker cannot be read")]
    Answer(#[from] ValueError),
    /// A stock worker's address is none.
    #[error("the address of a stock worker cannot be read")]
    Address(#[from] AddressError),
    /// The machine is of another kind.
    #[error(
        "{worker} runs on `{theirs}`, and this executable is for `{ours}`: build it for that \
         system and start it there with FLOW_WORKER=<scheduler address>"
    )]
    Machine {
        /// The stock worker.
        worker: String,
        /// Its machine.
        theirs: String,
        /// This machine.
        ours: String,
    },
}

/// Brings our workers to the stock ones of one cluster.
pub(crate) struct Shipping {
    client: Client,
    name: String,
    executable: Bytes,
    checksum: u32,
    /// The stock workers that have started one of ours.
    served: HashSet<String>,
    /// The hosts that have the executable.
    hosts: BTreeSet<String>,
}

impl Shipping {
    pub(crate) async fn new(client: Client) -> Result<Self, ShippingError> {
        if !flowcore::bridge::is_initialized() {
            return Err(ShippingError::NotInitialized);
        }
        let path = std::env::current_exe()?;
        let executable: Bytes = tokio::fs::read(&path).await?.into();
        let mut sum = flate2::Crc::new();
        sum.update(&executable);
        let checksum = sum.sum();
        let program = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            client,
            name: format!("{program}-{checksum:08x}-{}", executable.len()),
            executable,
            checksum,
            served: HashSet::new(),
            hosts: BTreeSet::new(),
        })
    }

    /// Starts one of our workers beside each stock worker, once there is one.
    pub(crate) async fn begin(&mut self, timeout: Duration) -> Result<(), ShippingError> {
        let begin = tokio::time::Instant::now();
        while !self.serve().await? {
            if begin.elapsed() >= timeout {
                return Err(ShippingError::NoWorkers(timeout));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Serves stock workers that join later, until it is aborted.
    pub(crate) async fn go_on(mut self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            match self.serve().await {
                Ok(_) => {}
                // The client tells its keys.
                Err(ShippingError::Client(_)) => return,
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a stock worker gets none of ours beside it"
                ),
            }
        }
    }

    /// Whether there is a stock worker at all.
    async fn serve(&mut self) -> Result<bool, ShippingError> {
        let info = self.client.scheduler_info().await?;
        let mut new: BTreeMap<String, WorkerInfo> = info.workers;
        new.retain(|_, worker| {
            !worker
                .resources
                .keys()
                .any(|name| name.starts_with(ANY_BUILD))
        });
        let is_any = !new.is_empty();
        new.retain(|address, _| !self.served.contains(address));
        for (address, worker) in new {
            let stock: Address = address.parse()?;
            if !self.hosts.contains(&worker.host) {
                self.copy_to(&stock).await?;
                self.hosts.insert(worker.host);
            }
            // Also if it fails: it is tried once.
            self.served.insert(address.clone());
            self.run("start", 0, address.as_bytes(), &stock).await?;
        }
        Ok(is_any)
    }

    /// The executable, to the host of this worker.
    async fn copy_to(&self, worker: &Address) -> Result<(), ShippingError> {
        let found = self.run("look", 0, b"", worker).await?;
        let ours = machine();
        let Some(state) = found.strip_prefix(&ours) else {
            return Err(ShippingError::Machine {
                worker: worker.to_string(),
                theirs: found,
                ours,
            });
        };
        if state.trim() == "present" {
            return Ok(());
        }
        for (number, piece) in self.executable.chunks(PIECE).enumerate() {
            self.run("write", number * PIECE, piece, worker).await?;
        }
        self.run("finish", 0, b"", worker).await.map(drop)
    }

    /// Executes a step on a worker; what it says.
    async fn run(
        &self,
        step: &str,
        offset: usize,
        data: &[u8],
        worker: &Address,
    ) -> Result<String, ShippingError> {
        let mut function = Writer::new();
        function.global("builtins", "eval");
        let mut arguments = Writer::new();
        arguments.string("(exec(source, given), given['out'])[1]");
        arguments.empty_dict();
        arguments.mark();
        arguments.string("source");
        arguments.string(SOURCE);
        arguments.string("given");
        arguments.empty_dict();
        arguments.mark();
        for (name, text) in [
            ("step", step),
            ("name", &self.name),
            ("token", self.client.id()),
        ] {
            arguments.string(name);
            arguments.string(text);
        }
        let numbers = [
            ("length", self.executable.len() as u64),
            ("checksum", self.checksum.into()),
            ("offset", offset as u64),
        ];
        for (name, number) in numbers {
            arguments.string(name);
            arguments.integer(number);
        }
        arguments.string("data");
        arguments.bytes(data);
        arguments.set_items();
        arguments.set_items();
        arguments.tuple_of(2);
        let (function, arguments) = (function.finish().into(), arguments.finish().into());
        let answers = self
            .client
            .run(function, arguments, Some(std::slice::from_ref(worker)))
            .await?;
        let mut said = String::new();
        for (worker, answer) in answers {
            let answer = answer.map_err(|source| ShippingError::Worker { worker, source })?;
            let value = values::from_wire(&answer)?;
            let text = rmp::decode::read_str_from_slice(&value.bytes);
            said = text.map(|(text, _)| text.to_owned()).unwrap_or_default();
        }
        Ok(said)
    }
}

/// This machine, as Python's `platform` names it.
fn machine() -> String {
    let system = match std::env::consts::OS {
        "macos" => "Darwin",
        "windows" => "Windows",
        _ => "Linux",
    };
    let architecture = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => "arm64",
        (_, architecture) => architecture,
    };
    format!("{system} {architecture}")
}
