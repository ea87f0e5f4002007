//! From what travels to a coded value.

use bytes::Bytes;
use flowcore::bridge::{CodecTag, EncodedValue};

use super::error::ValueError;
use super::message_pack::MessagePack;
use super::write::{CODEC, UNPACK};
use crate::wire::pickle::{self, Object};
use crate::wire::{Fields, Serialized, SerializedError, Value};

/// A value from its header and frames, whether Rust or Python made them.
///
/// Tuples and sets become lists.
///
/// # Errors
///
/// Damage, or a value that only Python has.
pub fn from_wire(value: &Serialized) -> Result<EncodedValue, ValueError> {
    let mut header = value.parse_header()?;
    let frames = value.payloads()?;
    if let Some(codec) = header.optional(CODEC) {
        return opaque(&codec, &frames);
    }
    let mut out = MessagePack::default();
    read(header, &frames, &mut out)?;
    Ok(EncodedValue {
        codec: CodecTag::MessagePack,
        bytes: out.bytes,
    })
}

/// A value from what a pickle said.
///
/// # Errors
///
/// A value that only Python has.
pub(crate) fn from_object(object: &Object) -> Result<EncodedValue, ValueError> {
    let mut out = MessagePack::default();
    out.object(object)?;
    Ok(EncodedValue {
        codec: CodecTag::MessagePack,
        bytes: out.bytes,
    })
}

/// Bytes that carry the name of their codec.
fn opaque(codec: &Value, frames: &[Bytes]) -> Result<EncodedValue, ValueError> {
    let tag = codec.as_str().and_then(CodecTag::from_name);
    let codec = tag.ok_or_else(|| ValueError::Serializer {
        serializer: format!("{codec:?}"),
    })?;
    let bytes = frames.concat();
    Ok(EncodedValue { codec, bytes })
}

/// Reads a value, or an element of a collection. Headers within headers are no deeper than the
/// message that they came in.
fn read(mut header: Fields, frames: &[Bytes], out: &mut MessagePack) -> Result<(), ValueError> {
    if header.optional("is-collection") == Some(Value::Boolean(true)) {
        return collection(header, frames, out);
    }
    let serializer = header.string("serializer")?;
    match serializer.as_str() {
        "pickle" => match frames {
            [unpack, body] if **unpack == *UNPACK => {
                out.extend(std::slice::from_ref(body));
                Ok(())
            }
            [pickle, buffers @ ..] => out.object(&pickle::read_with_buffers(pickle, buffers)?),
            [] => Err(frames_missing(1, 0)),
        },
        "dask" => {
            let type_name = header.string("type")?;
            match type_name.as_str() {
                "bytes" | "bytearray" => out.binary(frames),
                "pyarrow.lib.Table" | "pyarrow.lib.RecordBatch" => out.arrow(frames),
                _ => Err(ValueError::PythonOnly { type_name }),
            }
        }
        "msgpack" => {
            out.extend(frames);
            Ok(())
        }
        "error" => Err(ValueError::NotSerialized {
            text: String::from_utf8_lossy(&frames.concat()).into_owned(),
        }),
        _ => Err(ValueError::Serializer { serializer }),
    }
}

/// A list, tuple, set or dict, with a header for each element (protocol, section 10.3).
fn collection(
    mut header: Fields,
    frames: &[Bytes],
    out: &mut MessagePack,
) -> Result<(), ValueError> {
    let headers = header.list("sub-headers")?;
    let lengths = header.value("frame-lengths")?;
    let lengths = header.lengths("frame-lengths", lengths)?;
    if lengths.len() != headers.len() {
        return Err(frames_missing(headers.len(), lengths.len()));
    }
    let kind = header.string("type-serialized")?;
    let is_dict = match kind.as_str() {
        "dict" => true,
        "list" | "tuple" | "set" => false,
        _ => return Err(ValueError::PythonOnly { type_name: kind }),
    };
    if is_dict {
        out.map(headers.len())?;
    } else {
        out.array(headers.len())?;
    }
    let mut rest = frames;
    for (header, length) in headers.into_iter().zip(lengths) {
        let mut header = Fields::unnamed("sub-header", header)?;
        let (own, others) = rest
            .split_at_checked(length)
            .ok_or_else(|| frames_missing(length, rest.len()))?;
        rest = others;
        if is_dict {
            out.value(&header.value("key")?)?;
        }
        read(header, own, out)?;
    }
    Ok(())
}

fn frames_missing(wanted: usize, found: usize) -> ValueError {
    SerializedError::Frames { wanted, found }.into()
}
