//! From what travels to a coded value.

use bytes::Bytes;
use flowcore::bridge::{CodecTag, EncodedValue};

use super::error::ValueError;
use super::message_pack::MessagePack;
use super::write::{CODEC, UNPACK};
use crate::graph::RemoteException;
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
    Ok(out.into_value())
}

/// An element of a list from Python: a value, or what an exception says.
pub(super) type Element = Result<EncodedValue, String>;

/// The elements of a list that Python has written, which may be exceptions.
///
/// # Errors
///
/// Damage, an element that only Python has, or no list.
pub(super) fn list_from_wire(value: &Serialized) -> Result<Vec<Element>, ValueError> {
    let mut header = value.parse_header()?;
    let frames = value.payloads()?;
    if header.optional("is-collection") != Some(Value::Boolean(true)) {
        let serializer = header.string("serializer")?;
        return match pickled(&serializer, &frames)? {
            Some(Object::List(items)) => items.iter().map(element).collect(),
            _ => Err(no_list()),
        };
    }
    let parts = Parts::of(header, &frames)?;
    if parts.kind != "list" {
        return Err(no_list());
    }
    let elements = parts.elements.into_iter().map(|(mut header, own)| {
        let mut out = MessagePack::default();
        if header.optional("is-collection") == Some(Value::Boolean(true)) {
            collection(header, own, &mut out)?;
        } else {
            let serializer = header.string("serializer")?;
            if let Some(object) = pickled(&serializer, own)? {
                return element(&object);
            }
            read_by(&serializer, header, own, &mut out)?;
        }
        Ok(Ok(out.into_value()))
    });
    elements.collect()
}

/// What a pickle says, if it is one that Python has written.
fn pickled(serializer: &str, frames: &[Bytes]) -> Result<Option<Object>, ValueError> {
    match frames {
        [pickle, buffers @ ..] if serializer == "pickle" && **pickle != *UNPACK => {
            Ok(Some(pickle::read_with_buffers(pickle, buffers)?))
        }
        _ => Ok(None),
    }
}

fn element(object: &Object) -> Result<Element, ValueError> {
    match RemoteException::of_row(object) {
        Some(exception) => Ok(Err(exception.message)),
        None => from_object(object).map(Ok),
    }
}

fn no_list() -> ValueError {
    let type_name = "something else than the list that rows of a map are".to_owned();
    ValueError::PythonOnly { type_name }
}

/// A value from what a pickle said.
///
/// # Errors
///
/// A value that only Python has.
pub(crate) fn from_object(object: &Object) -> Result<EncodedValue, ValueError> {
    let mut out = MessagePack::default();
    out.object(object)?;
    Ok(out.into_value())
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
    read_by(&serializer, header, frames, out)
}

fn read_by(
    serializer: &str,
    mut header: Fields,
    frames: &[Bytes],
    out: &mut MessagePack,
) -> Result<(), ValueError> {
    match serializer {
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
        _ => Err(ValueError::Serializer {
            serializer: serializer.to_owned(),
        }),
    }
}

/// A list, tuple, set or dict, taken apart: it has a header for each element
/// (protocol, section 10.3).
struct Parts<'a> {
    kind: String,
    elements: Vec<(Fields, &'a [Bytes])>,
}

impl<'a> Parts<'a> {
    fn of(mut header: Fields, frames: &'a [Bytes]) -> Result<Self, ValueError> {
        let headers = header.list("sub-headers")?;
        let lengths = header.value("frame-lengths")?;
        let lengths = header.lengths("frame-lengths", lengths)?;
        if lengths.len() != headers.len() {
            return Err(frames_missing(headers.len(), lengths.len()));
        }
        let kind = header.string("type-serialized")?;
        let mut rest = frames;
        let elements = headers.into_iter().zip(lengths).map(|(header, length)| {
            let header = Fields::unnamed("sub-header", header)?;
            let (own, others) = rest
                .split_at_checked(length)
                .ok_or_else(|| frames_missing(length, rest.len()))?;
            rest = others;
            Ok((header, own))
        });
        let elements = elements.collect::<Result<_, ValueError>>()?;
        Ok(Self { kind, elements })
    }
}

fn collection(header: Fields, frames: &[Bytes], out: &mut MessagePack) -> Result<(), ValueError> {
    let Parts { kind, elements } = Parts::of(header, frames)?;
    let is_dict = match kind.as_str() {
        "dict" => true,
        "list" | "tuple" | "set" => false,
        _ => return Err(ValueError::PythonOnly { type_name: kind }),
    };
    if is_dict {
        out.map(elements.len())?;
    } else {
        out.array(elements.len())?;
    }
    for (mut header, own) in elements {
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
