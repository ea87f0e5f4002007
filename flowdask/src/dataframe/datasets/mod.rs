//! Data sets that are made, not read: [`timeseries`].
//!
//! What is made depends on its seed and on nothing else: not on the number of threads, and not on
//! how it is cut into partitions.

mod column;
mod frequency;
mod generator;
mod poisson;
mod random;
mod timeseries;

pub use timeseries::{Timeseries, timeseries};
