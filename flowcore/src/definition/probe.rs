//! What generated code finds out about a type that it cannot name bounds for.
//!
//! Specialisation is not stable, but two other ways are, where the type is
//! concrete, which generated code sees to. Of constants with one name, one of
//! the type itself goes before one of a trait, and it is there only where its
//! bounds hold: so [`Probe`] answers about values, and the compiler does
//! little for each answer. And for a receiver `&&&Probe` a method is looked
//! for at the type with most references first: so [`ErrorProbe`] answers about
//! errors whose type generated code cannot name.
//!
//! What must hold is a trait here, whose message says what to do.

mod values;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt::Display;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TaskError;
use crate::error::Error;
use crate::value::Codec;

pub use values::{Pack, Probe, Show, Unknown, UnknownSized, packed, text};

type BoxedError = Box<dyn StdError + Send + Sync>;

/// Asks how an error becomes a [`TaskError`].
///
/// `(&&&&&ErrorProbe::of(&error)).converter()` gives the function for it.
#[derive(Debug)]
pub struct ErrorProbe<E>(PhantomData<fn() -> E>);

impl<E> ErrorProbe<E> {
    /// A probe for the type of this error.
    pub fn of(_: &E) -> Self {
        Self(PhantomData)
    }
}

/// Types that are known by name.
pub trait KnownError<E> {
    /// The conversion.
    fn converter(&self) -> fn(E) -> TaskError;
}

impl KnownError<Error> for &&&&ErrorProbe<Error> {
    fn converter(&self) -> fn(Error) -> TaskError {
        TaskError::from_flow
    }
}

impl KnownError<BoxedError> for &&&&ErrorProbe<BoxedError> {
    fn converter(&self) -> fn(BoxedError) -> TaskError {
        TaskError::from_boxed
    }
}

impl KnownError<Box<dyn StdError + Send>> for &&&&ErrorProbe<Box<dyn StdError + Send>> {
    fn converter(&self) -> fn(Box<dyn StdError + Send>) -> TaskError {
        |error| TaskError::from_unsendable(&*error, "dyn Error")
    }
}

impl KnownError<Box<dyn StdError>> for &&&&ErrorProbe<Box<dyn StdError>> {
    fn converter(&self) -> fn(Box<dyn StdError>) -> TaskError {
        |error| TaskError::from_unsendable(&*error, "dyn Error")
    }
}

impl KnownError<String> for &&&&ErrorProbe<String> {
    fn converter(&self) -> fn(String) -> TaskError {
        |error| TaskError::from_display(error.as_str())
    }
}

impl KnownError<&'static str> for &&&&ErrorProbe<&'static str> {
    fn converter(&self) -> fn(&'static str) -> TaskError {
        |error| TaskError::from_display(error)
    }
}

impl KnownError<Cow<'static, str>> for &&&&ErrorProbe<Cow<'static, str>> {
    fn converter(&self) -> fn(Cow<'static, str>) -> TaskError {
        |error| TaskError::from_display(&*error)
    }
}

/// Standard errors: kept as they are, for `downcast_ref`.
pub trait StandardError<E> {
    /// The conversion.
    fn converter(&self) -> fn(E) -> TaskError;
}

impl<E: StdError + Send + Sync + 'static> StandardError<E> for &&&ErrorProbe<E> {
    fn converter(&self) -> fn(E) -> TaskError {
        TaskError::from_error
    }
}

/// Errors that know how to become a boxed one, with their chain:
/// `anyhow::Error` and its kin, which are no standard errors themselves.
pub trait BoxableError<E> {
    /// The conversion.
    fn converter(&self) -> fn(E) -> TaskError;
}

impl<E: Into<BoxedError>> BoxableError<E> for &&ErrorProbe<E> {
    fn converter(&self) -> fn(E) -> TaskError {
        |error| TaskError::from_boxed(error.into())
    }
}

/// Standard errors that cannot leave their thread: text and chain.
pub trait ThreadBoundError<E> {
    /// The conversion.
    fn converter(&self) -> fn(E) -> TaskError;
}

impl<E: StdError + 'static> ThreadBoundError<E> for &ErrorProbe<E> {
    fn converter(&self) -> fn(E) -> TaskError {
        |error| TaskError::from_unsendable(&error, std::any::type_name::<E>())
    }
}

/// Everything else that displays.
pub trait DisplayedError<E> {
    /// The conversion. The bound stands here and not at the implementation, so
    /// that the compiler says what is missing and not that there is no method.
    fn converter(&self) -> fn(E) -> TaskError
    where
        E: TaskFailure;
}

impl<E> DisplayedError<E> for ErrorProbe<E> {
    fn converter(&self) -> fn(E) -> TaskError
    where
        E: TaskFailure,
    {
        E::into_task_error
    }
}

/// The error type of a task or a flow.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task or a flow: it does not display",
    label = "this error type has no text",
    note = "implement `std::error::Error` for it (for example with `thiserror`), or at least \
            `std::fmt::Display`"
)]
pub trait TaskFailure: Sized {
    #[doc(hidden)]
    fn into_task_error(self) -> TaskError;
}

#[diagnostic::do_not_recommend]
impl<E: Display> TaskFailure for E {
    fn into_task_error(self) -> TaskError {
        TaskError::from_display(&self)
    }
}

/// Arguments that a flow with retries can have once for each attempt.
#[diagnostic::on_unimplemented(
    message = "a flow with `retries` needs its arguments once for each attempt, and `{Self}` is \
               not `Clone`",
    label = "there is no value of this type for a second attempt",
    note = "derive `Clone` for the type, take the argument as a loan (`&T`), or leave `retries` out"
)]
pub trait Repeatable {}

#[diagnostic::do_not_recommend]
impl<T: Clone> Repeatable for T {}

/// Compiles for such arguments only.
pub const fn repeatable<T: Repeatable>() {}

/// Values that threads can share, which all arguments and results are. The
/// compiler's own message says what is missing; a type that is projected and
/// fails makes it say so once.
pub trait Shareable: Send + Sync + 'static {
    /// The type.
    type Itself: Send + Sync + 'static;
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> Shareable for T {
    type Itself = T;
}

/// Owned arguments of flows, which may move to another thread; a type that is
/// projected and fails makes the compiler say so once, and there.
pub trait Movable {
    /// The type.
    type Itself;
}

impl<T: Send> Movable for T {
    type Itself = T;
}

/// Values that can travel to another process and back.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` cannot travel to another process",
    label = "`Serialize` or `Deserialize` is missing for this type, or for a part of it",
    note = "add `#[derive(serde::Serialize, serde::Deserialize)]` to the type; \
            or write `#[task(local)]`, which keeps the task's runs in the flow's process"
)]
pub trait Portable: Sized {
    /// How such values become bytes.
    const CODEC: Codec<Self>;

    /// How they become few bytes.
    const BINCODE: Codec<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Portable for T {
    const CODEC: Codec<Self> = Codec::message_pack();
    const BINCODE: Codec<Self> = Codec::bincode();
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! brief {
        ($error:expr) => {{
            let error = $error;
            format!("{:?}", (&&&&&ErrorProbe::of(&error)).converter()(error))
        }};
    }

    struct Told;

    impl Display for Told {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("told")
        }
    }

    #[test]
    fn every_error_that_displays_is_taken() {
        let io = || std::io::Error::other("disk");
        assert!(brief!(io()).contains("disk"));
        let boxed: BoxedError = Box::new(io());
        assert!(brief!(boxed).contains("disk"));
        let unsendable: Box<dyn StdError> = Box::new(io());
        assert!(brief!(unsendable).contains("disk"));
        assert!(brief!("text").contains("text"));
        assert!(brief!("text".to_owned()).contains("text"));
        assert!(brief!(Told).contains("told"));
        assert!(brief!(Error::from(io())).contains("disk"));
    }
}
