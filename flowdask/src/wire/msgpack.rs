//! Messages ↔ frames: MessagePack in frame 0, and the markers in it that
//! stand for the other frames (protocol, section 3).
//!
//! Any input gives a value or an error, in memory that follows from the
//! input's size.

use bytes::Bytes;
use rmp::Marker;
use rmp::decode::{NumValueReadError, RmpRead, ValueReadError};

use super::value::{Pickled, Value};
use super::{Fields, Serialized};

/// How deep a message may be nested; Python's reader stops at 512.
const DEPTH: usize = 500;

const SERIALIZED: &str = "__Serialized__";
const PICKLED: &str = "__Pickled__";
const SET: &str = "__Set__";
const SET_ITEMS: &str = "as-list";
const PICKLE: &str = "pickled-obj";
const SUB_FRAMES: &str = "num-sub-frames";

/// The frames are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Not a single frame came.
    #[error("a message without frames")]
    Empty,
    /// The MessagePack is cut off.
    #[error("a message is cut off")]
    CutOff,
    /// Bytes that are no MessagePack, or that Dask does not use.
    #[error("a message holds a byte that means nothing: {byte:#04x}")]
    Marker {
        /// The byte.
        byte: u8,
    },
    /// More follows after the message.
    #[error("a message is followed by {count} more bytes")]
    Trailing {
        /// How many bytes.
        count: usize,
    },
    /// The nesting is deeper than any peer's.
    #[error("a message is nested deeper than {DEPTH} levels")]
    Depth,
    /// A string that is no UTF-8.
    #[error("a message holds a string that is no UTF-8")]
    Text,
    /// A marker names frames that did not come.
    #[error("a message speaks of frame {index}, but has {count}")]
    Frame {
        /// The frame named.
        index: u64,
        /// How many came.
        count: usize,
    },
    /// Two markers name the same frame.
    #[error("a message uses frame {index} twice")]
    Reused {
        /// The frame.
        index: u64,
    },
    /// The header of a value is damaged.
    #[error("the header of a value in a message is damaged")]
    Header,
}

/// A message cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// MessagePack counts bytes and entries with 32 bits.
    #[error(
        "{kind} of {length} bytes or entries does not fit into a message: above 4 GiB, values \
         travel in shards"
    )]
    TooLarge {
        /// What it is.
        kind: &'static str,
        /// Its length.
        length: usize,
    },
}

/// The frames of a message.
pub(crate) fn encode(message: &Value) -> Result<Vec<Bytes>, EncodeError> {
    let mut encoder = Encoder {
        first: Vec::with_capacity(256),
        others: Vec::new(),
    };
    encoder.value(message)?;
    let mut frames = Vec::with_capacity(1 + encoder.others.len());
    frames.push(encoder.first.into());
    frames.append(&mut encoder.others);
    Ok(frames)
}

/// A small value of our own, without other frames, as MessagePack.
pub(super) fn encode_plain(value: &Value) -> Bytes {
    let mut encoder = Encoder {
        first: Vec::new(),
        others: Vec::new(),
    };
    match encoder.value(value) {
        Ok(()) => encoder.first.into(),
        // Headers are made of names and lengths.
        Err(error) => unreachable!("a header is small: {error}"),
    }
}

/// The message that these frames are.
pub(crate) fn decode(frames: &[Bytes]) -> Result<Value, MessageError> {
    let first = frames.first().ok_or(MessageError::Empty)?;
    decode_frame(first, frames)
}

/// A MessagePack value without other frames.
pub(super) fn decode_plain(bytes: &Bytes) -> Result<Value, MessageError> {
    decode_frame(bytes, &[])
}

fn decode_frame(first: &Bytes, frames: &[Bytes]) -> Result<Value, MessageError> {
    let mut decoder = Decoder {
        all: first,
        rest: first,
        frames,
        next_frame: 1,
    };
    let value = decoder.value(DEPTH)?;
    match decoder.rest.len() {
        0 => Ok(value),
        count => Err(MessageError::Trailing { count }),
    }
}

struct Encoder {
    first: Vec<u8>,
    others: Vec<Bytes>,
}

/// Writing to a vector cannot fail.
macro_rules! put {
    ($write:ident($out:expr $(, $value:expr)*)) => {
        if let Err(error) = rmp::encode::$write($out $(, $value)*) {
            unreachable!("a vector takes all bytes: {error}");
        }
    };
}

impl Encoder {
    fn value(&mut self, value: &Value) -> Result<(), EncodeError> {
        match value {
            Value::Nil => put!(write_nil(&mut self.first)),
            Value::Boolean(value) => put!(write_bool(&mut self.first, *value)),
            Value::Integer(value) => put!(write_sint(&mut self.first, *value)),
            Value::Unsigned(value) => put!(write_uint(&mut self.first, *value)),
            Value::Float(value) => put!(write_f64(&mut self.first, *value)),
            Value::String(text) => {
                length("a string", text.len())?;
                put!(write_str(&mut self.first, text));
            }
            Value::Bytes(bytes) => {
                length("a bytes value", bytes.len())?;
                put!(write_bin(&mut self.first, bytes));
            }
            Value::List(values) => {
                let count = length("a list", values.len())?;
                put!(write_array_len(&mut self.first, count));
                self.values(values)?;
            }
            Value::Map(entries) => {
                let count = length("a map", entries.len())?;
                put!(write_map_len(&mut self.first, count));
                for (key, value) in entries {
                    self.value(key)?;
                    self.value(value)?;
                }
            }
            Value::Set(values) => {
                put!(write_map_len(&mut self.first, 2));
                put!(write_str(&mut self.first, SET));
                put!(write_bool(&mut self.first, true));
                put!(write_str(&mut self.first, SET_ITEMS));
                let count = length("a set", values.len())?;
                put!(write_array_len(&mut self.first, count));
                self.values(values)?;
            }
            Value::Serialized(value) => {
                self.marker(SERIALIZED);
                self.others.push(value.header().clone());
                self.others.extend_from_slice(value.frames());
            }
            Value::Pickled(value) => {
                self.marker(PICKLED);
                let header = Value::map([
                    (PICKLE, value.pickle.clone().into()),
                    (
                        "compression",
                        value.buffers.iter().map(|_| Value::Nil).collect(),
                    ),
                    (SUB_FRAMES, value.buffers.len().into()),
                ]);
                length("a pickle", value.pickle.len())?;
                self.others.push(encode_plain(&header));
                self.others.extend_from_slice(&value.buffers);
            }
        }
        Ok(())
    }

    fn values(&mut self, values: &[Value]) -> Result<(), EncodeError> {
        values.iter().try_for_each(|value| self.value(value))
    }

    fn marker(&mut self, name: &str) {
        put!(write_map_len(&mut self.first, 1));
        put!(write_str(&mut self.first, name));
        put!(write_uint(&mut self.first, self.others.len() as u64 + 1));
    }
}

fn length(kind: &'static str, length: usize) -> Result<u32, EncodeError> {
    u32::try_from(length).map_err(|_| EncodeError::TooLarge { kind, length })
}

struct Decoder<'a> {
    all: &'a Bytes,
    rest: &'a [u8],
    frames: &'a [Bytes],
    /// All before it belong to values.
    next_frame: usize,
}

impl From<ValueReadError> for MessageError {
    fn from(_: ValueReadError) -> Self {
        Self::CutOff
    }
}

impl From<NumValueReadError> for MessageError {
    fn from(_: NumValueReadError) -> Self {
        Self::CutOff
    }
}

impl Decoder<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, MessageError> {
        let depth = depth.checked_sub(1).ok_or(MessageError::Depth)?;
        let marker = rmp::decode::read_marker(&mut self.rest).map_err(|_| MessageError::CutOff)?;
        Ok(match marker {
            Marker::Null => Value::Nil,
            Marker::True => Value::Boolean(true),
            Marker::False => Value::Boolean(false),
            Marker::FixPos(value) => Value::Integer(value.into()),
            Marker::FixNeg(value) => Value::Integer(value.into()),
            Marker::U8 => Value::Integer(self.rest.read_data_u8()?.into()),
            Marker::U16 => Value::Integer(self.rest.read_data_u16()?.into()),
            Marker::U32 => Value::Integer(self.rest.read_data_u32()?.into()),
            Marker::U64 => Value::from(self.rest.read_data_u64()?),
            Marker::I8 => Value::Integer(self.rest.read_data_i8()?.into()),
            Marker::I16 => Value::Integer(self.rest.read_data_i16()?.into()),
            Marker::I32 => Value::Integer(self.rest.read_data_i32()?.into()),
            Marker::I64 => Value::Integer(self.rest.read_data_i64()?),
            Marker::F32 => Value::Float(self.rest.read_data_f32()?.into()),
            Marker::F64 => Value::Float(self.rest.read_data_f64()?),
            Marker::FixStr(length) => self.text(length.into())?,
            Marker::Str8 => self.sized(1, Self::text)?,
            Marker::Str16 => self.sized(2, Self::text)?,
            Marker::Str32 => self.sized(4, Self::text)?,
            Marker::Bin8 => self.sized(1, Self::bytes)?,
            Marker::Bin16 => self.sized(2, Self::bytes)?,
            Marker::Bin32 => self.sized(4, Self::bytes)?,
            Marker::FixArray(count) => self.list(count.into(), depth)?,
            Marker::Array16 => self.sized(2, |decoder, count| decoder.list(count, depth))?,
            Marker::Array32 => self.sized(4, |decoder, count| decoder.list(count, depth))?,
            Marker::FixMap(count) => self.map(count.into(), depth)?,
            Marker::Map16 => self.sized(2, |decoder, count| decoder.map(count, depth))?,
            Marker::Map32 => self.sized(4, |decoder, count| decoder.map(count, depth))?,
            other => {
                return Err(MessageError::Marker {
                    byte: other.to_u8(),
                });
            }
        })
    }

    /// What follows a length of so many bytes.
    fn sized(
        &mut self,
        width: usize,
        read: impl FnOnce(&mut Self, usize) -> Result<Value, MessageError>,
    ) -> Result<Value, MessageError> {
        let digits = self.take(width)?;
        let length = digits
            .iter()
            .fold(0, |length, &digit| length << 8 | usize::from(digit));
        read(self, length)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, MessageError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(MessageError::CutOff)?;
        let start = self.all.len() - self.rest.len();
        self.rest = rest;
        Ok(self.all.slice(start..start + taken.len()))
    }

    fn text(&mut self, length: usize) -> Result<Value, MessageError> {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| MessageError::Text)?;
        Ok(text.into())
    }

    fn bytes(&mut self, length: usize) -> Result<Value, MessageError> {
        Ok(Value::Bytes(self.take(length)?))
    }

    fn list(&mut self, count: usize, depth: usize) -> Result<Value, MessageError> {
        // Each element has a byte at least: a count out of the air takes no
        // more memory than a multiple of what came.
        let mut values = Vec::with_capacity(count.min(self.rest.len()).min(1024));
        for _ in 0..count {
            values.push(self.value(depth)?);
        }
        Ok(Value::List(values))
    }

    fn map(&mut self, count: usize, depth: usize) -> Result<Value, MessageError> {
        let mut entries = Vec::with_capacity(count.min(self.rest.len()).min(1024));
        for _ in 0..count {
            let key = self.value(depth)?;
            entries.push((key, self.value(depth)?));
        }
        self.resolved(entries)
    }

    /// The map, or what it stands for.
    fn resolved(&mut self, entries: Vec<(Value, Value)>) -> Result<Value, MessageError> {
        Ok(match entries.as_slice() {
            [(Value::String(name), Value::Integer(index))] if name == SERIALIZED => {
                let (header, frames, _) = self.sub_frames(*index)?;
                Value::Serialized(Serialized::from_parts(header, frames))
            }
            [(Value::String(name), Value::Integer(index))] if name == PICKLED => {
                let (_, buffers, mut fields) = self.sub_frames(*index)?;
                let pickle = fields.bytes(PICKLE).map_err(|_| MessageError::Header)?;
                Value::Pickled(Pickled { pickle, buffers })
            }
            [
                (Value::String(name), Value::Boolean(true)),
                (Value::String(items), Value::List(_)),
            ] if name == SET && items == SET_ITEMS => {
                let Some((_, Value::List(values))) = entries.into_iter().nth(1) else {
                    unreachable!("the pattern has looked");
                };
                Value::Set(values)
            }
            _ => Value::Map(entries),
        })
    }

    /// The header at this index, and the frames that belong to it.
    ///
    /// Senders number frames in the order of their markers. More than that is
    /// not taken: a few bytes could stand for the same frames again and again.
    fn sub_frames(&mut self, index: i64) -> Result<(Bytes, Vec<Bytes>, Fields), MessageError> {
        let came = self.frames.len();
        let missing = |index: u64| MessageError::Frame { index, count: came };
        let first = u64::try_from(index).map_err(|_| MessageError::Header)?;
        let place = usize::try_from(first).map_err(|_| missing(first))?;
        let header = match place {
            0 => None,
            place => self.frames.get(place),
        };
        let header = header.ok_or_else(|| missing(first))?.clone();
        if place < self.next_frame {
            return Err(MessageError::Reused { index: first });
        }
        let value = decode_plain(&header)?;
        let mut fields = Fields::unnamed("header", value).map_err(|_| MessageError::Header)?;
        let count = fields
            .unsigned(SUB_FRAMES)
            .map_err(|_| MessageError::Header)?;
        let end = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_add(place + 1))
            .ok_or_else(|| missing(count))?;
        let frames = self
            .frames
            .get(place + 1..end)
            .ok_or_else(|| missing(end as u64))?;
        self.next_frame = end;
        Ok((header, frames.to_vec(), fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markers(indices: [u8; 2]) -> Vec<Bytes> {
        let mut first = vec![0x92];
        for index in indices {
            first.extend([0x81, 0xae]);
            first.extend(SERIALIZED.as_bytes());
            first.push(index);
        }
        let header = encode_plain(&Value::map([(SUB_FRAMES, 1.into())]));
        let payload = Bytes::from_static(b"payload");
        vec![
            first.into(),
            header.clone(),
            payload.clone(),
            header,
            payload,
        ]
    }

    #[test]
    fn a_frame_belongs_to_one_value() {
        assert!(decode(&markers([1, 3])).is_ok());
        for (indices, index) in [([1, 1], 1), ([1, 2], 2), ([3, 1], 1)] {
            let error = decode(&markers(indices)).unwrap_err();
            assert_eq!(error, MessageError::Reused { index }, "{indices:?}");
        }
    }

    #[test]
    fn counts_above_32_bits_are_refused() {
        let four_gib = 1_usize << 32;
        assert_eq!(length("a bytes value", four_gib - 1), Ok(u32::MAX));
        let error = length("a bytes value", four_gib).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a bytes value of 4294967296 bytes or entries does not fit into a message: above \
             4 GiB, values travel in shards"
        );
    }
}
