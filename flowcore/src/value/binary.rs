//! Results that are bytes.
//!
//! Serde writes a `Vec<u8>` as a list of numbers, which is what another
//! language would read, and up to twice as long. Where the type of a value is
//! known it is told apart here; bytes inside other values stay lists, unless
//! their type writes bytes by itself, as `bytes::Bytes` and `serde_bytes` do.
//! Whoever reads a `Vec<u8>` reads both forms.

use std::any::Any;

use super::codec::{CodecError, CodecTag, EncodedValue, TOO_LONG};

/// The value in MessagePack, if it is bytes.
pub(crate) fn binary<T: 'static>(value: &T) -> Option<Result<EncodedValue, CodecError>> {
    let value: &dyn Any = value;
    let bytes: &[u8] = if let Some(bytes) = value.downcast_ref::<Vec<u8>>() {
        bytes
    } else if let Some(bytes) = value.downcast_ref::<Box<[u8]>>() {
        bytes
    } else {
        value.downcast_ref::<Option<Vec<u8>>>()?.as_deref()?
    };
    let Ok(length) = u32::try_from(bytes.len()) else {
        return Some(Err(CodecError::encode::<T>(TOO_LONG)));
    };
    let mut out = Vec::with_capacity(bytes.len() + 5);
    match length {
        0..0x100 => out.extend([0xc4, u8::try_from(length).ok()?]),
        0x100..0x1_0000 => {
            out.push(0xc5);
            out.extend(u16::try_from(length).ok()?.to_be_bytes());
        }
        _ => {
            out.push(0xc6);
            out.extend(length.to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
    Some(Ok(EncodedValue {
        codec: CodecTag::MessagePack,
        bytes: out,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Codec;

    fn binary<T: 'static>(value: &T) -> Option<EncodedValue> {
        super::binary(value).map(Result::unwrap)
    }

    #[test]
    fn bytes_of_every_length_are_read_by_the_codec_of_their_type() {
        for length in [0, 1, 255, 256, 65_535, 65_536] {
            let bytes = vec![0xab_u8; length];
            let coded = binary(&bytes).expect("bytes");
            assert!((0xc4..=0xc6).contains(&coded.bytes[0]));
            let read: Vec<u8> = Codec::message_pack().decode(&coded).unwrap();
            assert_eq!(read, bytes);
            let boxed: Box<[u8]> = bytes.clone().into();
            assert_eq!(binary(&boxed), Some(coded.clone()));
            assert_eq!(binary(&Some(bytes.clone())), Some(coded.clone()));
            let read: Option<Vec<u8>> = Codec::message_pack().decode(&coded).unwrap();
            assert_eq!(read, Some(bytes));
        }
        assert_eq!(binary(&None::<Vec<u8>>), None);
        assert_eq!(binary(&vec![1_i8]), None);
        assert_eq!(binary(&"text".to_owned()), None);
    }
}
