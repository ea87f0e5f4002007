//! A task's parameters as types: how each is passed, and tuples of them.
//!
//! The macro writes `(Owned<i64>, Shared<String>)` for `(x: i64, s: &str)`;
//! everything else about arguments follows from that tuple here.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use super::json_parameters::{ReadJson, ReadValues, SchemaOf};
use super::probe::Show;
use super::task::TaskInfo;
use crate::arguments::{Argument, Column, ColumnInput, ColumnLength, Edge};
use crate::error::{Error, ErrorKind, Result};
use crate::records::{Unstable, stable_text};
use crate::runner::{
    ArgumentDescriptor, ColumnDescriptor, RunReference, RunnerFuture, ValueSource, decode_argument,
    decode_column,
};
use crate::value::Access;

/// A parameter that takes its value: `x: T`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Owned<T>(PhantomData<fn() -> T>);

/// A parameter that borrows its value: `x: &T`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Shared<T>(PhantomData<fn() -> T>);

/// How one parameter is passed.
#[doc(hidden)]
pub trait Parameter: 'static {
    /// The type that arguments are checked against.
    type Stored: Send + Sync + 'static;
    /// What one attempt gets.
    type Value: Send + 'static;

    /// Whether a second attempt needs a second value.
    #[doc(hidden)]
    const TAKES: bool;

    #[doc(hidden)]
    fn argument(
        argument: &Argument<Self::Stored>,
        last: bool,
        access: &Access<Self::Stored>,
    ) -> Result<Self::Value>;

    #[doc(hidden)]
    fn column(
        column: &Column<Self::Stored>,
        row: u32,
        last: bool,
        access: &Access<Self::Stored>,
    ) -> Result<Self::Value>;

    /// The value behind what an attempt gets.
    #[doc(hidden)]
    fn stored(value: &Self::Value) -> &Self::Stored;
}

impl<T: Send + Sync + 'static> Parameter for Owned<T> {
    type Stored = T;
    type Value = T;

    const TAKES: bool = true;

    fn argument(argument: &Argument<T>, last: bool, access: &Access<T>) -> Result<T> {
        argument.obtain(last, access)
    }

    fn column(column: &Column<T>, row: u32, last: bool, access: &Access<T>) -> Result<T> {
        column.obtain(row, last, access)
    }

    fn stored(value: &T) -> &T {
        value
    }
}

impl<T: Send + Sync + 'static> Parameter for Shared<T> {
    type Stored = T;
    type Value = Arc<T>;

    const TAKES: bool = false;

    fn argument(argument: &Argument<T>, last: bool, _: &Access<T>) -> Result<Arc<T>> {
        argument.share(last)
    }

    fn column(column: &Column<T>, row: u32, last: bool, _: &Access<T>) -> Result<Arc<T>> {
        column.share(row, last)
    }

    fn stored(value: &Arc<T>) -> &T {
        value
    }
}

/// What can be done with the values of one parameter.
#[doc(hidden)]
pub struct ParameterAccess<T> {
    /// How they are copied and coded.
    pub value: Access<T>,
    /// How they are shown in names.
    pub show: Show<T>,
    /// How one is read from JSON, if its type is `Deserialize`.
    pub read: Option<ReadJson>,
    /// The type's schema, if it is `JsonSchema`.
    pub schema: Option<SchemaOf>,
}

impl<T> Clone for ParameterAccess<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ParameterAccess<T> {}

/// All parameters of a task.
#[doc(hidden)]
#[allow(
    private_interfaces,
    reason = "generated code names the trait, but only this crate calls its methods"
)]
pub trait Parameters: 'static {
    /// The values of a direct call.
    type Stored: Send + 'static;
    /// What one attempt gets.
    type Values: Send + 'static;
    /// The arguments of `submit`.
    type Arguments: Send + Sync + 'static;
    /// The columns of `map`.
    type Columns: Send + Sync + 'static;
    /// What can be done with each value.
    type Access: Copy + Send + Sync + 'static;

    #[doc(hidden)]
    fn from_stored(stored: Self::Stored) -> Self::Arguments;
    #[doc(hidden)]
    fn from_values(values: ReadValues) -> Self::Stored;
    #[doc(hidden)]
    fn edges<'a>(arguments: &'a Self::Arguments, visit: &mut dyn FnMut(usize, Edge<'a>));
    #[doc(hidden)]
    fn obtain(
        arguments: &Self::Arguments,
        last: bool,
        access: &Self::Access,
    ) -> Result<Self::Values>;
    #[doc(hidden)]
    fn inputs<'a>(columns: &'a Self::Columns, visit: &mut dyn FnMut(usize, ColumnInput<'a>));
    #[doc(hidden)]
    fn lengths<'a>(columns: &'a Self::Columns, visit: &mut dyn FnMut(usize, ColumnLength<'a>));
    #[doc(hidden)]
    fn lists_elsewhere(columns: &Self::Columns, lists: &mut Vec<RunReference>);
    #[doc(hidden)]
    fn expand(columns: &Self::Columns, lengths: &mut dyn Iterator<Item = u32>) -> Result<()>;
    #[doc(hidden)]
    fn fetch(arguments: &Self::Arguments, fetches: &mut Vec<RunnerFuture<Result<()>>>);
    #[doc(hidden)]
    fn fetch_rows(
        columns: &Self::Columns,
        rows: &Range<u32>,
        fetches: &mut Vec<RunnerFuture<Result<()>>>,
    );
    /// How each value comes as JSON.
    #[doc(hidden)]
    fn in_json(access: &Self::Access) -> Vec<(Option<ReadJson>, Option<SchemaOf>)>;
    /// The type of a parameter whose value cannot be had twice.
    #[doc(hidden)]
    fn taken_once(access: &Self::Access) -> Option<(usize, &'static str)>;
    #[doc(hidden)]
    fn obtain_row(
        columns: &Self::Columns,
        row: u32,
        last: bool,
        access: &Self::Access,
    ) -> Result<Self::Values>;
    /// The text of one value for people.
    #[doc(hidden)]
    fn text(values: &Self::Values, index: usize, access: &Self::Access) -> String;
    /// The text of one value for a cache key.
    #[doc(hidden)]
    fn stable_text(
        values: &Self::Values,
        index: usize,
        access: &Self::Access,
    ) -> Result<String, Unstable>;
    #[doc(hidden)]
    fn describe(
        arguments: &Self::Arguments,
        access: &Self::Access,
    ) -> Result<Vec<ArgumentDescriptor>>;
    /// What each column repeats for all rows, if it can be coded.
    #[doc(hidden)]
    fn describe_repeated(
        columns: &Self::Columns,
        access: &Self::Access,
    ) -> Vec<Option<ArgumentDescriptor>>;
    /// `repeated` is what is known already of what columns repeat, here and
    /// below.
    #[doc(hidden)]
    fn describe_row(
        columns: &Self::Columns,
        row: u32,
        repeated: &[Option<ArgumentDescriptor>],
        access: &Self::Access,
    ) -> Result<Vec<ArgumentDescriptor>>;
    #[doc(hidden)]
    fn describe_rows(
        columns: &Self::Columns,
        rows: &Range<u32>,
        repeated: &[Option<ArgumentDescriptor>],
        access: &Self::Access,
    ) -> Result<Vec<ColumnDescriptor>>;
    /// The columns of a batch; rows that lack a value are in `broken`.
    #[doc(hidden)]
    fn decode_columns(
        descriptors: &[ColumnDescriptor],
        rows: u32,
        values: &dyn ValueSource,
        access: &Self::Access,
        broken: &mut HashMap<u32, Error>,
    ) -> Result<Self::Columns>;
    #[doc(hidden)]
    fn decode(
        descriptors: Vec<ArgumentDescriptor>,
        values: &dyn ValueSource,
        access: &Self::Access,
        task: &TaskInfo,
    ) -> Result<Self::Arguments>;
}

/// What is known of what a column repeats.
fn known(repeated: &[Option<ArgumentDescriptor>], index: usize) -> Option<ArgumentDescriptor> {
    repeated.get(index).cloned().flatten()
}

fn check_count(wanted: usize, came: usize) -> Result<()> {
    if came == wanted {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the task takes {wanted} arguments, but {came} came"
    )))
}

/// The error of an argument that is no value of its parameter's type, with the
/// parameter's name. Errors of upstream runs stay what they are.
fn unreadable(task: &TaskInfo, parameter: usize, error: Error) -> Error {
    if error.kind() != ErrorKind::Other {
        return error;
    }
    let name = task.parameters.get(parameter).copied().unwrap_or_default();
    let message = format!(
        "task `{}`: the argument for `{name}` cannot be read",
        task.function
    );
    let error = Error::build(ErrorKind::Invalid, message).because(error);
    error.task(task.key).finish()
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        #[allow(unused_variables, clippy::unused_unit, private_interfaces)]
        impl<$($name: Parameter),*> Parameters for ($($name,)*) {
            type Stored = ($($name::Stored,)*);
            type Values = ($($name::Value,)*);
            type Arguments = ($(Argument<$name::Stored>,)*);
            type Columns = ($(Column<$name::Stored>,)*);
            type Access = ($(ParameterAccess<$name::Stored>,)*);

            fn from_stored(stored: Self::Stored) -> Self::Arguments {
                ($(Argument::value(stored.$index),)*)
            }

            #[allow(unused_mut)]
            fn from_values(mut values: ReadValues) -> Self::Stored {
                ($(values.take($index),)*)
            }

            fn edges<'a>(
                arguments: &'a Self::Arguments,
                visit: &mut dyn FnMut(usize, Edge<'a>),
            ) {
                $(arguments.$index.edges(&mut |edge| visit($index, edge));)*
            }

            #[inline]
            fn obtain(
                arguments: &Self::Arguments,
                last: bool,
                access: &Self::Access,
            ) -> Result<Self::Values> {
                Ok(($($name::argument(&arguments.$index, last, &access.$index.value)?,)*))
            }

            fn inputs<'a>(
                columns: &'a Self::Columns,
                visit: &mut dyn FnMut(usize, ColumnInput<'a>),
            ) {
                $(columns.$index.inputs(&mut |input| visit($index, input));)*
            }

            fn lengths<'a>(
                columns: &'a Self::Columns,
                visit: &mut dyn FnMut(usize, ColumnLength<'a>),
            ) {
                $(visit($index, columns.$index.length());)*
            }

            fn lists_elsewhere(columns: &Self::Columns, lists: &mut Vec<RunReference>) {
                $(lists.extend(columns.$index.list_elsewhere());)*
            }

            fn expand(
                columns: &Self::Columns,
                lengths: &mut dyn Iterator<Item = u32>,
            ) -> Result<()> {
                $(columns.$index.expand(lengths)?;)*
                Ok(())
            }

            fn fetch(arguments: &Self::Arguments, fetches: &mut Vec<RunnerFuture<Result<()>>>) {
                $(arguments.$index.fetch(fetches);)*
            }

            fn fetch_rows(
                columns: &Self::Columns,
                rows: &Range<u32>,
                fetches: &mut Vec<RunnerFuture<Result<()>>>,
            ) {
                $(columns.$index.fetch(rows, fetches);)*
            }

            fn in_json(access: &Self::Access) -> Vec<(Option<ReadJson>, Option<SchemaOf>)> {
                vec![$((access.$index.read, access.$index.schema),)*]
            }

            fn taken_once(access: &Self::Access) -> Option<(usize, &'static str)> {
                $(if $name::TAKES && !access.$index.value.can_copy() {
                    return Some(($index, std::any::type_name::<$name::Stored>()));
                })*
                None
            }

            #[inline]
            fn obtain_row(
                columns: &Self::Columns,
                row: u32,
                last: bool,
                access: &Self::Access,
            ) -> Result<Self::Values> {
                Ok(($($name::column(&columns.$index, row, last, &access.$index.value)?,)*))
            }

            fn text(values: &Self::Values, index: usize, access: &Self::Access) -> String {
                match index {
                    $($index => (access.$index.show)($name::stored(&values.$index)),)*
                    _ => unreachable!("the task has fewer parameters"),
                }
            }

            fn stable_text(
                values: &Self::Values,
                index: usize,
                access: &Self::Access,
            ) -> Result<String, Unstable> {
                match index {
                    $($index => stable_text($name::stored(&values.$index), access.$index.value.codec()),)*
                    _ => unreachable!("the task has fewer parameters"),
                }
            }

            fn describe(
                arguments: &Self::Arguments,
                access: &Self::Access,
            ) -> Result<Vec<ArgumentDescriptor>> {
                Ok(vec![$(arguments.$index.describe(&access.$index.value)?,)*])
            }

            fn describe_repeated(
                columns: &Self::Columns,
                access: &Self::Access,
            ) -> Vec<Option<ArgumentDescriptor>> {
                vec![$(columns.$index.describe_repeated(&access.$index.value),)*]
            }

            fn describe_row(
                columns: &Self::Columns,
                row: u32,
                repeated: &[Option<ArgumentDescriptor>],
                access: &Self::Access,
            ) -> Result<Vec<ArgumentDescriptor>> {
                Ok(vec![$(match known(repeated, $index) {
                    Some(argument) => argument,
                    None => columns.$index.describe(row, &access.$index.value)?,
                },)*])
            }

            fn describe_rows(
                columns: &Self::Columns,
                rows: &Range<u32>,
                repeated: &[Option<ArgumentDescriptor>],
                access: &Self::Access,
            ) -> Result<Vec<ColumnDescriptor>> {
                Ok(vec![$(match known(repeated, $index) {
                    Some(argument) => ColumnDescriptor::Repeat(argument),
                    None => columns.$index.describe_rows(rows, &access.$index.value)?,
                },)*])
            }

            fn decode_columns(
                descriptors: &[ColumnDescriptor],
                rows: u32,
                values: &dyn ValueSource,
                access: &Self::Access,
                broken: &mut HashMap<u32, Error>,
            ) -> Result<Self::Columns> {
                check_count(<[&str]>::len(&[$(stringify!($index)),*]), descriptors.len())?;
                Ok(($(
                    decode_column(
                        &descriptors[$index],
                        rows,
                        values,
                        access.$index.value.codec(),
                        broken,
                    )?,
                )*))
            }

            #[allow(unused_mut)]
            fn decode(
                descriptors: Vec<ArgumentDescriptor>,
                values: &dyn ValueSource,
                access: &Self::Access,
                task: &TaskInfo,
            ) -> Result<Self::Arguments> {
                check_count(<[&str]>::len(&[$(stringify!($index)),*]), descriptors.len())?;
                let mut descriptors = descriptors.into_iter();
                Ok(($(
                    decode_argument(descriptors.next().as_ref(), values, access.$index.value.codec())
                        .map_err(|error| unreadable(task, $index, error))?,
                )*))
            }
        }
    };
}

tuples!();
tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
