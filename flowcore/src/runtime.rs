//! The process's threads beside those of runners: a service runtime for
//! timers and traffic, which no user code ever blocks, and a runtime for
//! users' async code.
//!
//! Threads of a [`World`] have that one's runtime and time instead.

use std::future::Future;
#[cfg(feature = "prefect")]
use std::pin::Pin;
use std::sync::{LazyLock, OnceLock};
#[cfg(feature = "prefect")]
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
#[cfg(feature = "prefect")]
use tokio::task::{JoinError, JoinHandle};

use crate::clock::{Clock, Timestamp};
use crate::world::{Hold, World};

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);

/// The time of the runs on this thread.
#[inline]
pub(crate) fn now() -> Timestamp {
    World::here(|world| world.map_or_else(|| CLOCK.now(), World::now))
}

/// How many threads the machine runs at once.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Timers, and what goes on beside users' code.
pub(crate) fn service() -> Handle {
    World::here(|world| world.map_or_else(|| process_service().clone(), World::handle))
}

/// Users' async code.
pub(crate) fn user() -> Handle {
    World::here(|world| world.map_or_else(|| process_user().clone(), World::handle))
}

/// Timers and traffic: one thread, nobody's busy loop.
pub(crate) fn process_service() -> &'static Handle {
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

/// Users' async code, as long as the process lives: a worker thread per core.
pub(crate) fn process_user() -> &'static Handle {
    static USER: OnceLock<Runtime> = OnceLock::new();
    let runtime = USER.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(cores())
            .thread_name("flow-async")
            .enable_all()
            .build()
            .expect("the operating system starts threads")
    });
    runtime.handle()
}

/// A thread with the time of the one that starts it.
pub(crate) fn start_thread(
    name: &str,
    code: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    let world = World::current();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || match world {
            None => code(),
            Some(world) => world.enter(code),
        })?;
    Ok(())
}

/// While this lives, a paused clock stands still.
pub(crate) fn hold() -> Option<Hold> {
    World::here(|world| world.map(World::hold))
}

/// Blocks this thread until the future is ready. A paused clock goes on
/// meanwhile.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    match World::current() {
        None => pollster::block_on(future),
        Some(world) => world.block_on(future),
    }
}

/// Whether this thread's runtime has no other thread, so that its timers and
/// sockets wait while this one is blocked.
pub(crate) fn stands_still_when_blocked() -> bool {
    let runtime = Handle::try_current();
    let is_single =
        runtime.is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread);
    is_single && !World::is_here()
}

/// Blocking code on a thread of its own, for which this one waits: timers and
/// sockets are those of users' code.
pub(crate) fn on_a_scoped_thread<R: Send>(code: impl FnOnce() -> R + Send) -> std::io::Result<R> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("flow-sync".to_owned())
            .spawn_scoped(scope, || {
                let runtime = user();
                let _runtime = runtime.enter();
                code()
            })?;
        match thread.join() {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Blocking code on a thread of its own: however many wait for each other, none
/// of them waits for a thread.
pub(crate) fn on_a_thread<R: Send + 'static>(
    code: impl FnOnce() -> R + Send + 'static,
) -> std::io::Result<tokio::sync::oneshot::Receiver<R>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let hold = hold();
    start_thread("flow-sync", move || {
        let runtime = user();
        let _runtime = runtime.enter();
        Hold::keep(hold, || {
            // Nobody may be left to hear of it.
            let _ = sender.send(code());
        });
    })?;
    Ok(receiver)
}

/// A future and a time limit, in any executor: the service thread wakes it.
/// `None` if the time was up first.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let timer = {
        let service = service();
        let _context = service.enter();
        tokio::time::timeout(limit, future)
    };
    timer.await.ok()
}

/// A timer for any executor: the service thread wakes it.
pub(crate) fn sleep(limit: Duration) -> tokio::time::Sleep {
    let service = service();
    let _context = service.enter();
    tokio::time::sleep(limit)
}

/// A task that ends at once when this is dropped. Awaited, it is what the task
/// gives.
#[cfg(feature = "prefect")]
#[derive(Debug)]
pub(crate) struct AbortOnDrop<T>(JoinHandle<T>);

#[cfg(feature = "prefect")]
impl<T> From<JoinHandle<T>> for AbortOnDrop<T> {
    fn from(task: JoinHandle<T>) -> Self {
        Self(task)
    }
}

#[cfg(feature = "prefect")]
impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

#[cfg(feature = "prefect")]
impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Does something later, on the service thread: it must be short.
pub(crate) fn later(delay: Duration, action: impl FnOnce() + Send + 'static) {
    service().spawn(async move {
        tokio::time::sleep(delay).await;
        action();
    });
}
