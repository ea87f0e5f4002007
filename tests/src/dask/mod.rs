//! Schedulers and workers of Python Dask, as processes of the test, and what Rust
//! workers beside them execute.
//!
//! Each ends with the value that stands for it, however the test ends. None of
//! them writes outside its own temporary directory, and each listens on a free
//! port of the loopback interface.

mod calculator;
mod rust_worker;
mod scheduler;
mod script;
mod tls;
mod worker;

pub use calculator::Calculator;
pub use rust_worker::RustWorker;
pub use scheduler::Scheduler;
pub use script::Script;
pub use tls::Tls;
pub use worker::PythonWorker;
