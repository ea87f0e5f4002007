//! The one error type of users: what a run that did not complete gives.
//!
//! Owns [`Error`] and [`ErrorKind`]. An error is cheap to clone (one failed
//! run may stop thousands of dependents that all name it), keeps the task's
//! own error for [`Error::downcast_ref`] inside the process, and keeps text,
//! type name and chain when it travels to another one.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::console::printable;

/// A result whose error is [`flowcore::Error`](Error) unless named otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of end an [`Error`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The task or flow returned an error or panicked.
    Failed,
    /// The run took longer than its `timeout`, or somebody waited for it no
    /// longer.
    TimedOut,
    /// The run was cancelled before or while it ran.
    Cancelled,
    /// The run ended for a reason outside its code.
    Crashed,
    /// The run never started, because a run that it needs did not complete.
    NotReady,
    /// The call itself was wrong: columns of different lengths, `submit`
    /// outside a flow, a value that cannot be copied or coded.
    Invalid,
    /// A store of results could not be opened, read, written or locked.
    Store,
    /// An error of the caller's own, carried by `?`.
    Other,
}

impl ErrorKind {
    fn help_page(self) -> Option<&'static str> {
        match self {
            Self::NotReady => Some("docs/errors/not-ready.md"),
            Self::Invalid => Some("docs/errors/invalid-call.md"),
            Self::TimedOut => Some("docs/errors/timed-out.md"),
            Self::Store => Some("docs/errors/results.md"),
            _ => None,
        }
    }
}

/// Why a run did not give a value.
///
/// `Error` takes any standard error through `?`, as `anyhow::Error` does, and
/// for the same reason does not implement [`std::error::Error`] itself; it
/// derefs to `dyn std::error::Error`, and [`Error::into_std`] gives a value
/// that does implement it.
///
/// ```
/// use flowcore::{Error, ErrorKind};
///
/// fn port(text: &str) -> flowcore::Result<u16> {
///     Ok(text.parse::<u16>()?)
/// }
///
/// let error: Error = port("eighty").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Other);
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
/// ```
#[derive(Clone)]
pub struct Error(Arc<ErrorBody>);

struct ErrorBody {
    kind: ErrorKind,
    message: String,
    /// The type's name of the error that user code returned.
    type_name: Option<String>,
    task_key: Option<String>,
    run_name: Option<String>,
    cause: Option<Cause>,
}

enum Cause {
    /// The task's own error value, still typed.
    Value(Box<dyn std::error::Error + Send + Sync>),
    /// The run that stopped this one.
    Error(Error),
    /// A chain whose values stayed in another process or could not be kept.
    Text(TextChain),
}

/// An error chain as text: this message and, below it, the rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TextChain {
    pub(crate) message: String,
    pub(crate) source: Option<Box<TextChain>>,
}

impl TextChain {
    /// The chain below `error`, without `error` itself.
    pub(crate) fn below(error: &(dyn std::error::Error + 'static)) -> Option<Box<Self>> {
        error.source().map(|source| {
            Box::new(Self {
                message: source.to_string(),
                source: Self::below(source),
            })
        })
    }
}

impl fmt::Display for TextChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TextChain {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl Error {
    pub(crate) fn build(kind: ErrorKind, message: impl Into<String>) -> ErrorBuilder {
        ErrorBuilder(ErrorBody {
            kind,
            message: message.into(),
            type_name: None,
            task_key: None,
            run_name: None,
            cause: None,
        })
    }

    /// An error of the caller's own with this text.
    ///
    /// ```
    /// let error = flowcore::Error::msg("no rows left");
    /// assert_eq!(error.to_string(), "no rows left");
    /// ```
    pub fn msg(message: impl Into<String>) -> Self {
        Self::build(ErrorKind::Other, message).finish()
    }

    /// The call itself was wrong; `message` names the thing and the cure.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::build(ErrorKind::Invalid, message).finish()
    }

    /// What kind of end this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The key of the task whose run ended, if a run did.
    #[must_use]
    pub fn task_key(&self) -> Option<&str> {
        self.0.task_key.as_deref()
    }

    /// The name of the run that ended, such as `load-5de`.
    #[must_use]
    pub fn run_name(&self) -> Option<&str> {
        self.0.run_name.as_deref()
    }

    /// The type name of the error that the task returned; it survives the way
    /// between processes.
    #[must_use]
    pub fn type_name(&self) -> Option<&str> {
        self.0.type_name.as_deref()
    }

    /// The page of the documentation that explains this kind of error.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        self.0.kind.help_page()
    }

    /// The task's own error, if it is an `E` and was made in this process.
    /// Looks through the runs that merely stopped because of it.
    #[must_use]
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self.0.cause.as_ref()? {
            Cause::Value(value) => value.downcast_ref::<E>(),
            Cause::Error(error) => error.downcast_ref::<E>(),
            Cause::Text(_) => None,
        }
    }

    /// The error of the run where it all began: of this one, or of the first
    /// upstream run that failed.
    #[must_use]
    pub fn root(&self) -> &Error {
        match self.0.cause.as_ref() {
            Some(Cause::Error(error)) => error.root(),
            _ => self,
        }
    }

    /// A value that implements [`std::error::Error`], for functions whose
    /// error type wants one.
    #[must_use]
    pub fn into_std(self) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        Box::new(StandardError(self))
    }

    /// The same error as the end of a run: an error of the caller's own that
    /// left a task's or flow's code.
    pub(crate) fn into_failed(self, key: &str, run_name: &str) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(mut body) => {
                body.kind = ErrorKind::Failed;
                body.task_key = Some(key.to_owned());
                body.run_name = Some(run_name.to_owned());
                Self(Arc::new(body))
            }
            Err(shared) => Self::build(ErrorKind::Failed, shared.message.clone())
                .task(key)
                .run(run_name)
                .type_name(shared.type_name.clone())
                .because(Self(shared))
                .finish(),
        }
    }

    /// A runner's own error as the end of a run in this state.
    pub(crate) fn into_end(self, state: crate::StateName) -> Self {
        if self.0.kind != ErrorKind::Other {
            return self;
        }
        Self::build(state.error_kind(), self.0.message.clone())
            .because(self)
            .finish()
    }

    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}

/// Puts an [`Error`] together; every part but kind and message is optional.
pub(crate) struct ErrorBuilder(ErrorBody);

impl ErrorBuilder {
    pub(crate) fn task(mut self, key: impl Into<String>) -> Self {
        self.0.task_key = Some(key.into());
        self
    }

    pub(crate) fn run(mut self, name: impl Into<String>) -> Self {
        self.0.run_name = Some(name.into());
        self
    }

    pub(crate) fn type_name(mut self, name: Option<String>) -> Self {
        self.0.type_name = name;
        self
    }

    pub(crate) fn value(mut self, value: Box<dyn std::error::Error + Send + Sync>) -> Self {
        self.0.cause = Some(Cause::Value(value));
        self
    }

    pub(crate) fn because(mut self, cause: Error) -> Self {
        self.0.cause = Some(Cause::Error(cause));
        self
    }

    pub(crate) fn chain(mut self, chain: Option<Box<TextChain>>) -> Self {
        self.0.cause = chain.map(|chain| Cause::Text(*chain));
        self
    }

    pub(crate) fn finish(self) -> Error {
        Error(Arc::new(self.0))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// Prints the message and the chain below it, so that an error which leaves
/// `main` reads well.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_with_causes(f)?;
        if let Some(page) = self.help() {
            write!(f, "\n  help: {page}")?;
        }
        Ok(())
    }
}

/// An error that is about no call in code, so that no page explains it.
pub(crate) struct WithCauses<'a>(pub(crate) &'a Error);

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_with_causes(f)
    }
}

impl Error {
    fn write_with_causes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let (Some(run), Some(key)) = (self.run_name(), self.task_key()) {
            write!(f, "\n  in run '{}' of `{key}`", printable(run))?;
        }
        let mut source = match &self.0.cause {
            // An error about several runs quotes the first of them.
            Some(Cause::Error(first)) if self.0.message.contains(&first.0.message) => {
                first.source()
            }
            _ => self.source(),
        };
        while let Some(error) = source {
            write!(f, "\n  caused by: {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// The standard form of an [`Error`]: what it derefs and converts to.
#[repr(transparent)]
struct StandardError(Error);

impl fmt::Display for StandardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for StandardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for StandardError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ErrorBody {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.cause.as_ref()? {
            // The message is the value's own text: its chain starts below it.
            Cause::Value(value) => value.source(),
            Cause::Error(error) => Some(&*error.0),
            Cause::Text(chain) => Some(chain),
        }
    }
}

impl Deref for Error {
    type Target = dyn std::error::Error + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl<E> From<E> for Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    fn from(error: E) -> Self {
        Self::build(ErrorKind::Other, error.to_string())
            .type_name(Some(std::any::type_name::<E>().to_owned()))
            .value(Box::new(error))
            .finish()
    }
}

impl From<Error> for Box<dyn std::error::Error + Send + Sync + 'static> {
    fn from(error: Error) -> Self {
        error.into_std()
    }
}

impl From<Error> for Box<dyn std::error::Error + 'static> {
    fn from(error: Error) -> Self {
        error.into_std()
    }
}

/// An error as it travels between processes.
#[derive(Serialize, Deserialize)]
struct ErrorRecord {
    kind: ErrorKind,
    message: String,
    type_name: Option<String>,
    task_key: Option<String>,
    run_name: Option<String>,
    chain: Option<Box<TextChain>>,
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ErrorRecord {
            kind: self.0.kind,
            message: self.0.message.clone(),
            type_name: self.0.type_name.clone(),
            task_key: self.0.task_key.clone(),
            run_name: self.0.run_name.clone(),
            chain: TextChain::below(&*self.0),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let record = ErrorRecord::deserialize(deserializer)?;
        let mut builder = Self::build(record.kind, record.message)
            .type_name(record.type_name)
            .chain(record.chain);
        builder.0.task_key = record.task_key;
        builder.0.run_name = record.run_name;
        Ok(builder.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the table")]
    struct ReadError(#[source] std::io::Error);

    fn sample() -> Error {
        let cause = std::io::Error::other("disk is gone");
        let failed = Error::from(ReadError(cause));
        Error::build(ErrorKind::NotReady, "upstream failed")
            .task("m::sum")
            .run("sum-1a2")
            .because(failed)
            .finish()
    }

    #[test]
    fn downcast_looks_through_dependents() {
        assert!(sample().downcast_ref::<ReadError>().is_some());
        assert_eq!(sample().root().to_string(), "cannot read the table");
    }

    #[test]
    fn chain_survives_the_codec() {
        let bytes = rmp_serde::to_vec_named(&sample()).unwrap();
        let back: Error = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", sample()));
        assert!(format!("{back:?}").contains("caused by: disk is gone"));
        assert_eq!(back.kind(), ErrorKind::NotReady);
    }

    #[test]
    fn standard_forms_keep_the_chain() {
        let boxed: Box<dyn std::error::Error + Send + Sync> = sample().into();
        assert_eq!(boxed.source().unwrap().to_string(), "cannot read the table");
    }
}
