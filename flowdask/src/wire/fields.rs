//! A message taken apart, member by member.

use bytes::Bytes;

use super::{Key, Pickled, Serialized, Value};

/// The members of a message; each is taken once.
#[derive(Debug)]
pub struct Fields {
    op: String,
    entries: Vec<(String, Value)>,
}

/// A member of a message is missing or of another type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The message is no map with strings as keys.
    #[error("a message is {found}, not a map with names")]
    NoMap {
        /// What it is.
        found: &'static str,
    },
    /// The member is not there.
    #[error("`{op}` has no member `{member}`")]
    Missing {
        /// The message's op.
        op: String,
        /// The member.
        member: String,
    },
    /// The member is something else.
    #[error("member `{member}` of `{op}` is {found}, not {wanted}")]
    Kind {
        /// The message's op.
        op: String,
        /// The member.
        member: String,
        /// What it is.
        found: &'static str,
        /// What it is to be.
        wanted: &'static str,
    },
}

impl FieldError {
    pub(crate) fn kind(op: &str, member: &str, wanted: &'static str, found: &Value) -> Self {
        Self::Kind {
            op: op.to_owned(),
            member: member.to_owned(),
            found: found.kind(),
            wanted,
        }
    }
}

/// Methods that take a member of one kind.
macro_rules! members {
    ($($(#[$doc:meta])* $name:ident: $wanted:literal, $($pattern:pat => $value:expr),+ => $type:ty;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// It is missing or of another type.
            pub fn $name(&mut self, member: &str) -> Result<$type, FieldError> {
                match self.value(member)? {
                    $($pattern => Ok($value),)+
                    other => Err(FieldError::kind(&self.op, member, $wanted, &other)),
                }
            }
        )*
    };
}

impl Fields {
    /// Takes a message with an `op` apart.
    ///
    /// # Errors
    ///
    /// It is no map with strings as keys, or has no op.
    pub fn of(message: Value) -> Result<Self, FieldError> {
        let mut fields = Self::unnamed("message", message)?;
        fields.op = fields.string("op")?;
        Ok(fields)
    }

    /// Takes a map without an `op` apart, called so in errors.
    ///
    /// # Errors
    ///
    /// It is no map with strings as keys.
    pub fn unnamed(op: &str, value: Value) -> Result<Self, FieldError> {
        let found = value.kind();
        let Value::Map(entries) = value else {
            return Err(FieldError::NoMap { found });
        };
        let entries = entries
            .into_iter()
            .map(|(key, value)| match key {
                Value::String(name) => Ok((name, value)),
                _ => Err(FieldError::NoMap {
                    found: "a map with other keys than strings",
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            op: op.to_owned(),
            entries,
        })
    }

    /// What the message is.
    #[must_use]
    pub fn op(&self) -> &str {
        &self.op
    }

    /// Takes a member that need not be there; nil counts as absent.
    pub fn optional(&mut self, member: &str) -> Option<Value> {
        let place = self.entries.iter().position(|(name, _)| name == member)?;
        match self.entries.swap_remove(place).1 {
            Value::Nil => None,
            value => Some(value),
        }
    }

    /// Takes a member.
    ///
    /// # Errors
    ///
    /// It is missing.
    pub fn value(&mut self, member: &str) -> Result<Value, FieldError> {
        let place = self.entries.iter().position(|(name, _)| name == member);
        match place {
            Some(place) => Ok(self.entries.swap_remove(place).1),
            None => Err(FieldError::Missing {
                op: self.op.clone(),
                member: member.to_owned(),
            }),
        }
    }

    /// All members that are left, for maps whose names are data.
    pub fn into_entries(self) -> impl Iterator<Item = (String, Value)> {
        self.entries.into_iter()
    }

    members! {
        /// Takes a string.
        string: "a string", Value::String(text) => text => String;
        /// Takes a boolean.
        boolean: "a boolean", Value::Boolean(value) => value => bool;
        /// Takes an integer.
        integer: "an integer", Value::Integer(value) => value => i64;
        /// Takes a number; integers become floats.
        #[allow(clippy::cast_precision_loss)]
        float: "a number", Value::Float(value) => value, Value::Integer(value) => value as f64 => f64;
        /// Takes bytes.
        bytes: "bytes", Value::Bytes(bytes) => bytes => Bytes;
        /// Takes a list; a set counts as one.
        list: "a list", Value::List(values) => values, Value::Set(values) => values => Vec<Value>;
        /// Takes a map.
        map: "a map", Value::Map(entries) => entries => Vec<(Value, Value)>;
        /// Takes a value of a user.
        serialized: "a serialized value", Value::Serialized(value) => value => Serialized;
        /// Takes an object to unpickle.
        pickled: "a pickled object", Value::Pickled(value) => value => Pickled;
    }

    /// Takes an integer that is not negative.
    ///
    /// # Errors
    ///
    /// It is missing or of another type.
    pub fn unsigned(&mut self, member: &str) -> Result<u64, FieldError> {
        match self.value(member)? {
            Value::Unsigned(value) => Ok(value),
            value => match &value {
                Value::Integer(number) => u64::try_from(*number).ok(),
                _ => None,
            }
            .ok_or_else(|| FieldError::kind(&self.op, member, "an integer from 0", &value)),
        }
    }

    /// Takes a key.
    ///
    /// # Errors
    ///
    /// It is missing or no key.
    pub fn key(&mut self, member: &str) -> Result<Key, FieldError> {
        let value = self.value(member)?;
        let found = value.kind();
        Key::try_from(value).map_err(|_| FieldError::Kind {
            op: self.op.clone(),
            member: member.to_owned(),
            found,
            wanted: "a key",
        })
    }

    /// Takes a list or set of keys.
    ///
    /// # Errors
    ///
    /// It is missing, or holds something that is no key.
    pub fn keys(&mut self, member: &str) -> Result<Vec<Key>, FieldError> {
        self.list(member)?
            .into_iter()
            .map(|value| self.as_key(member, value))
            .collect()
    }

    /// Takes a map from keys to lists of strings, such as `who_has`.
    ///
    /// # Errors
    ///
    /// It is missing or something else.
    pub fn who_has(&mut self, member: &str) -> Result<Vec<(Key, Vec<String>)>, FieldError> {
        self.map(member)?
            .into_iter()
            .map(|(key, addresses)| {
                let key = self.as_key(member, key)?;
                let (Value::List(addresses) | Value::Set(addresses)) = addresses else {
                    return Err(FieldError::kind(&self.op, member, "lists", &addresses));
                };
                let addresses = addresses
                    .into_iter()
                    .map(|address| match address {
                        Value::String(address) => Ok(address),
                        other => Err(FieldError::kind(&self.op, member, "addresses", &other)),
                    })
                    .collect::<Result<_, _>>()?;
                Ok((key, addresses))
            })
            .collect()
    }

    /// Takes a map from keys to values of users.
    ///
    /// # Errors
    ///
    /// It is missing or something else.
    pub fn values(&mut self, member: &str) -> Result<Vec<(Key, Serialized)>, FieldError> {
        self.map(member)?
            .into_iter()
            .map(|(key, value)| {
                let key = self.as_key(member, key)?;
                match value {
                    Value::Serialized(value) => Ok((key, value)),
                    other => Err(FieldError::kind(
                        &self.op,
                        member,
                        "serialized values",
                        &other,
                    )),
                }
            })
            .collect()
    }

    fn as_key(&self, member: &str, value: Value) -> Result<Key, FieldError> {
        let found = value.kind();
        Key::try_from(value).map_err(|_| FieldError::Kind {
            op: self.op.clone(),
            member: member.to_owned(),
            found,
            wanted: "keys",
        })
    }

    /// A list of lengths.
    pub(crate) fn lengths(&self, member: &str, list: Value) -> Result<Vec<usize>, FieldError> {
        let Value::List(lengths) = list else {
            return Err(FieldError::kind(&self.op, member, "a list", &list));
        };
        lengths
            .iter()
            .map(|length| match length {
                Value::Integer(length) => usize::try_from(*length).ok(),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or_else(|| FieldError::Kind {
                op: self.op.clone(),
                member: member.to_owned(),
                found: "something else",
                wanted: "a list of lengths",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_taken_and_errors_name_them() {
        let mut fields = Fields::of(Value::map([
            ("op", "compute-task".into()),
            ("key", "x".into()),
            ("run_id", 7.into()),
            ("resource_restrictions", Value::Nil),
            ("keys", Value::Set(vec!["a".into()])),
        ]))
        .unwrap();
        assert_eq!(fields.op(), "compute-task");
        assert_eq!(fields.key("key").unwrap(), Key::from("x"));
        assert_eq!(fields.keys("keys").unwrap(), [Key::from("a")]);
        assert_eq!(fields.optional("resource_restrictions"), None);
        let error = fields.string("run_id").unwrap_err();
        assert_eq!(
            error.to_string(),
            "member `run_id` of `compute-task` is an integer, not a string"
        );
        let error = fields.integer("priority").unwrap_err();
        assert_eq!(error.to_string(), "`compute-task` has no member `priority`");
    }

    #[test]
    fn a_message_is_a_map_with_an_op() {
        assert!(Fields::of(Value::List(vec![])).is_err());
        assert!(Fields::of(Value::map([("status", "OK".into())])).is_err());
    }
}
