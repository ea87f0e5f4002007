//! What became of the rows of a batch, as one value.
//!
//! To Python it is a list, with exceptions where rows did not complete. To
//! Rust its header says besides where each row's bytes are, and why those that
//! failed did. A Python worker that holds a copy has the list alone, and writes
//! it anew: Rust reads that as well.

use std::collections::HashMap;

use bytes::Bytes;
use flowcore::bridge::{CodecTag, EncodedValue, RunFailure};
use flowcore::{Error, StateName};
use serde::{Deserialize, Serialize};

use super::error::ValueError;
use super::message_pack::MessagePack;
use super::read::{Element, from_wire, list_from_wire};
use super::write::unpacked_list;
use crate::coded;
use crate::wire::pickle::Writer;
use crate::wire::{Serialized, Value};

/// The member of a header that holds an [`Index`].
const INDEX: &str = "flow-rows";

/// What became of each row.
pub(crate) type Outcomes = Vec<Result<EncodedValue, RunFailure>>;

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    /// Whether each row is bytes of this codec within MessagePack.
    opaque: Option<CodecTag>,
    /// How many bytes each row takes in the list, its own head included.
    lengths: Vec<u32>,
    failures: Vec<(u32, RunFailure)>,
}

/// The rows' outcomes as they travel.
///
/// # Errors
///
/// A row or the whole is too large.
pub(crate) fn rows_to_wire(outcomes: Outcomes) -> Result<Serialized, ValueError> {
    let mut list = MessagePack::default();
    list.array(outcomes.len())?;
    let mut index = Index {
        opaque: None,
        lengths: Vec::with_capacity(outcomes.len()),
        failures: Vec::new(),
    };
    for (row, outcome) in (0..).zip(outcomes) {
        let before = list.bytes.len();
        match outcome {
            Ok(value) if value.codec == CodecTag::MessagePack => {
                list.bytes.extend_from_slice(&value.bytes);
            }
            Ok(value) => {
                index.opaque = Some(value.codec);
                list.binary(&[value.bytes.into()])?;
            }
            Err(failure) => {
                index.failures.push((row, failure));
                list.bytes.push(NIL);
            }
        }
        let length = list.bytes.len() - before;
        let length = u32::try_from(length).map_err(|_| ValueError::TooLarge { length })?;
        index.lengths.push(length);
    }
    let header = coded::to_bytes(&index).map_err(|error| ValueError::NotSerialized {
        text: error.to_string(),
    })?;
    let member = (INDEX.into(), Value::from(header));
    Ok(unpacked_list(list.bytes.into(), member, |writer| {
        for (row, failure) in &index.failures {
            put_exception(writer, *row, failure);
        }
    }))
}

const NIL: u8 = 0xc0;

/// `list[row] = RuntimeError(text)`.
fn put_exception(writer: &mut Writer, row: u32, failure: &RunFailure) {
    writer.integer(row);
    writer.global("builtins", "RuntimeError");
    writer.string(&failure.error.to_string());
    writer.tuple_of(1);
    writer.reduce();
    writer.set_item();
}

/// The rows of a batch that has arrived.
#[derive(Debug)]
pub(crate) struct Rows {
    opaque: Option<CodecTag>,
    list: Bytes,
    /// Where each row ends in the list; the first begins at `start`.
    ends: Vec<usize>,
    start: usize,
    failures: HashMap<u32, RunFailure>,
}

impl Rows {
    /// # Errors
    ///
    /// Damage, or a value that is no batch.
    pub(crate) fn from_wire(value: &Serialized) -> Result<Self, ValueError> {
        let mut header = value.parse_header()?;
        let Some(Value::Bytes(index)) = header.optional(INDEX) else {
            return Self::rewritten(list_from_wire(value)?);
        };
        let Ok(index) = coded::from_bytes::<Index>(&index) else {
            return Err(no_batch(value));
        };
        let [_, list] = &value.payloads()?[..] else {
            return Err(no_batch(value));
        };
        let whole: usize = index.lengths.iter().map(|length| *length as usize).sum();
        let start = list.len().checked_sub(whole);
        let start = start.ok_or_else(|| no_batch(value))?;
        let ends = index.lengths.iter().scan(start, |end, length| {
            *end += *length as usize;
            Some(*end)
        });
        Ok(Self {
            opaque: index.opaque,
            list: list.clone(),
            ends: ends.collect(),
            start,
            failures: index.failures.into_iter().collect(),
        })
    }

    /// Of a list from Python: of failures only the texts are left.
    fn rewritten(outcomes: Vec<Element>) -> Result<Self, ValueError> {
        let mut list = Vec::new();
        let mut ends = Vec::with_capacity(outcomes.len());
        let mut failures = HashMap::new();
        for (row, outcome) in (0..).zip(outcomes) {
            match outcome {
                Ok(value) => list.extend_from_slice(&value.bytes),
                Err(text) => {
                    let error = Error::msg(text.clone());
                    let failure = RunFailure {
                        state: StateName::Failed,
                        message: Some(text),
                        error,
                    };
                    failures.insert(row, failure);
                }
            }
            ends.push(list.len());
        }
        Ok(Self {
            opaque: None,
            list: list.into(),
            ends,
            start: 0,
            failures,
        })
    }

    /// What became of row number `index` of the batch; nothing if there is no
    /// such row.
    pub(crate) fn outcome(&self, index: u32) -> Option<Result<EncodedValue, &RunFailure>> {
        if let Some(failure) = self.failures.get(&index) {
            return Some(Err(failure));
        }
        let index = index as usize;
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            None => self.start,
            Some(before) => self.ends[before],
        };
        let bytes = &self.list[start..end];
        Some(Ok(match self.opaque {
            None => EncodedValue {
                codec: CodecTag::MessagePack,
                bytes: bytes.to_vec(),
            },
            Some(codec) => {
                // The head of MessagePack's bytes says how long they are.
                let length = rmp::decode::read_bin_len(&mut &*bytes).ok()? as usize;
                let bytes = bytes[bytes.len().checked_sub(length)?..].to_vec();
                EncodedValue { codec, bytes }
            }
        }))
    }

    /// The rows that did not complete.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (u32, &RunFailure)> {
        self.failures.iter().map(|(row, failure)| (*row, failure))
    }
}

fn no_batch(value: &Serialized) -> ValueError {
    match from_wire(value) {
        Err(error) => error,
        Ok(_) => ValueError::PythonOnly {
            type_name: "a batch of rows whose header is damaged".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(codec: CodecTag, bytes: &[u8]) -> EncodedValue {
        let bytes = bytes.to_vec();
        EncodedValue { codec, bytes }
    }

    fn failure() -> RunFailure {
        RunFailure {
            state: StateName::Failed,
            message: Some("m".into()),
            error: Error::msg("odd"),
        }
    }

    #[test]
    fn every_row_comes_back() {
        let long = vec![7; 300];
        let list = [&[0xdc, 1, 44][..], &long].concat();
        let rows = vec![
            Ok(encoded(CodecTag::MessagePack, &[5])),
            Err(failure()),
            Ok(encoded(CodecTag::MessagePack, &list)),
        ];
        let wire = rows_to_wire(rows).unwrap();
        let rows = Rows::from_wire(&wire).unwrap();
        assert_eq!(rows.outcome(0).unwrap().unwrap().bytes, [5]);
        let failed = rows.outcome(1).unwrap().unwrap_err();
        assert_eq!(failed.error.to_string(), "odd");
        assert_eq!(rows.outcome(2).unwrap().unwrap().bytes, list);
        assert!(rows.outcome(3).is_none());
        assert_eq!(rows.failures().count(), 1);
    }

    #[test]
    fn a_list_that_python_has_written_is_read() {
        // pickle.dumps([5, RuntimeError("odd"), "x"], 4), without its memo.
        let pickle =
            b"\x80\x04](K\x05\x8c\x08builtins\x8c\x0cRuntimeError\x93\x8c\x03odd\x85R\x8c\x01xe.";
        let header = vec![
            ("serializer".into(), "pickle".into()),
            ("writeable".into(), Value::List(Vec::new())),
        ];
        let wire = Serialized::new(header, vec![Bytes::from_static(pickle)]);
        let rows = Rows::from_wire(&wire).unwrap();
        assert_eq!(rows.outcome(0).unwrap().unwrap().bytes, [5]);
        let failed = rows.outcome(1).unwrap().unwrap_err();
        assert_eq!(failed.error.to_string(), "odd");
        assert_eq!(rows.outcome(2).unwrap().unwrap().bytes, b"\xa1x");
        assert!(rows.outcome(3).is_none());
    }

    #[test]
    fn bytes_of_another_codec_stay_what_they_are() {
        let rows = vec![
            Ok(encoded(CodecTag::Bincode, &[1; 300])),
            Ok(encoded(CodecTag::Bincode, &[])),
        ];
        let rows = Rows::from_wire(&rows_to_wire(rows).unwrap()).unwrap();
        let first = rows.outcome(0).unwrap().unwrap();
        assert_eq!(first, encoded(CodecTag::Bincode, &[1; 300]));
        assert!(rows.outcome(1).unwrap().unwrap().bytes.is_empty());
    }

    #[test]
    fn other_values_are_no_batch() {
        let value = crate::values::to_wire(encoded(CodecTag::MessagePack, &[1]));
        assert!(Rows::from_wire(&value).is_err());
        // Where nothing failed Rust reads it as the list that it is.
        let rows = rows_to_wire(vec![Ok(encoded(CodecTag::MessagePack, &[5]))]).unwrap();
        assert_eq!(from_wire(&rows).unwrap().bytes, [0x91, 5]);
    }
}
