//! Where a program begins: `#[flowcore::main]`, or `init()` in a `main` of
//! one's own.

use std::future::Future;

use crate::error::{Error, Result};

/// Makes this process ready for runs: console lines, panics of tasks that are
/// told by their runs and not printed twice, and signals: Ctrl-C and SIGTERM
/// end all flow runs as Crashed and then the process, with exit code 130 or
/// 143; a second one ends it at once. `#[flowcore::main]` does it; a `main` of
/// one's own calls it first. Calling it again does nothing.
///
/// ```
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() {
///     flowcore::init();
/// }
/// ```
///
/// A program that treats signals itself says so with a [`Setup`].
///
/// # Panics
///
/// If the program is built with `panic = "abort"`: a panic in a task must
/// fail its run and not end the process. If two tasks have one key;
/// [`tasks`](crate::tasks) gives that as an error, as does
/// [`flows`](crate::flows) for flows.
pub fn init() {
    Setup::new().init();
}

/// What [`init`] shall do.
///
/// ```
/// // Ctrl-C and SIGTERM stay what the program makes of them.
/// flowcore::Setup::new().signals(false).init();
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until `init()`"]
pub struct Setup {
    signals: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { signals: true }
    }
}

impl Setup {
    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether Ctrl-C and SIGTERM end flow runs and the process. Default: yes.
    pub fn signals(mut self, signals: bool) -> Self {
        self.signals = signals;
        self
    }

    /// Does it.
    ///
    /// # Panics
    ///
    /// As [`init`].
    pub fn init(self) {
        #[cfg(panic = "abort")]
        panic!("{ABORTS}");
        #[cfg(not(panic = "abort"))]
        if let Err(error) = self.prepare() {
            panic!("{error}");
        }
    }

    fn prepare(self) -> Result<()> {
        crate::definition::check_tasks()?;
        crate::console::install();
        crate::runner::install_hook();
        crate::mode::enter()?;
        if self.signals {
            crate::signals::install();
        }
        Ok(())
    }
}

const ABORTS: &str = "this program is built with `panic = \"abort\"`, so a panic in a task would end \
                      the whole process instead of failing its run: remove `panic = \"abort\"` from \
                      the profile in Cargo.toml";

/// What `#[flowcore::main]` calls.
#[doc(hidden)]
pub fn run_main<F: Future>(aborts: bool, signals: bool, main: F) -> F::Output {
    if let Err(error) = prepare(aborts, signals) {
        eprintln!("error: {error}");
        std::process::exit(2);
    }
    block_on_main(main)
}

/// Makes the process ready; `aborts`: its panics abort it.
pub(crate) fn prepare(aborts: bool, signals: bool) -> Result<()> {
    if aborts {
        return Err(Error::invalid(ABORTS));
    }
    crate::definition::check_flows()?;
    Setup::new().signals(signals).prepare()
}

/// How long the process's end waits for slots that go back to a server.
#[cfg(feature = "prefect")]
const LAST_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs what the program is for, until a signal ends it.
pub(crate) fn block_on_main<F: Future>(main: F) -> F::Output {
    #[cfg(feature = "prefect")]
    let main = crate::prefect::reporter::told_at_end(main);
    let output = crate::runtime::process_user().block_on(crate::signals::main_until_ended(main));
    #[cfg(feature = "prefect")]
    crate::runtime::block_on(crate::prefect::slots::settle(LAST_WAIT));
    output
}
