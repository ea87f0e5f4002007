//! All tasks of this program by key, so that another process that runs the
//! same program finds them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::task::{TaskDefinition, TaskInfo};
use crate::error::{Error, Result};
use crate::runner::{Execution, ValueSource, WorkDescriptor, execution_of};

/// One task in the registry; the macro submits it.
#[doc(hidden)]
#[derive(Debug)]
pub struct TaskEntry {
    info: fn() -> &'static TaskInfo,
    execution: ExecutionOf,
}

type ExecutionOf = fn(&WorkDescriptor, &dyn ValueSource, bool) -> Result<Arc<dyn Execution>>;

inventory::collect!(TaskEntry);

impl TaskEntry {
    /// The entry of a task.
    #[must_use]
    pub const fn of<D: TaskDefinition>() -> Self {
        Self {
            info: D::info,
            execution: execution_of::<D>,
        }
    }

    /// A run to be executed in this process.
    pub(crate) fn execution(
        &self,
        work: &WorkDescriptor,
        values: &dyn ValueSource,
    ) -> Result<Arc<dyn Execution>> {
        (self.execution)(work, values, true)
    }

    /// A run to be submitted to a flow run of this process.
    pub(crate) fn submission(
        &self,
        work: &WorkDescriptor,
        values: &dyn ValueSource,
    ) -> Result<Arc<dyn Execution>> {
        (self.execution)(work, values, false)
    }
}

type Registry = HashMap<&'static str, &'static TaskEntry>;

fn registry() -> &'static Result<Registry> {
    static REGISTRY: OnceLock<Result<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let mut registry = Registry::new();
        for entry in inventory::iter::<TaskEntry> {
            let info = (entry.info)();
            if let Some(other) = registry.insert(info.key, entry) {
                let other = (other.info)();
                return Err(Error::invalid(format!(
                    "two tasks have the key `{}`: {}:{} and {}:{}; give one of them \
                     `#[task(name = \"..\")]`",
                    info.key, other.file, other.line, info.file, info.line
                )));
            }
        }
        Ok(registry)
    })
}

/// The facts of all tasks of this program, ordered by key.
///
/// # Errors
///
/// Two tasks with one key.
pub fn tasks() -> Result<Vec<&'static TaskInfo>> {
    let registry = registry().as_ref().map_err(Clone::clone)?;
    let mut tasks: Vec<_> = registry.values().map(|entry| (entry.info)()).collect();
    tasks.sort_unstable_by_key(|info| info.key);
    Ok(tasks)
}

pub(crate) fn find_task(key: &str) -> Result<&'static TaskEntry> {
    let registry = registry().as_ref().map_err(Clone::clone)?;
    registry.get(key).copied().ok_or_else(|| {
        Error::invalid(format!(
            "this program has no task `{key}`: it is another program, or another build of it"
        ))
    })
}
