//! Values in bincode, and the types that can be.
//!
//! Bincode has neither names nor kinds: who reads it must know the type, or
//! gets a wrong value. So the number of the type stands before each value, and
//! a reader that has only the bytes (it puts a list together, or has another
//! codec itself) finds the type by that number, among those that tasks with
//! `codec = bincode` return.

use std::any::{Any, type_name};
use std::collections::HashMap;
use std::sync::OnceLock;

use bincode::config::standard;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bounded::decode_bounded;
use super::codec::CodecError;

/// Bytes of a value: the type's number, then bincode.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = type_number::<T>().to_le_bytes().to_vec();
    bincode::serde::encode_into_std_write(value, &mut bytes, standard())
        .map_err(CodecError::encode::<T>)?;
    Ok(bytes)
}

/// A value of a type that the reader knows.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (number, body) = parts(bytes)?;
    if number != type_number::<T>() {
        let type_name = type_name::<T>();
        return Err(CodecError::OtherType { type_name });
    }
    let (value, read) =
        decode_bounded(body).map_err(|source| CodecError::decode::<T>(bytes, source))?;
    if read == body.len() {
        return Ok(value);
    }
    // What was read may be a wrong value: the type does not read what it writes.
    let left = format!(
        "{} bytes are left over: bincode cannot hold types that leave fields out",
        body.len() - read
    );
    Err(CodecError::decode::<T>(bytes, left))
}

/// A value of a type that some task returns.
pub(super) fn decode_registered<T: 'static>(bytes: &[u8]) -> Result<T, CodecError> {
    let value = (registered(bytes)?.decode)(bytes)?;
    let type_name = type_name::<T>();
    let value = value.downcast().map(|value| *value);
    value.map_err(|_| CodecError::OtherType { type_name })
}

/// A value of any type that some task returns, in MessagePack.
pub(super) fn to_message_pack(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    (registered(bytes)?.to_message_pack)(bytes)
}

/// A value of a type that the reader does not know.
type Decoded = Result<Box<dyn Any>, CodecError>;

/// A type that a task with `codec = bincode` returns; the macro submits it.
#[doc(hidden)]
#[derive(Debug)]
pub struct CompactType {
    number: fn() -> u64,
    decode: fn(&[u8]) -> Decoded,
    to_message_pack: fn(&[u8]) -> Result<Vec<u8>, CodecError>,
}

inventory::collect!(CompactType);

impl CompactType {
    /// The entry of a type.
    #[must_use]
    pub const fn of<T: Serialize + DeserializeOwned + 'static>() -> Self {
        Self {
            number: type_number::<T>,
            decode: |bytes| Ok(Box::new(decode::<T>(bytes)?)),
            to_message_pack: |bytes| {
                rmp_serde::to_vec_named(&decode::<T>(bytes)?).map_err(CodecError::encode::<T>)
            },
        }
    }
}

/// The type of these bytes.
fn registered(bytes: &[u8]) -> Result<&'static CompactType, CodecError> {
    static TYPES: OnceLock<HashMap<u64, &'static CompactType>> = OnceLock::new();
    let types = TYPES.get_or_init(|| {
        let types = inventory::iter::<CompactType>.into_iter();
        types.map(|entry| ((entry.number)(), entry)).collect()
    });
    let (number, _) = parts(bytes)?;
    types.get(&number).copied().ok_or(CodecError::UnknownType)
}

fn parts(bytes: &[u8]) -> Result<(u64, &[u8]), CodecError> {
    let (number, body) = bytes.split_first_chunk().ok_or(CodecError::UnknownType)?;
    Ok((u64::from_le_bytes(*number), body))
}

/// A hash of the type's name (FNV-1a), the same in every process.
fn type_number<T>() -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    type_name::<T>().bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Codec, CodecTag, EncodedValue};

    #[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Point {
        name: String,
        at: (i32, f64),
    }

    inventory::submit! { CompactType::of::<Point>() }

    fn point() -> Point {
        Point {
            name: "origin".into(),
            at: (-1, 0.5),
        }
    }

    #[test]
    fn values_are_small_and_come_back() {
        let codec = Codec::<Point>::bincode();
        let encoded = codec.encode(&point()).unwrap();
        // The number, a length with the name, an integer, a float.
        assert_eq!(encoded.bytes.len(), 8 + 7 + 1 + 8);
        assert_eq!(codec.decode(&encoded).unwrap(), point());
        for cut in 0..encoded.bytes.len() {
            decode::<Point>(&encoded.bytes[..cut]).unwrap_err();
        }
        let mut longer = encoded.bytes;
        longer.push(0);
        let error = decode::<Point>(&longer).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.starts_with("1 bytes are left over"), "{source}");
    }

    #[test]
    fn readers_with_another_codec_find_the_type() {
        let encoded = Codec::bincode().encode(&point()).unwrap();
        let plain = Codec::<Point>::message_pack();
        assert_eq!(plain.decode(&encoded).unwrap(), point());
        let packed = encoded.into_message_pack().unwrap();
        assert_eq!(packed, plain.encode(&point()).unwrap());
        // The other way round there is nothing to find: the tag says enough.
        let error = Codec::<Point>::bincode().decode(&packed).unwrap_err();
        assert!(matches!(error, CodecError::Tag { .. }), "{error}");
    }

    #[test]
    fn other_and_unknown_types_are_refused() {
        let encoded = Codec::bincode().encode(&point()).unwrap();
        let error = Codec::<String>::message_pack().decode(&encoded);
        assert!(
            matches!(error, Err(CodecError::OtherType { .. })),
            "{error:?}"
        );
        let error = Codec::<String>::bincode().decode(&encoded);
        assert!(
            matches!(error, Err(CodecError::OtherType { .. })),
            "{error:?}"
        );

        let unknown = Codec::bincode().encode(&7_i16).unwrap();
        let error = unknown.into_message_pack();
        assert!(matches!(error, Err(CodecError::UnknownType)), "{error:?}");
        let codec = CodecTag::Bincode;
        let empty = EncodedValue {
            codec,
            bytes: vec![],
        };
        assert!(matches!(
            empty.into_message_pack(),
            Err(CodecError::UnknownType)
        ));
    }

    #[test]
    fn a_length_out_of_the_air_is_refused() {
        let mut bytes = encode(&"text".to_owned()).unwrap();
        // Of the text: a length of 2^63 bytes.
        bytes.splice(8..9, [253, 0, 0, 0, 0, 0, 0, 0, 128]);
        decode::<String>(&bytes).unwrap_err();
    }
}
