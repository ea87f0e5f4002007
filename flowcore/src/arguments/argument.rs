//! One argument of one run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assemble::{Assemble, Gather};
use super::{Edge, Upstream};
use crate::error::{Error, Result};
use crate::future::{Place, TaskFuture};
use crate::handle::{Handle, MapCell, RunCell};
use crate::mapped::Mapped;
use crate::runner::{ArgumentDescriptor, RunReference, RunnerFuture};
use crate::state::{State, StateOutcome};
use crate::value::{Access, StoredValue, ValueCell};

/// An argument whose value is here or will be.
pub struct Argument<T>(pub(crate) Source<T>);

pub(crate) enum Source<T> {
    Value(ValueCell<T>),
    Run(Arc<RunCell<T>>),
    Row(Arc<MapCell<T>>, u32),
    Assembled(Box<dyn Assemble<T>>),
    /// The value can never be had.
    Rejected(Error),
}

impl<T> Argument<T> {
    pub(crate) fn value(value: T) -> Self {
        Self(Source::Value(ValueCell::new(value)))
    }

    pub(crate) fn place(place: Place<T>) -> Self {
        Self(match place {
            Place::Run(cell) => Source::Run(cell),
            Place::Row(cell, row) => Source::Row(cell, row),
        })
    }
}

impl<T: Send + Sync + 'static> Argument<T> {
    pub(crate) fn edges<'a>(&'a self, visit: &mut dyn FnMut(Edge<'a>)) {
        let upstream = match &self.0 {
            Source::Value(_) => return,
            Source::Run(cell) => Upstream::Run(cell.handle()),
            Source::Row(cell, row) => Upstream::Row(cell.handle(), *row),
            Source::Assembled(parts) => return parts.edges(visit),
            Source::Rejected(error) => Upstream::Rejected(error),
        };
        visit(Edge {
            upstream,
            allow_failure: false,
        });
    }

    /// A value of the run's own. `last` says that nobody will read this
    /// argument again.
    pub(crate) fn obtain(&self, last: bool, access: &Access<T>) -> Result<T> {
        match &self.0 {
            Source::Value(cell) => cell.obtain(last, access),
            Source::Run(cell) => {
                let last = last && Arc::strong_count(cell) == 1;
                let own = cell.access();
                let access = if access.can_copy() { access } else { &own };
                cell.value().obtain(last, access)
            }
            Source::Row(cell, row) => cell.obtain_row(*row, last, Some(access)),
            Source::Assembled(parts) => parts.assemble(last),
            Source::Rejected(error) => Err(error.clone()),
        }
    }

    /// The value, shared with its other readers; `last` as in
    /// [`Argument::obtain`].
    pub(crate) fn share(&self, last: bool) -> Result<Arc<T>> {
        match &self.0 {
            Source::Value(cell) => cell.share(),
            Source::Run(cell) => cell.value().share(),
            Source::Row(cell, row) => cell.row(*row)?.share(),
            Source::Assembled(parts) => parts.assemble(last).map(Arc::new),
            Source::Rejected(error) => Err(error.clone()),
        }
    }

    /// What brings the value here, if it lies with the runner.
    pub(crate) fn fetch(&self, fetches: &mut Vec<RunnerFuture<Result<()>>>) {
        match &self.0 {
            Source::Value(_) | Source::Rejected(_) => {}
            Source::Run(cell) => fetches.extend(RunCell::fetch(cell)),
            Source::Row(cell, row) => fetches.extend(MapCell::fetch(cell, *row)),
            Source::Assembled(parts) => parts.fetch(fetches),
        }
    }

    /// The run that gives the value, if it has completed and its value is not
    /// here.
    pub(crate) fn elsewhere(&self) -> Option<RunReference> {
        match &self.0 {
            Source::Run(cell) if cell.value().is_empty() => match cell.handle() {
                Handle::Live { id, .. } => Some((*id).into()),
                Handle::Rejected(_) => None,
            },
            Source::Row(cell, row) if cell.row(*row).is_ok_and(ValueCell::is_empty) => {
                match cell.handle() {
                    Handle::Live { id, .. } => Some(RunReference::row(*id, *row)),
                    Handle::Rejected(_) => None,
                }
            }
            _ => None,
        }
    }

    /// The argument for another process: its value as bytes, or where it
    /// comes from.
    pub(crate) fn describe(&self, access: &Access<T>) -> Result<ArgumentDescriptor> {
        match &self.0 {
            Source::Value(cell) => ArgumentDescriptor::inline(cell, &[*access]),
            Source::Run(cell) => cell.describe(access),
            Source::Row(cell, row) => cell.describe_row(*row, access),
            Source::Assembled(parts) => parts.describe(access),
            Source::Rejected(error) => Err(error.clone()),
        }
    }
}

/// What a parameter of type `T` takes: a `T`, an `Arc<T>`, a future or a
/// state of `T`, `&str` for `String`, and for a `Vec` or a tuple also lists
/// and tuples of futures, or a whole map.
///
/// Numbers are not widened: an `i32` is no argument for an `i64`.
#[diagnostic::on_unimplemented(
    message = "this task argument wants `{T}`, or a future or state of `{T}`, but got `{Self}`",
    label = "expected `{T}` here",
    note = "a reference is passed as a clone, so its type must be `Clone`; nothing else is converted: \
            convert first, such as with `.into()`, `as`, or for a list `.into_iter().map(..).collect()`"
)]
pub trait IntoArgument<T> {
    /// The argument.
    fn into_argument(self) -> Argument<T>;
}

#[diagnostic::do_not_recommend]
impl<T> IntoArgument<T> for T {
    fn into_argument(self) -> Argument<T> {
        Argument::value(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Clone> IntoArgument<T> for &T {
    fn into_argument(self) -> Argument<T> {
        Argument::value(self.clone())
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArgument<T> for Arc<T> {
    fn into_argument(self) -> Argument<T> {
        Argument(Source::Value(ValueCell::shared(self)))
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArgument<T> for &Arc<T> {
    fn into_argument(self) -> Argument<T> {
        Arc::clone(self).into_argument()
    }
}

#[diagnostic::do_not_recommend]
impl IntoArgument<String> for &str {
    fn into_argument(self) -> Argument<String> {
        Argument::value(self.to_owned())
    }
}

#[diagnostic::do_not_recommend]
impl IntoArgument<PathBuf> for &Path {
    fn into_argument(self) -> Argument<PathBuf> {
        Argument::value(self.to_owned())
    }
}

#[diagnostic::do_not_recommend]
impl IntoArgument<PathBuf> for &str {
    fn into_argument(self) -> Argument<PathBuf> {
        Argument::value(self.into())
    }
}

#[diagnostic::do_not_recommend]
impl<T: Clone> IntoArgument<Vec<T>> for &[T] {
    fn into_argument(self) -> Argument<Vec<T>> {
        Argument::value(self.to_vec())
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArgument<T> for TaskFuture<T> {
    fn into_argument(self) -> Argument<T> {
        Argument::place(self.into_place())
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArgument<T> for &TaskFuture<T> {
    fn into_argument(self) -> Argument<T> {
        Argument::place(self.place().clone())
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArgument<T> for State<T> {
    fn into_argument(self) -> Argument<T> {
        (&self).into_argument()
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArgument<T> for &State<T> {
    fn into_argument(self) -> Argument<T> {
        Argument(match self.outcome() {
            StateOutcome::Value(StoredValue::Run(cell)) => Source::Run(Arc::clone(cell)),
            StateOutcome::Value(StoredValue::Row(cell, row)) => Source::Row(Arc::clone(cell), *row),
            StateOutcome::Value(StoredValue::Shared(value)) => {
                Source::Value(ValueCell::shared(Arc::clone(value)))
            }
            StateOutcome::Error(error) => Source::Rejected(error.clone()),
            StateOutcome::Open => Source::Rejected(Error::invalid(format!(
                "a state that is still {} has no value; pass the future instead",
                self.name()
            ))),
        })
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoArgument<Vec<T>> for Mapped<T> {
    fn into_argument(self) -> Argument<Vec<T>> {
        Argument(Source::Assembled(Box::new(self)))
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoArgument<Vec<T>> for &Mapped<T> {
    fn into_argument(self) -> Argument<Vec<T>> {
        self.clone().into_argument()
    }
}

/// Lists of things that are not values yet, for a `Vec` parameter.
macro_rules! lists {
    ($($element:ty),+) => {$(
        #[diagnostic::do_not_recommend]
        impl<T: Send + Sync + 'static> IntoArgument<Vec<T>> for Vec<$element> {
            fn into_argument(self) -> Argument<Vec<T>> {
                Gather::argument(self.into_iter().map(IntoArgument::into_argument))
            }
        }

        #[diagnostic::do_not_recommend]
        impl<T: Send + Sync + 'static> IntoArgument<Vec<T>> for &Vec<$element> {
            fn into_argument(self) -> Argument<Vec<T>> {
                self.as_slice().into_argument()
            }
        }

        #[diagnostic::do_not_recommend]
        impl<T: Send + Sync + 'static> IntoArgument<Vec<T>> for &[$element] {
            fn into_argument(self) -> Argument<Vec<T>> {
                Gather::argument(self.iter().map(IntoArgument::into_argument))
            }
        }

        #[diagnostic::do_not_recommend]
        impl<T: Send + Sync + 'static, const N: usize> IntoArgument<Vec<T>> for [$element; N] {
            fn into_argument(self) -> Argument<Vec<T>> {
                Gather::argument(self.into_iter().map(IntoArgument::into_argument))
            }
        }
    )+};
}

lists!(TaskFuture<T>, State<T>);
