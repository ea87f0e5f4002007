//! What goes wrong between a client and its scheduler.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::state::{Cancelled, KeyState, LinkClosed};
use crate::ReleaseError;
use crate::graph::RemoteException;
use crate::wire::{Address, AddressError, FieldError, Key, WireError};

/// Why a client could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody said where the scheduler is.
    #[error(
        "no scheduler is named: give an address or a scheduler file, or set DASK_SCHEDULER_ADDRESS"
    )]
    NoAddress,
    /// The address cannot be read.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The scheduler file cannot be read, or did not appear in time.
    #[error(
        "no scheduler's address in {}: is it the file that `dask scheduler --scheduler-file` writes?",
        path.display()
    )]
    SchedulerFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No link to the scheduler came about.
    #[error("no link to a scheduler at {address} within {after:?}")]
    Unreachable {
        /// Where.
        address: Address,
        /// How long it was tried.
        after: Duration,
        /// What happened the last time.
        #[source]
        source: Box<WireError>,
    },
    /// The peer at the address is something else.
    #[error("{address} is {found}, not a scheduler: take the address that `dask scheduler` prints")]
    NotAScheduler {
        /// Where.
        address: Address,
        /// What is there.
        found: String,
    },
    /// The scheduler's release cannot be worked with.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The scheduler does not want this client.
    #[error("the scheduler at {address} refuses this client: {text}")]
    Refused {
        /// Where.
        address: Address,
        /// What it said.
        text: String,
    },
    /// The client was closed, or lost its scheduler and could not find it again.
    #[error("this client has no scheduler any more: connect a new one")]
    Closed,
    /// A task failed.
    #[error("the task `{key}` failed")]
    Erred {
        /// The task's key.
        key: Key,
        /// Its exception.
        #[source]
        exception: Arc<RemoteException>,
    },
    /// A key will not be computed.
    #[error("`{key}` was cancelled: {cancelled}")]
    Cancelled {
        /// The key.
        key: Key,
        /// Why.
        cancelled: Cancelled,
    },
    /// A question to the scheduler or to a worker got no good answer.
    #[error("`{op}` failed")]
    Call {
        /// What was asked.
        op: &'static str,
        /// Why.
        #[source]
        source: Box<WireError>,
    },
    /// No worker can take data.
    #[error("no running worker among {wanted} came up within {after:?}: start one, or name others")]
    NoWorkers {
        /// Whom the call named.
        wanted: String,
        /// How long it was waited.
        after: Duration,
    },
    /// Not as many workers as wanted joined the cluster.
    #[error("{found} of {wanted} workers joined within {after:?}")]
    TooFewWorkers {
        /// How many there are.
        found: usize,
        /// How many were wanted.
        wanted: usize,
        /// How long it was waited.
        after: Duration,
    },
    /// No dataset of this name is published.
    #[error("no dataset `{name}` is published: `list_datasets` tells which are")]
    NoDataset {
        /// The name.
        name: Key,
    },
}

impl ClientError {
    /// For answers: names the question.
    pub(super) fn call<E: Into<WireError>>(op: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Call {
            op,
            source: Box::new(source.into()),
        }
    }

    /// For answers that are something else than expected.
    pub(super) fn answer(
        op: &'static str,
        wanted: &'static str,
        found: &crate::wire::Value,
    ) -> Self {
        let error = FieldError::kind(op, "the answer", wanted, found);
        Self::call(op)(error)
    }

    /// The error of a key that settled without a value.
    pub(super) fn settled(key: &Key, state: KeyState) -> Option<Self> {
        let key = key.clone();
        match state {
            KeyState::Erred(exception) => Some(Self::Erred { key, exception }),
            KeyState::Cancelled(cancelled) => Some(Self::Cancelled { key, cancelled }),
            KeyState::Pending | KeyState::Lost | KeyState::Memory => None,
        }
    }
}

impl From<LinkClosed> for ClientError {
    fn from(_: LinkClosed) -> Self {
        Self::Closed
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested { reason, message } => {
                f.write_str("somebody asked for it")?;
                for text in [reason, message].into_iter().flatten() {
                    write!(f, ": {text}")?;
                }
                Ok(())
            }
            Self::LostDependencies => {
                f.write_str("the scheduler does not know a key that its graph needs")
            }
            Self::Forgotten => f.write_str(
                "the scheduler does not know it; it was released, or scattered and its last copy is lost",
            ),
            Self::Restarted => f.write_str("the cluster was restarted"),
            Self::ConnectionLost => f.write_str("the link to the scheduler is lost"),
            Self::Closed => f.write_str("the client was closed"),
        }
    }
}
