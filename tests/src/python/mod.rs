//! Python for tests and benchmarks.
//!
//! [`Environment::dask`] and [`Environment::prefect`] give virtual environments
//! with pinned packages. Each is made once under the target directory, by
//! whichever test comes first, and found again by all later ones.
//! [`Environment::program`] runs a program in it.
//!
//! Nothing but `python3` on the `PATH` and a package registry that `pip` can
//! reach is needed. A [`Program`] never outlives the process that started it.

mod environment;
mod error;
mod interpreter;
mod prefect;
mod process;
mod requirements;

pub use environment::Environment;
pub use error::{Error, Result};
pub use process::{Finished, Program, Running};
pub use requirements::Requirements;
