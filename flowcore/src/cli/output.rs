//! What commands print.

use std::io::Write as _;

use serde::Serialize;

use crate::definition::ParameterErrors;
use crate::error::{Error, Result, WithCauses};

/// A text and a line's end, on standard output.
pub(super) fn line(text: &str) {
    // Nobody is left to tell if the reader has gone.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n'));
}

/// A value as JSON that people can read.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Runs a flow's code, and what it prints meanwhile goes to standard error, so
/// that standard output holds only what the command writes there afterwards.
///
/// Only on Unix; elsewhere prints stay where they are.
#[cfg(unix)]
pub(super) async fn prints_aside<T>(code: impl IntoFuture<Output = T>) -> Result<T> {
    let before = rustix::io::dup(rustix::stdio::stdout()).map_err(refused)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr()).map_err(refused)?;
    let outcome = code.await;
    // What was printed without a line's end is still on its way.
    let _ = std::io::stdout().lock().flush();
    rustix::stdio::dup2_stdout(&before).map_err(refused)?;
    Ok(outcome)
}

#[cfg(not(unix))]
pub(super) async fn prints_aside<T>(code: impl IntoFuture<Output = T>) -> Result<T> {
    Ok(code.await)
}

#[cfg(unix)]
fn refused(errno: rustix::io::Errno) -> Error {
    let error = std::io::Error::from(errno);
    Error::msg(format!(
        "cannot keep prints out of standard output: {error}"
    ))
}

/// An error on standard error; of wrong parameters each on its line.
pub(super) fn problem(error: &Error) {
    let mut text = match error.downcast_ref::<ParameterErrors>() {
        Some(problems) => {
            let mut text = "error: these parameters do not fit:".to_owned();
            for problem in problems.errors() {
                text.push_str(&format!("\n  {problem}"));
            }
            text
        }
        None if error.task_key().is_some() => format!("error: {error:?}"),
        // About the command itself.
        None => format!("error: {}", WithCauses(error)),
    };
    text.push('\n');
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
