//! Clusters of this machine: a stock scheduler as a child process.

mod python;
mod scheduler;

pub use python::PythonError;
pub(crate) use scheduler::LocalScheduler;
pub use scheduler::SchedulerError;
