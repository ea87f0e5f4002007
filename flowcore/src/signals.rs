//! Signals that end the process: Ctrl-C and SIGTERM.
//!
//! The first one ends all flow runs of the process as Crashed, lets hooks and
//! reporting finish, and then ends the process, whatever its code is doing. The
//! second one ends it at once. Installed by [`init`](crate::init()) and
//! `#[flowcore::main]`; a program that calls neither keeps its signals.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Once, OnceLock};
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::flag::Flag;
use crate::runner::drop_caught;

/// What ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// What service managers send.
    Terminate,
}

impl Signal {
    /// The message of the states that it leaves.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Interrupt => "Execution was aborted by an interrupt signal.",
            Self::Terminate => "Execution was aborted by a termination signal.",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "an interrupt signal",
            Self::Terminate => "a termination signal",
        }
    }

    /// As shells count: 128 and the signal's number.
    fn exit_code(self) -> i32 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// The signal that ends this process.
static ENDED_BY: OnceLock<Signal> = OnceLock::new();

/// All flow runs have ended because of a signal.
static ENDED: LazyLock<Flag> = LazyLock::new(Flag::default);

/// Set if `main` is ours: it ends the process when it has dropped what it holds.
static HAS_MAIN: AtomicBool = AtomicBool::new(false);

/// What `main` holds is given so long to be dropped.
const MAIN_LIMIT: Duration = Duration::from_secs(1);

/// Takes the process's signals; later calls do nothing.
pub(crate) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let service = crate::runtime::process_service();
        let _context = service.enter();
        match Signals::new() {
            Ok(signals) => drop(service.spawn(watch(signals))),
            Err(error) => tracing::warn!(
                "signals cannot be received, so they end the process without a word: {error}"
            ),
        }
    });
}

async fn watch(mut signals: Signals) {
    let signal = signals.next().await;
    let _ = ENDED_BY.set(signal);
    #[cfg(feature = "prefect")]
    drain::all(signal, &mut signals).await;
    let ended = std::pin::pin!(async {
        #[cfg(feature = "prefect")]
        crate::prefect::cancelling::ask_before_end().await;
        crate::flow::end_all(signal).await;
    });
    match select(ended, std::pin::pin!(signals.next())).await {
        Either::Left(((), _)) => {}
        Either::Right((signal, _)) => {
            say(&format!("Received {} too, ends at once", signal.name()));
            std::process::exit(signal.exit_code());
        }
    }
    ENDED.set();
    if HAS_MAIN.load(Ordering::Acquire) {
        // Code there may never give up its thread.
        let limit = Box::pin(tokio::time::sleep(MAIN_LIMIT));
        select(limit, std::pin::pin!(signals.next())).await;
    }
    std::process::exit(signal.exit_code());
}

/// Tells how many flow runs the signal ends.
pub(crate) fn say_received(signal: Signal, flows: usize) {
    let name = signal.name();
    say(&match flows {
        0 => format!("Received {name}"),
        1 => format!("Received {name}, ends 1 flow run; another signal ends the process at once"),
        _ => format!(
            "Received {name}, ends {flows} flow runs; another signal ends the process at once"
        ),
    });
}

fn say(text: &str) {
    tracing::warn!(target: "flowcore::runs", who = "Process", "{text}");
}

/// The code of `main`, until the process is ended.
pub(crate) async fn main_until_ended<F: Future>(main: F) -> F::Output {
    HAS_MAIN.store(true, Ordering::Release);
    let main = Box::pin(main);
    let ended = std::pin::pin!(ENDED.wait());
    match select(main, ended).await {
        Either::Left((output, _)) => {
            if ENDED_BY.get().is_some() {
                // The process ends with the signal's code, and not before all
                // flow runs have ended.
                ended_by_signal().await;
            }
            output
        }
        Either::Right(((), main)) => {
            drop_caught(main);
            let signal = ENDED_BY.get().copied().unwrap_or(Signal::Terminate);
            std::process::exit(signal.exit_code());
        }
    }
}

/// Waits for the end of the process, which a signal has begun.
pub(crate) async fn ended_by_signal() {
    std::future::pending::<()>().await;
}

#[cfg(feature = "prefect")]
mod drain;
#[cfg(feature = "prefect")]
pub(crate) use drain::{Drain, raise};

impl Signals {
    #[cfg(feature = "prefect")]
    async fn next(&mut self) -> Signal {
        let received = std::pin::pin!(self.received());
        match select(received, std::pin::pin!(drain::raised())).await {
            Either::Left((signal, _)) | Either::Right((signal, _)) => signal,
        }
    }

    #[cfg(not(feature = "prefect"))]
    async fn next(&mut self) -> Signal {
        self.received().await
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn received(&mut self) -> Signal {
        let interrupt = std::pin::pin!(self.interrupt.recv());
        let terminate = std::pin::pin!(self.terminate.recv());
        match select(interrupt, terminate).await {
            Either::Left(_) => Signal::Interrupt,
            Either::Right(_) => Signal::Terminate,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[allow(clippy::unnecessary_wraps)]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn received(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}
