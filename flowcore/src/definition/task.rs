//! What `#[task]` generates: one type per task that says all about it.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;

use super::callable::{ParameterDefault, WriteJson};
use super::options::{TaskAttributes, TaskConfiguration, TaskOptions};
use super::parameters::Parameters;
use super::statics::Task;
use crate::error::{Error, ErrorKind, TextChain};
use crate::state::{State, StateName, StateOutcome, StateType};
use crate::value::Access;

/// The facts of one task, known at compile time.
#[derive(Debug)]
pub struct TaskInfo {
    /// `module_path::name`, or the `name` option: finds the task in another
    /// process that runs the same program.
    pub key: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// The module it stands in.
    pub module: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the function.
    pub line: u32,
    /// The parameters' names, in order.
    pub parameters: &'static [&'static str],
    /// A hash of signature and body, token by token: the same for every
    /// formatting and compiler.
    pub fingerprint: u64,
    /// Whether the function is an `async fn`.
    pub is_async: bool,
    /// Whether its runs stay in the flow's process.
    pub is_local: bool,
    /// The options of the attribute.
    pub options: TaskOptions,
}

impl TaskInfo {
    /// The facts of the function, and what the attribute says.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(facts: TaskFacts) -> Self {
        Self {
            key: facts.key,
            function: facts.function,
            module: facts.module,
            file: facts.file,
            line: facts.line,
            parameters: facts.parameters,
            fingerprint: facts.fingerprint,
            is_async: facts.is_async,
            is_local: facts.is_local,
            options: TaskOptions::from_attributes(facts.attributes),
        }
    }
}

/// What the macro knows of a task without its types; most fields are those of
/// [`TaskInfo`]. Plain data: what needs a drop the compiler would look at again
/// for each task.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "told at `TaskInfo`")]
pub struct TaskFacts {
    pub key: &'static str,
    pub function: &'static str,
    pub module: &'static str,
    pub file: &'static str,
    pub line: u32,
    pub parameters: &'static [&'static str],
    /// The types of the parameters and the return type, as written.
    pub types: &'static [&'static str],
    pub returns: &'static str,
    pub fingerprint: u64,
    pub is_async: bool,
    pub is_local: bool,
    /// The doc comments of parameters, by their place.
    pub descriptions: &'static [(usize, &'static str)],
    /// The defaults of parameters, by their place.
    pub defaults: &'static [(usize, ParameterDefault)],
    pub attributes: TaskAttributes,
}

/// One attempt of a task.
#[doc(hidden)]
pub enum TaskBody<T> {
    /// A sync function, which has run.
    Done(Result<T, TaskError>),
    /// An async function, which has yet to be polled.
    Future(BodyFuture<'static, T>),
}

impl<T> TaskBody<T> {
    /// An async function, and what its output means.
    pub fn future<F, C>(future: F, convert: C) -> Self
    where
        F: Future + Send + 'static,
        C: FnOnce(F::Output) -> Result<T, TaskError> + Send + 'static,
    {
        Self::Future(Box::pin(async move { convert(future.await) }))
    }
}

/// The future of an async function's attempt.
#[doc(hidden)]
pub type BodyFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, TaskError>> + Send + 'a>>;

/// A task as the engine sees it; implemented by `#[task]`.
#[doc(hidden)]
pub trait TaskDefinition: Deref<Target: Send + Sync> + Sized + 'static {
    /// How each parameter is passed.
    type Parameters: Parameters;
    /// What a completed run gives.
    type Output: Send + Sync + 'static;

    /// Says what is known of its types.
    type Types: TypesOf<Self>;
    /// Makes the direct call.
    type Calls: CallsOf<Self>;

    /// What is known of the task.
    const FACTS: TaskFacts;

    /// The task with its options.
    fn task(&self) -> &Task<Self>;

    /// Runs one attempt.
    fn run(values: <Self::Parameters as Parameters>::Values) -> TaskBody<Self::Output>;

    /// What the task's `cache_key` function says; never asked without one.
    fn cache_key(_values: &<Self::Parameters as Parameters>::Values) -> CacheKey {
        Ok(None)
    }

    /// Its [`TaskInfo`]. It is made here and not by the macro, so that the
    /// compiler makes it only for programs that are built.
    #[must_use]
    fn info() -> &'static TaskInfo {
        const { &TaskInfo::new(Self::FACTS) }
    }

    /// What can be done with each argument's value.
    #[inline]
    #[must_use]
    fn access() -> <Self::Parameters as Parameters>::Access {
        Self::Types::types().access
    }

    /// What can be done with a result; without a codec for a local task.
    #[inline]
    #[must_use]
    fn output_access() -> Access<Self::Output> {
        Self::Types::types().output
    }
}

/// Says what is known of a task's types.
#[doc(hidden)]
pub trait TypesOf<D: TaskDefinition> {
    /// No constant, for whose type the compiler would tell once more what is
    /// wrong with a parameter's.
    fn types() -> TaskTypes<<D::Parameters as Parameters>::Access, D::Output>;
}

/// Makes the direct call of a task.
#[doc(hidden)]
pub trait CallsOf<D: TaskDefinition> {
    /// The call with these options.
    fn callable(configuration: TaskConfiguration) -> Box<D::Target>;
}

/// What is known of a task's types.
#[doc(hidden)]
pub struct TaskTypes<A, O> {
    /// What can be done with each argument's value.
    pub access: A,
    /// What can be done with a result.
    pub output: Access<O>,
    /// Writes a result as JSON.
    pub write: WriteJson<O>,
}

/// What a `cache_key` function says: a key, nothing, or what went wrong.
#[doc(hidden)]
pub type CacheKey = Result<Option<String>, String>;

/// What a task's code gives instead of a value, on its way to the engine.
#[doc(hidden)]
pub struct TaskError(Box<TaskErrorKind>);

enum TaskErrorKind {
    /// An error, ready but for the run's name.
    Error {
        message: String,
        type_name: Option<String>,
        value: Option<Box<dyn std::error::Error + Send + Sync>>,
        chain: Option<Box<TextChain>>,
    },
    /// The error of another run, passed on with `?`.
    Run(Error),
    /// A state made by hand.
    State {
        name: StateName,
        message: Option<String>,
    },
}

impl TaskError {
    /// From an error that can be kept as it is.
    pub fn from_error<E>(error: E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        Self(Box::new(TaskErrorKind::Error {
            message: error.to_string(),
            type_name: Some(std::any::type_name::<E>().to_owned()),
            value: Some(Box::new(error)),
            chain: None,
        }))
    }

    /// From an error that is already boxed.
    #[must_use]
    pub fn from_boxed(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self(Box::new(TaskErrorKind::Error {
            message: error.to_string(),
            type_name: None,
            value: Some(error),
            chain: None,
        }))
    }

    /// From an error of which only the text can be kept, such as a `String`
    /// or a `Box<dyn Error>`.
    pub fn from_display<E: fmt::Display + ?Sized>(error: &E) -> Self {
        Self(Box::new(TaskErrorKind::Error {
            message: error.to_string(),
            type_name: Some(std::any::type_name::<E>().to_owned()),
            value: None,
            chain: None,
        }))
    }

    /// From a standard error that cannot leave its thread: text and chain.
    #[must_use]
    pub fn from_unsendable(error: &(dyn std::error::Error + 'static), type_name: &str) -> Self {
        Self(Box::new(TaskErrorKind::Error {
            message: error.to_string(),
            type_name: Some(type_name.to_owned()),
            value: None,
            chain: TextChain::below(error),
        }))
    }

    /// From the error of another run or of the caller's own.
    #[must_use]
    pub fn from_flow(error: Error) -> Self {
        Self(Box::new(TaskErrorKind::Run(error)))
    }

    /// From a state that the task's code returned: a completed one gives its
    /// value, any other becomes the run's state.
    ///
    /// # Errors
    ///
    /// The state, if it is not completed.
    pub fn from_state<T: Send + Sync + 'static>(state: State<T>) -> Result<T, Self> {
        let (name, message) = (state.name(), state.message().map(str::to_owned));
        match state.into_outcome() {
            StateOutcome::Value(value) => value.obtain().map_err(Self::from_flow),
            StateOutcome::Error(_) | StateOutcome::Open => {
                Err(Self(Box::new(TaskErrorKind::State {
                    name: match name {
                        name if name.is_settled() => name,
                        _ => StateName::Failed,
                    },
                    message,
                })))
            }
        }
    }

    /// Whether no retry follows: a state made by hand that is no failure.
    pub(crate) fn is_final(&self) -> bool {
        match &*self.0 {
            TaskErrorKind::State { name, .. } => name.state_type() != StateType::Failed,
            TaskErrorKind::Error { .. } | TaskErrorKind::Run(_) => false,
        }
    }

    /// The run's state: its name, its message as Prefect words it, and the
    /// error that its readers get. `is_flow` only changes the message.
    pub(crate) fn into_failure(self, key: &str, run_name: &str, is_flow: bool) -> Failure {
        let encountered = |type_name: Option<&str>, message: &str| {
            let what = type_name.map_or("Error", short_type_name);
            let colon = if is_flow {
                "Flow run encountered an exception:"
            } else {
                "Task run encountered an exception"
            };
            format!("{colon} {what}: {message}")
        };
        match *self.0 {
            TaskErrorKind::Error {
                message,
                type_name,
                value,
                chain,
            } => {
                let text = encountered(type_name.as_deref(), &message);
                let mut builder = Error::build(ErrorKind::Failed, message)
                    .task(key)
                    .run(run_name)
                    .type_name(type_name)
                    .chain(chain);
                if let Some(value) = value {
                    builder = builder.value(value);
                }
                Failure::new(StateName::Failed, Some(text), builder.finish())
            }
            // As in Prefect, whose flows and tasks end so when a TimeoutError
            // leaves their code.
            TaskErrorKind::Run(error) if error.kind() == ErrorKind::TimedOut => {
                let who = if is_flow { "Flow" } else { "Task" };
                let what = brief(error.type_name(), &error.to_string());
                let text = format!("{who} run failed due to timeout: {what}");
                Failure::new(StateName::TimedOut, Some(text), error)
            }
            TaskErrorKind::Run(error) => {
                let text = encountered(error.type_name(), &error.to_string());
                let error = if error.kind() == ErrorKind::Other {
                    error.into_failed(key, run_name)
                } else {
                    error
                };
                Failure::new(StateName::Failed, Some(text), error)
            }
            TaskErrorKind::State { name, message } => {
                let text = message.clone().unwrap_or_else(|| name.to_string());
                let error = Error::build(name.error_kind(), text)
                    .task(key)
                    .run(run_name)
                    .finish();
                Failure::new(name, message, error)
            }
        }
    }

    /// The short form `ValueError('bad')` for retry messages.
    pub(crate) fn brief(&self) -> String {
        match &*self.0 {
            TaskErrorKind::Error {
                message, type_name, ..
            } => brief(type_name.as_deref(), message),
            TaskErrorKind::Run(error) => brief(error.type_name(), &error.to_string()),
            TaskErrorKind::State { name, message } => {
                crate::state::describe_state(*name, message.as_deref())
            }
        }
    }
}

fn brief(type_name: Option<&str>, message: &str) -> String {
    let what = type_name.map_or("Error", short_type_name);
    format!("{what}({:?})", crate::state::shorten(message, 1024))
}

/// `io::Error` is `Error`, `a::b::Missing<c::D>` is `Missing<c::D>`.
fn short_type_name(name: &str) -> &str {
    let end = name.find('<').unwrap_or(name.len());
    let start = name[..end].rfind("::").map_or(0, |at| at + 2);
    match &name[start..] {
        "str" | "&str" | "String" => "Error",
        short => short,
    }
}

/// A run that did not complete: its state and the error its readers get.
#[derive(Clone, Debug)]
pub(crate) struct Failure(pub(crate) std::sync::Arc<FailureBody>);

#[derive(Debug)]
pub(crate) struct FailureBody {
    pub(crate) name: StateName,
    pub(crate) message: Option<std::sync::Arc<str>>,
    pub(crate) error: Error,
}

impl Failure {
    pub(crate) fn new(name: StateName, message: Option<String>, error: Error) -> Self {
        Self(std::sync::Arc::new(FailureBody {
            name,
            message: message.map(std::sync::Arc::from),
            error,
        }))
    }

    /// Someone asked for a row that a map turned out not to have.
    pub(crate) fn missing_row(row: u32, length: u32) -> Self {
        let message = format!("the map has no row {row}: it has {length} rows");
        Self::new(
            StateName::Failed,
            Some(message.clone()),
            Error::invalid(message),
        )
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.brief())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_are_shortened() {
        assert_eq!(short_type_name("std::io::error::Error"), "Error");
        assert_eq!(short_type_name("a::Missing<b::C>"), "Missing<b::C>");
        assert_eq!(short_type_name("&str"), "Error");
    }

    #[test]
    fn messages_are_worded_as_in_prefect() {
        let failure = TaskError::from_display("bad").into_failure("m::f", "f-123", false);
        assert_eq!(
            failure.0.message.as_deref(),
            Some("Task run encountered an exception Error: bad")
        );
        let failure = TaskError::from_display("bad").into_failure("m::f", "f-123", true);
        assert_eq!(
            failure.0.message.as_deref(),
            Some("Flow run encountered an exception: Error: bad")
        );
    }
}
