//! Something that fails, as far as it is known, and when it is tried again.

use std::time::Duration;

use jiff::Timestamp;

/// Between two tries; each failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Outage {
    until: Option<Timestamp>,
    failures: u32,
}

impl Outage {
    /// It failed: nothing is tried for a while. Whether this is news.
    pub(super) fn fails(&mut self, now: Timestamp) -> bool {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6));
        self.until = now.checked_add(pause.min(LONGEST_PAUSE)).ok();
        self.failures += 1;
        self.failures == 1
    }

    /// Until when nothing is tried.
    pub(super) fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }

    /// It goes well.
    pub(super) fn is_over(&mut self) {
        *self = Self::default();
    }
}
