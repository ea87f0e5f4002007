//! How many elements a list has that lies with a worker: a task of Dask beside
//! it says so, and the list stays where it is.
//!
//! A payload of its own: no run of the flow is behind it, and nothing is told
//! home but the answer.

use flowcore::bridge::{CodecTag, EncodedValue, list_length};
use flowcore::{Error, Result};

use crate::graph::TaskNode;
use crate::values::{self, Rows};
use crate::wire::{Key, Serialized};

/// The first byte of a payload; that of a run's is another.
const FORM: u8 = 3;

/// Which list is meant: a key's value, or that of a row of the batch that it
/// holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    row: Option<u32>,
}

impl Question {
    /// The task that asks it of this key.
    pub(super) fn of(list: Key, row: Option<u32>) -> TaskNode {
        let mut payload = vec![FORM];
        payload.extend(row.into_iter().flat_map(u32::to_le_bytes));
        TaskNode {
            key: Key::from(format!("length-{}", uuid::Uuid::new_v4().simple())),
            payload: payload.into(),
            dependencies: vec![list],
        }
    }

    /// What a payload asks, if it asks this.
    pub(super) fn from_payload(payload: &[u8]) -> Option<Self> {
        let (&FORM, row) = payload.split_first()? else {
            return None;
        };
        let row = match row {
            [] => None,
            row => Some(u32::from_le_bytes(row.try_into().ok()?)),
        };
        Some(Self { row })
    }

    /// The answer, where the value is.
    ///
    /// # Errors
    ///
    /// It is no list, or there is no such row.
    pub(super) fn answer(self, value: &Serialized) -> Result<EncodedValue> {
        let list = match self.row {
            None => values::from_wire(value)?,
            Some(row) => match Rows::from_wire(value)?.outcome(row) {
                Some(Ok(list)) => list,
                Some(Err(failure)) => return Err(failure.error.clone()),
                None => return Err(Error::msg(format!("the batch has no row number {row}"))),
            },
        };
        let mut bytes = Vec::new();
        rmp::encode::write_uint(&mut bytes, list_length(&list)?.into())?;
        Ok(EncodedValue {
            codec: CodecTag::MessagePack,
            bytes,
        })
    }
}

/// The answer, where it was asked.
///
/// # Errors
///
/// It is none.
pub(super) fn read(answer: &Serialized) -> Result<u32> {
    let answer = values::from_wire(answer)?;
    Ok(rmp::decode::read_int(&mut &*answer.bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::payload::Payload;

    fn value(bytes: &[u8]) -> Serialized {
        values::to_wire(EncodedValue {
            codec: CodecTag::MessagePack,
            bytes: bytes.to_vec(),
        })
    }

    #[test]
    fn a_list_is_counted_where_it_lies() {
        for (list, length) in [(&[0x90][..], 0), (&[0x93, 1, 0xa1, b'a', 0x91, 2], 3)] {
            let node = Question::of(Key::from("list"), None);
            assert_eq!(node.dependencies, [Key::from("list")]);
            let question = Question::from_payload(&node.payload).unwrap();
            let answer = question.answer(&value(list)).unwrap();
            assert_eq!(read(&values::to_wire(answer)).unwrap(), length);
        }
        let question = Question { row: None };
        assert!(question.answer(&value(&[5])).is_err(), "it is no list");
    }

    #[test]
    fn other_payloads_ask_nothing() {
        let node = Question::of(Key::from("batch"), Some(70_000));
        let question = Question::from_payload(&node.payload).unwrap();
        assert_eq!(question.row, Some(70_000));
        for payload in [&[][..], &[2], &[FORM, 1], &[FORM, 1, 2, 3, 4, 5]] {
            assert_eq!(Question::from_payload(payload), None);
        }
        assert!(Payload::from_bytes(&node.payload).is_err());
    }
}
