//! What values of a type can do: be cloned, shown, read and written.

use std::fmt::{self, Debug, Display, Write};
use std::marker::PhantomData;

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::callable::WriteJson;
use super::super::json_parameters::{self, ReadJson, SchemaOf};
use crate::flow::{FlowOutcome, ReturnedRuns};
use crate::records::Unstable;
use crate::value::CodecError;

/// Answers about a type, such as `Probe::<i64>::CLONE`. With [`Unknown`]
/// and [`UnknownSized`] in scope there is one for every type.
#[derive(Debug)]
pub struct Probe<T: ?Sized>(PhantomData<T>);

/// The text of a value for people.
pub type Show<T> = fn(&T) -> String;

/// A value as MessagePack.
pub type Pack<T> = fn(&T) -> Result<Vec<u8>, CodecError>;

impl<T: Clone> Probe<T> {
    /// How it is cloned.
    pub const CLONE: Option<fn(&T) -> T> = Some(T::clone);
}

impl<T: Display + ?Sized> Probe<T> {
    /// What `Display` writes, cut at 512 characters.
    pub const DISPLAY: Option<Show<T>> = Some(|value| shortened(format_args!("{value}")));
}

impl<T: Debug + ?Sized> Probe<T> {
    /// What `Debug` writes, cut at 512 characters.
    pub const DEBUG: Option<Show<T>> = Some(|value| shortened(format_args!("{value:?}")));
}

impl<T: Serialize + ?Sized> Probe<T> {
    /// As bytes for a cache key.
    pub const PACK: Option<Pack<T>> = Some(|value| {
        rmp_serde::to_vec_named(value).map_err(|source| CodecError::Encode {
            type_name: std::any::type_name::<T>(),
            source: source.into(),
        })
    });
}

impl<T: DeserializeOwned + Send + 'static> Probe<T> {
    /// How it is read from JSON.
    pub const READ: Option<ReadJson> = Some(json_parameters::read::<T>);
}

impl<T: Serialize> Probe<T> {
    /// How it is written as JSON.
    pub const WRITE: WriteJson<T> = Some(|value| serde_json::to_value(value));
}

impl<T: JsonSchema> Probe<T> {
    /// How its schema is made.
    pub const SCHEMA: Option<SchemaOf> = Some(SchemaGenerator::subschema_for::<T>);
}

impl<T: ReturnedRuns> Probe<T> {
    /// Which runs it stands for: futures, states, maps, and lists and tuples
    /// of nothing else.
    pub const RUNS: FlowOutcome<T> = Some(T::returned);
}

impl<T, E> Probe<Result<T, E>> {
    /// Whether it is a `Result`, perhaps under another name.
    pub const IS_RESULT: bool = true;
}

/// The answers for types that are none of this.
pub trait Unknown<T: ?Sized> {
    /// It is not `Display`.
    const DISPLAY: Option<Show<T>> = None;
    /// It is not `Debug`.
    const DEBUG: Option<Show<T>> = None;
    /// It is not `Serialize`.
    const PACK: Option<Pack<T>> = None;
    /// It is not `DeserializeOwned`.
    const READ: Option<ReadJson> = None;
    /// It is not `JsonSchema`.
    const SCHEMA: Option<SchemaOf> = None;
    /// It is not.
    const IS_RESULT: bool = false;
}

impl<T: ?Sized> Unknown<T> for Probe<T> {}

/// The answers for types of known size that are none of this.
pub trait UnknownSized<T> {
    /// It is not `Clone`.
    const CLONE: Option<fn(&T) -> T> = None;
    /// It is not `Serialize`.
    const WRITE: WriteJson<T> = None;
    /// It stands for itself.
    const RUNS: FlowOutcome<T> = None;
}

impl<T> UnknownSized<T> for Probe<T> {}

/// A value as bytes for a cache key.
///
/// # Errors
///
/// Its type is not `Serialize`, or its own `Serialize` refused.
pub fn packed<T: ?Sized>(value: &T, pack: Option<Pack<T>>) -> Result<Vec<u8>, Unstable> {
    let pack = pack.ok_or(Unstable::NotSerializable(std::any::type_name::<T>()))?;
    Ok(pack(value)?)
}

/// The text of a value for people, of these two or else its type's name.
#[must_use]
pub const fn text<T: ?Sized>(display: Option<Show<T>>, debug: Option<Show<T>>) -> Show<T> {
    match (display, debug) {
        (Some(show), _) | (None, Some(show)) => show,
        (None, None) => |_| std::any::type_name::<T>().to_owned(),
    }
}

/// Texts of arguments are cut after this many characters: they are read in
/// names and tables, and a list of a million numbers is no name.
const LONGEST_TEXT: usize = 512;

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

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! text {
        ($type:ty, $value:expr) => {
            text(Probe::<$type>::DISPLAY, Probe::<$type>::DEBUG)(&$value)
        };
    }

    struct Opaque;

    #[derive(Debug, Clone)]
    struct Shown;

    #[test]
    fn texts_prefer_display() {
        assert_eq!(text!(String, "a b".to_owned()), "a b");
        assert_eq!(text!(Shown, Shown), "Shown");
        assert!(text!(Opaque, Opaque).ends_with("Opaque"));
        assert_eq!(text!(Vec<i64>, vec![1, 2]), "[1, 2]");
        assert_eq!(text!(str, *"a b"), "a b");
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
    fn clones_are_found() {
        assert!(Probe::<Shown>::CLONE.is_some());
        assert!(Probe::<Opaque>::CLONE.is_none());
    }

    #[test]
    fn results_are_seen_through_aliases() {
        type Hidden = Result<i64, String>;
        const { assert!(Probe::<Hidden>::IS_RESULT) };
        const { assert!(!Probe::<Option<i64>>::IS_RESULT) };
    }
}
