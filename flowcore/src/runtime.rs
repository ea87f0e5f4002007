//! The process's threads beside those of runners: a service runtime for
//! timers and traffic, which no user code ever blocks, and a runtime for
//! users' async code.

use std::future::Future;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::clock::{Clock, Timestamp};

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);

/// The time of this process's runs.
pub(crate) fn now() -> Timestamp {
    CLOCK.now()
}

/// How many threads the machine runs at once.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Timers and traffic: one thread, nobody's busy loop.
pub(crate) fn service() -> &'static Handle {
    static SERVICE: OnceLock<Handle> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the operating system gives a timer and a poller");
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("flow-service".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .expect("the operating system starts a thread");
        handle
    })
}

/// Users' async code: a worker thread per core.
pub(crate) fn user() -> &'static Runtime {
    static USER: OnceLock<Runtime> = OnceLock::new();
    USER.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(cores())
            .thread_name("flow-async")
            .enable_all()
            .build()
            .expect("the operating system starts threads")
    })
}

/// Blocking code on a thread of its own: however many wait for each other, none
/// of them waits for a thread.
pub(crate) fn on_a_thread<R: Send + 'static>(
    code: impl FnOnce() -> R + Send + 'static,
) -> std::io::Result<tokio::sync::oneshot::Receiver<R>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("flow-sync".to_owned())
        .spawn(move || {
            let _runtime = user().enter();
            // Nobody may be left to hear of it.
            let _ = sender.send(code());
        })?;
    Ok(receiver)
}

/// A future and a time limit, in any executor: the service thread wakes it.
/// `None` if the time was up first.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let timer = {
        let _context = service().enter();
        tokio::time::timeout(limit, future)
    };
    timer.await.ok()
}

/// A timer for any executor: the service thread wakes it.
pub(crate) fn sleep(limit: Duration) -> tokio::time::Sleep {
    let _context = service().enter();
    tokio::time::sleep(limit)
}

/// Does something later, on the service thread: it must be short.
pub(crate) fn later(delay: Duration, action: impl FnOnce() + Send + 'static) {
    service().spawn(async move {
        tokio::time::sleep(delay).await;
        action();
    });
}
