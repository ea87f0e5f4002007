//! What a program can be besides itself: modes that bridges bring, such as a
//! worker of a cluster, or one run of a flow that a server has scheduled.
//!
//! A mode is asked for by an environment variable. The process takes it before
//! any thread starts: it becomes the same program again, without the variable
//! and with a mark that holds its own process id. So its children inherit
//! neither.

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
    command: Option<ModeCommand>,
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
        Self {
            variable,
            run,
            command: None,
        }
    }

    /// Also enters it by a word of the [command line](crate::cli).
    #[must_use]
    pub const fn command(mut self, command: ModeCommand) -> Self {
        self.command = Some(command);
        self
    }
}

/// A word of the command line that enters a [`ProcessMode`]. Its argument is
/// the value of the mode's variable; an option `--memory-limit` sets that
/// variable with `_MEMORY_LIMIT` behind it.
#[derive(Clone, Copy, Debug)]
pub struct ModeCommand {
    /// The word, such as `worker`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What its argument is, such as `SCHEDULER`.
    pub argument: &'static str,
    /// Names of options, and what each says.
    pub options: &'static [(&'static str, &'static str)],
}

/// Names the process that has a mode: its id, the mode's variable, its value.
const MARK: &str = "FLOW_MODE_PROCESS";

/// The modes of this program. Ours is named: what nothing names is left out of
/// a program.
fn modes() -> impl Iterator<Item = &'static ProcessMode> {
    #[cfg(feature = "prefect")]
    let own = [&crate::prefect::SCHEDULED_RUN];
    #[cfg(not(feature = "prefect"))]
    let own: [&ProcessMode; 0] = [];
    inventory::iter::<ProcessMode>.into_iter().chain(own)
}

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
    let entered = match marked() {
        Some(entered) => entered,
        None => match asked_for()? {
            Some(asked_for) => become_it(asked_for)?,
            None => return Ok(()),
        },
    };
    let (mode, value) = entered;
    let code = match (mode.run)(&value) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error}");
            1
        }
    };
    std::process::exit(code)
}

/// Whether this process is in a mode: flows of another process report what it
/// does.
#[cfg(feature = "prefect")]
pub(crate) fn is_entered() -> bool {
    // A scheduled run is a flow's process, too.
    let scheduled = crate::prefect::SCHEDULED_RUN.variable;
    marked().is_some_and(|(mode, _)| mode.variable != scheduled)
}

type Entered = (&'static ProcessMode, String);

/// What this process has become; a mark of another one is inherited.
fn marked() -> Option<Entered> {
    let mark = std::env::var(MARK).ok()?;
    let (variable, value) = read_mark(&mark, std::process::id())?;
    let mode = modes().find(|mode| mode.variable == variable)?;
    Some((mode, value.to_owned()))
}

/// Variable and value, if the mark is that of the process with this id.
fn read_mark(mark: &str, process: u32) -> Option<(&str, &str)> {
    let (owner, rest) = mark.split_once(' ')?;
    let is_ours = owner.parse() == Ok(process);
    is_ours.then(|| rest.split_once(' ')).flatten()
}

fn asked_for() -> Result<Option<Entered>> {
    for mode in modes() {
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
fn become_it((mode, value): Entered) -> Result<Entered> {
    use std::os::unix::process::CommandExt;
    let mut command = again()?;
    for mode in modes() {
        command.env_remove(mode.variable);
    }
    let mark = format!("{} {} {value}", std::process::id(), mode.variable);
    Err(command.env(MARK, mark).exec().into())
}

/// Here children are in the mode, too.
#[cfg(not(unix))]
fn become_it(entered: Entered) -> Result<Entered> {
    Ok(entered)
}

/// This executable with these arguments.
fn again() -> Result<std::process::Command> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1));
    Ok(command)
}

/// What modes add to the command line.
#[cfg(feature = "cli")]
pub(crate) mod commands {
    use super::ModeCommand;
    #[cfg(unix)]
    use super::ProcessMode;
    use crate::error::Result;

    /// The words that enter modes.
    pub(crate) fn all() -> impl Iterator<Item = &'static ModeCommand> {
        super::modes().filter_map(|mode| mode.command.as_ref())
    }

    /// Becomes a process in the mode of this word. Returns only with an error.
    #[cfg(unix)]
    pub(crate) fn enter(
        command: &ModeCommand,
        value: &str,
        options: &[(&str, String)],
    ) -> Result<()> {
        use std::os::unix::process::CommandExt;
        let is_it = |mode: &&ProcessMode| {
            mode.command
                .as_ref()
                .is_some_and(|it| it.name == command.name)
        };
        let Some(mode) = super::modes().find(is_it) else {
            return Ok(());
        };
        let mut again = super::again()?;
        again.env(mode.variable, value);
        for (option, value) in options {
            let option = option.replace('-', "_").to_ascii_uppercase();
            again.env(format!("{}_{option}", mode.variable), value);
        }
        Err(again.exec().into())
    }

    #[cfg(not(unix))]
    pub(crate) fn enter(command: &ModeCommand, _: &str, _: &[(&str, String)]) -> Result<()> {
        let name = command.name;
        Err(crate::Error::invalid(format!(
            "`{name}` needs a system where a program can become another one: set its variable \
             before the program starts"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::read_mark;

    #[test]
    fn a_mark_is_that_of_one_process() {
        assert_eq!(read_mark("12 A_MODE a b", 12), Some(("A_MODE", "a b")));
        assert_eq!(read_mark("12 A_MODE ", 12), Some(("A_MODE", "")));
        for (mark, process) in [("12 A_MODE x", 13), ("12", 12), ("", 0), ("x A y", 1)] {
            assert_eq!(read_mark(mark, process), None, "{mark}");
        }
    }
}
