//! What the macros generate and what is known of tasks and flows before they
//! run.

mod arity;
mod callable;
mod default_retries;
mod description;
mod flow;
mod flow_code;
mod json_parameters;
mod known;
mod labels;
mod loans;
mod name_template;
mod options;
mod parameters;
pub mod probe;
mod registry;
mod reporting;
mod resources;
mod retry;
mod statics;
mod task;
mod validation;

pub(crate) use arity::each_arity;
#[cfg(feature = "prefect")]
pub(crate) use callable::Facts;
pub use callable::{
    Defined, Definition, DefinitionKind, JsonCall, ParameterDefault, ParameterSignature, Signature,
    WriteJson, call_for_json, call_for_json_with_loans, default_as_json,
};
pub use description::{Description, ParameterDescription};
pub use flow::{FlowAttributes, FlowConfiguration, FlowDefinition, FlowInfo, FlowOptions};
pub use flow_code::{FlowArgument, FlowAttempt, FlowBody, FlowCode};
pub use json_parameters::{ParameterError, ParameterErrors, ReadJson, ReadValues, SchemaOf};
pub use known::AllKnown;
pub use loans::{LentArguments, Loan, OwnedValue};
pub(crate) use name_template::render;
pub(crate) use options::OptionsSource;
pub use options::{AnswersRetry, RetryCondition, TaskAttributes, TaskConfiguration, TaskOptions};
pub use parameters::{Owned, ParameterAccess, Parameters, Shared};
pub use registry::{Definitions, FlowEntry, TaskEntry, build, flows, tasks};
pub(crate) use registry::{check_flows, check_tasks, find_task, task_infos};
pub use reporting::{Api, MapReport};
pub(crate) use resources::{Resources, millionths};
pub(crate) use retry::jittered;
pub use retry::{RetryDelay, RetryDelayAttribute, exponential_backoff};
pub use statics::{Flow, HasRows, Task};
pub(crate) use task::Failure;
pub use task::{
    BodyFuture, CacheKey, CallsOf, TaskBody, TaskDefinition, TaskError, TaskFacts, TaskInfo,
    TaskTypes, TypesOf,
};
pub(crate) use validation::InvalidParameters;
pub use validation::{ValidationOutcome, validated};
