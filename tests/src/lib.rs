//! What the integration tests and the benchmarks share.
//!
//! * [`dask`]: schedulers and workers of Python Dask, as processes of the test.
//! * [`prefect`]: stock Prefect servers, and what they know.
//! * [`programs`]: random programs of tasks and maps, for any task runner.
//! * [`python`]: pinned virtual environments, and Python programs run in them.
//! * [`scale`]: how long model tests run in the ordinary and in the slow lane.
//! * [`seam`]: a task runner in another process, for the test of the seam.

pub mod dask;
pub mod prefect;
pub mod programs;
pub mod python;
pub mod scale;
pub mod seam;

/// The README's programs, run as they stand there.
#[cfg(all(doctest, feature = "dataframe"))]
#[doc = include_str!("../../README.md")]
mod readme {}
