//! One limit: how many slots it has, how many are taken, who waits for some.
//!
//! Slots of a decaying limit come back by themselves, so many per second,
//! each exactly when its time has come however often somebody looks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Ticket;
use crate::clock::Timestamp;

#[derive(Debug)]
pub(super) struct Limit {
    pub(super) name: Arc<str>,
    pub(super) limit: u64,
    pub(super) active: u64,
    pub(super) decay: Option<Decay>,
    pub(super) waiting: BTreeSet<Ticket>,
}

/// Slots that come back by themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decay {
    pub(super) per_second: f64,
    /// What had come back until then has been counted.
    pub(super) since: Timestamp,
}

impl Limit {
    pub(super) fn new(name: &str, limit: u64) -> Self {
        Self {
            name: Arc::from(name),
            limit,
            active: 0,
            decay: None,
            waiting: BTreeSet::new(),
        }
    }

    pub(super) fn free(&self) -> u64 {
        self.limit.saturating_sub(self.active)
    }

    /// Counts what has come back.
    pub(super) fn decay(&mut self, now: Timestamp) {
        let Some(decay) = &mut self.decay else {
            return;
        };
        let elapsed = now.duration_since(decay.since);
        let whole = (elapsed.as_secs_f64() * decay.per_second).floor();
        if whole >= self.active as f64 {
            self.active = 0;
            decay.since = now;
        } else if whole >= 1.0 {
            self.active -= whole as u64;
            decay.since = decay.since + Duration::from_secs_f64(whole / decay.per_second);
        }
    }

    /// When so many slots will be free, if time alone frees them.
    pub(super) fn free_at(&self, slots: u64) -> Option<Timestamp> {
        let decay = self.decay?;
        let missing = slots.saturating_sub(self.free());
        let wait = Duration::try_from_secs_f64(missing as f64 / decay.per_second).ok()?;
        // Rounded up: at that time the last slot is there.
        Some(decay.since + wait + Duration::from_nanos(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_nanoseconds((1_000_000 + milliseconds) * 1_000_000)
    }

    fn decaying(active: u64, per_second: f64) -> Limit {
        Limit {
            active,
            decay: Some(Decay {
                per_second,
                since: at(0),
            }),
            ..Limit::new("api", 10)
        }
    }

    #[test]
    fn looking_often_loses_no_slot() {
        let mut limit = decaying(10, 2.0);
        for milliseconds in 0..2_600 {
            limit.decay(at(milliseconds));
        }
        assert_eq!(limit.active, 5);
        let due = limit.free_at(6).unwrap();
        limit.decay(due);
        assert_eq!(limit.free(), 6);
        assert!(due >= at(3_000) && due < at(3_001));
    }

    #[test]
    fn a_limit_that_rested_saves_nothing_up() {
        let mut limit = decaying(1, 2.0);
        limit.decay(at(100_000));
        assert_eq!(limit.active, 0);
        limit.active = 10;
        limit.decay(at(100_400));
        assert_eq!(limit.active, 10);
        // A clock that goes back changes nothing.
        limit.decay(at(5));
        assert_eq!(limit.active, 10);
    }
}
