//! Parameters as JSON: from an object to the values of a call.
//!
//! Owns what can be wrong with such an object. All of it is found at once, so
//! that nobody repairs it piece by piece.

use std::any::Any;
use std::fmt;

use schemars::{Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::Value;

use super::callable::ParameterSignature;

/// A value of some parameter's type.
type ReadValue = Box<dyn Any + Send>;

/// Reads a parameter's value; without one, what its type says then.
#[doc(hidden)]
pub type ReadJson = fn(Option<Value>) -> serde_json::Result<Box<dyn Any + Send>>;

/// Makes the schema of a parameter's type.
#[doc(hidden)]
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

pub(super) fn read<T: DeserializeOwned + Send + 'static>(
    value: Option<Value>,
) -> serde_json::Result<ReadValue> {
    let value = match value {
        Some(value) => serde_json::from_value::<T>(value)?,
        None => T::deserialize(Absent)?,
    };
    Ok(Box::new(value))
}

/// No value at all, as serde sees a field that is not there: an `Option` is
/// `None`, everything else an error.
struct Absent;

impl<'de> Deserializer<'de> for Absent {
    type Error = serde_json::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> serde_json::Result<V::Value> {
        Err(serde_json::Error::custom("missing"))
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(
        self,
        visitor: V,
    ) -> serde_json::Result<V::Value> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The values of a call, on their way to the code that knows their types.
#[doc(hidden)]
#[derive(Debug)]
pub struct ReadValues(Vec<Option<ReadValue>>);

impl ReadValues {
    /// A parameter's value; it can be had once.
    ///
    /// # Panics
    ///
    /// The value is not there, or not of this type.
    #[must_use]
    pub fn take<T: 'static>(&mut self, index: usize) -> T {
        let value = self.0.get_mut(index).and_then(Option::take);
        let value = value.and_then(|value| value.downcast().ok());
        *value.expect("the value that the parameter's own reader gave")
    }

    /// A loan of a parameter's value.
    ///
    /// # Panics
    ///
    /// The value is not there, or not of this type.
    #[must_use]
    pub fn lend<T: 'static>(&self, index: usize) -> &T {
        let value = self.0.get(index).and_then(Option::as_ref);
        let value = value.and_then(|value| value.downcast_ref());
        value.expect("the value that the parameter's own reader gave")
    }
}

impl ParameterSignature {
    /// Whether a call must give it.
    pub(crate) fn is_required(&self) -> bool {
        self.default.is_none() && self.read.is_none_or(|read| read(None).is_err())
    }
}

/// The values of all parameters.
///
/// # Errors
///
/// All that is wrong with them.
pub(super) fn read_all(
    parameters: &[ParameterSignature],
    given: Value,
) -> Result<ReadValues, ParameterErrors> {
    let mut given = match given {
        Value::Object(given) => given,
        Value::Null => serde_json::Map::new(),
        other => {
            return Err(ParameterErrors(vec![ParameterError::NotAnObject {
                found: kind_of(&other),
            }]));
        }
    };
    let mut problems = Vec::new();
    let mut values = Vec::with_capacity(parameters.len());
    for parameter in parameters {
        let (name, type_name) = (parameter.name, parameter.type_name);
        let value = given.remove(name);
        let is_missing = value.is_none();
        if let (true, Some(default)) = (is_missing, parameter.default) {
            values.push(Some((default.value)()));
            continue;
        }
        let Some(read) = parameter.read else {
            problems.push(ParameterError::Unreadable { name, type_name });
            continue;
        };
        match read(value) {
            Ok(value) => values.push(Some(value)),
            Err(_) if is_missing => problems.push(ParameterError::Missing { name, type_name }),
            Err(error) => problems.push(ParameterError::Mistyped {
                name,
                type_name,
                message: error.to_string(),
            }),
        }
    }
    for (name, _) in given {
        let known = parameters.iter().map(|parameter| parameter.name).collect();
        problems.push(ParameterError::Unknown { name, known });
    }
    if problems.is_empty() {
        Ok(ReadValues(values))
    } else {
        Err(ParameterErrors(problems))
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// One thing that is wrong with parameters given as JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// The parameters are no object.
    #[error("the parameters must be an object with one entry for each, but this is {found}")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// A parameter that must be given was not.
    #[error("`{name}` is missing: give it a value of type `{type_name}`")]
    Missing {
        /// The parameter.
        name: &'static str,
        /// Its type.
        type_name: &'static str,
    },
    /// There is no such parameter.
    #[error("`{name}` is no parameter: {}", known_text(.known))]
    Unknown {
        /// What was given.
        name: String,
        /// The parameters that there are.
        known: Vec<&'static str>,
    },
    /// The value is not one of the parameter's type.
    #[error("`{name}` is no `{type_name}`: {message}")]
    Mistyped {
        /// The parameter.
        name: &'static str,
        /// Its type.
        type_name: &'static str,
        /// What the type says of the value.
        message: String,
    },
    /// The parameter's type cannot be read.
    #[error("`{name}` cannot be read from JSON: derive `serde::Deserialize` for `{type_name}`")]
    Unreadable {
        /// The parameter.
        name: &'static str,
        /// Its type.
        type_name: &'static str,
    },
}

fn known_text(known: &[&str]) -> String {
    match known {
        [] => "there are none".to_owned(),
        known => format!("they are {}", known.join(", ")),
    }
}

/// All that is wrong with parameters given as JSON.
///
/// ```
/// use flowcore::prelude::*;
/// use flowcore::{Definition, ParameterErrors};
/// use serde_json::json;
///
/// #[flow]
/// async fn nightly(day: String, limit: u32) -> usize { day.len() + limit as usize }
///
/// let error = nightly.call_json(json!({"limit": -1, "dya": "monday"})).unwrap_err();
/// let errors = error.downcast_ref::<ParameterErrors>().unwrap();
/// assert_eq!(errors.errors().len(), 3);
/// assert!(error.to_string().contains("`day` is missing"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterErrors(Vec<ParameterError>);

impl ParameterErrors {
    /// Them, in the order of the parameters; unknown ones come last.
    #[must_use]
    pub fn errors(&self) -> &[ParameterError] {
        &self.0
    }
}

impl fmt::Display for ParameterErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "; " })?;
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ParameterErrors {}
