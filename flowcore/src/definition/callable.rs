//! A task or a flow as a value among others: what it is, and a call with
//! parameters as JSON.
//!
//! Owns [`Definition`], which every `#[task]` and `#[flow]` implements. The
//! macro writes what only it knows; everything else follows from that here.

use std::any::Any;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::description::Description;
use super::flow::{FlowInfo, FlowOptions};
use super::json_parameters::{ReadJson, ReadValues, SchemaOf, read_all};
use super::options::TaskOptions;
use super::task::TaskInfo;
use crate::error::{Error, Result};
use crate::flow::{Call, Ended};
use crate::runner::catch;

/// A call whose value comes as JSON; made by [`Definition::call_json`].
///
/// The outer result says whether the run completed, the inner one whether its
/// value can be written as JSON.
pub type JsonCall = Call<'static, Result<Value>>;

/// What a [`Definition`] defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DefinitionKind {
    /// A function with `#[task]`.
    Task,
    /// A function with `#[flow]`.
    Flow,
}

impl DefinitionKind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Flow => "flow",
        }
    }
}

impl fmt::Display for DefinitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Any task or flow, or a copy of one with other options.
///
/// All that `#[task]` and `#[flow]` define implement it, so that they can
/// stand in one collection whatever their parameters are.
/// [`tasks`](crate::tasks) and [`flows`](crate::flows) list those of this
/// program.
///
/// ```
/// use flowcore::prelude::*;
/// use flowcore::Definition;
/// use serde_json::json;
///
/// #[task]
/// fn double(x: i64) -> i64 { x * 2 }
///
/// #[flow(version = "2")]
/// async fn greet(name: String) -> String { format!("Hello, {name}!") }
///
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// let twice = double.with_options(|o| o.name("twice"));
/// let steps: [(&dyn Definition, _); 3] = [
///     (&double, json!({"x": 4})),
///     (&greet, json!({"name": "Ada"})),
///     (&twice, json!({"x": 5})),
/// ];
/// let mut values = Vec::new();
/// for (step, parameters) in steps {
///     values.push(step.call_json(parameters)?.await??);
/// }
/// assert_eq!(values, [json!(8), json!("Hello, Ada!"), json!(10)]);
/// # Ok(())
/// # }
/// ```
pub trait Definition: fmt::Debug + Send + Sync + 'static {
    #[doc(hidden)]
    fn defined(&self) -> &dyn Defined;

    /// Whether it is a task or a flow.
    fn kind(&self) -> DefinitionKind {
        self.defined().facts().kind()
    }

    /// The key, which no other of its kind has.
    fn key(&self) -> &'static str {
        self.defined().facts().key()
    }

    /// The name in force, which others may have too.
    fn name(&self) -> &str {
        self.defined().facts().name()
    }

    /// The description in force.
    fn description(&self) -> &str {
        self.defined().facts().description()
    }

    /// All that is known of it, for people and as data.
    fn describe(&self) -> Description {
        let defined = self.defined();
        Description::new(&defined.facts(), &defined.signature())
    }

    /// A call with parameters as a JSON object, such as
    /// `{"day": "monday", "limit": 3}`. Parameters that may be left out are
    /// those with the type `Option`. Nothing runs until it is awaited.
    ///
    /// # Errors
    ///
    /// The parameters do not fit; the error names all that is wrong, also as a
    /// [`ParameterErrors`](crate::ParameterErrors) for `downcast_ref`.
    fn call_json(&self, parameters: Value) -> Result<JsonCall> {
        let defined = self.defined();
        let values = read_all(&defined.signature().parameters, parameters)
            .map_err(|problems| defined.facts().refused(problems))?;
        Ok(defined.call_with(values))
    }

    /// Whether the parameter's type takes this value; nobody knows of a
    /// parameter that is not there.
    #[doc(hidden)]
    fn takes(&self, parameter: &str, value: &Value) -> bool {
        let signature = self.defined().signature();
        let mut parameters = signature.parameters.iter();
        let parameter = parameters.find(|it| it.name == parameter);
        let read = parameter.and_then(|parameter| parameter.read);
        read.is_some_and(|read| read(Some(value.clone())).is_ok())
    }
}

/// What a [`Definition`] answers from.
#[doc(hidden)]
pub trait Defined {
    fn facts(&self) -> Facts<'_>;

    fn signature(&self) -> Signature;

    /// The call, with values that [`ParameterSignature::read`] gave.
    fn call_with(&self, values: ReadValues) -> JsonCall;
}

/// What the macro knows of a definition, with the options in force.
#[doc(hidden)]
#[derive(Debug)]
pub enum Facts<'a> {
    /// Of a task.
    Task(&'static TaskInfo, &'a TaskOptions),
    /// Of a flow.
    Flow(&'static FlowInfo, &'a FlowOptions),
}

/// One fact that tasks and flows have alike.
macro_rules! fact {
    ($facts:expr, $info:ident, $options:ident => $fact:expr) => {
        match $facts {
            Facts::Task($info, $options) => $fact,
            Facts::Flow($info, $options) => $fact,
        }
    };
}
pub(super) use fact;

impl<'a> Facts<'a> {
    pub(super) const fn kind(&self) -> DefinitionKind {
        match self {
            Self::Task(..) => DefinitionKind::Task,
            Self::Flow(..) => DefinitionKind::Flow,
        }
    }

    pub(super) const fn key(&self) -> &'static str {
        fact!(self, info, _options => info.key)
    }

    pub(super) fn name(&self) -> &'a str {
        fact!(*self, _info, options => options.name_in_force())
    }

    pub(super) fn description(&self) -> &'a str {
        fact!(*self, _info, options => options.description_in_force())
    }

    fn refused(&self, problems: super::ParameterErrors) -> Error {
        let message = format!("{} `{}`: {problems}", self.kind(), self.name());
        Error::build(crate::ErrorKind::Invalid, message)
            .value(Box::new(problems))
            .finish()
    }
}

/// The parameters of a definition and what it returns.
#[doc(hidden)]
#[derive(Debug)]
pub struct Signature {
    /// In order.
    pub parameters: Vec<ParameterSignature>,
    /// The return type as written.
    pub returns: &'static str,
}

/// One parameter.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct ParameterSignature {
    /// Its name.
    pub name: &'static str,
    /// What its doc comment says.
    pub description: &'static str,
    /// Its type as written.
    pub type_name: &'static str,
    /// Reads a value, if the type is `Deserialize`.
    pub read: Option<ReadJson>,
    /// The type's schema, if it is `JsonSchema`.
    pub schema: Option<SchemaOf>,
    /// The value of a call that gives none.
    pub default: Option<ParameterDefault>,
}

/// What `#[default(..)]` says of a parameter.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct ParameterDefault {
    /// A new value.
    pub value: fn() -> Box<dyn Any + Send>,
    /// The same as JSON, if its type can be written.
    pub json: fn() -> Option<Value>,
}

/// A default as JSON, if its type can be written.
#[doc(hidden)]
pub fn default_as_json<T>(value: &T, write: WriteJson<T>) -> Option<Value> {
    write.and_then(|write| write(value).ok())
}

/// Writes a value as JSON, if its type is `Serialize`.
#[doc(hidden)]
pub type WriteJson<T> = Option<fn(&T) -> serde_json::Result<Value>>;

/// The call with its value as JSON.
#[doc(hidden)]
pub fn call_for_json<T: 'static>(call: Call<'static, T>, write: WriteJson<T>) -> JsonCall {
    call.mapped(move |value| written(value, write))
}

/// A call whose loans are of values that its code holds.
#[doc(hidden)]
pub fn call_for_json_with_loans<T: 'static>(
    code: impl Future<Output = Ended<T>> + Send + 'static,
    write: WriteJson<T>,
) -> JsonCall {
    call_for_json(Call::of_code(code), write)
}

fn written<T>(value: &T, write: WriteJson<T>) -> Result<Value> {
    let type_name = std::any::type_name::<T>();
    let write = write.ok_or_else(|| {
        Error::invalid(format!(
            "a value of type `{type_name}` cannot be written as JSON: derive `serde::Serialize` \
             for it"
        ))
    })?;
    // A value may also panic as it is written.
    let written = catch(|| write(value).map_err(|error| error.to_string()));
    written
        .unwrap_or_else(|report| Err(report.to_string()))
        .map_err(|problem| {
            Error::invalid(format!(
                "this value of type `{type_name}` cannot be written as JSON: {problem}"
            ))
        })
}
