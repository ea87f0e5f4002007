//! `allow_failure(future)`: a failed upstream run does not stop the
//! dependent, which gets the error instead of the value.

use std::sync::Arc;

use super::assemble::{element, unknown};
use super::{Argument, Assemble, Edge, IntoArgument, Source, Upstream};
use crate::error::{Error, Result};
use crate::future::{Place, TaskFuture};
use crate::mapped::Mapped;
use crate::runner::{ArgumentDescriptor, RunnerFuture, outcome};
use crate::value::Access;

/// An upstream run that may fail; made by [`allow_failure`].
#[derive(Clone, Debug)]
#[must_use]
pub struct AllowFailure<F>(pub(crate) F);

/// Hands a future or a map to a task that copes with failures: its parameter
/// is a `Result<T, flowcore::Error>` (for a map a `Vec` of them, or one per
/// row). Crashed and cancelled upstream runs still stop it.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// fn parse(text: String) -> Result<i64, std::num::ParseIntError> { text.parse() }
///
/// #[task]
/// fn or_zero(number: Result<i64>) -> i64 { number.unwrap_or(0) }
///
/// #[flow]
/// async fn lenient(text: String) -> Result<i64> {
///     or_zero.submit(allow_failure(parse.submit(text))).await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(lenient("five".into()).await?, 0);
/// # Ok(())
/// # }
/// ```
pub fn allow_failure<F>(upstream: F) -> AllowFailure<F> {
    AllowFailure(upstream)
}

/// One run's value or error.
pub(crate) struct Outcome<T>(pub(crate) Place<T>);

impl<T: Send + Sync + 'static> Assemble<Result<T, Error>> for Outcome<T> {
    fn edges<'a>(&'a self, visit: &mut dyn FnMut(Edge<'a>)) {
        visit(Edge {
            upstream: match &self.0 {
                Place::Run(cell) => Upstream::Run(cell.handle()),
                Place::Row(cell, row) => Upstream::Row(cell.handle(), *row),
            },
            allow_failure: true,
        });
    }

    fn assemble(&self, last: bool) -> Result<Result<T, Error>> {
        if let Some(error) = self.0.settled_error() {
            return Ok(Err(error));
        }
        match &self.0 {
            Place::Run(cell) => {
                let last = last && Arc::strong_count(cell) == 1;
                cell.value().obtain(last, &cell.access()).map(Ok)
            }
            Place::Row(cell, row) => cell.obtain_row(*row, last, None).map(Ok),
        }
    }

    fn describe(&self, access: &Access<Result<T, Error>>) -> Result<ArgumentDescriptor> {
        // Home knows the error; the runner may never have heard of the run.
        if let Some(error) = self.0.settled_error() {
            return Ok(ArgumentDescriptor::Inline(outcome(Err(error))?));
        }
        let upstream = match &self.0 {
            Place::Run(cell) => cell.describe(&cell.access()),
            Place::Row(cell, row) => cell.describe_row(*row, &cell.access()),
        };
        match upstream {
            Ok(ArgumentDescriptor::Inline(value)) => {
                Ok(ArgumentDescriptor::Inline(outcome(Ok(value))?))
            }
            Ok(elsewhere) => Ok(ArgumentDescriptor::Outcome(Box::new(elsewhere))),
            // A local run gave it: only the reader has a codec.
            Err(error) => match (self.assemble(false), access.codec()) {
                (Ok(value), Some(codec)) => Ok(ArgumentDescriptor::Inline(codec.encode(&value)?)),
                _ => Err(error),
            },
        }
    }

    fn fetch(&self, fetches: &mut Vec<RunnerFuture<Result<()>>>) {
        if self.0.settled_error().is_none() {
            fetches.extend(self.0.fetch());
        }
    }
}

/// All rows' values or errors.
struct Outcomes<T>(Mapped<T>);

impl<T: Send + Sync + 'static> Outcomes<T> {
    fn rows(&self) -> Result<impl Iterator<Item = Outcome<T>>> {
        let rows = self.0.checked_rows()?;
        Ok(rows.map(|row| Outcome(Place::Row(Arc::clone(self.0.cell()), row))))
    }
}

impl<T: Send + Sync + 'static> Assemble<Vec<Result<T, Error>>> for Outcomes<T> {
    fn edges<'a>(&'a self, visit: &mut dyn FnMut(Edge<'a>)) {
        visit(Edge {
            upstream: Upstream::Rows(self.0.cell().handle(), self.0.rows().cloned()),
            allow_failure: true,
        });
    }

    fn assemble(&self, _last: bool) -> Result<Vec<Result<T, Error>>> {
        self.rows()?.map(|row| row.assemble(false)).collect()
    }

    fn describe(&self, access: &Access<Vec<Result<T, Error>>>) -> Result<ArgumentDescriptor> {
        let row = |row: Outcome<T>| {
            row.describe(&unknown())
                .or_else(|error| element(row.assemble(false).ok(), access, error))
        };
        let rows = self.rows()?.map(row).collect::<Result<_>>();
        rows.map(ArgumentDescriptor::List)
    }

    fn fetch(&self, fetches: &mut Vec<RunnerFuture<Result<()>>>) {
        // Without rows the run learns why when it puts its argument together.
        for row in self.rows().into_iter().flatten() {
            row.fetch(fetches);
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoArgument<Result<T, Error>> for AllowFailure<TaskFuture<T>> {
    fn into_argument(self) -> Argument<Result<T, Error>> {
        Argument(Source::Assembled(Box::new(Outcome(self.0.into_place()))))
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoArgument<Result<T, Error>> for AllowFailure<&TaskFuture<T>> {
    fn into_argument(self) -> Argument<Result<T, Error>> {
        allow_failure(self.0.clone()).into_argument()
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoArgument<Vec<Result<T, Error>>> for AllowFailure<Mapped<T>> {
    fn into_argument(self) -> Argument<Vec<Result<T, Error>>> {
        Argument(Source::Assembled(Box::new(Outcomes(self.0))))
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoArgument<Vec<Result<T, Error>>> for AllowFailure<&Mapped<T>> {
    fn into_argument(self) -> Argument<Vec<Result<T, Error>>> {
        allow_failure(self.0.clone()).into_argument()
    }
}
