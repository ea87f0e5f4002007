//! A cluster of any class of Dask's, driven by a Python process that ends with
//! this one.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::child::OwnedChild;
use super::python::{self, PythonError};
use crate::wire::{Address, AddressError};

/// How long a cluster may take to start: those of clouds take minutes.
const PATIENCE: Duration = Duration::from_mins(10);

/// How long it may take to close.
const FAREWELL: Duration = Duration::from_secs(25);

/// The program that the interpreter runs.
const PROGRAM: &str = include_str!("cluster_class.py");

/// Which cluster: the dotted name of a class and what it is called with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClusterClass {
    class: String,
    options: Map<String, Value>,
    adapt: Map<String, Value>,
}

impl ClusterClass {
    pub(crate) fn new(class: String) -> Self {
        Self {
            class,
            options: Map::new(),
            adapt: Map::new(),
        }
    }

    pub(crate) fn option(&mut self, name: String, value: Value) {
        self.options.insert(name, value);
    }

    pub(crate) fn adapt(&mut self, name: &str, value: Value) {
        self.adapt.insert(name.to_owned(), value);
    }
}

/// A cluster of a class of Dask's did not come up.
#[derive(Debug, thiserror::Error)]
#[error("the Dask cluster `{class}` did not start")]
#[non_exhaustive]
pub struct ClusterError {
    /// The class.
    pub class: String,
    /// Why.
    #[source]
    pub reason: ClusterErrorReason,
}

/// Why a cluster did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterErrorReason {
    /// There is no Dask.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The interpreter cannot be started.
    #[error("cannot start Python")]
    Start(#[from] io::Error),
    /// The class's module cannot be imported.
    #[error("its module cannot be imported: install it where Dask is, or correct the name ({0})")]
    Module(String),
    /// The module has no such class.
    #[error("there is no such class: name it with its module, as `distributed.LocalCluster` ({0})")]
    Class(String),
    /// The class refuses an option.
    #[error("it refuses its options ({0})")]
    Options(String),
    /// The class raised something else.
    #[error("it cannot be started ({0})")]
    Cluster(String),
    /// The Python process is gone.
    #[error("its process ended before the scheduler was there:\n{0}")]
    Ended(String),
    /// It takes too long.
    #[error("its scheduler is not there after {PATIENCE:?}")]
    TimedOut,
    /// It listens somewhere strange.
    #[error("its scheduler's address cannot be read")]
    Address(#[from] AddressError),
}

/// What the program answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Started { address: String },
    Failed { error: String, text: String },
}

/// A running cluster; it is closed with the value, or with this process.
pub(crate) struct ClusterProcess {
    // Before the process, whose end is no news then.
    watch: Watch,
    child: OwnedChild,
    address: Address,
}

/// While this lives the end of the process is told: nobody closes the cluster
/// then.
struct Watch(Arc<AtomicBool>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for ClusterProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterProcess({})", self.address)
    }
}

impl ClusterProcess {
    /// Starts one and waits until its scheduler is there.
    pub(crate) async fn start(class: &ClusterClass) -> Result<Self, ClusterError> {
        start(class).await.map_err(|reason| ClusterError {
            class: class.class.clone(),
            reason,
        })
    }

    /// Where its scheduler listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Lets it close, and kills its process if it does not.
    pub(crate) async fn stop(self) {
        drop(self.watch);
        // The program waits for the end of its standard input.
        if !self.child.leave(FAREWELL).await {
            tracing::warn!("a Dask cluster did not close, and its process is killed");
        }
    }
}

async fn start(class: &ClusterClass) -> Result<ClusterProcess, ClusterErrorReason> {
    let wanted = serde_json::to_string(class).map_err(io::Error::from)?;
    let mut child = OwnedChild::start(
        Command::new(python::find()?)
            .args(["-c", PROGRAM, &wanted])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )?;
    let words = child.last_words()?;
    let stdout = child.stdout.take();
    let (sender, line) = oneshot::channel();
    let is_watched = Arc::new(AtomicBool::new(false));
    let answers = Answers {
        class: class.class.clone(),
        is_watched: Arc::clone(&is_watched),
    };
    std::thread::Builder::new()
        .name("flow-dask-cluster".to_owned())
        .spawn(move || answers.read(stdout, sender))?;
    let line = tokio::time::timeout(PATIENCE, line).await;
    let line = line.map_err(|_| ClusterErrorReason::TimedOut)?;
    match serde_json::from_str(&line.unwrap_or_default()) {
        Ok(Answer::Started { address }) => {
            let address = address.parse()?;
            is_watched.store(true, Ordering::Relaxed);
            Ok(ClusterProcess {
                watch: Watch(is_watched),
                child,
                address,
            })
        }
        Ok(Answer::Failed { error, text }) => Err(match error.as_str() {
            "module" => ClusterErrorReason::Module(text),
            "class" => ClusterErrorReason::Class(text),
            "options" => ClusterErrorReason::Options(text),
            _ => ClusterErrorReason::Cluster(text),
        }),
        Err(_) => {
            drop(child);
            Err(ClusterErrorReason::Ended(words.join().unwrap_or_default()))
        }
    }
}

/// What the process writes: one line, and its end.
struct Answers {
    class: String,
    is_watched: Arc<AtomicBool>,
}

impl Answers {
    fn read(self, stdout: Option<ChildStdout>, line: oneshot::Sender<String>) {
        let mut first = String::new();
        let mut stdout = stdout.map(BufReader::new);
        if let Some(stdout) = &mut stdout {
            // Without a line the process is gone, which its reader tells.
            let _ = stdout.read_line(&mut first);
        }
        let _ = line.send(first);
        if let Some(stdout) = &mut stdout {
            // Nothing follows but the end.
            let _ = io::copy(stdout, &mut io::sink());
        }
        if self.is_watched.load(Ordering::Relaxed) {
            tracing::error!(
                "the Python process of the Dask cluster `{}` has ended, and nobody closes the \
                 cluster any more: look whether something of it still runs",
                self.class
            );
        }
    }
}
