//! Clusters of this machine: a stock scheduler and, where asked for, workers as
//! child processes.

mod child;
mod python;
mod scheduler;
mod worker_process;

pub use python::PythonError;
pub(crate) use scheduler::LocalScheduler;
pub use scheduler::SchedulerError;
pub(crate) use worker_process::WorkerProcess;
pub use worker_process::WorkerProcessError;
