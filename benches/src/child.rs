//! Measurements in child processes.
//!
//! Memory that one run freed would serve the next one unseen, and a second run
//! would find caches warm and threads started. So the benchmark starts itself
//! again for each measurement, and [`main`] first asks whether it is such a child.

use std::env;
use std::io;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Carries the case from the parent to the child. A variable and not an
/// argument, so that the benchmark's own arguments stay its own.
const VARIABLE: &str = "FLOW_BENCH_CASE";

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The child could not be started.
    #[error("failed to start the child process")]
    Start(#[source] io::Error),

    /// The child failed.
    #[error("the child process failed ({status}):\n{stderr}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },

    /// Parent and child do not understand each other.
    #[error("failed to read {text:?}")]
    Json {
        /// What was to be read.
        text: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// The `main` of a benchmark: a child answers its case, and the parent
/// compares.
pub fn main<Case: DeserializeOwned>(
    answer: impl FnOnce(Case) -> Result<(), Box<dyn std::error::Error>>,
    compare: impl FnOnce() -> Result<(), Box<dyn std::error::Error>>,
) -> ExitCode {
    crate::exit_code(match case() {
        Ok(Some(case)) => answer(case),
        Ok(None) => compare(),
        Err(error) => Err(error.into()),
    })
}

/// The case to measure if this process is a child, else nothing.
fn case<Case: DeserializeOwned>() -> Result<Option<Case>, Error> {
    env::var(VARIABLE).ok().map(|text| parse(&text)).transpose()
}

/// Measures a case in a child: there, [`main`] finds it, and what it calls
/// answers with [`answer`].
///
/// # Errors
///
/// If the child fails.
pub fn measure<Case: Serialize, Answer: DeserializeOwned>(case: &Case) -> Result<Answer, Error> {
    measure_with(case, &[])
}

/// The same, with variables of the child's environment.
///
/// # Errors
///
/// If the child fails.
pub fn measure_with<Case: Serialize, Answer: DeserializeOwned>(
    case: &Case,
    variables: &[(&str, String)],
) -> Result<Answer, Error> {
    let child = command(case)?
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .map_err(Error::Start)?;
    if !child.status.success() {
        return Err(Error::Failed {
            status: child.status,
            stderr: String::from_utf8_lossy(&child.stderr).into_owned(),
        });
    }
    let stdout = String::from_utf8_lossy(&child.stdout);
    parse(stdout.lines().last().unwrap_or_default())
}

/// The command of a child that finds this case, for those that run beside the
/// parent.
///
/// # Errors
///
/// If the case has no form in JSON, or this program cannot be found.
pub fn command<Case: Serialize>(case: &Case) -> Result<Command, Error> {
    let mut command = Command::new(env::current_exe().map_err(Error::Start)?);
    command.env(VARIABLE, to_text(case)?);
    Ok(command)
}

/// What a child prints as its last line.
///
/// # Errors
///
/// If the answer has no form in JSON.
pub fn answer<Answer: Serialize>(answer: &Answer) -> Result<(), Error> {
    println!("{}", to_text(answer)?);
    Ok(())
}

fn to_text<Value: Serialize>(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|source| Error::Json {
        text: std::any::type_name::<Value>().to_owned(),
        source,
    })
}

fn parse<Value: DeserializeOwned>(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|source| Error::Json {
        text: text.to_owned(),
        source,
    })
}
