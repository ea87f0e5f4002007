//! A stock `dask scheduler`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use super::tls::Tls;
use crate::python::{Environment, Error, Requirements, Result, Running};

/// How long a scheduler may take to listen, beside several compilers.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often it is looked whether it listens.
const PAUSE: Duration = Duration::from_millis(20);

/// A running scheduler; dropping it kills it.
#[derive(Debug)]
pub struct Scheduler {
    running: Running,
    address: String,
    directory: TempDir,
    environment: Environment,
    tls: Option<Tls>,
}

/// What a scheduler writes into its file.
#[derive(Deserialize)]
struct Identity {
    address: String,
}

impl Scheduler {
    /// A scheduler of the pinned release, on a free port.
    ///
    /// # Errors
    ///
    /// If there is no environment with Dask, or the scheduler does not start.
    pub fn start() -> Result<Self> {
        Self::in_environment(Environment::dask()?, None)
    }

    /// A scheduler that asks for certificates.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn with_tls(tls: Tls) -> Result<Self> {
        Self::in_environment(Environment::dask()?, Some(tls))
    }

    /// A scheduler that shows its dashboard, on a free port.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); and there must be Bokeh.
    pub fn with_dashboard() -> Result<Self> {
        let environment = Environment::new(&Requirements::DASHBOARD)?;
        let dashboard = ["--dashboard-address", "127.0.0.1:0"];
        Self::with_arguments(environment, None, &dashboard)
    }

    /// A scheduler of the release in this environment.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn in_environment(environment: Environment, tls: Option<Tls>) -> Result<Self> {
        Self::with_arguments(environment, tls, &NO_DASHBOARD)
    }

    fn with_arguments(
        environment: Environment,
        tls: Option<Tls>,
        arguments: &[&str],
    ) -> Result<Self> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let (running, address) = run(
            &environment,
            tls.as_ref(),
            directory.path(),
            &[&["--port", "0"], arguments].concat(),
        )?;
        Ok(Self {
            running,
            address,
            directory,
            environment,
            tls,
        })
    }

    /// Where it listens, such as `tcp://127.0.0.1:41234`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The scheduler file, in a directory that ends with the scheduler.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("scheduler.json")
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Kills it, as `kill -9` does; its file stays until it is dropped.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.running.end().map(drop)
    }

    /// Starts another one at the address of this one, which was killed.
    ///
    /// # Errors
    ///
    /// If the port is taken, or the scheduler does not start.
    pub fn start_again(&mut self) -> Result<()> {
        fs::remove_file(self.file()).map_err(Error::io("remove", self.file()))?;
        let (_, port) = self.address.rsplit_once(':').unwrap_or_default();
        let directory = self.directory.path();
        let arguments = [&["--port", port], &NO_DASHBOARD[..]].concat();
        (self.running, self.address) =
            run(&self.environment, self.tls.as_ref(), directory, &arguments)?;
        Ok(())
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}

const NO_DASHBOARD: [&str; 1] = ["--no-dashboard"];

/// A scheduler that listens, and its address.
fn run(
    environment: &Environment,
    tls: Option<&Tls>,
    directory: &Path,
    arguments: &[&str],
) -> Result<(Running, String)> {
    let file = directory.join("scheduler.json");
    let scheme = if tls.is_some() { "tls" } else { "tcp" };
    let mut program = environment
        .module("distributed.cli.dask_scheduler")
        .in_directory(directory)
        .argument("--host")
        .argument(format!("{scheme}://127.0.0.1"))
        .argument("--scheduler-file")
        .argument(&file);
    for argument in arguments {
        program = program.argument(argument);
    }
    for argument in tls.iter().flat_map(|tls| tls.arguments()) {
        program = program.argument(argument);
    }
    let mut running = program.start()?;
    let address = listening(&mut running, &file)?;
    Ok((running, address))
}

/// Waits for the file, which a scheduler writes once it listens.
fn listening(running: &mut Running, file: &Path) -> Result<String> {
    let mut waited = Duration::ZERO;
    loop {
        // Read while it is written, it is no JSON yet.
        let identity = fs::read(file)
            .ok()
            .and_then(|text| serde_json::from_slice::<Identity>(&text).ok());
        if let Some(identity) = identity {
            return Ok(identity.address);
        }
        let ended = running.wait(PAUSE)?;
        waited += PAUSE;
        if ended.is_none() && waited < PATIENCE {
            continue;
        }
        let status = running.end()?;
        let (stdout, stderr) = running.output();
        let program = "dask scheduler".to_owned();
        let output = stdout + &stderr;
        return Err(if ended.is_some() {
            Error::Failed {
                program,
                status,
                output,
            }
        } else {
            Error::TimedOut {
                program,
                limit: PATIENCE,
                output,
            }
        });
    }
}
