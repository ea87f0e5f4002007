//! What generated code finds out about a type and JSON.

use std::marker::PhantomData;

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::callable::WriteJson;
use super::super::json_parameters::{self, ReadJson, SchemaOf};

/// Asks how values of a type are read from JSON and written as JSON, and for
/// the type's schema. Each question is `(&&JsonProbe::<T>::new()).question()`.
#[derive(Debug)]
pub struct JsonProbe<T>(PhantomData<fn() -> T>);

impl<T> JsonProbe<T> {
    /// A probe for `T`.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "only generated code makes probes"
    )]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// For types that can be read.
pub trait Read {
    /// How.
    fn read(&self) -> Option<ReadJson>;
}

impl<T: DeserializeOwned + Send + 'static> Read for &JsonProbe<T> {
    fn read(&self) -> Option<ReadJson> {
        Some(json_parameters::read::<T>)
    }
}

/// For types that cannot.
pub trait Unread {
    /// Nothing.
    fn read(&self) -> Option<ReadJson>;
}

impl<T> Unread for JsonProbe<T> {
    fn read(&self) -> Option<ReadJson> {
        None
    }
}

/// For types that can be written.
pub trait Write<T> {
    /// How.
    fn write(&self) -> WriteJson<T>;
}

impl<T: Serialize> Write<T> for &JsonProbe<T> {
    fn write(&self) -> WriteJson<T> {
        Some(|value| serde_json::to_value(value))
    }
}

/// For types that cannot.
pub trait Unwritten<T> {
    /// Nothing.
    fn write(&self) -> WriteJson<T>;
}

impl<T> Unwritten<T> for JsonProbe<T> {
    fn write(&self) -> WriteJson<T> {
        None
    }
}

/// For types that have a schema.
pub trait Schema {
    /// How it is made.
    fn schema(&self) -> Option<SchemaOf>;
}

impl<T: JsonSchema> Schema for &JsonProbe<T> {
    fn schema(&self) -> Option<SchemaOf> {
        Some(SchemaGenerator::subschema_for::<T>)
    }
}

/// For types that have none.
pub trait NoSchema {
    /// Nothing.
    fn schema(&self) -> Option<SchemaOf>;
}

impl<T> NoSchema for JsonProbe<T> {
    fn schema(&self) -> Option<SchemaOf> {
        None
    }
}
