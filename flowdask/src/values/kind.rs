//! What a coded value is, by its first byte.

use bytes::Bytes;
use flowcore::bridge::{CodecTag, EncodedValue};
use rmp::Marker;

use super::arrow::EXTENSION;
use crate::wire::pickle::Writer;

/// What a coded value is to Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    Boolean,
    Integer,
    Float,
    String,
    Bytes,
    List,
    Map,
    Arrow,
    /// Bytes that only Rust can read.
    Opaque,
}

impl Kind {
    pub(super) fn of(value: &EncodedValue) -> Self {
        if value.codec != CodecTag::MessagePack {
            return Self::Opaque;
        }
        let Some(&first) = value.bytes.first() else {
            return Self::Opaque;
        };
        match Marker::from_u8(first) {
            Marker::Null => Self::None,
            Marker::True | Marker::False => Self::Boolean,
            Marker::FixPos(_)
            | Marker::FixNeg(_)
            | Marker::U8
            | Marker::U16
            | Marker::U32
            | Marker::U64
            | Marker::I8
            | Marker::I16
            | Marker::I32
            | Marker::I64 => Self::Integer,
            Marker::F32 | Marker::F64 => Self::Float,
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => Self::String,
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => Self::Bytes,
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => Self::List,
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => Self::Map,
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32 => Self::extension(&value.bytes),
            Marker::Reserved => Self::Opaque,
        }
    }

    fn extension(bytes: &[u8]) -> Self {
        match rmp::decode::read_ext_meta(&mut &*bytes) {
            Ok(meta) if meta.typeid == EXTENSION => Self::Arrow,
            // What msgpack gives Python: an object of its own.
            _ => Self::Opaque,
        }
    }
}

/// The Python type of a value, as `task-finished` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonType {
    /// Its name.
    pub name: &'static str,
    /// The pickle of the class.
    pub pickle: Bytes,
}

impl PythonType {
    /// What Python will read a value as.
    #[must_use]
    pub fn of(value: &EncodedValue) -> Self {
        let (module, name) = match Kind::of(value) {
            Kind::None => return Self::none(),
            Kind::Boolean => ("builtins", "bool"),
            Kind::Integer => ("builtins", "int"),
            Kind::Float => ("builtins", "float"),
            Kind::String => ("builtins", "str"),
            Kind::Bytes | Kind::Opaque => ("builtins", "bytes"),
            Kind::List => ("builtins", "list"),
            Kind::Map => ("builtins", "dict"),
            Kind::Arrow => {
                return Self {
                    name: "pyarrow.lib.Table",
                    pickle: class("pyarrow.lib", "Table"),
                };
            }
        };
        Self {
            name,
            pickle: class(module, name),
        }
    }

    /// `list`.
    pub(crate) fn list() -> Self {
        Self {
            name: "list",
            pickle: class("builtins", "list"),
        }
    }

    /// `type(None)`, for this class has no name that could be imported.
    fn none() -> Self {
        let mut writer = Writer::new();
        writer.global("builtins", "type");
        writer.none();
        writer.tuple_of(1);
        writer.reduce();
        Self {
            name: "NoneType",
            pickle: writer.finish().into(),
        }
    }
}

/// The pickle of a class.
pub(super) fn class(module: &str, name: &str) -> Bytes {
    let mut writer = Writer::new();
    writer.global(module, name);
    writer.finish().into()
}
