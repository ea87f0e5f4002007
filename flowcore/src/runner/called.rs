//! Runs that no flow submitted: somebody, perhaps in another language, calls a
//! task by its name.

use uuid::Uuid;

use super::descriptor::{ArgumentDescriptor, WorkDescriptor};
use crate::definition::{ParameterSignature, find_task, tasks};
use crate::error::{Error, ErrorKind, Result};
use crate::value::{CodecTag, EncodedValue};

/// An argument of a call, and the parameter's name if it was given by name.
#[derive(Clone, Debug)]
pub struct CalledArgument {
    /// The parameter; without it, the argument's place decides.
    pub name: Option<String>,
    /// What the parameter gets.
    pub value: ArgumentDescriptor,
}

/// A call of a task of this program, as a run with the task's own options.
///
/// The task is named by its key, or by its name if no other has it. Arguments
/// that may be left out in [`call_json`](crate::Definition::call_json) may be
/// left out here. No flow hears of the run, and its result is not kept.
///
/// ```standalone_crate
/// use flowcore::bridge::called_work;
/// use flowcore::prelude::*;
///
/// #[task]
/// fn double(x: i64) -> i64 { x * 2 }
///
/// # fn main() {
/// let error = called_work("dubble", Vec::new()).unwrap_err();
/// assert!(error.to_string().contains("did you mean `double`?"));
/// let error = called_work("double", Vec::new()).unwrap_err();
/// assert_eq!(error.to_string(), "task `double`: `x` (i64) is missing");
/// # }
/// ```
///
/// # Errors
///
/// There is no such task, or its parameters are others.
pub fn called_work(task: &str, arguments: Vec<CalledArgument>) -> Result<WorkDescriptor> {
    let task = tasks()?.get(task)?;
    let parameters = task.defined().signature().parameters;
    let arguments = placed(&parameters, arguments).map_err(|problem| {
        let message = format!("task `{}`: {problem}", task.name());
        Error::build(ErrorKind::Invalid, message)
            .task(task.key())
            .finish()
    })?;
    let info = find_task(task.key())?.info();
    let work = WorkDescriptor::of_task(info, &info.options, arguments);
    Ok(WorkDescriptor {
        flow_run_id: Uuid::new_v4().as_u128(),
        run_name: work.name.clone(),
        // It has been placed where it is.
        priority: 0,
        batch: None,
        resources: Vec::new(),
        ..work
    })
}

/// The arguments in the order of the parameters.
fn placed(
    parameters: &[ParameterSignature],
    arguments: Vec<CalledArgument>,
) -> Result<Vec<ArgumentDescriptor>, String> {
    let names = || {
        let names: Vec<_> = parameters
            .iter()
            .map(|parameter| format!("`{}`", parameter.name))
            .collect();
        names.join(", ")
    };
    let mut places: Vec<Option<ArgumentDescriptor>> = vec![None; parameters.len()];
    for (at, argument) in arguments.into_iter().enumerate() {
        let place = match &argument.name {
            None => at,
            Some(name) => parameters
                .iter()
                .position(|parameter| parameter.name == name)
                .ok_or_else(|| format!("it has no parameter `{name}`, it has {}", names()))?,
        };
        match places.get_mut(place) {
            None => return Err(format!("it takes {} arguments: {}", places.len(), names())),
            Some(Some(_)) => return Err(format!("`{}` is given twice", parameters[place].name)),
            Some(place) => *place = Some(argument.value),
        }
    }
    let given = places.into_iter().zip(parameters);
    given
        .map(|(value, parameter)| value.map_or_else(|| left_out(parameter), Ok))
        .collect()
}

/// What a parameter gets that was left out.
fn left_out(parameter: &ParameterSignature) -> Result<ArgumentDescriptor, String> {
    let missing = || format!("`{}` ({}) is missing", parameter.name, parameter.type_name);
    if parameter.is_required() {
        return Err(missing());
    }
    let bytes = match parameter.default {
        None => rmp_serde::to_vec(&()),
        Some(default) => rmp_serde::to_vec(&(default.json)().ok_or_else(missing)?),
    };
    Ok(ArgumentDescriptor::Inline(EncodedValue {
        codec: CodecTag::MessagePack,
        bytes: bytes.map_err(|error| error.to_string())?,
    }))
}
