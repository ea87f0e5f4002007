//! What generated code finds out about a type that it cannot name bounds for.
//!
//! Specialisation is not stable, but method lookup is: for a receiver
//! `&&&Probe<T>` the compiler looks at the type with most references first, so
//! an implementation for `&&Probe<T>` that wants `T: Error` is tried before
//! one for `Probe<T>` that wants nothing. Each probe below lists its questions
//! from the most to the least special, each with one reference less. This
//! works where `T` is concrete, which generated code sees to.

mod json;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt::{self, Debug, Display, Write};
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TaskError;
use crate::error::Error;
use crate::flow::{FlowOutcome, ReturnedRuns};
use crate::records::Unstable;
use crate::value::{Codec, CodecError};

pub use json::{JsonProbe, NoSchema, Read, Schema, Unread, Unwritten, Write as WriteJson};

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

/// Asks how a value is copied and shown.
#[derive(Debug)]
pub struct ValueProbe<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> ValueProbe<T> {
    /// A probe for `T`.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "only generated code makes probes"
    )]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// How to clone: `(&&ValueProbe::<T>::new()).cloner()`.
pub trait Cloner<T> {
    /// `T::clone`, if there is one.
    fn cloner(&self) -> Option<fn(&T) -> T>;
}

impl<T: Clone> Cloner<T> for &ValueProbe<T> {
    fn cloner(&self) -> Option<fn(&T) -> T> {
        Some(T::clone)
    }
}

/// The answer for types that are not `Clone`.
pub trait NoCloner<T> {
    /// Nothing.
    fn cloner(&self) -> Option<fn(&T) -> T>;
}

impl<T> NoCloner<T> for ValueProbe<T> {
    fn cloner(&self) -> Option<fn(&T) -> T> {
        None
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

/// How to show in a run's name: `(&&&ValueProbe::<T>::new()).text(&value)`.
pub trait DisplayedText<T: ?Sized> {
    /// What `Display` writes, cut at [`LONGEST_TEXT`].
    fn text(&self, value: &T) -> String;
}

impl<T: Display + ?Sized> DisplayedText<T> for &&ValueProbe<T> {
    fn text(&self, value: &T) -> String {
        shortened(format_args!("{value}"))
    }
}

/// For types without `Display`.
pub trait DebuggedText<T: ?Sized> {
    /// What `Debug` writes, cut at [`LONGEST_TEXT`].
    fn text(&self, value: &T) -> String;
}

impl<T: Debug + ?Sized> DebuggedText<T> for &ValueProbe<T> {
    fn text(&self, value: &T) -> String {
        shortened(format_args!("{value:?}"))
    }
}

/// For types with neither.
pub trait NoText<T: ?Sized> {
    /// The type's name.
    fn text(&self, value: &T) -> String;
}

impl<T: ?Sized> NoText<T> for ValueProbe<T> {
    fn text(&self, _: &T) -> String {
        std::any::type_name::<T>().to_owned()
    }
}

/// How to write down for a cache key: `(&&ValueProbe::<T>::new()).packed(&value)`.
pub trait Packed<T: ?Sized> {
    /// The value as MessagePack.
    ///
    /// # Errors
    ///
    /// The value's own `Serialize` refused.
    fn packed(&self, value: &T) -> Result<Vec<u8>, Unstable>;
}

impl<T: Serialize + ?Sized> Packed<T> for &ValueProbe<T> {
    fn packed(&self, value: &T) -> Result<Vec<u8>, Unstable> {
        let bytes = rmp_serde::to_vec_named(value).map_err(|source| CodecError::Encode {
            type_name: std::any::type_name::<T>(),
            source,
        })?;
        Ok(bytes)
    }
}

/// For types without `Serialize`.
pub trait Unpacked<T: ?Sized> {
    /// The type's name as the reason.
    ///
    /// # Errors
    ///
    /// Always.
    fn packed(&self, value: &T) -> Result<Vec<u8>, Unstable>;
}

impl<T: ?Sized> Unpacked<T> for ValueProbe<T> {
    fn packed(&self, _: &T) -> Result<Vec<u8>, Unstable> {
        Err(Unstable::NotSerializable(std::any::type_name::<T>()))
    }
}

/// Texts of arguments are cut after this many characters: they are read in
/// names and tables, and a list of a million numbers is no name.
pub const LONGEST_TEXT: usize = 512;

fn shortened(text: fmt::Arguments<'_>) -> String {
    let mut short = Shortened {
        text: String::new(),
        room: LONGEST_TEXT,
    };
    // The only error is our own, which says that there is no more room.
    if short.write_fmt(text).is_err() && short.room == 0 {
        short.text.push('…');
    }
    short.text
}

/// Stops the writer as soon as the text is long enough, so that a large value
/// is not formatted to its end.
struct Shortened {
    text: String,
    room: usize,
}

impl Write for Shortened {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for letter in part.chars() {
            if self.room == 0 {
                return Err(fmt::Error);
            }
            self.text.push(letter);
            self.room -= 1;
        }
        Ok(())
    }
}

/// Asks which runs a flow's value stands for:
/// `(&OutcomeProbe::<T>::new()).outcome()`.
#[derive(Debug)]
pub struct OutcomeProbe<T>(PhantomData<fn() -> T>);

impl<T> OutcomeProbe<T> {
    /// A probe for `T`.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "only generated code makes probes"
    )]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// For futures, states, maps, and lists and tuples of nothing else.
pub trait RunsOutcome<T> {
    /// How to look at the value.
    fn outcome(&self) -> FlowOutcome<T>;
}

impl<T: ReturnedRuns> RunsOutcome<T> for &OutcomeProbe<T> {
    fn outcome(&self) -> FlowOutcome<T> {
        Some(T::returned)
    }
}

/// For all other values.
pub trait PlainOutcome<T> {
    /// Nothing to look at.
    fn outcome(&self) -> FlowOutcome<T>;
}

impl<T> PlainOutcome<T> for OutcomeProbe<T> {
    fn outcome(&self) -> FlowOutcome<T> {
        None
    }
}

/// Whether a type is `Result`, perhaps under another name:
/// `ResultProbe::<T>::IS_RESULT`. The constant of the type itself goes before
/// that of the trait.
#[derive(Debug)]
pub struct ResultProbe<T>(PhantomData<fn() -> T>);

impl<T, E> ResultProbe<Result<T, E>> {
    /// It is.
    pub const IS_RESULT: bool = true;
}

/// The answer for other types.
pub trait NoResult {
    /// It is not.
    const IS_RESULT: bool = false;
}

impl<T> NoResult for ResultProbe<T> {}

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
    fn codec() -> Codec<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Portable for T {
    fn codec() -> Codec<Self> {
        Codec::message_pack()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! text {
        ($type:ty, $value:expr) => {
            (&&&ValueProbe::<$type>::new()).text(&$value)
        };
    }

    macro_rules! cloner {
        ($type:ty) => {
            (&&ValueProbe::<$type>::new()).cloner()
        };
    }

    macro_rules! brief {
        ($error:expr) => {{
            let error = $error;
            format!("{:?}", (&&&&&ErrorProbe::of(&error)).converter()(error))
        }};
    }

    struct Opaque;

    #[derive(Debug, Clone)]
    struct Shown;

    struct Told;

    impl Display for Told {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("told")
        }
    }

    #[test]
    fn texts_prefer_display() {
        assert_eq!(text!(String, "a b".to_owned()), "a b");
        assert_eq!(text!(Shown, Shown), "Shown");
        assert!(text!(Opaque, Opaque).ends_with("Opaque"));
        assert_eq!(text!(Vec<i64>, vec![1, 2]), "[1, 2]");
    }

    #[test]
    fn long_values_are_not_formatted_to_their_end() {
        let text = text!(Vec<u64>, vec![1; 1_000_000]);
        assert_eq!(text.chars().count(), LONGEST_TEXT + 1);
        assert!(text.ends_with('…'));
        let exact = "x".repeat(LONGEST_TEXT);
        assert_eq!(text!(String, exact.clone()), exact);
    }

    #[test]
    fn cloners_are_found() {
        assert!(cloner!(Shown).is_some());
        assert!(cloner!(Opaque).is_none());
    }

    #[test]
    fn results_are_seen_through_aliases() {
        type Hidden = Result<i64, String>;
        const { assert!(ResultProbe::<Hidden>::IS_RESULT) };
        const { assert!(!ResultProbe::<Option<i64>>::IS_RESULT) };
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
