//! Clusters that live as long as a flow: on this machine a stock scheduler and
//! workers as child processes, or whatever a Python class starts.

mod child;
mod cluster_class;
mod python;
mod scheduler;
mod shipping;
mod worker_process;

pub(crate) use cluster_class::{ClusterClass, ClusterProcess};
pub use cluster_class::{ClusterError, ClusterErrorReason};
pub use python::PythonError;
pub(crate) use scheduler::LocalScheduler;
pub use scheduler::SchedulerError;
pub(crate) use shipping::Shipping;
pub use shipping::ShippingError;
pub(crate) use worker_process::WorkerProcess;
pub use worker_process::WorkerProcessError;
