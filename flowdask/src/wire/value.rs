//! The tree that a message is, with its markers resolved.
//!
//! Python's tuples and lists are one thing on the wire, and maps may have keys
//! of any type (protocol, section 3.1). The order of a map is kept.

use std::fmt;

use bytes::Bytes;

use super::{Key, Serialized};

/// A message, or a part of one.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `None`.
    Nil,
    /// `True` or `False`.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// An integer above `i64::MAX`; smaller ones are [`Value::Integer`].
    Unsigned(u64),
    /// A float.
    Float(f64),
    /// A `str`.
    String(String),
    /// A `bytes`.
    Bytes(Bytes),
    /// A `list` or `tuple`.
    List(Vec<Value>),
    /// A `dict`.
    Map(Vec<(Value, Value)>),
    /// A `set`.
    Set(Vec<Value>),
    /// A value of a user, which the scheduler passes on unread.
    Serialized(Serialized),
    /// An object that its Python reader unpickles.
    Pickled(Pickled),
}

/// A pickle with its out-of-band buffers.
#[derive(Clone, PartialEq)]
pub struct Pickled {
    /// The pickle.
    pub pickle: Bytes,
    /// What its `NEXT_BUFFER` opcodes refer to.
    pub buffers: Vec<Bytes>,
}

impl fmt::Debug for Pickled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pickled({} bytes)", self.pickle.len())
    }
}

impl Value {
    /// A map with string keys.
    ///
    /// ```
    /// use flowdask::wire::Value;
    ///
    /// let request = Value::map([("op", "identity".into()), ("reply", true.into())]);
    /// assert_eq!(request.get("op"), Some(&Value::from("identity")));
    /// ```
    #[must_use]
    pub fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Map(
            entries
                .into_iter()
                .map(|(key, value)| (Self::from(key), value))
                .collect(),
        )
    }

    /// The entry of a map with a string key.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Map(entries) = self else {
            return None;
        };
        entries
            .iter()
            .find_map(|(key, value)| (key.as_str() == Some(name)).then_some(value))
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Unsigned(_) => "an integer",
            Self::Float(_) => "a float",
            Self::String(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Set(_) => "a set",
            Self::Serialized(_) => "a serialized value",
            Self::Pickled(_) => "a pickled object",
        }
    }
}

/// Bytes may hold values of users, which may be secret: only their length is
/// shown.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Unsigned(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::String(value) => value.fmt(f),
            Self::Bytes(value) => write!(f, "<{} bytes>", value.len()),
            Self::List(values) => f.debug_list().entries(values).finish(),
            Self::Map(entries) => f
                .debug_map()
                .entries(entries.iter().map(|(key, value)| (key, value)))
                .finish(),
            Self::Set(values) => f.debug_set().entries(values).finish(),
            Self::Serialized(value) => value.fmt(f),
            Self::Pickled(value) => value.fmt(f),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Unsigned(value), Self::Integer)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::from(value as u64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<Self>> for Value {
    fn from(values: Vec<Self>) -> Self {
        Self::List(values)
    }
}

impl From<Vec<Key>> for Value {
    fn from(keys: Vec<Key>) -> Self {
        keys.into_iter().collect()
    }
}

impl<T: Into<Self>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}

impl From<Serialized> for Value {
    fn from(value: Serialized) -> Self {
        Self::Serialized(value)
    }
}

impl From<Pickled> for Value {
    fn from(value: Pickled) -> Self {
        Self::Pickled(value)
    }
}
