//! What the macros generate and what is known of tasks and flows before they
//! run.

mod flow;
mod labels;
mod name_template;
mod options;
mod parameters;
pub mod probe;
mod registry;
mod resources;
mod retry;
mod task;

pub use flow::{FlowAttributes, FlowBody, FlowConfiguration, FlowInfo, FlowOptions};
pub(crate) use name_template::render;
pub(crate) use options::OptionsSource;
pub use options::{RetryCondition, TaskAttributes, TaskConfiguration, TaskOptions};
pub use parameters::{Owned, Parameters, Shared};
pub(crate) use registry::find_task;
pub use registry::{TaskEntry, tasks};
pub(crate) use resources::{Resources, millionths};
pub(crate) use retry::jittered;
pub use retry::{RetryDelay, RetryDelayAttribute, exponential_backoff};
pub(crate) use task::Failure;
pub use task::{BodyFuture, CacheKey, TaskBody, TaskDefinition, TaskError, TaskInfo};
