//! Large plain values: each is a task of Dask of its own that gives it back, so
//! that it travels once, is held by whoever needs it, and is made again when
//! its worker dies.
//!
//! A payload of its own: no run of the flow is behind it. Values that are the
//! same bytes are one value.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use flowcore::bridge::{ArgumentDescriptor, CodecTag, EncodedValue};

use crate::graph::TaskNode;
use crate::wire::Key;

/// The first byte of a payload; those of runs and of questions are others.
const FORM: u8 = 4;

/// What smaller ones cost is less than a key more; what is larger than a
/// message takes stays where it was, and its run says so.
const SIZES: Range<usize> = 64 << 10..(u32::MAX as usize) - (1 << 20);

/// Names a value by its bytes.
pub(super) type ValueId = u128;

/// A value on its way.
#[derive(Clone, Debug)]
pub(super) struct SharedValue {
    pub(super) id: ValueId,
    payload: Bytes,
}

impl SharedValue {
    fn new(value: &EncodedValue) -> Self {
        let mut payload = Vec::with_capacity(value.bytes.len() + 2);
        payload.extend([FORM, u8::from(value.codec == CodecTag::Bincode)]);
        payload.extend(&value.bytes);
        Self {
            id: id_of(&payload),
            payload: payload.into(),
        }
    }

    /// Takes the large values out of an argument; it names them then.
    pub(super) fn take_from(argument: &mut ArgumentDescriptor, values: &mut Vec<Self>) {
        match argument {
            ArgumentDescriptor::Inline(value) if SIZES.contains(&value.bytes.len()) => {
                let value = Self::new(value);
                *argument = ArgumentDescriptor::Shared(value.id);
                values.push(value);
            }
            ArgumentDescriptor::List(parts) => {
                for part in parts {
                    Self::take_from(part, values);
                }
            }
            ArgumentDescriptor::Outcome(inner) | ArgumentDescriptor::Element(inner, _) => {
                Self::take_from(inner, values);
            }
            _ => {}
        }
    }

    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.payload.len()
    }

    /// The task that gives it back, under this key.
    pub(super) fn task(self, key: Key) -> TaskNode {
        TaskNode {
            key,
            payload: self.payload,
            dependencies: Vec::new(),
        }
    }
}

/// The value of a payload, if it is of this kind.
pub(crate) fn from_payload(payload: &[u8]) -> Option<EncodedValue> {
    let (&FORM, rest) = payload.split_first()? else {
        return None;
    };
    let (&codec, bytes) = rest.split_first()?;
    let codec = match codec {
        0 => CodecTag::MessagePack,
        1 => CodecTag::Bincode,
        _ => return None,
    };
    Some(EncodedValue {
        codec,
        bytes: bytes.to_vec(),
    })
}

/// Two hashes by keys that nobody knows before: no two values have one name by
/// chance or by design.
fn id_of(payload: &[u8]) -> ValueId {
    static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);
    let [high, low] = KEYS.each_ref().map(|keys| keys.hash_one(payload));
    u128::from(high) << 64 | u128::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::length::Question;
    use crate::runner::payload::Payload;

    fn inline(size: usize, fill: u8) -> ArgumentDescriptor {
        ArgumentDescriptor::Inline(EncodedValue {
            codec: CodecTag::MessagePack,
            bytes: vec![fill; size],
        })
    }

    #[test]
    fn large_values_are_taken_out_by_their_bytes() {
        let large = SIZES.start;
        let list = vec![inline(large, 1), inline(large - 1, 1)];
        let mut arguments = [
            inline(large, 1),
            inline(large, 2),
            ArgumentDescriptor::List(list),
        ];
        let mut values = Vec::new();
        for argument in &mut arguments {
            SharedValue::take_from(argument, &mut values);
        }
        let [first, second, again] = &values[..] else {
            panic!("{} values", values.len());
        };
        assert_eq!(first.id, again.id);
        assert_ne!(first.id, second.id);
        let shared = ArgumentDescriptor::Shared;
        let list = vec![shared(first.id), inline(large - 1, 1)];
        let list = ArgumentDescriptor::List(list);
        assert_eq!(arguments, [shared(first.id), shared(second.id), list]);
    }

    #[test]
    fn values_survive_their_payload() {
        for codec in [CodecTag::MessagePack, CodecTag::Bincode] {
            let bytes = vec![7; SIZES.start];
            let value = EncodedValue { codec, bytes };
            let payload = SharedValue::new(&value).payload;
            assert_eq!(from_payload(&payload), Some(value));
            assert_eq!(Question::from_payload(&payload), None);
            assert!(Payload::from_bytes(&payload).is_err());
        }
        for payload in [&[][..], &[FORM], &[FORM, 9], &[2, 0, 1]] {
            assert_eq!(from_payload(payload), None);
        }
    }
}
