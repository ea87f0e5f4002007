//! What can go wrong with Python, and what to do about it.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no environment, or why a program in it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no `python3` on the `PATH`.
    #[error("no python3 on the PATH; install Python {minimum} or newer", minimum = super::interpreter::MINIMUM)]
    PythonMissing,

    /// The `python3` on the `PATH` is too old for the pinned packages.
    #[error("python3 on the PATH is {found}, but the pinned packages need {minimum} or newer; put a newer one first on the PATH", minimum = super::interpreter::MINIMUM)]
    PythonTooOld {
        /// The version that was found.
        found: String,
    },

    /// Python is there, but cannot make virtual environments. Debian and
    /// Ubuntu cut that part off into a package of its own.
    #[error(
        "python3 cannot make a virtual environment; on Debian and Ubuntu `apt-get install python3-venv` brings the missing part:\n{output}"
    )]
    VenvMissing {
        /// What Python said.
        output: String,
    },

    /// The packages could not be installed.
    #[error(
        "pip could not install {name}; check that a package registry can be reached, then run again:\n{output}"
    )]
    Install {
        /// The name of the list of packages.
        name: &'static str,
        /// What pip said.
        output: String,
    },

    /// A program ended with an error.
    #[error("the Python program {program} failed ({status}):\n{output}")]
    Failed {
        /// The program's name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote, on standard output and then on standard error.
        output: String,
    },

    /// A program ran for too long and was ended.
    #[error("the Python program {program} was ended after {limit:?}:\n{output}")]
    TimedOut {
        /// The program's name.
        program: String,
        /// The time it had.
        limit: Duration,
        /// What it wrote until then.
        output: String,
    },

    /// A program's last line is not the JSON that was asked for.
    #[error("the last line of the Python program {program} is not the expected JSON: {line:?}")]
    Answer {
        /// The program's name.
        program: String,
        /// Its last line.
        line: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },

    /// A file or a process could not be used.
    #[error("failed to {action} {path:?}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// For `map_err`: names what was tried, and on what.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
