//! What a program can be besides itself: modes that bridges bring, such as a
//! worker of a cluster.
//!
//! A mode is asked for by an environment variable. Children of the process
//! inherit that, but not the mode: the process that has it marks itself, by
//! its process id, before it does anything else.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// A mode; a bridge [submits](crate::bridge::submit_process_mode) it.
///
/// ```
/// use flowcore::bridge::{ProcessMode, submit_process_mode};
///
/// fn serve(address: &str) -> flowcore::Result<()> {
///     println!("working for {address}");
///     Ok(())
/// }
///
/// submit_process_mode!(ProcessMode::new("MY_WORKER", serve));
/// ```
#[derive(Debug)]
pub struct ProcessMode {
    variable: &'static str,
    run: fn(&str) -> Result<()>,
}

inventory::collect!(ProcessMode);

/// Adds a [`ProcessMode`] to every program that this crate is linked into.
#[doc(hidden)]
#[macro_export]
macro_rules! __submit_process_mode {
    ($mode:expr) => {
        $crate::__private::inventory::submit! { $mode }
    };
}

impl ProcessMode {
    /// The mode that a program is in where this variable is set: it calls
    /// `run` with the variable's value in place of its `main`, and ends when
    /// that returns.
    #[must_use]
    pub const fn new(variable: &'static str, run: fn(&str) -> Result<()>) -> Self {
        Self { variable, run }
    }
}

/// Names the process that has the mode.
const MARK: &str = "FLOW_MODE_PROCESS";

static IS_INITIALIZED: AtomicBool = AtomicBool::new(false);

/// Whether this program enters modes when it begins, so that starting its
/// executable again gives a process in one.
#[must_use]
pub fn is_initialized() -> bool {
    IS_INITIALIZED.load(Ordering::Relaxed)
}

/// Where the process is in a mode: does what it is for, and ends. Else
/// returns.
pub(crate) fn enter() -> Result<()> {
    IS_INITIALIZED.store(true, Ordering::Relaxed);
    let Some((mode, value)) = asked_for()? else {
        return Ok(());
    };
    match std::env::var(MARK) {
        Ok(mark) if mark == std::process::id().to_string() => {}
        // A child of a process in this mode.
        Ok(_) => return Ok(()),
        Err(_) => mark()?,
    }
    let code = match (mode.run)(&value) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error}");
            1
        }
    };
    std::process::exit(code)
}

fn asked_for() -> Result<Option<(&'static ProcessMode, String)>> {
    for mode in inventory::iter::<ProcessMode> {
        match std::env::var(mode.variable) {
            Ok(value) if value.is_empty() => {}
            Ok(value) => return Ok(Some((mode, value))),
            Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => {
                let variable = mode.variable;
                return Err(Error::invalid(format!("{variable} is no Unicode text")));
            }
        }
    }
    Ok(None)
}

/// Starts the program again as this same process, with the mark.
#[cfg(unix)]
fn mark() -> Result<()> {
    use std::os::unix::process::CommandExt;
    let error = std::process::Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(MARK, std::process::id().to_string())
        .exec();
    Err(error.into())
}

/// Here children are in the mode, too.
#[cfg(not(unix))]
fn mark() -> Result<()> {
    Ok(())
}
