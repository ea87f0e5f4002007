//! The arguments of a direct call with loans: `load(&text, 3)`.
//!
//! What is lent is not of the type that is stored (`str` for `String`), so it
//! brings along what is known of its own. Owned arguments wait beside the loans
//! for the attempt that may take them.

use super::parameters::{Parameter, ParameterAccess, Parameters};
use super::probe::{Pack, Show, packed};
use crate::error::Result;
use crate::records::{Unstable, stable_text, stable_text_of_loan};
use crate::value::ValueCell;

/// An argument for `x: &L`.
#[doc(hidden)]
pub struct Loan<'a, L: ?Sized> {
    /// What is lent.
    pub value: &'a L,
    /// How it is shown in names.
    pub show: Show<L>,
    /// How it becomes bytes for a key.
    pub pack: Option<Pack<L>>,
}

/// An argument for `x: T`.
#[doc(hidden)]
pub struct OwnedValue<T>(ValueCell<T>);

impl<T> OwnedValue<T> {
    /// The value waits.
    pub fn new(value: T) -> Self {
        Self(ValueCell::new(value))
    }
}

/// One argument of a call with loans.
#[doc(hidden)]
pub trait LentArgument<P: Parameter> {
    /// What one attempt gets.
    type Given;

    /// The value, or a copy if another attempt may follow.
    fn give(&self, last: bool, access: &ParameterAccess<P::Stored>) -> Result<Self::Given>;
    /// For people.
    fn text(&self, given: &Self::Given, access: &ParameterAccess<P::Stored>) -> String;
    /// For a cache key.
    fn stable_text(
        &self,
        given: &Self::Given,
        access: &ParameterAccess<P::Stored>,
    ) -> Result<String, Unstable>;
}

impl<'a, L: ?Sized, P: Parameter> LentArgument<P> for Loan<'a, L> {
    type Given = &'a L;

    fn give(&self, _: bool, _: &ParameterAccess<P::Stored>) -> Result<&'a L> {
        Ok(self.value)
    }

    fn text(&self, _: &&'a L, _: &ParameterAccess<P::Stored>) -> String {
        (self.show)(self.value)
    }

    fn stable_text(
        &self,
        _: &&'a L,
        access: &ParameterAccess<P::Stored>,
    ) -> Result<String, Unstable> {
        stable_text_of_loan(packed(self.value, self.pack), access.value.codec())
    }
}

impl<T, P: Parameter<Stored = T>> LentArgument<P> for OwnedValue<T> {
    type Given = T;

    fn give(&self, last: bool, access: &ParameterAccess<T>) -> Result<T> {
        self.0.obtain(last, &access.value)
    }

    fn text(&self, given: &T, access: &ParameterAccess<T>) -> String {
        (access.show)(given)
    }

    fn stable_text(&self, given: &T, access: &ParameterAccess<T>) -> Result<String, Unstable> {
        stable_text(given, access.value.codec())
    }
}

/// All arguments of a call with loans.
#[doc(hidden)]
pub trait LentArguments<P: Parameters>: Send + Sync {
    /// What one attempt gets.
    type Given;

    /// The values, or copies if another attempt may follow.
    fn give(&self, last: bool, access: &P::Access) -> Result<Self::Given>;
    /// One of them for people.
    fn text(&self, given: &Self::Given, index: usize, access: &P::Access) -> String;
    /// One of them for a cache key.
    fn stable_text(
        &self,
        given: &Self::Given,
        index: usize,
        access: &P::Access,
    ) -> Result<String, Unstable>;
}

macro_rules! tuples {
    ($($name:ident $lent:ident $index:tt),*) => {
        impl<$($name: Parameter, $lent: LentArgument<$name> + Send + Sync),*>
            LentArguments<($($name,)*)> for ($($lent,)*)
        {
            type Given = ($($lent::Given,)*);

            fn give(
                &self,
                last: bool,
                access: &<($($name,)*) as Parameters>::Access,
            ) -> Result<Self::Given> {
                Ok(($(self.$index.give(last, &access.$index)?,)*))
            }

            fn text(
                &self,
                given: &Self::Given,
                index: usize,
                access: &<($($name,)*) as Parameters>::Access,
            ) -> String {
                match index {
                    $($index => self.$index.text(&given.$index, &access.$index),)*
                    _ => unreachable!("the task has fewer parameters"),
                }
            }

            fn stable_text(
                &self,
                given: &Self::Given,
                index: usize,
                access: &<($($name,)*) as Parameters>::Access,
            ) -> Result<String, Unstable> {
                match index {
                    $($index => self.$index.stable_text(&given.$index, &access.$index),)*
                    _ => unreachable!("the task has fewer parameters"),
                }
            }
        }
    };
}

tuples!(A ALent 0);
tuples!(A ALent 0, B BLent 1);
tuples!(A ALent 0, B BLent 1, C CLent 2);
tuples!(A ALent 0, B BLent 1, C CLent 2, D DLent 3);
tuples!(A ALent 0, B BLent 1, C CLent 2, D DLent 3, E ELent 4);
tuples!(A ALent 0, B BLent 1, C CLent 2, D DLent 3, E ELent 4, F FLent 5);
tuples!(A ALent 0, B BLent 1, C CLent 2, D DLent 3, E ELent 4, F FLent 5, G GLent 6);
tuples!(A ALent 0, B BLent 1, C CLent 2, D DLent 3, E ELent 4, F FLent 5, G GLent 6, H HLent 7);
tuples!(A ALent 0, B BLent 1, C CLent 2, D DLent 3, E ELent 4, F FLent 5, G GLent 6, H HLent 7, I ILent 8);
tuples!(A ALent 0, B BLent 1, C CLent 2, D DLent 3, E ELent 4, F FLent 5, G GLent 6, H HLent 7, I ILent 8, J JLent 9);
tuples!(A ALent 0, B BLent 1, C CLent 2, D DLent 3, E ELent 4, F FLent 5, G GLent 6, H HLent 7, I ILent 8, J JLent 9, K KLent 10);
tuples!(A ALent 0, B BLent 1, C CLent 2, D DLent 3, E ELent 4, F FLent 5, G GLent 6, H HLent 7, I ILent 8, J JLent 9, K KLent 10, L LLent 11);
