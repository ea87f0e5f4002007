//! One argument of a map: a value per row.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::allow_failure::Outcome;
use super::{AllowFailure, Argument, Edge, IntoArgument, Source, Unmapped, Upstream};
use crate::engine::MapId;
use crate::error::{Error, Result};
use crate::future::{Place, TaskFuture};
use crate::handle::{Handle, MapCell};
use crate::mapped::Mapped;
use crate::runner::{ArgumentDescriptor, ColumnDescriptor, RunReference, RunnerFuture};
use crate::value::{Access, ValueCell};

/// An argument of every row of a map.
pub struct Column<T>(ColumnSource<T>);

enum ColumnSource<T> {
    Values(Box<[ValueCell<T>]>),
    Arguments(Box<[Argument<T>]>),
    /// More rows than a map can have, or no end of them: they were not asked
    /// for, and the map is refused.
    TooMany,
    Rows(Mapped<T>),
    Outcomes(Box<dyn OutcomeRows<T>>),
    Repeat(Argument<T>),
    /// A list that some run will give: its length becomes known later.
    List(Argument<Vec<T>>, OnceLock<ListRows<T>>),
}

/// So many rows are made room for before they are there.
const PROMISED_ROWS: usize = 1 << 24;

/// A list that has arrived, or of which only the length is known here.
enum ListRows<T> {
    Here(Box<[ValueCell<T>]>),
    Elsewhere(u32),
}

impl<T> ListRows<T> {
    fn len(&self) -> usize {
        match self {
            Self::Here(values) => values.len(),
            Self::Elsewhere(length) => *length as usize,
        }
    }

    fn row(&self, row: u32) -> Result<&ValueCell<T>> {
        match self {
            Self::Here(values) => cell(values, row),
            Self::Elsewhere(_) => Err(Error::invalid(
                "the list of a map's column lies with the task runner",
            )),
        }
    }
}

/// How many rows a column has.
pub(crate) enum ColumnLength<'a> {
    Known(usize),
    /// As many as the others.
    Repeats,
    /// As many as that map, which does not know yet.
    SameAs(&'a Handle<MapId>),
    /// As many as the list, once it is here.
    Later,
}

/// What the rows of a map wait for.
pub(crate) enum ColumnInput<'a> {
    /// Row i waits for row `first + i` of that map.
    Aligned {
        handle: &'a Handle<MapId>,
        first: u32,
        allow_failure: bool,
    },
    /// One row waits.
    Row(u32, Edge<'a>),
    /// All rows wait.
    Whole(Edge<'a>),
}

/// The rows of a map whose failures are allowed; `T` is a `Result`.
trait OutcomeRows<T>: Send + Sync {
    fn map(&self) -> (&Handle<MapId>, Option<&Range<u32>>);
    fn obtain(&self, row: u32, last: bool) -> Result<T>;
    fn describe(&self, row: u32, access: &Access<T>) -> Result<ArgumentDescriptor>;
    fn fetch(&self, rows: &Range<u32>, fetches: &mut Vec<RunnerFuture<Result<()>>>);
}

impl<T: Send + Sync + 'static> OutcomeRows<Result<T, Error>> for Mapped<T> {
    fn map(&self) -> (&Handle<MapId>, Option<&Range<u32>>) {
        (self.cell().handle(), self.rows())
    }

    fn obtain(&self, row: u32, last: bool) -> Result<Result<T, Error>> {
        let row = self.first_row() + row;
        let place = Place::Row(Arc::clone(self.cell()), row);
        match place.settled_error() {
            Some(error) => Ok(Err(error)),
            None => {
                drop(place);
                self.cell().obtain_row(row, last, None).map(Ok)
            }
        }
    }

    fn describe(&self, row: u32, access: &Access<Result<T, Error>>) -> Result<ArgumentDescriptor> {
        let place = Place::Row(Arc::clone(self.cell()), self.first_row() + row);
        super::Assemble::describe(&Outcome(place), access)
    }

    fn fetch(&self, rows: &Range<u32>, fetches: &mut Vec<RunnerFuture<Result<()>>>) {
        for row in rows.clone() {
            let place = Place::Row(Arc::clone(self.cell()), self.first_row() + row);
            super::Assemble::fetch(&Outcome(place), fetches);
        }
    }
}

/// How many rows a (part of a) map has.
fn map_length<'a>(handle: &'a Handle<MapId>, rows: Option<&Range<u32>>) -> ColumnLength<'a> {
    if let Some(rows) = rows {
        return ColumnLength::Known(rows.len());
    }
    match handle {
        Handle::Live { flow, id } => match flow.map_length(*id) {
            Some(length) => ColumnLength::Known(length as usize),
            None => ColumnLength::SameAs(handle),
        },
        // Nobody will know: what maps over it stops and names the refusal.
        Handle::Rejected(_) => ColumnLength::Later,
    }
}

impl<T: Send + Sync + 'static> Column<T> {
    pub(crate) fn length(&self) -> ColumnLength<'_> {
        match &self.0 {
            ColumnSource::Values(values) => ColumnLength::Known(values.len()),
            ColumnSource::Arguments(arguments) => ColumnLength::Known(arguments.len()),
            ColumnSource::TooMany => ColumnLength::Known(usize::MAX),
            ColumnSource::Rows(mapped) => map_length(mapped.cell().handle(), mapped.rows()),
            ColumnSource::Outcomes(rows) => {
                let (handle, rows) = rows.map();
                map_length(handle, rows)
            }
            ColumnSource::Repeat(_) => ColumnLength::Repeats,
            ColumnSource::List(_, values) => match values.get() {
                Some(values) => ColumnLength::Known(values.len()),
                None => ColumnLength::Later,
            },
        }
    }

    /// The run that gives the list, if the list is not here.
    pub(crate) fn list_elsewhere(&self) -> Option<RunReference> {
        match &self.0 {
            ColumnSource::List(list, values) if values.get().is_none() => list.elsewhere(),
            _ => None,
        }
    }

    /// Looks into a list that has arrived, so that `length` knows; one that
    /// lies elsewhere takes the next of `lengths`.
    pub(crate) fn expand(&self, lengths: &mut dyn Iterator<Item = u32>) -> Result<()> {
        let ColumnSource::List(list, values) = &self.0 else {
            return Ok(());
        };
        if values.get().is_some() {
            return Ok(());
        }
        let rows = match (list.elsewhere(), lengths.next()) {
            (Some(_), Some(length)) => ListRows::Elsewhere(length),
            _ => {
                let list = list.obtain(true, &Access::new(None, None))?;
                ListRows::Here(list.into_iter().map(ValueCell::new).collect())
            }
        };
        values.get_or_init(|| rows);
        Ok(())
    }

    /// What brings the values of these rows here that lie with the runner.
    pub(crate) fn fetch(&self, rows: &Range<u32>, fetches: &mut Vec<RunnerFuture<Result<()>>>) {
        match &self.0 {
            ColumnSource::Values(_) | ColumnSource::TooMany => {}
            ColumnSource::Arguments(arguments) => {
                for row in rows.clone() {
                    if let Some(argument) = arguments.get(row as usize) {
                        argument.fetch(fetches);
                    }
                }
            }
            ColumnSource::Rows(mapped) => {
                for row in rows.clone() {
                    fetches.extend(MapCell::fetch(mapped.cell(), mapped.first_row() + row));
                }
            }
            ColumnSource::Outcomes(outcomes) => outcomes.fetch(rows, fetches),
            ColumnSource::Repeat(argument) => argument.fetch(fetches),
            ColumnSource::List(list, _) => list.fetch(fetches),
        }
    }

    pub(crate) fn inputs<'a>(&'a self, visit: &mut dyn FnMut(ColumnInput<'a>)) {
        let aligned =
            |handle: &'a Handle<MapId>, rows: Option<&Range<u32>>, allow_failure| match handle {
                Handle::Live { .. } => ColumnInput::Aligned {
                    handle,
                    first: rows.map_or(0, |rows| rows.start),
                    allow_failure,
                },
                Handle::Rejected(error) => ColumnInput::Whole(Edge {
                    upstream: Upstream::Rejected(error),
                    allow_failure: false,
                }),
            };
        match &self.0 {
            ColumnSource::Values(_) | ColumnSource::TooMany => {}
            ColumnSource::Arguments(arguments) => {
                for (row, argument) in (0..).zip(arguments) {
                    argument.edges(&mut |edge| visit(ColumnInput::Row(row, edge)));
                }
            }
            ColumnSource::Rows(mapped) => {
                visit(aligned(mapped.cell().handle(), mapped.rows(), false));
            }
            ColumnSource::Outcomes(rows) => {
                let (handle, rows) = rows.map();
                visit(aligned(handle, rows, true));
            }
            ColumnSource::Repeat(argument) => {
                argument.edges(&mut |edge| visit(ColumnInput::Whole(edge)));
            }
            ColumnSource::List(list, ..) => {
                list.edges(&mut |edge| visit(ColumnInput::Whole(edge)));
            }
        }
    }

    pub(crate) fn obtain(&self, row: u32, last: bool, access: &Access<T>) -> Result<T> {
        match &self.0 {
            ColumnSource::Values(values) => cell(values, row)?.obtain(last, access),
            ColumnSource::Arguments(arguments) => cell(arguments, row)?.obtain(last, access),
            ColumnSource::TooMany => Err(no_row(row)),
            ColumnSource::Rows(mapped) => {
                mapped
                    .cell()
                    .obtain_row(mapped.first_row() + row, last, Some(access))
            }
            ColumnSource::Outcomes(rows) => rows.obtain(row, last),
            ColumnSource::Repeat(argument) => argument.obtain(false, access),
            ColumnSource::List(_, values) => arrived(values)?.row(row)?.obtain(last, access),
        }
    }

    pub(crate) fn share(&self, row: u32, last: bool) -> Result<Arc<T>> {
        match &self.0 {
            ColumnSource::Values(values) => cell(values, row)?.share(),
            ColumnSource::Arguments(arguments) => cell(arguments, row)?.share(last),
            ColumnSource::TooMany => Err(no_row(row)),
            ColumnSource::Rows(mapped) => mapped.cell().row(mapped.first_row() + row)?.share(),
            ColumnSource::Outcomes(rows) => rows.obtain(row, last).map(Arc::new),
            ColumnSource::Repeat(argument) => argument.share(false),
            ColumnSource::List(_, values) => arrived(values)?.row(row)?.share(),
        }
    }

    pub(crate) fn describe(&self, row: u32, access: &Access<T>) -> Result<ArgumentDescriptor> {
        let inline = |cell: &ValueCell<T>| ArgumentDescriptor::inline(cell, &[*access]);
        match &self.0 {
            ColumnSource::Values(values) => inline(cell(values, row)?),
            ColumnSource::Arguments(arguments) => cell(arguments, row)?.describe(access),
            ColumnSource::TooMany => Err(no_row(row)),
            ColumnSource::Rows(mapped) => {
                mapped.cell().describe_row(mapped.first_row() + row, access)
            }
            ColumnSource::Outcomes(rows) => rows.describe(row, access),
            ColumnSource::Repeat(argument) => argument.describe(access),
            ColumnSource::List(list, values) => match values.get() {
                Some(values @ ListRows::Here(_)) => inline(values.row(row)?),
                _ => Ok(ArgumentDescriptor::Element(
                    Box::new(list.describe(&Access::new(None, None))?),
                    row,
                )),
            },
        }
    }
}

impl<T: Send + Sync + 'static> Column<T> {
    /// What is the same in all rows, for another process. What cannot be coded
    /// is an error of each row.
    pub(crate) fn describe_repeated(&self, access: &Access<T>) -> Option<ArgumentDescriptor> {
        match &self.0 {
            ColumnSource::Repeat(argument) => argument.describe(access).ok(),
            _ => None,
        }
    }

    /// The column of a batch, for another process.
    pub(crate) fn describe_rows(
        &self,
        rows: &Range<u32>,
        access: &Access<T>,
    ) -> Result<ColumnDescriptor> {
        match &self.0 {
            ColumnSource::Repeat(argument) => {
                argument.describe(access).map(ColumnDescriptor::Repeat)
            }
            ColumnSource::Rows(mapped) => {
                let first = mapped.first_row() + rows.start;
                mapped.cell().describe_column(first, rows.len(), access)
            }
            _ => rows
                .clone()
                .map(|row| self.describe(row, access))
                .collect::<Result<_>>()
                .map(ColumnDescriptor::Each),
        }
    }

    /// A column of values that came from another process, or of what is wrong
    /// with them.
    pub(crate) fn arrived(rows: Vec<Result<T>>) -> Self {
        let rows = rows.into_iter().map(|row| match row {
            Ok(value) => Argument::value(value),
            Err(error) => Argument(Source::Rejected(error)),
        });
        Self(ColumnSource::Arguments(rows.collect()))
    }

    /// One value for all rows, from another process.
    pub(crate) fn repeated(argument: Argument<T>) -> Self {
        Self(ColumnSource::Repeat(argument))
    }
}

fn cell<T>(values: &[T], row: u32) -> Result<&T> {
    values.get(row as usize).ok_or_else(|| no_row(row))
}

fn no_row(row: u32) -> Error {
    Error::invalid(format!("a column of the map has no row {row}"))
}

fn arrived<T>(values: &OnceLock<ListRows<T>>) -> Result<&ListRows<T>> {
    values
        .get()
        .ok_or_else(|| Error::invalid("the list of a map's column is not here"))
}

/// What `map` takes for a parameter of type `T`: anything that iterates over
/// arguments for `T`, the rows of another map, the future of a list, or one
/// value for all rows by `unmapped(..)`.
///
/// An `Option` iterates too: `Some(x)` is a column of one row.
#[diagnostic::on_unimplemented(
    message = "`map` wants a sequence of `{T}` here, but got `{Self}`",
    label = "not a sequence of `{T}`",
    note = "a sequence of values or futures, another map, or the future of a list; or wrap a single \
            value for all rows: `unmapped(..)`"
)]
pub trait IntoColumn<T> {
    /// The column.
    fn into_column(self) -> Column<T>;
}

#[diagnostic::do_not_recommend]
impl<I, T> IntoColumn<T> for I
where
    I: IntoIterator,
    I::Item: IntoArgument<T>,
{
    fn into_column(self) -> Column<T> {
        let arguments = self.into_iter();
        let at_least = arguments.size_hint().0;
        if u32::try_from(at_least).is_err() {
            return Column(ColumnSource::TooMany);
        }
        // A promise is no reason to take all the memory there is.
        let mut values = Vec::with_capacity(at_least.min(PROMISED_ROWS));
        let mut arguments = arguments.map(IntoArgument::into_argument);
        for argument in arguments.by_ref() {
            match argument.0 {
                Source::Value(value) => values.push(value),
                other => {
                    // The first row that is no plain value: from here on, and
                    // for what is already there, whole arguments.
                    let before = values
                        .into_iter()
                        .map(|value| Argument(Source::Value(value)));
                    let all = before.chain([Argument(other)]).chain(arguments);
                    return Column(ColumnSource::Arguments(all.collect()));
                }
            }
        }
        Column(ColumnSource::Values(values.into_boxed_slice()))
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoColumn<T> for Mapped<T> {
    fn into_column(self) -> Column<T> {
        Column(ColumnSource::Rows(self))
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoColumn<T> for &Mapped<T> {
    fn into_column(self) -> Column<T> {
        self.clone().into_column()
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoColumn<Result<T, Error>> for AllowFailure<Mapped<T>> {
    fn into_column(self) -> Column<Result<T, Error>> {
        Column(ColumnSource::Outcomes(Box::new(self.0)))
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoColumn<Result<T, Error>> for AllowFailure<&Mapped<T>> {
    fn into_column(self) -> Column<Result<T, Error>> {
        Column(ColumnSource::Outcomes(Box::new(self.0.clone())))
    }
}

#[diagnostic::do_not_recommend]
impl<T, A: IntoArgument<T>> IntoColumn<T> for Unmapped<A> {
    fn into_column(self) -> Column<T> {
        Column(ColumnSource::Repeat(self.0.into_argument()))
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoColumn<T> for TaskFuture<Vec<T>> {
    fn into_column(self) -> Column<T> {
        let argument = Argument::place(self.into_place());
        Column(ColumnSource::List(argument, OnceLock::new()))
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoColumn<T> for &TaskFuture<Vec<T>> {
    fn into_column(self) -> Column<T> {
        self.clone().into_column()
    }
}

impl<T> std::fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.0 {
            ColumnSource::Values(values) => return write!(f, "Column({} values)", values.len()),
            ColumnSource::Arguments(rows) => return write!(f, "Column({} rows)", rows.len()),
            ColumnSource::TooMany => "too many rows",
            ColumnSource::Rows(_) => "rows of a map",
            ColumnSource::Outcomes(_) => "outcomes of a map",
            ColumnSource::Repeat(_) => "one value",
            ColumnSource::List(..) => "future list",
        };
        write!(f, "Column({kind})")
    }
}
