//! From a coded value to what travels.

use bytes::Bytes;
use flowcore::bridge::EncodedValue;

use super::kind::{Kind, class};
use crate::wire::pickle::Writer;
use crate::wire::{Serialized, Value};

/// The member of a header that names the codec of bytes which only Rust can read.
pub(super) const CODEC: &str = "flow-codec";

/// `partial(msgpack.unpackb, strict_map_key=False)(buffer)`, where the buffer comes beside the
/// pickle, in a frame of its own: it is never copied, and as large as memory.
///
/// Without the keyword, Python would take no keys but strings and bytes.
pub(super) const UNPACK: &[u8] = b"\x80\x05\
    \x8c\x09functools\x8c\x07partial\x93\
    \x8c\x07msgpack\x8c\x07unpackb\x93\x85\
    }\x8c\x0estrict_map_key\x89s\x92\
    \x97\x85R.";

/// A value as it travels.
///
/// ```
/// use flowcore::bridge::{CodecTag, EncodedValue};
/// use flowdask::values::{from_wire, to_wire};
///
/// // [1, 2, 3] in MessagePack.
/// let codec = CodecTag::MessagePack;
/// let list = EncodedValue { codec, bytes: vec![0x93, 1, 2, 3] };
/// assert_eq!(from_wire(&to_wire(list.clone()))?, list);
/// # Ok::<(), flowdask::values::ValueError>(())
/// ```
#[must_use]
pub fn to_wire(value: EncodedValue) -> Serialized {
    let kind = Kind::of(&value);
    let body = Bytes::from(value.bytes);
    // What is damaged goes as it is: whoever reads it says so.
    match kind {
        Kind::None | Kind::Boolean | Kind::Integer | Kind::Float | Kind::String => {
            scalar(&body).map_or_else(|| unpacked(body), pickled)
        }
        Kind::Bytes => match rmp::decode::read_bin_len(&mut &*body) {
            Ok(length) if length as usize <= body.len() => {
                bytes(body.slice(body.len() - length as usize..))
            }
            _ => unpacked(body),
        },
        Kind::Arrow => match rmp::decode::read_ext_meta(&mut &*body) {
            Ok(meta) if meta.size as usize <= body.len() => by_dask(
                ("pyarrow.lib", "Table"),
                "pyarrow.lib.Table",
                body.slice(body.len() - meta.size as usize..),
            ),
            _ => unpacked(body),
        },
        Kind::List | Kind::Map => unpacked(body),
        Kind::Opaque => opaque(value.codec.name(), body),
    }
}

/// Bytes as Python's `bytes`.
pub(crate) fn bytes(bytes: Bytes) -> Serialized {
    by_dask(("builtins", "bytes"), "bytes", bytes)
}

/// A value of a type that Dask has a serializer for.
fn by_dask((module, name): (&str, &str), type_name: &str, frame: Bytes) -> Serialized {
    Serialized::new(dask_header(module, name, type_name), vec![frame])
}

fn dask_header(module: &str, name: &str, type_name: &str) -> Vec<(Value, Value)> {
    vec![
        ("serializer".into(), "dask".into()),
        ("type".into(), type_name.into()),
        ("sub-header".into(), Value::map([])),
        ("type-serialized".into(), class(module, name).into()),
    ]
}

/// Bytes that say by which codec Rust is to read them; `bytes` to Python.
fn opaque(codec: &str, body: Bytes) -> Serialized {
    let mut header = dask_header("builtins", "bytes", "bytes");
    header.push((CODEC.into(), codec.into()));
    Serialized::new(header, vec![body])
}

fn pickled(pickle: Bytes) -> Serialized {
    Serialized::new(pickle_header(Vec::new()), vec![pickle])
}

fn unpacked(body: Bytes) -> Serialized {
    let header = pickle_header(vec![false.into()]);
    Serialized::new(header, vec![Bytes::from_static(UNPACK), body])
}

/// A list in MessagePack, with a member of its header more; `change` writes what
/// is done to the list in Python.
pub(super) fn unpacked_list(
    body: Bytes,
    member: (Value, Value),
    change: impl FnOnce(&mut Writer),
) -> Serialized {
    let mut header = pickle_header(vec![false.into()]);
    header.push(member);
    let mut writer = Writer::after(UNPACK);
    change(&mut writer);
    let pickle = Bytes::from(writer.finish());
    Serialized::new(header, vec![pickle, body])
}

fn pickle_header(writeable: Vec<Value>) -> Vec<(Value, Value)> {
    vec![
        ("serializer".into(), "pickle".into()),
        ("writeable".into(), writeable.into()),
    ]
}

/// The pickle of a value without parts.
fn scalar(mut body: &[u8]) -> Option<Bytes> {
    use rmp::Marker::{F32, F64, False, FixStr, Null, Str8, Str16, Str32, True};

    let mut writer = Writer::new();
    match rmp::Marker::from_u8(*body.first()?) {
        Null => writer.none(),
        False => writer.boolean(false),
        True => writer.boolean(true),
        F32 => writer.float(rmp::decode::read_f32(&mut body).ok()?.into()),
        F64 => writer.float(rmp::decode::read_f64(&mut body).ok()?),
        FixStr(_) | Str8 | Str16 | Str32 => {
            writer.string(rmp::decode::read_str_from_slice(body).ok()?.0);
        }
        _ => writer.integer(rmp::decode::read_int::<i128, _>(&mut body).ok()?),
    }
    Some(writer.finish().into())
}
