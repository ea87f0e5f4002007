//! Schedulers and workers of Python Dask, as processes of the test.
//!
//! Each ends with the value that stands for it, however the test ends. None of
//! them writes outside its own temporary directory, and each listens on a free
//! port of the loopback interface.

mod scheduler;
mod script;
mod worker;

pub use scheduler::{Scheduler, Tls};
pub use script::Script;
pub use worker::PythonWorker;
