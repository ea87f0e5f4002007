//! Why a worker does not start, or ended.

use std::io;
use std::path::PathBuf;

use crate::ReleaseError;
use crate::wire::{Address, AddressError, WireError};

/// A worker cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The scheduler's address, or one of the worker's own, is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The worker cannot take connections.
    #[error("the worker cannot listen: choose another host")]
    Listen(#[source] WireError),
    /// It is not known under which address others reach the worker.
    #[error("no address of {host} leads to the scheduler: give the worker a contact address")]
    NoAddress {
        /// Where it listens.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The scheduler cannot be reached, or does not understand.
    #[error("the worker cannot register at {scheduler}")]
    Register {
        /// Where.
        scheduler: Address,
        /// Why.
        #[source]
        source: WireError,
    },
    /// The scheduler does not want this worker.
    #[error("the scheduler at {scheduler} refuses the worker: {reason}")]
    Refused {
        /// Where.
        scheduler: Address,
        /// What it said.
        reason: String,
    },
    /// The cluster has a worker of this name.
    #[error(
        "the cluster of {scheduler} already has a worker `{name}`: give this one another name, or \
         none, so that its address is its name"
    )]
    NameTaken {
        /// The scheduler.
        scheduler: Address,
        /// The name.
        name: String,
    },
    /// The scheduler's release does not fit.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// Values cannot be written to disk.
    #[error("the worker cannot use {} as its local directory", path.display())]
    LocalDirectory {
        /// Which directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The operating system gives no thread.
    #[error("the operating system starts no thread for the worker")]
    Thread(#[source] io::Error),
    /// The operating system does not tell what the process takes.
    #[error("the worker cannot measure its process, which the scheduler wants to know")]
    Measure(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection to the scheduler broke, and nobody took the worker
    /// back.
    #[error("the worker lost the scheduler at {scheduler}")]
    SchedulerLost {
        /// Where it was.
        scheduler: Address,
        /// The last attempt to come back.
        #[source]
        source: Box<WorkerError>,
    },
    /// The worker's own thread ended by a panic.
    #[error("the worker broke: this is a bug in flowdask; the panic is in its standard error")]
    Broken,
}
