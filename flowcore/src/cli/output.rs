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

/// While this lives, standard output is standard error: what flows print does not
/// get into what a program reads from the command.
#[cfg(unix)]
pub(super) struct PrintsAside(std::os::fd::OwnedFd);

#[cfg(unix)]
impl PrintsAside {
    pub(super) fn begin() -> Result<Self> {
        let output = rustix::io::dup(rustix::stdio::stdout())?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        Ok(Self(output))
    }
}

#[cfg(unix)]
impl Drop for PrintsAside {
    fn drop(&mut self) {
        // Text without a line's end may still wait in the process.
        let _ = std::io::stdout().flush();
        // It was one before, so this fails only for reasons that writing to it
        // tells, too.
        let _ = rustix::stdio::dup2_stdout(&self.0);
    }
}

/// Not possible here in safe code: prints come first.
#[cfg(not(unix))]
pub(super) struct PrintsAside;

#[cfg(not(unix))]
impl PrintsAside {
    pub(super) fn begin() -> Result<Self> {
        Ok(Self)
    }
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
