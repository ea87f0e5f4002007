//! Graphs, tasks and errors, as Dask pickles them.
//!
//! Owns what is inside the pickles: which objects a graph is made of in each release, and how a
//! task looks when a worker gets it. Knows neither connections nor what a payload says.
//!
//! One of our tasks is `Task(key, operator.methodcaller, payload, TaskRef(dependency), ..)`: the
//! scheduler imports the callable and sees the dependencies, and a Python worker that runs it by
//! mistake fails at once, for a method's name is no `bytes` (protocol, sections 6.4 and 12.1).

mod call;
mod exception;
mod keys;
mod run_spec;
mod tasks;

pub(crate) use call::{Call, CallArgument};
pub(crate) use exception::exception;
pub use exception::{KilledWorker, RemoteException};
pub(crate) use run_spec::{RunSpec, read_run_spec};
pub use tasks::TaskNode;
pub(crate) use tasks::graph_members;

/// The callable of our tasks.
const CALLABLE: (&str, &str) = ("operator", "methodcaller");

/// Where Dask's graph objects are.
const TASK_SPEC: &str = "dask._task_spec";

#[cfg(test)]
mod tests;
