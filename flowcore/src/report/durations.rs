//! How long runs took: count, sum, extremes and percentiles in bounded memory.
//!
//! A sparse histogram with 64 steps per power of two: a percentile is off by
//! at most 1.6 %, whatever the number of runs.

use std::collections::BTreeMap;
use std::time::Duration;

/// Steps per power of two, as a power of two.
const STEP_BITS: u32 = 6;

#[derive(Clone, Debug, Default)]
pub(super) struct Durations {
    count: u64,
    sum: Duration,
    longest: Duration,
    steps: BTreeMap<u16, u64>,
}

impl Durations {
    pub(super) fn add(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.count += 1;
        self.sum += duration;
        self.longest = self.longest.max(duration);
        *self.steps.entry(step(nanoseconds)).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.longest = self.longest.max(other.longest);
        for (step, count) in &other.steps {
            *self.steps.entry(*step).or_default() += count;
        }
    }

    pub(super) fn total(&self) -> Duration {
        self.sum
    }

    pub(super) fn mean(&self) -> Option<Duration> {
        let nanoseconds = self.sum.as_nanos().checked_div(u128::from(self.count))?;
        Some(Duration::from_nanos(
            u64::try_from(nanoseconds).unwrap_or(u64::MAX),
        ))
    }

    /// The time that so many of 100 runs did not exceed.
    pub(super) fn percentile(&self, percent: u64) -> Option<Duration> {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (step, count) in &self.steps {
            seen += count;
            if seen >= wanted {
                return Some(Duration::from_nanos(end_of(*step)).min(self.longest));
            }
        }
        None
    }
}

/// The step that a time falls into.
fn step(nanoseconds: u64) -> u16 {
    if nanoseconds < 1 << STEP_BITS {
        return nanoseconds as u16;
    }
    let power = nanoseconds.ilog2() - STEP_BITS;
    ((power + 1) << STEP_BITS) as u16 + ((nanoseconds >> power) as u16 & ((1 << STEP_BITS) - 1))
}

/// The longest time of a step.
fn end_of(step: u16) -> u64 {
    let step = u64::from(step);
    if step < 1 << STEP_BITS {
        return step;
    }
    let power = (step >> STEP_BITS) - 1;
    let start = ((1 << STEP_BITS) | (step & ((1 << STEP_BITS) - 1))) << power;
    start + ((1 << power) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_hold_what_falls_into_them() {
        for nanoseconds in [
            0,
            1,
            63,
            64,
            65,
            127,
            128,
            1_000,
            999_999,
            u64::MAX / 3,
            u64::MAX,
        ] {
            let end = end_of(step(nanoseconds));
            assert!(end >= nanoseconds, "{nanoseconds}: {end}");
            assert!(
                end - nanoseconds <= nanoseconds / 60,
                "{nanoseconds}: {end}"
            );
        }
    }

    #[test]
    fn percentiles_are_close() {
        let mut durations = Durations::default();
        assert_eq!(durations.percentile(95), None);
        assert_eq!(durations.mean(), None);
        for milliseconds in 1..=100 {
            durations.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(durations.mean(), Some(Duration::from_micros(50_500)));
        let p95 = durations.percentile(95).unwrap().as_secs_f64();
        assert!((0.095..0.0966).contains(&p95), "{p95}");
        assert_eq!(durations.percentile(100), Some(Duration::from_millis(100)));
        let mut twice = durations.clone();
        twice.merge(&durations);
        assert_eq!(twice.total(), 2 * durations.total());
        assert_eq!(twice.percentile(95), durations.percentile(95));
    }
}
