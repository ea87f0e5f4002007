//! How a client finds its scheduler.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::{Client, ClientError};
use crate::wire::{Address, Security};

/// The variable that Dask reads as well.
const ADDRESS_VARIABLE: &str = "DASK_SCHEDULER_ADDRESS";

/// How often it is looked whether a scheduler file is there.
const FILE_PAUSE: Duration = Duration::from_millis(20);

/// Options of a new [`Client`]; see [`Client::builder`].
#[derive(Clone, Debug)]
#[must_use = "a client comes with `connect`"]
pub struct ClientBuilder {
    place: Option<Place>,
    pub(super) security: Security,
    pub(super) timeout: Duration,
    pub(super) direct_to_workers: bool,
}

#[derive(Clone, Debug)]
enum Place {
    Address(String),
    File(PathBuf),
}

/// What a scheduler writes into its file.
#[derive(Deserialize)]
struct SchedulerFile {
    address: String,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            place: None,
            security: Security::default(),
            timeout: Duration::from_secs(10),
            direct_to_workers: false,
        }
    }

    /// The scheduler's address, such as `tcp://10.0.0.5:8786`.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.place = Some(Place::Address(address.into()));
        self
    }

    /// The file that `dask scheduler --scheduler-file` writes. It may appear
    /// while the client connects.
    pub fn scheduler_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.place = Some(Place::File(path.into()));
        self
    }

    /// Certificates for `tls://` addresses.
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// How long it is tried to connect, again and again while nobody listens: at
    /// first, after a lost link, and for each new link of a question. 10 s if it
    /// is not called.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether values travel between this process and the workers by themselves.
    /// By default they go through the scheduler, which works wherever the
    /// scheduler can be reached; directly they go faster.
    pub fn direct_to_workers(mut self, direct: bool) -> Self {
        self.direct_to_workers = direct;
        self
    }

    /// Connects. If no place was named the scheduler is the one of the variable
    /// `DASK_SCHEDULER_ADDRESS`.
    ///
    /// If the future is dropped nothing stays behind.
    ///
    /// # Errors
    ///
    /// No scheduler is named, there is none at the address within the
    /// [timeout](Self::timeout), its release is too old, or it wants other
    /// certificates. What waiting does not cure is told at once.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn connect(self) -> Result<Client, ClientError> {
        let deadline = Instant::now() + self.timeout;
        let address = match &self.place {
            Some(Place::Address(text)) => text.parse()?,
            Some(Place::File(path)) => read_file(path, deadline).await?,
            None => match env::var(ADDRESS_VARIABLE) {
                Ok(text) => text.parse()?,
                Err(_) => return Err(ClientError::NoAddress),
            },
        };
        Client::open(address, self).await
    }
}

/// Reads the file, once it is there and complete.
async fn read_file(path: &Path, deadline: Instant) -> Result<Address, ClientError> {
    loop {
        let read = tokio::fs::read(path).await;
        let problem: Box<dyn std::error::Error + Send + Sync> = match read {
            Ok(text) => match serde_json::from_slice::<SchedulerFile>(&text) {
                Ok(file) => return Ok(file.address.parse()?),
                Err(error) => error.into(),
            },
            Err(error) => error.into(),
        };
        if Instant::now() >= deadline {
            return Err(ClientError::SchedulerFile {
                path: path.to_owned(),
                source: problem,
            });
        }
        tokio::time::sleep(FILE_PAUSE).await;
    }
}
