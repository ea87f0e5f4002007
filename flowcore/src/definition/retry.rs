//! How long a run waits before it is tried again, and whether it is.
//!
//! Pure: the number of the retry and a random number go in, the delay comes
//! out. The rules are Prefect's (3.8.8): a list's last entry repeats, and
//! jitter draws from an exponential distribution that is cut on both sides.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// As many delays as Prefect takes in a list.
pub(super) const LONGEST_LIST: usize = 50;

/// The wait before each retry: one duration, a list of them, or one that
/// doubles.
///
/// ```
/// use flowcore::{RetryDelay, exponential_backoff};
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let fixed = RetryDelay::from(seconds(10));
/// let listed = RetryDelay::from([seconds(1), seconds(60)]);
/// let doubling = exponential_backoff(seconds(10));
/// assert_eq!(fixed.before(3), seconds(10));
/// assert_eq!([1, 2, 3].map(|retry| listed.before(retry)), [1, 60, 60].map(seconds));
/// assert_eq!([1, 2, 3].map(|retry| doubling.before(retry)), [10, 20, 40].map(seconds));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryDelay(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Fixed(Duration),
    Listed(Cow<'static, [Duration]>),
    Exponential(Duration),
}

/// Delays that double: `base`, twice `base`, four times `base` and so on.
///
/// ```
/// use flowcore::prelude::*;
/// use std::time::Duration;
///
/// #[task(retries = 5, retry_delay = exponential_backoff("1s"))]
/// fn fetch(url: &str) -> usize { url.len() }
///
/// // The same for a copy.
/// let slow = fetch.with_options(|o| {
///     o.retry_delay(flowcore::exponential_backoff(Duration::from_secs(60)))
/// });
/// # let _ = slow;
/// ```
#[must_use]
pub const fn exponential_backoff(base: Duration) -> RetryDelay {
    RetryDelay(Kind::Exponential(base))
}

impl From<Duration> for RetryDelay {
    fn from(delay: Duration) -> Self {
        Self(Kind::Fixed(delay))
    }
}

impl From<Vec<Duration>> for RetryDelay {
    fn from(delays: Vec<Duration>) -> Self {
        Self(Kind::Listed(Cow::Owned(delays)))
    }
}

impl<const N: usize> From<[Duration; N]> for RetryDelay {
    fn from(delays: [Duration; N]) -> Self {
        Self::from(delays.to_vec())
    }
}

/// A delay as the macro writes it down.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum RetryDelayAttribute {
    Fixed { delay: Duration },
    Listed(&'static [Duration]),
    Exponential(Duration),
}

impl RetryDelay {
    pub(super) const fn from_attribute(attribute: RetryDelayAttribute) -> Self {
        Self(match attribute {
            RetryDelayAttribute::Fixed { delay } => Kind::Fixed(delay),
            RetryDelayAttribute::Listed(delays) => Kind::Listed(Cow::Borrowed(delays)),
            RetryDelayAttribute::Exponential(base) => Kind::Exponential(base),
        })
    }

    /// The wait before retry number `retry`, from 1, without jitter.
    #[must_use]
    pub fn before(&self, retry: u32) -> Duration {
        let index = retry.saturating_sub(1);
        match &self.0 {
            Kind::Fixed(delay) => *delay,
            Kind::Listed(delays) => {
                let last = delays.last().copied().unwrap_or_default();
                delays.get(index as usize).copied().unwrap_or(last)
            }
            Kind::Exponential(base) => base.saturating_mul(2_u32.saturating_pow(index)),
        }
    }

    /// What is wrong with a delay that was made by hand.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.0 {
            Kind::Listed(delays) if delays.is_empty() => Err(Error::invalid(
                "`retry_delay` is an empty list: leave it out for no delay",
            )),
            Kind::Listed(delays) if delays.len() > LONGEST_LIST => Err(Error::invalid(format!(
                "`retry_delay` is a list of {}, at most {LONGEST_LIST} are taken: the last one \
                 repeats",
                delays.len()
            ))),
            _ => Ok(()),
        }
    }
}

impl RetryDelayAttribute {
    /// No wait.
    pub const NONE: Self = Self::Fixed {
        delay: Duration::ZERO,
    };
}

/// The method of options that sets their `retry_delay`.
macro_rules! retry_delay_method {
    () => {
        /// The wait before each retry: a duration, a list of them whose last one
        /// repeats, or an [`exponential_backoff`](crate::exponential_backoff). Default:
        /// what Prefect's variable says, else none.
        #[must_use]
        pub fn retry_delay(mut self, delay: impl Into<$crate::RetryDelay>) -> Self {
            self.retry_delay = Some(delay.into());
            self
        }
    };
}

/// How often and how late runs are tried again, by the options or else by the
/// environment.
macro_rules! retries_in_force {
    ($defaults:ident) => {
        pub(crate) fn retries_in_force(&self) -> u32 {
            let default = || DefaultRetries::$defaults().retries;
            self.retries.unwrap_or_else(default)
        }

        pub(crate) fn retry_delay_in_force(&self) -> &RetryDelay {
            let default = || &DefaultRetries::$defaults().delay;
            self.retry_delay.as_ref().unwrap_or_else(default)
        }

        /// What is wrong with the delay; the environment's was checked as it was
        /// read.
        fn check_delay(&self) -> Result<()> {
            self.retry_delay.as_ref().map_or(Ok(()), RetryDelay::check)
        }
    };
}

pub(super) use {retries_in_force, retry_delay_method};

/// Whether `factor` can be a `retry_jitter`.
pub(crate) fn check_jitter(factor: f64) -> Result<()> {
    if factor.is_finite() && factor >= 0.0 {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "`retry_jitter` is {factor}: it is a number from 0 on, such as 0.5 for delays up to half \
         as long again"
    )))
}

/// A delay around `delay`: at most `1 + factor` times as long, and as long on
/// average (nearly). `random` is uniform in [0, 1).
pub(crate) fn jittered(delay: Duration, factor: f64, random: f64) -> Duration {
    if factor == 0.0 || delay.is_zero() {
        return delay;
    }
    // The exponential distribution of mean 1, cut at both ends: above at the
    // longest delay, below where Prefect cuts it so that the mean stays.
    let longest = 1.0 + factor;
    let shortest = -(1.0 - (-longest).exp2()).log2();
    let [low, high] = [shortest, longest].map(|end| 1.0 - (-end).exp());
    let probability = low + (high - low) * random;
    let multiple = (-(1.0 - probability).ln()).clamp(shortest, longest);
    Duration::try_from_secs_f64(delay.as_secs_f64() * multiple).unwrap_or(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_without_end_saturate() {
        let doubling = exponential_backoff(Duration::from_secs(1));
        assert_eq!(doubling.before(1), Duration::from_secs(1));
        assert!(doubling.before(u32::MAX) >= doubling.before(33));
        assert_eq!(RetryDelay::from(Vec::new()).before(1), Duration::ZERO);
    }

    #[test]
    fn jitter_stays_in_its_bounds_and_keeps_the_mean() {
        let delay = Duration::from_secs(10);
        for factor in [0.1, 0.5, 1.0, 3.0] {
            let draws = 10_000;
            let mut sum = 0.0;
            for draw in 0..draws {
                let random = (f64::from(draw) + 0.5) / f64::from(draws);
                let jittered = jittered(delay, factor, random).as_secs_f64();
                assert!((0.0..=10.0 * (1.0 + factor) + 1e-6).contains(&jittered));
                sum += jittered;
            }
            let mean = sum / f64::from(draws);
            assert!((9.8..10.2).contains(&mean), "{factor}: {mean}");
        }
        assert_eq!(jittered(delay, 0.0, 0.9), delay);
    }

    #[test]
    fn bad_values_are_named() {
        for factor in [-1.0, f64::NAN, f64::INFINITY] {
            let error = check_jitter(factor).unwrap_err();
            assert!(error.to_string().contains("`retry_jitter`"), "{error}");
        }
        assert!(check_jitter(0.0).is_ok());
        assert!(RetryDelay::from(Vec::new()).check().is_err());
        let long = vec![Duration::ZERO; 51];
        assert!(RetryDelay::from(long).check().is_err());
    }
}
