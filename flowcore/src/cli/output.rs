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
