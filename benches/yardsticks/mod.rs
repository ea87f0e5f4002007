//! The yardsticks: what an engineer would write by hand with tokio.
//!
//! These files are frozen. Figures of different months are comparable only
//! because the yardstick stays the same; what becomes possible later belongs
//! into a yardstick of its own beside these.

pub mod mapped_flow;
pub mod task_graphs;
pub mod tcp_copy;

use tokio::runtime::{Builder, Runtime};

/// The runtime that the yardsticks are measured on: two workers. The flow itself
/// runs on the caller's thread, which measured faster than on a worker.
///
/// # Errors
///
/// If the operating system gives no threads.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).build()
}
