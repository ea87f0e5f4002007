//! Arguments that are put together from several runs: a list of futures, a
//! tuple of futures, a whole map.

use super::{Argument, Edge, IntoArgument, Source};
use crate::error::{Error, Result};
use crate::future::TaskFuture;
use crate::handle::MapCell;
use crate::mapped::Mapped;
use crate::runner::{ArgumentDescriptor, RunnerFuture};
use crate::value::Access;

/// Makes one value of a parameter's type from several upstream values.
pub(crate) trait Assemble<T>: Send + Sync {
    fn edges<'a>(&'a self, visit: &mut dyn FnMut(Edge<'a>));
    fn assemble(&self, last: bool) -> Result<T>;
    /// The argument for another process; `access` is the reader's.
    fn describe(&self, access: &Access<T>) -> Result<ArgumentDescriptor>;
    /// What brings the parts here that lie with the runner.
    fn fetch(&self, fetches: &mut Vec<RunnerFuture<Result<()>>>);
}

/// A list of futures or states for a `Vec`.
pub(crate) struct Gather<T>(Vec<Argument<T>>);

impl<T: Send + Sync + 'static> Gather<T> {
    pub(crate) fn argument(parts: impl Iterator<Item = Argument<T>>) -> Argument<Vec<T>> {
        Argument(Source::Assembled(Box::new(Self(parts.collect()))))
    }
}

/// Elements have no access of their own: what made them knows how to copy
/// them.
pub(super) const fn unknown<T>() -> Access<T> {
    Access::new(None, None)
}

/// The element of a list that a local run gave. Only the reader's whole list
/// has a codec: it codes a list of one, of which the element is cut out.
/// Without the value there is the error.
pub(super) fn element<T>(
    value: Option<T>,
    access: &Access<Vec<T>>,
    error: Error,
) -> Result<ArgumentDescriptor> {
    let (Some(value), Some(codec)) = (value, access.codec()) else {
        return Err(error);
    };
    let mut list = codec.encode(&vec![value])?;
    // The head of a MessagePack array of one element is one byte.
    list.bytes.remove(0);
    Ok(ArgumentDescriptor::Inline(list))
}

impl<T: Send + Sync + 'static> Assemble<Vec<T>> for Gather<T> {
    fn edges<'a>(&'a self, visit: &mut dyn FnMut(Edge<'a>)) {
        for part in &self.0 {
            part.edges(visit);
        }
    }

    fn assemble(&self, last: bool) -> Result<Vec<T>> {
        self.0
            .iter()
            .map(|part| part.obtain(last, &unknown()))
            .collect()
    }

    fn describe(&self, access: &Access<Vec<T>>) -> Result<ArgumentDescriptor> {
        let part = |part: &Argument<T>| {
            part.describe(&unknown())
                .or_else(|error| element(part.obtain(false, &unknown()).ok(), access, error))
        };
        let parts = self.0.iter().map(part).collect::<Result<_>>();
        parts.map(ArgumentDescriptor::List)
    }

    fn fetch(&self, fetches: &mut Vec<RunnerFuture<Result<()>>>) {
        for part in &self.0 {
            part.fetch(fetches);
        }
    }
}

impl<T: Send + Sync + 'static> Assemble<Vec<T>> for Mapped<T> {
    fn edges<'a>(&'a self, visit: &mut dyn FnMut(Edge<'a>)) {
        visit(Edge {
            upstream: super::Upstream::Rows(self.cell().handle(), self.rows().cloned()),
            allow_failure: false,
        });
    }

    fn assemble(&self, last: bool) -> Result<Vec<T>> {
        self.checked_rows()?
            .map(|row| self.cell().obtain_row(row, last, None))
            .collect()
    }

    fn describe(&self, access: &Access<Vec<T>>) -> Result<ArgumentDescriptor> {
        let rows = self.checked_rows()?;
        self.cell().describe_rows(rows.clone()).or_else(|_| {
            let cell = self.cell();
            let row = |row| {
                cell.describe_row(row, &unknown())
                    .or_else(|error| element(cell.obtain_row(row, false, None).ok(), access, error))
            };
            let rows = rows.map(row).collect::<Result<_>>();
            rows.map(ArgumentDescriptor::List)
        })
    }

    fn fetch(&self, fetches: &mut Vec<RunnerFuture<Result<()>>>) {
        for row in self.settled_rows() {
            fetches.extend(MapCell::fetch(self.cell(), row));
        }
    }
}

macro_rules! tuples {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Send + Sync + 'static),+> Assemble<($($name,)+)> for ($(Argument<$name>,)+) {
            fn edges<'a>(&'a self, visit: &mut dyn FnMut(Edge<'a>)) {
                $(self.$index.edges(visit);)+
            }

            fn assemble(&self, last: bool) -> Result<($($name,)+)> {
                Ok(($(self.$index.obtain(last, &unknown())?,)+))
            }

            fn describe(&self, _: &Access<($($name,)+)>) -> Result<ArgumentDescriptor> {
                Ok(ArgumentDescriptor::List(vec![$(self.$index.describe(&unknown())?,)+]))
            }

            fn fetch(&self, fetches: &mut Vec<RunnerFuture<Result<()>>>) {
                $(self.$index.fetch(fetches);)+
            }
        }

        #[diagnostic::do_not_recommend]
        impl<$($name: Send + Sync + 'static),+> IntoArgument<($($name,)+)> for ($(TaskFuture<$name>,)+) {
            fn into_argument(self) -> Argument<($($name,)+)> {
                Argument(Source::Assembled(Box::new(($(self.$index.into_argument(),)+))))
            }
        }
    };
}

tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
