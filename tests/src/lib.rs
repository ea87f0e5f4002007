//! What the integration tests and the benchmarks share.
//!
//! * [`python`]: pinned virtual environments, and Python programs run in them.
//! * [`scale`]: how long model tests run in the ordinary and in the slow lane.

pub mod python;
pub mod scale;

/// The README's programs, run as they stand there.
#[cfg(all(doctest, feature = "dataframe"))]
#[doc = include_str!("../../README.md")]
mod readme {}
