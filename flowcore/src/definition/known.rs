//! Types of which everything is known: numbers, texts, and lists and options of
//! them.
//!
//! Most parameters are of such a type, and then the macro need not ask what
//! values can do: that is said once, here, and not looked for again in each
//! task. It goes by how a type is written.

use std::fmt::Debug;

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arity::each_arity;
use super::json_parameters::read;
use super::loans::Loan;
use super::options::TaskConfiguration;
use super::parameters::{Owned, Parameter, ParameterAccess, Parameters, Shared};
use super::probe::{Probe, Show, text};
use super::task::{CallsOf, TaskDefinition, TaskTypes, TypesOf};
use crate::flow::{Call, OwnedCall, call, owned_call};
use crate::value::{Access, Codec};

/// A type of which everything is known.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is called like a type of the standard library and is another one",
    label = "this type is not the standard library's",
    note = "name it with a path, as in `crate::{Self}`"
)]
pub trait Known:
    Clone + Debug + Serialize + DeserializeOwned + JsonSchema + Send + Sync + Sized + 'static
{
    /// How its values are shown: as `Debug` does, if not as `Display`.
    const SHOW: Show<Self> = text(None, Probe::<Self>::DEBUG);

    /// How they are copied and coded.
    const ACCESS: Access<Self> = Access::new(Probe::<Self>::CLONE, Some(Codec::message_pack()));
}

macro_rules! displayed {
    ($($type:ty)*) => {$(
        impl Known for $type {
            const SHOW: Show<Self> = text(Probe::<Self>::DISPLAY, None);
        }
    )*};
}

displayed!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64 bool char String);

impl Known for () {}
impl<T: Known> Known for Option<T> {}
impl<T: Known> Known for Vec<T> {}

/// What is lent of one.
#[doc(hidden)]
pub trait KnownLoan: Serialize {
    /// How it is shown.
    const SHOW_LENT: Show<Self>;
}

impl<T: Known> KnownLoan for T {
    const SHOW_LENT: Show<Self> = T::SHOW;
}

impl KnownLoan for str {
    const SHOW_LENT: Show<Self> = text(Probe::<Self>::DISPLAY, None);
}

impl<T: Known> KnownLoan for [T] {
    const SHOW_LENT: Show<Self> = text(None, Probe::<Self>::DEBUG);
}

impl<'a, L: KnownLoan + ?Sized> Loan<'a, L> {
    /// An argument of such a type.
    pub fn known(value: &'a L) -> Self {
        Self {
            value,
            show: L::SHOW_LENT,
            pack: Probe::<L>::PACK,
        }
    }
}

impl<T: Known> ParameterAccess<T> {
    /// What can be done with values of such a type.
    pub const KNOWN: Self = Self {
        value: T::ACCESS,
        show: T::SHOW,
        read: Some(read::<T>),
        schema: Some(SchemaGenerator::subschema_for::<T>),
    };
}

/// A parameter of such a type.
#[doc(hidden)]
pub trait KnownParameter: Parameter {
    /// What can be done with its values.
    const ACCESS: ParameterAccess<Self::Stored>;
}

impl<T: Known> KnownParameter for Owned<T> {
    const ACCESS: ParameterAccess<T> = ParameterAccess::KNOWN;
}

impl<T: Known> KnownParameter for Shared<T> {
    const ACCESS: ParameterAccess<T> = ParameterAccess::KNOWN;
}

/// Parameters of such types.
#[doc(hidden)]
pub trait KnownParameters: Parameters {
    /// What can be done with each value.
    const ACCESS: Self::Access;
}

macro_rules! tuples {
    ($($name:ident),*) => {
        impl<$($name: KnownParameter),*> KnownParameters for ($($name,)*) {
            const ACCESS: Self::Access = ($($name::ACCESS,)*);
        }
    };
}

each_arity!(tuples);

/// All types of a task are known.
#[doc(hidden)]
#[derive(Debug)]
pub struct AllKnown;

impl<D> TypesOf<D> for AllKnown
where
    D: TaskDefinition<Parameters: KnownParameters, Output: Known>,
{
    #[inline]
    fn types() -> TaskTypes<<D::Parameters as Parameters>::Access, D::Output> {
        TaskTypes {
            access: <D::Parameters as KnownParameters>::ACCESS,
            output: D::Output::ACCESS,
            write: Probe::<D::Output>::WRITE,
        }
    }
}

type RunOf<D> = fn(
    &TaskConfiguration,
    <<D as TaskDefinition>::Parameters as Parameters>::Stored,
) -> Call<'static, <D as TaskDefinition>::Output>;

/// Nothing is lent to them either: how they are called follows from that.
impl<D> CallsOf<D> for AllKnown
where
    D: TaskDefinition<Target: OwnedCall<Run = RunOf<D>>>,
{
    fn callable(configuration: TaskConfiguration) -> Box<D::Target> {
        owned_call::<D::Target>(call::<D>, configuration)
    }
}
