//! Tables between Rust and Python.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The MessagePack extension that a table is.
pub(super) const EXTENSION: i8 = 65;

/// A table: an Arrow IPC stream, as it travels.
///
/// A task that returns one gives a Python client a `pyarrow.Table`; one that takes it reads what
/// Python sent as `pyarrow.Table` or `pyarrow.RecordBatch`. The bytes are not looked at; the crate
/// `arrow-ipc` reads and writes them.
///
/// ```
/// use flowdask::values::ArrowStream;
///
/// let empty = ArrowStream::new(Vec::new());
/// assert!(empty.bytes().is_empty());
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Extension", try_from = "Extension")]
pub struct ArrowStream(Bytes);

impl ArrowStream {
    /// A table from its stream.
    pub fn new(stream: impl Into<Bytes>) -> Self {
        Self(stream.into())
    }

    /// The stream.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The stream, for good.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// Tables may be secret: only their size is shown.
impl fmt::Debug for ArrowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArrowStream({} bytes)", self.0.len())
    }
}

/// What serde's MessagePack takes for an extension, by its name.
#[derive(Serialize, Deserialize)]
#[serde(rename = "_ExtStruct")]
struct Extension((i8, Stream));

impl From<ArrowStream> for Extension {
    fn from(table: ArrowStream) -> Self {
        Self((EXTENSION, Stream(table.0)))
    }
}

impl TryFrom<Extension> for ArrowStream {
    type Error = String;

    fn try_from(Extension((tag, stream)): Extension) -> Result<Self, String> {
        if tag == EXTENSION {
            Ok(Self(stream.0))
        } else {
            Err(format!("the extension {tag} is no Arrow table"))
        }
    }
}

/// Bytes that serde takes for bytes.
struct Stream(Bytes);

impl Serialize for Stream {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // MessagePack counts with 32 bits.
        if u32::try_from(self.0.len()).is_err() {
            return Err(serde::ser::Error::custom(format!(
                "an Arrow table of {} bytes is too large for one value: cut it into several",
                self.0.len()
            )));
        }
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Stream;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an Arrow stream")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Stream, E> {
                Ok(Stream(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Stream, E> {
                Ok(Stream(bytes.into()))
            }
        }

        deserializer.deserialize_byte_buf(Visitor)
    }
}
