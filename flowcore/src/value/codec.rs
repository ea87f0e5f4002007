//! How users' values become bytes and back.
//!
//! A [`Codec`] is a pair of function pointers with a tag, so that it can be
//! named in constants that the macros generate. The tag travels with the
//! bytes; a reader that does not know it says so.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::compact;

/// How bytes of a value are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CodecTag {
    /// MessagePack, structs as maps with field names.
    MessagePack,
    /// The type's number, then bincode: values without names.
    Bincode,
}

impl CodecTag {
    /// Its name, in records and in the headers of values.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MessagePack => "messagepack",
            Self::Bincode => "bincode",
        }
    }

    /// The codec of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::MessagePack, Self::Bincode]
            .into_iter()
            .find(|tag| tag.name() == name)
    }
}

/// A value could not become bytes, or bytes not a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value's own `Serialize` refused, or the format cannot hold it.
    #[error("cannot encode a value of type `{type_name}`")]
    Encode {
        /// The value's type.
        type_name: &'static str,
        /// What refused.
        #[source]
        source: BoxedError,
    },
    /// The bytes are not a value of this type.
    #[error("cannot decode {length} bytes as a value of type `{type_name}`")]
    Decode {
        /// The type that was wanted.
        type_name: &'static str,
        /// How many bytes there were.
        length: usize,
        /// What went wrong.
        #[source]
        source: BoxedError,
    },
    /// The bytes carry another codec's tag.
    #[error("bytes are coded as {found:?}, but `{type_name}` is read as {wanted:?}")]
    Tag {
        /// The type that was wanted.
        type_name: &'static str,
        /// The tag found.
        found: CodecTag,
        /// The tag of the reader.
        wanted: CodecTag,
    },
    /// Values in bincode do not say what they are, so their type must be
    /// known.
    #[error(
        "bytes in bincode are of a type that no task of this program with `codec = bincode` \
         returns: they come from another build"
    )]
    UnknownType,
    /// The bytes in bincode are a value of another type.
    #[error("bytes in bincode are no value of type `{type_name}`")]
    OtherType {
        /// The type that was wanted.
        type_name: &'static str,
    },
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

pub(super) const TOO_LONG: &str = "a text, a list or bytes inside it is longer than the 4 GiB that MessagePack has \
                        room for: cut it into several values, or say `codec = bincode`";

/// Whether these bytes are one value and nothing else. The encoder writes
/// lengths of more than 32 bits without their upper part, and says nothing.
fn is_whole(bytes: &[u8]) -> bool {
    let mut reader = rmp_serde::Deserializer::new(bytes);
    let read = serde::de::IgnoredAny::deserialize(&mut reader);
    read.is_ok() && reader.get_ref().is_empty()
}

/// A value as bytes, with the tag that says how to read them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedValue {
    /// How to read the bytes.
    pub codec: CodecTag,
    /// The value.
    pub bytes: Vec<u8>,
}

impl EncodedValue {
    /// The same value in MessagePack, which can be put together and taken
    /// apart by those who do not know its type.
    pub(crate) fn into_message_pack(self) -> Result<Self, CodecError> {
        let bytes = match self.codec {
            CodecTag::MessagePack => self.bytes,
            CodecTag::Bincode => compact::to_message_pack(&self.bytes)?,
        };
        Ok(Self {
            codec: CodecTag::MessagePack,
            bytes,
        })
    }
}

/// Values may hold secrets: only the length is shown.
impl fmt::Debug for EncodedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EncodedValue({:?}, {} bytes)",
            self.codec,
            self.bytes.len()
        )
    }
}

/// Encodes and decodes values of one type.
pub struct Codec<T> {
    tag: CodecTag,
    encode: fn(&T) -> Result<Vec<u8>, CodecError>,
    decode: fn(&[u8]) -> Result<T, CodecError>,
}

impl<T> Clone for Codec<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Codec<T> {}

impl<T> fmt::Debug for Codec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codec({:?})", self.tag)
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> {
    /// MessagePack with field names: survives added fields, reads
    /// `untagged`, `flatten` and `skip_serializing_if`, and is readable from
    /// Python.
    #[must_use]
    pub const fn message_pack() -> Self {
        Self {
            tag: CodecTag::MessagePack,
            encode: |value| {
                let bytes = rmp_serde::to_vec_named(value).map_err(CodecError::encode::<T>)?;
                if u32::try_from(bytes.len()).is_err() && !is_whole(&bytes) {
                    return Err(CodecError::encode::<T>(TOO_LONG));
                }
                Ok(bytes)
            },
            decode: |bytes| {
                rmp_serde::from_slice(bytes)
                    .map_err(|source| CodecError::decode::<T>(bytes, source))
            },
        }
    }

    /// Bincode: the smallest bytes, for types that write all their fields
    /// always and say nothing about their form.
    #[must_use]
    pub const fn bincode() -> Self {
        Self {
            tag: CodecTag::Bincode,
            encode: compact::encode,
            decode: compact::decode,
        }
    }
}

impl CodecError {
    pub(super) fn encode<T>(source: impl Into<BoxedError>) -> Self {
        Self::Encode {
            type_name: std::any::type_name::<T>(),
            source: source.into(),
        }
    }

    pub(super) fn decode<T>(bytes: &[u8], source: impl Into<BoxedError>) -> Self {
        Self::Decode {
            type_name: std::any::type_name::<T>(),
            length: bytes.len(),
            source: source.into(),
        }
    }
}

impl<T> Codec<T> {
    /// How the bytes that it makes are to be read.
    pub(crate) fn tag(&self) -> CodecTag {
        self.tag
    }

    pub(crate) fn encode(&self, value: &T) -> Result<EncodedValue, CodecError> {
        Ok(EncodedValue {
            codec: self.tag,
            bytes: (self.encode)(value)?,
        })
    }

    /// Reads bytes that it has made itself.
    pub(crate) fn decode_own(&self, bytes: &[u8]) -> Result<T, CodecError> {
        (self.decode)(bytes)
    }

    /// Reads what it has made, and what a task with `codec = bincode` has
    /// given.
    pub(crate) fn decode(&self, encoded: &EncodedValue) -> Result<T, CodecError>
    where
        T: 'static,
    {
        match encoded.codec {
            tag if tag == self.tag => self.decode_own(&encoded.bytes),
            CodecTag::Bincode => compact::decode_registered(&encoded.bytes),
            found @ CodecTag::MessagePack => Err(CodecError::Tag {
                type_name: std::any::type_name::<T>(),
                found,
                wanted: self.tag,
            }),
        }
    }
}

/// What the code that reads values of one type can do with them: clone them,
/// code them, or neither.
pub struct Access<T> {
    clone: Option<fn(&T) -> T>,
    codec: Option<Codec<T>>,
}

impl<T> Clone for Access<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Access<T> {}

impl<T> fmt::Debug for Access<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("clone", &self.clone.is_some())
            .field("codec", &self.codec)
            .finish()
    }
}

impl<T> Access<T> {
    /// What is known of the type: how to clone it, how to code it.
    #[must_use]
    pub const fn new(clone: Option<fn(&T) -> T>, codec: Option<Codec<T>>) -> Self {
        Self { clone, codec }
    }

    /// How to code it, if that is possible.
    #[must_use]
    pub fn codec(&self) -> Option<&Codec<T>> {
        self.codec.as_ref()
    }

    pub(crate) fn can_copy(&self) -> bool {
        self.clone.is_some() || self.codec.is_some()
    }

    /// A second value: a clone, or a trip through the codec.
    pub(crate) fn copy(&self, value: &T) -> crate::Result<T> {
        if let Some(clone) = self.clone {
            return Ok(clone(value));
        }
        let codec = self.codec.as_ref().ok_or_else(|| {
            crate::Error::invalid(format!(
                "a second value of type `{type_name}` is needed (for a retry, a second reader or a \
                 live handle), but the type is neither `Clone` nor serializable: derive `Clone` for \
                 `{type_name}`, or take it as `&{type_name}`",
                type_name = std::any::type_name::<T>()
            ))
        })?;
        let encoded = codec.encode(value)?;
        Ok(codec.decode_own(&encoded.bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    /// What the encoder makes of lengths that are longer than their place is
    /// the same with a length that is too short.
    #[test]
    fn values_with_lengths_that_were_cut_are_told() {
        for value in [
            rmp_serde::to_vec(&"a text of some letters").unwrap(),
            rmp_serde::to_vec(&vec![1; 100]).unwrap(),
            rmp_serde::to_vec(&(vec!["a", "b"], vec![0.5; 20])).unwrap(),
        ] {
            assert!(is_whole(&value));
        }
        let mut text = rmp_serde::to_vec(&"a text of some letters").unwrap();
        text[0] = 0xa3;
        assert!(!is_whole(&text));
        let mut list = rmp_serde::to_vec(&vec![1; 10]).unwrap();
        list[0] = 0x90;
        assert!(!is_whole(&list));
        let mut nested = rmp_serde::to_vec(&(vec![7; 10], "after")).unwrap();
        nested[1] = 0x92;
        assert!(!is_whole(&nested));
        assert!(!is_whole(&[]));
    }
}
