//! Programs run in an environment.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::error::{Error, Result};

/// Ends the program, and all that it started, when the pipe to it closes.
const LAUNCHER: &str = include_str!("launcher.py");

/// How long a program has if nothing else is said.
const LIMIT: Duration = Duration::from_mins(5);

/// How long the launcher has to end the program once the pipe is closed.
const GRACE: Duration = Duration::from_secs(10);

/// How often a running program is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// A Python program that is about to run.
///
/// It hangs on a pipe that this process holds: when this process ends, whether
/// it returns, panics or is killed, the program and its children end too.
#[derive(Debug)]
#[must_use = "a program does nothing until it is run"]
pub struct Program {
    python: PathBuf,
    name: String,
    arguments: Vec<OsString>,
    /// Changes of this process's environment variables; `None` removes one.
    variables: Vec<(OsString, Option<OsString>)>,
    directory: Option<PathBuf>,
    limit: Duration,
}

impl Program {
    /// The program in a file.
    pub(super) fn file(python: impl Into<PathBuf>, file: &Path) -> Self {
        let name = file.file_name().unwrap_or(file.as_os_str());
        Self {
            python: python.into(),
            name: name.to_string_lossy().into_owned(),
            arguments: vec![file.into()],
            variables: Vec::new(),
            directory: None,
            limit: LIMIT,
        }
    }

    /// A module that is a program, as with `python -m`.
    pub(super) fn module(python: impl Into<PathBuf>, module: &str) -> Self {
        Self {
            python: python.into(),
            name: module.to_owned(),
            arguments: vec!["-m".into(), module.into()],
            variables: Vec::new(),
            directory: None,
            limit: LIMIT,
        }
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an environment variable, or removes it.
    pub(super) fn variable(
        mut self,
        name: impl Into<OsString>,
        value: Option<impl Into<OsString>>,
    ) -> Self {
        self.variables.push((name.into(), value.map(Into::into)));
        self
    }

    /// Sets an environment variable.
    pub fn with_variable(self, name: &str, value: impl Into<OsString>) -> Self {
        self.variable(name, Some(value))
    }

    /// Runs the program in this directory.
    pub fn in_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Gives the program another time than five minutes.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts the program, to run beside the test.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(self) -> Result<Running> {
        Running::start(&self)
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    ///
    /// If it cannot be started, ends with an error or takes too long.
    pub fn run(self) -> Result<Finished> {
        let mut running = Running::start(&self)?;
        let in_time = running.wait(self.limit)?;
        let status = match in_time {
            Some(status) => status,
            None => running.end()?,
        };
        let (stdout, stderr) = running.output();
        let program = self.name;
        if in_time.is_none() {
            Err(Error::TimedOut {
                program,
                limit: self.limit,
                output: stdout + &stderr,
            })
        } else if status.success() {
            Ok(Finished {
                program,
                stdout,
                stderr,
            })
        } else {
            Err(Error::Failed {
                program,
                status,
                output: stdout + &stderr,
            })
        }
    }

    /// Runs the program and reads its last line as JSON.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and if the line is not the JSON that is wanted.
    pub fn run_json<T: DeserializeOwned>(self) -> Result<T> {
        self.run()?.json()
    }
}

/// What a program that ended well has written.
#[derive(Debug)]
pub struct Finished {
    program: String,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Reads the last line of standard output as JSON.
    ///
    /// # Errors
    ///
    /// If that line is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).map_err(|source| Error::Answer {
            program: self.program.clone(),
            line: line.to_owned(),
            source,
        })
    }
}

/// A started program. Dropping it ends it, and all that it started.
#[derive(Debug)]
pub struct Running {
    child: Child,
    python: PathBuf,
    /// The pipe; `None` once it is closed.
    hold: Option<ChildStdin>,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    fn start(program: &Program) -> Result<Self> {
        let mut command = Command::new(&program.python);
        for (name, value) in &program.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = &program.directory {
            command.current_dir(directory);
        }
        let mut child = command
            .args(["-c", LAUNCHER])
            .args(&program.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io("start", &program.python))?;
        Ok(Self {
            hold: child.stdin.take(),
            stdout: child.stdout.take().map(read_all),
            stderr: child.stderr.take().map(read_all),
            child,
            python: program.python.clone(),
        })
    }

    /// The process's id: the launcher and the program are one process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end; `None` if it does not come in time.
    ///
    /// # Errors
    ///
    /// If the operating system cannot tell.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let status = self
                .child
                .try_wait()
                .map_err(Error::io("wait for", &self.python))?;
            if status.is_some() || start.elapsed() >= limit {
                return Ok(status);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Ends the program and all that it started, as `kill -9` does.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn end(&mut self) -> Result<ExitStatus> {
        self.hold = None;
        if let Some(status) = self.wait(GRACE)? {
            return Ok(status);
        }
        // The launcher is stuck itself; then at least the program goes.
        self.child.kill().map_err(Error::io("end", &self.python))?;
        self.child
            .wait()
            .map_err(Error::io("wait for", &self.python))
    }

    /// What an ended program has written, on standard output and on standard
    /// error; nothing if it was asked for before.
    pub fn output(&mut self) -> (String, String) {
        let text = |reader: &mut Option<JoinHandle<String>>| {
            reader
                .take()
                .and_then(|reader| reader.join().ok())
                .unwrap_or_default()
        };
        (text(&mut self.stdout), text(&mut self.stderr))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody is left to tell about an error; after `run` it has ended.
        let _ = self.end();
    }
}

/// Reads a stream to its end beside the program, which would stop at a full pipe.
fn read_all(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
