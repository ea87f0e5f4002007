//! A stock `prefect server start`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::request::{Answer, request};
use crate::python::{Environment, Error, Program, Result, Running};

/// How long a server may take to listen, beside several compilers.
const PATIENCE: Duration = Duration::from_mins(4);

/// How long flow runs wait at their ends, in seconds: a server whose database
/// is locked may not have answered for a minute.
const DRAIN: (&str, &str) = ("PREFECT_REPORTING_DRAIN_TIMEOUT", "240");

/// How often it is looked whether something has happened.
const PAUSE: Duration = Duration::from_millis(100);

/// Ports are free when they are chosen, and may be taken when they are used.
const ATTEMPTS: u32 = 3;

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct Server {
    running: Option<Running>,
    address: SocketAddr,
    directory: TempDir,
    environment: Environment,
    settings: Vec<(String, String)>,
}

impl Server {
    /// A server of the pinned release, with default settings.
    ///
    /// # Errors
    ///
    /// If there is no environment with Prefect, or the server does not start.
    pub fn start() -> Result<Self> {
        Self::with_settings(&[])
    }

    /// A server with settings of its own, such as
    /// `("PREFECT_SERVER_API_AUTH_STRING", "user:password")`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn with_settings(settings: &[(&str, &str)]) -> Result<Self> {
        Self::in_environment(Environment::prefect()?, settings)
    }

    /// A server of the release in this environment.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn in_environment(environment: Environment, settings: &[(&str, &str)]) -> Result<Self> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        environment.copy_prefect_database(&directory.path().join("prefect.db"))?;
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut server = Self {
            running: None,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            directory,
            environment,
            settings: settings.collect(),
        };
        for attempt in 1.. {
            server.address = free_address()?;
            match server.restart() {
                Ok(()) => break,
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => {}
            }
        }
        Ok(server)
    }

    /// The server that all tests of this program share.
    ///
    /// # Panics
    ///
    /// It does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("{error}")))
    }

    /// What `PREFECT_API_URL` is set to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its `PREFECT_HOME`.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.directory.path()
    }

    /// The process's id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Running::id)
    }

    /// Kills it, as `kill -9` does; its database stays.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn kill(&mut self) -> Result<()> {
        match self.running.take() {
            Some(mut running) => running.end().map(drop),
            None => Ok(()),
        }
    }

    /// Starts it again after [`kill`](Self::kill), with the same port and
    /// database.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn restart(&mut self) -> Result<()> {
        let mut program = self
            .environment
            // The older ones cannot be started as a module.
            .program(self.environment.command("prefect"))
            .argument("server")
            .argument("start")
            .argument("--host")
            .argument(self.address.ip().to_string())
            .argument("--port")
            .argument(self.address.port().to_string())
            .with_prefect(self.directory.path())
            // Its pages ask the usual port otherwise.
            .with_variable("PREFECT_UI_API_URL", self.url());
        for (name, value) in &self.settings {
            program = program.with_variable(name, value);
        }
        let mut running = program.start()?;
        let start = Instant::now();
        while !is_healthy(self.address) {
            let status = running.wait(PAUSE)?;
            if status.is_none() && start.elapsed() < PATIENCE {
                continue;
            }
            let ended = running.end()?;
            let (stdout, stderr) = running.output();
            return Err(Error::Failed {
                program: "prefect server start".to_owned(),
                status: status.unwrap_or(ended),
                output: stdout + &stderr,
            });
        }
        self.running = Some(running);
        Ok(())
    }

    /// A Python program that talks to this server, such as
    /// `server.module("prefect").argument("worker")…`, in the server's folder.
    pub fn module(&self, module: &str) -> Program {
        self.environment
            .module(module)
            .with_prefect(self.directory.path())
            .with_variable("PREFECT_API_URL", self.url())
            .with_variable(DRAIN.0, DRAIN.1)
    }

    /// A Python program's file that talks to this server, in the server's
    /// folder.
    pub fn program(&self, file: impl AsRef<Path>) -> Program {
        self.environment
            .program(file)
            .with_prefect(self.directory.path())
            .with_variable("PREFECT_API_URL", self.url())
            .with_variable(DRAIN.0, DRAIN.1)
    }

    /// A program of ours that talks to this server, is patient with it, and knows
    /// no other setting of Prefect's; its `PREFECT_HOME` is the folder.
    #[must_use]
    pub fn command(&self, program: impl Into<PathBuf>, home: &Path) -> Command {
        let mut command = Command::new(program.into());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PREFECT_") {
                command.env_remove(name);
            }
        }
        command
            .env("PREFECT_API_URL", self.url())
            .env("PREFECT_HOME", home)
            .env(DRAIN.0, DRAIN.1)
            .current_dir(home);
        command
    }

    /// Asks for a path below the API's URL; the answer may be an error.
    ///
    /// # Panics
    ///
    /// The server cannot be reached.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let path = format!("/api{path}");
        let answer = request(self.address, method, &path, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Gets a path.
    ///
    /// # Panics
    ///
    /// The answer is an error.
    pub fn get(&self, path: &str) -> Value {
        self.insisting("GET", path, None)
    }

    /// Posts to a path.
    ///
    /// # Panics
    ///
    /// The answer is an error.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.insisting("POST", path, Some(body))
    }

    /// Changes what is at a path.
    ///
    /// # Panics
    ///
    /// The answer is an error.
    pub fn patch(&self, path: &str, body: &Value) {
        self.insisting("PATCH", path, Some(body));
    }

    /// "Database is locked" is an ordinary answer of a server with SQLite.
    fn insisting(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let start = Instant::now();
        loop {
            let answer = self.request(method, path, body);
            match answer.status {
                200..300 => return answer.body,
                503 if start.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                status => panic!("{method} {path}: {status} {}", answer.body),
            }
        }
    }

    /// All that a filter finds, page by page: `kind` is `flow_runs`,
    /// `task_runs`, `logs` or `artifacts`.
    ///
    /// # Panics
    ///
    /// The answer is an error.
    pub fn all(&self, kind: &str, filter: &Value) -> Vec<Value> {
        let mut found = Vec::new();
        loop {
            let mut body = filter.clone();
            body["limit"] = json!(200);
            body["offset"] = json!(found.len());
            let Value::Array(page) = self.post(&format!("/{kind}/filter"), &body) else {
                panic!("/{kind}/filter gives a list");
            };
            let is_last = page.len() < 200;
            found.extend(page);
            if is_last {
                return found;
            }
        }
    }

    /// Asks until there is an answer: the server records what it is told some
    /// time later.
    ///
    /// # Panics
    ///
    /// There is none for minutes; `what` says for what.
    pub fn wait_for<T>(&self, what: &str, ask: impl Fn(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "the server does not show {what}"
            );
            std::thread::sleep(PAUSE);
        }
    }
}

fn free_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(Error::io("find a free port on", "the loopback interface"))
}

fn is_healthy(address: SocketAddr) -> bool {
    request(address, "GET", "/api/health", None).is_ok_and(|answer| answer.status == 200)
}
