//! What a test has to itself instead of sharing it with the process: time,
//! the runtime, threads, limits, the store of records.
//!
//! A world belongs to threads: those that run in it, and those that they
//! start. Without the feature `testing` there is none, and asking for it costs
//! nothing.

#[cfg(not(feature = "testing"))]
mod absent;
#[cfg(feature = "testing")]
mod paused;

#[cfg(not(feature = "testing"))]
pub(crate) use absent::{Hold, World};
#[cfg(feature = "testing")]
pub(crate) use paused::{Hold, World};
