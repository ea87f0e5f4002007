//! What the benchmarks share.
//!
//! A benchmark compares: it runs ours and a yardstick in turn, each in a child
//! process of its own ([`child`]), and prints the ratio of the medians
//! ([`statistics`]). Absolute figures belong to the machine; the ratio is what
//! tells whether a change made something slower.

pub mod child;
pub mod dask;
pub mod memory;
pub mod prefect;
pub mod processor;
pub mod statistics;
pub mod table;
pub mod versus;

use std::error::Error;
use std::process::ExitCode;

/// How a benchmark's process ends; an error is told.
pub fn exit_code(done: Result<(), Box<dyn Error>>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[path = "../yardsticks/mod.rs"]
pub mod yardsticks;
