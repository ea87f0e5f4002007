//! Slots on their way back to a server.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;

use crate::runtime;

/// How many there are.
static ON_THEIR_WAY: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// One of them, until it has arrived.
pub(super) struct Return(());

impl Return {
    pub(super) fn begin() -> Self {
        ON_THEIR_WAY.send_modify(|count| *count += 1);
        Self(())
    }
}

impl Drop for Return {
    fn drop(&mut self) {
        ON_THEIR_WAY.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Waits until all have arrived, but not longer than this.
pub(crate) async fn settle(limit: Duration) {
    let mut counts = ON_THEIR_WAY.subscribe();
    let arrived = counts.wait_for(|count| *count == 0);
    // What comes later comes with the end of its lease.
    let _ = runtime::timeout(limit, arrived).await;
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_end_waits_for_returns_and_not_for_ever() {
        let limit = Duration::from_millis(20);
        let first = Return::begin();
        let begin = Instant::now();
        pollster::block_on(settle(limit));
        assert!(begin.elapsed() >= limit);
        drop(first);
        pollster::block_on(settle(Duration::from_secs(3600)));
    }
}
