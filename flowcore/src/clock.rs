//! Time as the engine sees it: a number handed in from outside.
//!
//! Only [`Clock`] reads the machine's clocks; state machines take
//! [`Timestamp`]s as arguments.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch. Zero stands for "not yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timestamp(u64);

impl Timestamp {
    /// "Not yet".
    pub(crate) const NONE: Self = Self(0);

    /// The instant `nanoseconds` after the Unix epoch.
    #[cfg(test)]
    pub(crate) const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Whether this is a real instant.
    pub(crate) const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// What the machine's wall clock says.
    pub(crate) fn of_wall_clock() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // Before the epoch nobody has set it: any time is as good.
        let nanoseconds = since.map_or(1, |since| since.as_nanos());
        Self(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// So long before, but never before there was time.
    pub(crate) fn before(self, duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanoseconds).max(1))
    }

    /// The time since `earlier`; none if that is later.
    pub(crate) fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant as the standard library has it.
    #[cfg(feature = "otel")]
    pub(crate) fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.0)
    }

    /// The instant as a calendar time.
    pub(crate) fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanoseconds))
    }
}

/// Wall time that never steps back while the process lives: the wall clock is
/// read once, and the monotonic clock counts from there. Whoever sets the wall
/// clock meanwhile changes no time and no duration here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_at: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self::starting_at(Timestamp::of_wall_clock())
    }

    fn starting_at(started_at: Timestamp) -> Self {
        Self {
            started: Instant::now(),
            started_at,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_never_step_back_whatever_the_wall_clock_says() {
        // Unset, of today, and of a year that does not fit.
        for started_at in [1, Timestamp::of_wall_clock().0, u64::MAX - 1] {
            let clock = Clock::starting_at(Timestamp(started_at));
            let times: Vec<_> = (0..100).map(|_| clock.now()).collect();
            assert!(times.is_sorted());
            assert!(times[0].is_some() && times[0].0 >= started_at);
        }
    }
}
