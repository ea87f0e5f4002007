//! What the statics of tasks and flows hold, and their changed copies.
//!
//! The macros make a type for each task and each flow around a [`Task`] or a
//! [`Flow`]: so what all have alike is compiled once, and here.

use std::fmt;
use std::sync::OnceLock;

use uuid::Uuid;

use super::callable::{
    Defined, Definition, Facts, JsonCall, ParameterSignature, Signature, call_for_json,
};
use super::flow::{FlowConfiguration, FlowDefinition, FlowOptions};
use super::json_parameters::ReadValues;
use super::options::{TaskConfiguration, TaskOptions};
use super::parameters::Parameters;
use super::task::{CallsOf, TaskDefinition, TaskFacts, TypesOf};
use crate::arguments::IntoDependencies;
use crate::flow::call;

/// A task with its options.
#[doc(hidden)]
pub struct Task<D: TaskDefinition> {
    configuration: TaskConfiguration,
    /// Made by the first call.
    call: OnceLock<Box<D::Target>>,
}

impl<D: TaskDefinition> Task<D> {
    /// That of a task's static.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "only generated code makes tasks"
    )]
    pub const fn new() -> Self {
        Self::of(TaskConfiguration::of::<D>())
    }

    /// What is called like a function.
    pub fn callable(&self) -> &D::Target {
        self.call
            .get_or_init(|| D::Calls::callable(self.configuration.clone()))
    }

    const fn of(configuration: TaskConfiguration) -> Self {
        Self {
            configuration,
            call: OnceLock::new(),
        }
    }

    pub(crate) fn configuration(&self) -> &TaskConfiguration {
        &self.configuration
    }

    /// A copy with changed options.
    #[must_use]
    pub fn with_options(&self, change: impl FnOnce(TaskOptions) -> TaskOptions) -> Self {
        Self::of(self.configuration.with_options(change))
    }

    /// A copy whose runs start only after these runs have completed.
    #[must_use]
    pub fn after(&self, runs: impl IntoDependencies) -> Self {
        Self::of(self.configuration.after(runs))
    }
}

impl<D: TaskDefinition> fmt::Debug for Task<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(D::info().function)
    }
}

impl<D: TaskDefinition> Defined for Task<D> {
    fn facts(&self) -> Facts<'_> {
        Facts::Task(D::info(), self.configuration.options())
    }

    fn signature(&self) -> Signature {
        let TaskFacts {
            parameters,
            types,
            descriptions,
            defaults,
            returns,
            ..
        } = D::FACTS;
        let in_json = D::Parameters::in_json(&D::access());
        let parameters = parameters.iter().zip(types).zip(in_json).enumerate();
        let parameters = parameters.map(|(index, ((name, type_name), (read, schema)))| {
            let description = descriptions.iter().find(|(of, _)| *of == index);
            let default = defaults.iter().find(|(of, _)| *of == index);
            ParameterSignature {
                name,
                description: description.map_or("", |(_, description)| description),
                type_name,
                read,
                schema,
                default: default.map(|(_, default)| *default),
            }
        });
        Signature {
            parameters: parameters.collect(),
            returns,
        }
    }

    fn call_with(&self, values: ReadValues) -> JsonCall {
        let stored = D::Parameters::from_values(values);
        call_for_json(
            call::<D>(&self.configuration, stored),
            D::Types::types().write,
        )
    }
}

impl<D: TaskDefinition> Definition for Task<D> {
    fn defined(&self) -> &dyn Defined {
        self
    }
}

/// For all tasks here, not by the macro for each: every implementation is some
/// hundredths of what a task costs the compiler. Flows have one each.
impl<D: TaskDefinition + fmt::Debug + Send + Sync> Definition for D {
    fn defined(&self) -> &dyn Defined {
        self.task()
    }
}

/// What a `map` of a task without parameters demands, so that a call says why
/// there is none. Nothing implements it.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a task without parameters cannot be mapped: it has no column, so no rows",
    label = "this task has no parameters",
    note = "submit it once for each run, as in \
            `(0..3).map(|_| task.submit()).collect::<Vec<_>>()`, or give it a parameter"
)]
pub trait HasRows {}

/// A flow with its options.
#[doc(hidden)]
pub struct Flow<D: FlowDefinition> {
    configuration: FlowConfiguration,
    /// Made by the first call.
    call: OnceLock<Box<D::Target>>,
}

impl<D: FlowDefinition> Flow<D> {
    /// That of a flow's static.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "only generated code makes flows"
    )]
    pub const fn new() -> Self {
        Self::of(FlowConfiguration::of::<D>())
    }

    /// What is called like a function.
    pub fn callable(&self) -> &D::Target {
        self.call
            .get_or_init(|| D::callable(self.configuration.clone()))
    }

    const fn of(configuration: FlowConfiguration) -> Self {
        Self {
            configuration,
            call: OnceLock::new(),
        }
    }

    /// Its options.
    #[must_use]
    pub fn configuration(&self) -> &FlowConfiguration {
        &self.configuration
    }

    /// A copy with changed options.
    #[must_use]
    pub fn with_options(&self, change: impl FnOnce(FlowOptions) -> FlowOptions) -> Self {
        Self::of(self.configuration.with_options(change))
    }

    /// A copy whose next call is that run again, with its id.
    #[must_use]
    pub fn resume(&self, run: Uuid) -> Self {
        Self::of(self.configuration.resume(run))
    }
}

impl<D: FlowDefinition> fmt::Debug for Flow<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(D::INFO.function)
    }
}

impl<D: FlowDefinition> Defined for Flow<D> {
    fn facts(&self) -> Facts<'_> {
        Facts::Flow(D::INFO, self.configuration.options())
    }

    fn signature(&self) -> Signature {
        D::signature()
    }

    fn call_with(&self, values: ReadValues) -> JsonCall {
        D::call_with(&self.configuration, values)
    }
}
