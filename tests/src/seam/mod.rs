//! A task runner whose runs happen in a child process: it proves that the
//! seam between the engine and what executes carries everything through
//! bytes.
//!
//! The tasks stand in [`tasks`], so that the test and the child, two programs,
//! have them under one key. Both ends speak the [`protocol`]; the child is the
//! program `seam_child`.

pub mod child;
pub mod control;
mod pool;
pub mod protocol;
pub mod tasks;
