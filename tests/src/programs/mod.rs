//! Random programs of tasks and maps, for any task runner.
//!
//! A [`Step`] is data. [`Expected`] says how every run of a program ends by
//! calculating values in the simplest way there is; [`program`] runs the same
//! steps as a flow and compares. What a program gives does not depend on the
//! order in which its runs happen, so every runner must give the same.

mod expected;
mod flow;
mod limited;
mod steps;
mod tasks;

pub use expected::{Expected, Outcome};
pub use flow::{program, restless};
pub use limited::under_a_limit;
pub use steps::{Column, Item, List, Number, Step, steps};
