//! Names of tasks and data.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::Value;

/// A key of Dask: a string, a number, or a tuple of keys (protocol,
/// section 3.1).
///
/// Our own keys are strings; the others come from Python. `("x", 0)` and
/// `["x", 0]` are the same key.
///
/// ```
/// use flowdask::wire::Key;
///
/// let key = Key::from("inc-3");
/// assert_eq!(key.to_string(), "inc-3");
/// ```
#[derive(Clone)]
pub struct Key(Repr);

#[derive(Clone)]
enum Repr {
    String(Arc<str>),
    Integer(i64),
    Unsigned(u64),
    /// By its bits, so that keys have an equality.
    Float(u64),
    Bytes(Arc<[u8]>),
    Tuple(Arc<[Key]>),
}

/// The value is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} is no key: keys are strings, numbers and tuples of these")]
pub struct NotAKey {
    kind: &'static str,
}

impl Key {
    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Repr::String(text) => Some(text),
            _ => None,
        }
    }

    /// Keys of two kinds are never the same; their order means nothing.
    fn rank(&self) -> u8 {
        match self.0 {
            Repr::String(_) => 0,
            Repr::Integer(_) => 1,
            Repr::Unsigned(_) => 2,
            Repr::Float(_) => 3,
            Repr::Bytes(_) => 4,
            Repr::Tuple(_) => 5,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Repr::String(text) => text.hash(state),
            Repr::Integer(value) => value.hash(state),
            Repr::Unsigned(value) | Repr::Float(value) => value.hash(state),
            Repr::Bytes(bytes) => bytes.hash(state),
            Repr::Tuple(parts) => parts.hash(state),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (&self.0, &other.0) {
            (Repr::String(a), Repr::String(b)) => a.cmp(b),
            (Repr::Integer(a), Repr::Integer(b)) => a.cmp(b),
            (Repr::Unsigned(a), Repr::Unsigned(b)) | (Repr::Float(a), Repr::Float(b)) => a.cmp(b),
            (Repr::Bytes(a), Repr::Bytes(b)) => a.cmp(b),
            (Repr::Tuple(a), Repr::Tuple(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::String(text) => text.fmt(f),
            Repr::Integer(value) => value.fmt(f),
            Repr::Unsigned(value) => value.fmt(f),
            Repr::Float(bits) => f64::from_bits(*bits).fmt(f),
            Repr::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Repr::Tuple(parts) => {
                f.write_str("(")?;
                for (index, part) in parts.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    part.fmt(f)?;
                }
                f.write_str(if parts.len() == 1 { ",)" } else { ")" })
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => f.write_str(text),
            None => fmt::Debug::fmt(self, f),
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(Repr::String(text.into()))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(Repr::String(text.into()))
    }
}

impl From<Arc<str>> for Key {
    fn from(text: Arc<str>) -> Self {
        Self(Repr::String(text))
    }
}

impl TryFrom<Value> for Key {
    type Error = NotAKey;

    fn try_from(value: Value) -> Result<Self, NotAKey> {
        Ok(Self(match value {
            Value::String(text) => Repr::String(text.into()),
            Value::Integer(value) => Repr::Integer(value),
            Value::Unsigned(value) => Repr::Unsigned(value),
            Value::Float(value) => Repr::Float(value.to_bits()),
            // Not allowed by Dask's typed interface, but the scheduler passes them on.
            Value::Bytes(bytes) => Repr::Bytes(bytes.as_ref().into()),
            Value::List(parts) => Repr::Tuple(
                parts
                    .into_iter()
                    .map(Self::try_from)
                    .collect::<Result<_, _>>()?,
            ),
            other => return Err(NotAKey { kind: other.kind() }),
        }))
    }
}

impl From<Key> for Value {
    fn from(key: Key) -> Self {
        Self::from(&key)
    }
}

impl From<&Key> for Value {
    fn from(key: &Key) -> Self {
        match &key.0 {
            Repr::String(text) => Self::from(&**text),
            Repr::Integer(value) => Self::Integer(*value),
            Repr::Unsigned(value) => Self::Unsigned(*value),
            Repr::Float(bits) => Self::Float(f64::from_bits(*bits)),
            Repr::Bytes(bytes) => Self::Bytes(bytes::Bytes::copy_from_slice(bytes)),
            Repr::Tuple(parts) => parts.iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_are_keys_and_print_as_python_does() {
        let value = Value::List(vec!["x".into(), 0.into(), Value::List(vec![1.5.into()])]);
        let key = Key::try_from(value.clone()).unwrap();
        assert_eq!(key.to_string(), "(\"x\", 0, (1.5,))");
        assert_eq!(Value::from(&key), value);
        assert_eq!(Key::try_from(value).unwrap(), key);
    }

    #[test]
    fn what_is_no_key_is_named() {
        let error = Key::try_from(Value::map([])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a map is no key: keys are strings, numbers and tuples of these"
        );
    }
}
