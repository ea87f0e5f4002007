//! What makes two runs of a task the same: cache policies.
//!
//! A policy is a list of parts, each of which gives a piece of the key. Sums
//! and differences follow Prefect's rules, so that the same expression gives
//! the same key in both languages.

use std::borrow::Cow;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// What the key of a run is made of.
///
/// [`INPUTS`], [`TASK_SOURCE`], [`RUN_ID`], [`FLOW_PARAMETERS`], [`DEFAULT`]
/// and [`NO_CACHE`] are policies; `+` combines them, and `INPUTS - "x"` leaves
/// the argument `x` out.
///
/// ```
/// use flowcore::prelude::*;
/// use flowcore::results::{INPUTS, TASK_SOURCE};
///
/// #[task]
/// fn load(path: String, verbose: bool) -> usize { path.len() }
///
/// let cached = load.with_options(|o| o.cache(INPUTS - "verbose" + TASK_SOURCE));
/// # let _ = cached;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    /// `INPUTS` last, if it is one of several.
    parts: Cow<'static, [CachePart]>,
    /// Arguments that do not count.
    excluded: Cow<'static, [&'static str]>,
    /// A sum hashes the keys of its parts, even if only one is left.
    is_sum: bool,
}

/// One part of a [`CachePolicy`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CachePart {
    /// The arguments.
    Inputs,
    /// The task's fingerprint.
    TaskSource,
    /// The id of the flow run.
    RunId,
    /// The flow's arguments.
    FlowParameters,
}

/// The arguments: runs with equal arguments are the same.
pub const INPUTS: CachePolicy = CachePolicy::of(&[CachePart::Inputs], &[], false);

/// The task's code: a changed function makes another key. Functions that it
/// calls do not count.
pub const TASK_SOURCE: CachePolicy = CachePolicy::of(&[CachePart::TaskSource], &[], false);

/// The flow run: nothing is found by another run, but a run that is
/// [resumed](crate::flow) finds what it had finished.
pub const RUN_ID: CachePolicy = CachePolicy::of(&[CachePart::RunId], &[], false);

/// The arguments of the flow.
pub const FLOW_PARAMETERS: CachePolicy = CachePolicy::of(&[CachePart::FlowParameters], &[], false);

/// Arguments, code and flow run: what tasks have that persist their results
/// and say nothing of a policy.
pub const DEFAULT: CachePolicy = CachePolicy::of(
    &[CachePart::TaskSource, CachePart::RunId, CachePart::Inputs],
    &[],
    true,
);

/// No key: nothing is found and nothing is written.
pub const NO_CACHE: CachePolicy = CachePolicy::of(&[], &[], false);

impl CachePolicy {
    /// As the macro writes it down.
    #[doc(hidden)]
    #[must_use]
    pub const fn of(
        parts: &'static [CachePart],
        excluded: &'static [&'static str],
        is_sum: bool,
    ) -> Self {
        Self {
            parts: Cow::Borrowed(parts),
            excluded: Cow::Borrowed(excluded),
            is_sum,
        }
    }

    pub(crate) fn from_parts(
        parts: Vec<CachePart>,
        excluded: Vec<&'static str>,
        is_sum: bool,
    ) -> Self {
        Self {
            parts: Cow::Owned(parts),
            excluded: Cow::Owned(excluded),
            is_sum,
        }
    }

    pub(crate) fn parts(&self) -> &[CachePart] {
        &self.parts
    }

    pub(crate) fn excluded(&self) -> &[&'static str] {
        &self.excluded
    }

    pub(crate) fn is_sum(&self) -> bool {
        self.is_sum
    }

    pub(crate) fn is_no_cache(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Add for CachePolicy {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        if other.is_no_cache() {
            return self;
        }
        if self.is_no_cache() {
            return other;
        }
        let both = || self.parts.iter().chain(other.parts.iter()).copied();
        let inputs = both().find(|part| *part == CachePart::Inputs);
        let others = both().filter(|part| *part != CachePart::Inputs);
        let mut excluded = self.excluded.to_vec();
        excluded.extend(other.excluded.iter());
        Self {
            parts: others.chain(inputs).collect(),
            excluded: Cow::Owned(excluded),
            is_sum: true,
        }
    }
}

/// Leaves an argument out. A policy without [`INPUTS`] stays as it is, as in
/// Prefect.
impl Sub<&'static str> for CachePolicy {
    type Output = Self;

    fn sub(mut self, argument: &'static str) -> Self {
        if self.parts.contains(&CachePart::Inputs) {
            self.excluded.to_mut().push(argument);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences_follow_prefect() {
        assert_eq!(INPUTS + TASK_SOURCE + RUN_ID, DEFAULT);
        assert_eq!(INPUTS + NO_CACHE, INPUTS);
        assert_eq!(NO_CACHE + RUN_ID, RUN_ID);
        assert_eq!(RUN_ID - "x", RUN_ID);
        let sum = INPUTS + RUN_ID + (INPUTS - "a") - "b";
        assert_eq!(sum.parts(), [CachePart::RunId, CachePart::Inputs]);
        assert_eq!(sum.excluded(), ["a", "b"]);
        assert!((INPUTS + INPUTS).is_sum() && !(INPUTS - "x").is_sum());
    }
}
