//! A stock `dask scheduler` as a child process that dies with this one.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::child::OwnedChild;
use super::python::{self, PythonError};
use crate::wire::{Address, AddressError};

/// How long a scheduler may take to listen: Python imports a lot.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is looked whether it listens.
const PAUSE: Duration = Duration::from_millis(20);

/// The program that the interpreter runs.
const PROGRAM: &str = include_str!("scheduler.py");

/// A local scheduler did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulerError {
    /// There is no Dask.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The interpreter cannot be started, or its files not be read.
    #[error("cannot start a local Dask scheduler")]
    Start(#[source] io::Error),
    /// It ended at once.
    #[error("the local Dask scheduler ended before it listened ({status}):\n{last_words}")]
    Ended {
        /// How.
        status: std::process::ExitStatus,
        /// What it said at last.
        last_words: String,
    },
    /// It takes too long.
    #[error("the local Dask scheduler does not listen after {PATIENCE:?}")]
    TimedOut,
    /// It listens somewhere strange.
    #[error("the local Dask scheduler's address cannot be read")]
    Address(#[from] AddressError),
}

impl From<io::Error> for SchedulerError {
    fn from(error: io::Error) -> Self {
        Self::Start(error)
    }
}

/// A running scheduler of this process; it ends with the value, or with the
/// process.
#[derive(Debug)]
pub(crate) struct LocalScheduler {
    // Nothing that it keeps could be damaged by its end.
    _child: OwnedChild,
    address: Address,
    // Its file stands in it; removed last.
    _directory: tempfile::TempDir,
}

impl LocalScheduler {
    /// Starts one on a free port of the loopback interface and waits until it
    /// listens.
    pub(crate) async fn start() -> Result<Self, SchedulerError> {
        let python = python::find()?;
        let directory = tempfile::Builder::new().prefix("flowdask-").tempdir()?;
        let file = directory.path().join("scheduler.json");
        let mut child = OwnedChild::start(
            Command::new(python)
                .args(["-c", PROGRAM, "--host", "127.0.0.1", "--port", "0"])
                .args(["--no-dashboard", "--scheduler-file"])
                .arg(&file)
                .current_dir(directory.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped()),
        )?;
        let words = child.last_words()?;
        let deadline = Instant::now() + PATIENCE;
        let address = loop {
            if let Some(address) = listening(&file)? {
                break address;
            }
            if let Some(status) = child.try_wait()? {
                let last_words = words.join().unwrap_or_default();
                return Err(SchedulerError::Ended { status, last_words });
            }
            if Instant::now() > deadline {
                return Err(SchedulerError::TimedOut);
            }
            tokio::time::sleep(PAUSE).await;
        };
        Ok(Self {
            _child: child,
            address,
            _directory: directory,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }
}

/// The address, once the scheduler has written its file.
fn listening(file: &Path) -> Result<Option<Address>, SchedulerError> {
    #[derive(serde::Deserialize)]
    struct Identity {
        address: String,
    }
    let Ok(text) = fs::read(file) else {
        return Ok(None);
    };
    // It may be half written.
    let Ok(identity) = serde_json::from_slice::<Identity>(&text) else {
        return Ok(None);
    };
    Ok(Some(identity.address.parse()?))
}
