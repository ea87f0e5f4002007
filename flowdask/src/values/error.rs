//! Why a value from elsewhere cannot be read.

use crate::wire::pickle::PickleError;
use crate::wire::{FieldError, SerializedError};

/// A value that cannot be read here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Its frames do not fit its header, or cannot be decompressed.
    #[error(transparent)]
    Frames(#[from] SerializedError),
    /// Its header lacks something.
    #[error("the header of a value is damaged")]
    Header(#[from] FieldError),
    /// Its pickle is damaged.
    #[error("a value's pickle cannot be read")]
    Pickle(#[from] PickleError),
    /// Only Python has such values.
    #[error(
        "a value is a `{type_name}` of Python, which Rust cannot read: send numbers, strings, \
         bytes, lists, dicts or Arrow tables"
    )]
    PythonOnly {
        /// What it is in Python.
        type_name: String,
    },
    /// Integers have 64 bits.
    #[error("an integer of {bytes} bytes is too large for Rust's 64 bits")]
    Integer {
        /// How many bytes it has.
        bytes: usize,
    },
    /// A list, string or table with more than a 32-bit number of entries or bytes.
    #[error("a value with {length} bytes or entries is too large: send it in parts below 4 GiB")]
    TooLarge {
        /// How many.
        length: usize,
    },
    /// Whoever had the value could not serialize it.
    #[error("the value could not be serialized where it was made: {text}")]
    NotSerialized {
        /// What was said there.
        text: String,
    },
    /// A way to serialize that is not known here.
    #[error("a value was serialized by `{serializer}`, which is unknown here")]
    Serializer {
        /// Its name.
        serializer: String,
    },
}
