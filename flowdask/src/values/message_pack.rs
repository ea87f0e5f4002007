//! From Python's objects to MessagePack, the form in which Rust reads them.

use bytes::Bytes;
use flowcore::bridge::{CodecTag, EncodedValue};

use super::arrow::EXTENSION;
use super::error::ValueError;
use crate::wire::Value;
use crate::wire::pickle::{Instance, Object};

/// A MessagePack value on its way.
#[derive(Default)]
pub(super) struct MessagePack {
    pub(super) bytes: Vec<u8>,
}

type Result<T = (), E = ValueError> = std::result::Result<T, E>;

/// Writing to a vector cannot fail.
macro_rules! put {
    ($write:ident($out:expr $(, $value:expr)*)) => {
        if let Err(error) = rmp::encode::$write($out $(, $value)*) {
            unreachable!("a vector takes all bytes: {error}");
        }
    };
}

impl MessagePack {
    pub(super) fn array(&mut self, length: usize) -> Result {
        put!(write_array_len(&mut self.bytes, count(length)?));
        Ok(())
    }

    pub(super) fn map(&mut self, length: usize) -> Result {
        put!(write_map_len(&mut self.bytes, count(length)?));
        Ok(())
    }

    pub(super) fn into_value(self) -> EncodedValue {
        EncodedValue {
            codec: CodecTag::MessagePack,
            bytes: self.bytes,
        }
    }

    /// Bytes that come in parts.
    pub(super) fn binary(&mut self, parts: &[Bytes]) -> Result {
        let length = count(parts.iter().map(Bytes::len).sum())?;
        put!(write_bin_len(&mut self.bytes, length));
        self.extend(parts);
        Ok(())
    }

    /// A table that comes in parts.
    pub(super) fn arrow(&mut self, parts: &[Bytes]) -> Result {
        let length = count(parts.iter().map(Bytes::len).sum())?;
        put!(write_ext_meta(&mut self.bytes, length, EXTENSION));
        self.extend(parts);
        Ok(())
    }

    /// Values that are MessagePack already.
    pub(super) fn extend(&mut self, parts: &[Bytes]) {
        self.bytes.reserve(parts.iter().map(Bytes::len).sum());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    fn string(&mut self, text: &str) -> Result {
        count(text.len())?;
        put!(write_str(&mut self.bytes, text));
        Ok(())
    }

    /// What a pickle said. Objects are finite, so this ends.
    pub(super) fn object(&mut self, object: &Object) -> Result {
        match object {
            Object::None => put!(write_nil(&mut self.bytes)),
            Object::Boolean(value) => put!(write_bool(&mut self.bytes, *value)),
            Object::Integer(value) => put!(write_sint(&mut self.bytes, *value)),
            Object::BigInteger(bytes) => match unsigned(bytes) {
                Some(value) => put!(write_uint(&mut self.bytes, value)),
                None => return Err(ValueError::Integer { bytes: bytes.len() }),
            },
            Object::Float(value) => put!(write_f64(&mut self.bytes, *value)),
            Object::String(text) => self.string(text)?,
            Object::Bytes(bytes) | Object::ByteArray(bytes) | Object::Buffer(bytes) => {
                self.binary(std::slice::from_ref(bytes))?;
            }
            Object::List(items)
            | Object::Tuple(items)
            | Object::Set(items)
            | Object::FrozenSet(items) => {
                self.array(items.len())?;
                items.iter().try_for_each(|item| self.object(item))?;
            }
            Object::Dict(entries) => {
                self.map(entries.len())?;
                for (key, value) in &**entries {
                    self.object(key)?;
                    self.object(value)?;
                }
            }
            Object::Instance(instance) => match byte_array(instance) {
                Some(bytes) => self.binary(std::slice::from_ref(bytes))?,
                None => return Err(python_only(&instance.class)),
            },
            Object::Global(_) | Object::Recursive => return Err(python_only(object)),
        }
        Ok(())
    }

    /// A key of a dict that came as a message. What it holds was checked when it was read.
    pub(super) fn value(&mut self, value: &Value) -> Result {
        match value {
            Value::Nil => put!(write_nil(&mut self.bytes)),
            Value::Boolean(value) => put!(write_bool(&mut self.bytes, *value)),
            Value::Integer(value) => put!(write_sint(&mut self.bytes, *value)),
            Value::Unsigned(value) => put!(write_uint(&mut self.bytes, *value)),
            Value::Float(value) => put!(write_f64(&mut self.bytes, *value)),
            Value::String(text) => self.string(text)?,
            Value::Bytes(bytes) => self.binary(std::slice::from_ref(bytes))?,
            Value::List(items) | Value::Set(items) => {
                self.array(items.len())?;
                items.iter().try_for_each(|item| self.value(item))?;
            }
            Value::Map(entries) => {
                self.map(entries.len())?;
                for (key, value) in entries {
                    self.value(key)?;
                    self.value(value)?;
                }
            }
            other => {
                let type_name = other.kind().to_owned();
                return Err(ValueError::PythonOnly { type_name });
            }
        }
        Ok(())
    }
}

fn count(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| ValueError::TooLarge { length })
}

/// A number above `i64::MAX` that 64 bits hold: nine bytes, the last one zero.
fn unsigned(bytes: &[u8]) -> Option<u64> {
    let (&[0], digits) = (bytes.get(8..)?, bytes.first_chunk()?) else {
        return None;
    };
    Some(u64::from_le_bytes(*digits))
}

/// `bytearray(bytes)`: how protocol 4 and older write one.
fn byte_array(instance: &Instance) -> Option<&Bytes> {
    match instance.arguments.elements()? {
        [Object::Bytes(bytes)] if instance.class.global()?.is("builtins", "bytearray") => {
            Some(bytes)
        }
        _ => None,
    }
}

fn python_only(class: &Object) -> ValueError {
    let type_name = match class {
        Object::Global(global) => format!("{}.{}", global.module, global.name),
        Object::Recursive => "list within itself".to_owned(),
        _ => "class without a name".to_owned(),
    };
    ValueError::PythonOnly { type_name }
}
