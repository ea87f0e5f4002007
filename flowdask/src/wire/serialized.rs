//! Values of users, as they travel: a header and payload frames.
//!
//! Schedulers pass them on unread, and so do workers that cannot read them;
//! the header therefore stays the bytes that came (protocol, section 3.2).

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::compression::{Compression, CompressionError};
use super::msgpack::{self, MessageError};
use super::{FieldError, Fields, Value};

/// A value of a user on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Serialized {
    header: Bytes,
    frames: Vec<Bytes>,
}

/// A payload that does not fit its header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SerializedError {
    /// The header is no MessagePack map.
    #[error("the header of a serialized value cannot be read")]
    Header(#[from] MessageError),
    /// A member of the header is missing or of another type.
    #[error("the header of a serialized value is damaged")]
    Field(#[from] FieldError),
    /// The header names more or other frames than came.
    #[error("a serialized value has {found} frames, its header speaks of {wanted}")]
    Frames {
        /// What the header says.
        wanted: usize,
        /// How many came.
        found: usize,
    },
    /// A frame cannot be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

impl Serialized {
    /// A value with this header; `num-sub-frames` is added to it.
    #[must_use]
    pub fn new(mut header: Vec<(Value, Value)>, frames: Vec<Bytes>) -> Self {
        header.push(("num-sub-frames".into(), frames.len().into()));
        let header = msgpack::encode_plain(&Value::Map(header));
        Self { header, frames }
    }

    /// A value as it came.
    #[must_use]
    pub fn from_parts(header: Bytes, frames: Vec<Bytes>) -> Self {
        Self { header, frames }
    }

    /// The header, a MessagePack map.
    #[must_use]
    pub fn header(&self) -> &Bytes {
        &self.header
    }

    /// The frames, as they travel: maybe compressed, maybe in shards.
    #[must_use]
    pub fn frames(&self) -> &[Bytes] {
        &self.frames
    }

    /// The size of the payload in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum()
    }

    /// The header's members.
    ///
    /// # Errors
    ///
    /// It is no map with string keys.
    pub fn parse_header(&self) -> Result<Fields, SerializedError> {
        let header = msgpack::decode_plain(&self.header)?;
        Ok(Fields::unnamed("header", header)?)
    }

    /// The logical frames: decompressed, and shards joined (protocol,
    /// section 3.4).
    ///
    /// # Errors
    ///
    /// Damage, or a compression that is unknown here.
    pub fn payloads(&self) -> Result<Vec<Bytes>, SerializedError> {
        let mut header = self.parse_header()?;
        let frames = match header.optional("compression") {
            None => self.frames.clone(),
            Some(names) => self.decompressed(names)?,
        };
        let Some(shards) = header.optional("split-num-sub-frames") else {
            return Ok(frames);
        };
        join_shards(&header.lengths("split-num-sub-frames", shards)?, &frames)
    }

    fn decompressed(&self, names: Value) -> Result<Vec<Bytes>, SerializedError> {
        let names = match names {
            Value::List(names) => names,
            Value::Nil => return Ok(self.frames.clone()),
            other => return Err(FieldError::kind("header", "compression", "a list", &other).into()),
        };
        if names.len() != self.frames.len() {
            return Err(SerializedError::Frames {
                wanted: names.len(),
                found: self.frames.len(),
            });
        }
        names
            .iter()
            .zip(&self.frames)
            .map(|(name, frame)| match name {
                Value::Nil => Ok(frame.clone()),
                Value::String(name) => Ok(Compression::named(name)?.decompress(frame)?),
                other => {
                    Err(FieldError::kind("header", "compression", "a name or nil", other).into())
                }
            })
            .collect()
    }
}

fn join_shards(lengths: &[usize], frames: &[Bytes]) -> Result<Vec<Bytes>, SerializedError> {
    let wanted = lengths
        .iter()
        .fold(0_usize, |sum, n| sum.saturating_add(*n));
    if wanted != frames.len() {
        return Err(SerializedError::Frames {
            wanted,
            found: frames.len(),
        });
    }
    let mut rest = frames;
    Ok(lengths
        .iter()
        .map(|&length| {
            let (shards, others) = rest.split_at(length);
            rest = others;
            match shards {
                [one] => one.clone(),
                shards => {
                    let mut joined = BytesMut::with_capacity(shards.iter().map(Bytes::len).sum());
                    for shard in shards {
                        joined.extend_from_slice(shard);
                    }
                    joined.freeze()
                }
            }
        })
        .collect())
}

/// Values may be secret: only their size is shown.
impl fmt::Debug for Serialized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Serialized({} bytes in {} frames)",
            self.size(),
            self.frames.len()
        )
    }
}
