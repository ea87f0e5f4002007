//! What wants to end in its own time when a signal ends the process, and
//! signals that do not come from the system.

use std::sync::{Arc, LazyLock};

use futures_util::future::{Either, join_all, select};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{Signal, Signals, say};
use crate::flag::Flag;

static DRAINS: LazyLock<Mutex<Vec<Arc<Drain>>>> = LazyLock::new(Mutex::default);

/// Signals that the process was told in another way: one permit for each.
static RAISED: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(0));

/// Ends the process as SIGTERM would.
pub(crate) fn raise(signal: Signal) {
    debug_assert_eq!(signal, Signal::Terminate);
    RAISED.add_permits(1);
}

pub(super) async fn raised() -> Signal {
    match RAISED.acquire().await {
        Ok(permit) => {
            permit.forget();
            Signal::Terminate
        }
        // It is never closed.
        Err(_) => std::future::pending().await,
    }
}

/// Something that the process's end waits for; it is asked to end first.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    asked: Flag,
    insisted: Flag,
    ended: Flag,
}

impl Drain {
    /// The process's end waits as long as the guard lives.
    pub(crate) fn begin() -> DrainGuard {
        let drain = Arc::new(Self::default());
        DRAINS.lock().push(Arc::clone(&drain));
        DrainGuard(drain)
    }

    /// Ends when the process shall end.
    pub(crate) async fn asked(&self) {
        self.asked.wait().await;
    }

    /// Whether it shall end at once.
    pub(crate) fn is_insisted(&self) -> bool {
        self.insisted.is_set()
    }

    /// Ends when it shall end at once.
    pub(crate) async fn insisted(&self) {
        self.insisted.wait().await;
    }
}

/// Dropped when what it stands for has ended.
#[derive(Debug)]
pub(crate) struct DrainGuard(Arc<Drain>);

impl DrainGuard {
    pub(crate) fn shared(&self) -> Arc<Drain> {
        Arc::clone(&self.0)
    }
}

impl Drop for DrainGuard {
    fn drop(&mut self) {
        DRAINS.lock().retain(|drain| !Arc::ptr_eq(drain, &self.0));
        self.0.ended.set();
    }
}

/// Asks all of them to end, and waits until they have.
pub(super) async fn all(signal: Signal, signals: &mut Signals) {
    let drains = DRAINS.lock().clone();
    if drains.is_empty() {
        return;
    }
    let name = signal.name();
    say(&format!(
        "Received {name}: what runs may end, nothing new begins; another signal ends it at once"
    ));
    drains.iter().for_each(|drain| drain.asked.set());
    let mut ended = Box::pin(join_all(drains.iter().map(|drain| drain.ended.wait())));
    match select(&mut ended, std::pin::pin!(signals.next())).await {
        Either::Left(_) => return,
        Either::Right((signal, _)) => say(&format!("Received {} too", signal.name())),
    }
    drains.iter().for_each(|drain| drain.insisted.set());
    select(ended, std::pin::pin!(signals.next())).await;
}
