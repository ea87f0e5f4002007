//! Keys in pickles.

use crate::wire::pickle::{Object, Writer};
use crate::wire::{Key, Value};

/// Writes a key; lists are tuples, as Python has them.
pub(super) fn write_key(key: &Key, writer: &mut Writer) {
    write_value(&Value::from(key), writer);
}

fn write_value(value: &Value, writer: &mut Writer) {
    match value {
        Value::String(text) => writer.string(text),
        Value::Integer(value) => writer.integer(*value),
        Value::Unsigned(value) => writer.integer(*value),
        Value::Float(value) => writer.float(*value),
        Value::Bytes(bytes) => writer.bytes(bytes),
        Value::List(parts) => {
            writer.mark();
            for part in parts {
                write_value(part, writer);
            }
            writer.tuple();
        }
        other => unreachable!("a key is never {}", other.kind()),
    }
}

/// The key that an object is, if it is one.
pub(super) fn read_key(object: &Object) -> Option<Key> {
    Key::try_from(read_value(object)?).ok()
}

fn read_value(object: &Object) -> Option<Value> {
    Some(match object {
        Object::String(text) => Value::from(&**text),
        Object::Integer(value) => Value::Integer(*value),
        Object::Float(value) => Value::Float(*value),
        Object::Bytes(bytes) => Value::Bytes(bytes.clone()),
        Object::Tuple(parts) => Value::List(parts.iter().map(read_value).collect::<Option<_>>()?),
        _ => return None,
    })
}
