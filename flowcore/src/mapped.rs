//! The handle of a map: all its rows, or some of them.

mod completions;

use std::fmt;
use std::future::Future;
use std::ops::{Bound, Range, RangeBounds};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

pub use completions::Completions;

use crate::cancel_on_drop::CancelOnDrop;
use crate::cancellation::block_on;
use crate::engine::{Map, MapId, RunView};
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::future::{Place, TaskFuture, late};
use crate::handle::{Fetch, Handle, MapCell};
use crate::runner::RunnerFuture;
use crate::state::StateName;

/// The runs of a `map`, in the order of its rows.
///
/// Await it for a `Vec` of all values, hand it to another `map` as a column
/// (row by row) or to a task that takes a `Vec`, or look at single rows.
///
/// It is neither an iterator nor a collection: how many rows there are may be
/// known only when the runs that it maps over have ended.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// fn double(x: i64) -> i64 { x * 2 }
///
/// #[flow]
/// async fn doubled(xs: Vec<i64>) -> Result<Vec<i64>> {
///     let mapped = double.map(&xs);
///     assert_eq!(mapped.get(0).await?, 2 * xs[0]);
///     mapped.await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(doubled(vec![1, 2]).await?, [2, 4]);
/// # Ok(())
/// # }
/// ```
#[must_use = "a map whose results nobody reads is easily forgotten; await it, or `drop` it"]
pub struct Mapped<T> {
    cell: Arc<MapCell<T>>,
    rows: Option<Range<u32>>,
    fetch: Fetch,
}

impl<T> Clone for Mapped<T> {
    fn clone(&self) -> Self {
        Self {
            cell: Arc::clone(&self.cell),
            rows: self.rows.clone(),
            fetch: Fetch::default(),
        }
    }
}

impl<T> fmt::Debug for Mapped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.live(), self.len()) {
            (Err(error), _) => write!(f, "Mapped(rejected: {error})"),
            (Ok(_), Some(length)) => write!(f, "Mapped({length} rows)"),
            (Ok(_), None) => f.write_str("Mapped(length not known yet)"),
        }
    }
}

impl<T> Mapped<T> {
    pub(crate) fn new(cell: MapCell<T>) -> Self {
        Self {
            cell: Arc::new(cell),
            rows: None,
            fetch: Fetch::default(),
        }
    }

    pub(crate) fn rejected(error: Error) -> Self {
        Self::new(MapCell::rejected(error))
    }

    pub(crate) fn cell(&self) -> &Arc<MapCell<T>> {
        &self.cell
    }

    /// The rows of the map that this is about; `None` for all.
    pub(crate) fn rows(&self) -> Option<&Range<u32>> {
        self.rows.as_ref()
    }

    pub(crate) fn first_row(&self) -> u32 {
        self.rows.as_ref().map_or(0, |rows| rows.start)
    }

    /// The rows of a map that has settled.
    pub(crate) fn settled_rows(&self) -> Range<u32> {
        let length = self
            .live()
            .ok()
            .and_then(|(flow, id)| flow.map_length(id))
            .unwrap_or(0);
        match &self.rows {
            None => 0..length,
            Some(rows) => rows.start.min(length)..rows.end.min(length),
        }
    }

    fn live(&self) -> Result<(&Arc<FlowRun>, MapId), &Error> {
        match self.cell.handle() {
            Handle::Live { flow, id } => Ok((flow, *id)),
            Handle::Rejected(error) => Err(error),
        }
    }

    fn place(&self, index: usize) -> Place<T> {
        let row = u32::try_from(index).unwrap_or(u32::MAX);
        Place::Row(Arc::clone(&self.cell), self.first_row().saturating_add(row))
    }

    /// How many rows there are; `None` while that is not known.
    #[must_use]
    pub fn len(&self) -> Option<usize> {
        if let Some(rows) = &self.rows {
            return Some(rows.len());
        }
        let (flow, id) = self.live().ok()?;
        flow.map_length(id).map(|length| length as usize)
    }

    /// Whether there are no rows; `None` while that is not known.
    #[must_use]
    pub fn is_empty(&self) -> Option<bool> {
        self.len().map(|length| length == 0)
    }

    /// How many rows there are, once that is known.
    ///
    /// # Errors
    ///
    /// The map was refused, or what it maps over did not complete.
    pub async fn length(&self) -> Result<usize> {
        let (flow, id) = self.live().map_err(Clone::clone)?;
        if let Some(rows) = &self.rows {
            return Ok(rows.len());
        }
        let length = std::future::poll_fn(|context| flow.poll_length(id, context.waker())).await?;
        Ok(length as usize)
    }

    /// The run of one row. A row that the map does not have gives an error
    /// when it is awaited.
    pub fn get(&self, index: usize) -> TaskFuture<T> {
        if let Some(rows) = &self.rows
            && index >= rows.len()
        {
            return TaskFuture::rejected(Error::invalid(format!(
                "row {index} was asked for, but these are {} rows",
                rows.len()
            )));
        }
        TaskFuture::new(self.place(index))
    }

    /// Some of the rows.
    ///
    /// ```
    /// # use flowcore::prelude::*;
    /// # #[task]
    /// # fn double(x: i64) -> i64 { x * 2 }
    /// # #[flow]
    /// # async fn example() -> Result<()> {
    /// let first_two = double.map(0..10).slice(..2).await?;
    /// assert_eq!(first_two, [0, 2]);
    /// # Ok(())
    /// # }
    /// # #[flowcore::main]
    /// # async fn main() -> Result<()> { example().await }
    /// ```
    ///
    /// A range that reaches beyond the rows gives an error when it is read;
    /// an end must be given while the length is not known.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => Some(end.saturating_add(1)),
            Bound::Excluded(&end) => Some(end),
            Bound::Unbounded => self.len(),
        };
        let length = self.len();
        let refused = |message: String| Self::rejected(Error::invalid(message));
        let Some(end) = end else {
            return match self.live() {
                Err(error) => Self::rejected(error.clone()),
                Ok(_) => refused(
                    "the length of the map is not known yet: give the slice an end, or await \
                     `length()` first"
                        .to_owned(),
                ),
            };
        };
        if start > end || length.is_some_and(|length| end > length) {
            return refused(match length {
                Some(length) => {
                    format!("rows {start}..{end} were asked for, but there are {length}")
                }
                None => format!("rows {start}..{end} are no range"),
            });
        }
        let first = self.first_row() as usize;
        let bound = |index: usize| u32::try_from(first + index).unwrap_or(u32::MAX);
        Self {
            cell: Arc::clone(&self.cell),
            rows: Some(bound(start)..bound(end)),
            fetch: Fetch::default(),
        }
    }

    /// The runs of the rows, one by one.
    ///
    /// # Errors
    ///
    /// The number of rows is not known yet: await [`Mapped::length`] first. Or
    /// the map was refused.
    pub fn iter(&self) -> Result<impl Iterator<Item = TaskFuture<T>> + use<'_, T>> {
        self.live().map_err(Clone::clone)?;
        let length = self.len().ok_or_else(|| {
            Error::invalid("the length of the map is not known yet: await `length()` first")
        })?;
        Ok((0..length).map(|index| self.get(index)))
    }

    /// The names of the rows' states as they are now; empty while the number
    /// of rows is not known.
    #[must_use]
    pub fn states(&self) -> Vec<StateName> {
        let Ok((flow, id)) = self.live() else {
            return Vec::new();
        };
        let rows = self.settled_rows();
        flow.with_map(id, |map| {
            map.states
                .get(rows.start as usize..rows.end as usize)
                .map_or_else(Vec::new, <[StateName]>::to_vec)
        })
        .unwrap_or_default()
    }

    /// Asks all rows to stop; see [`TaskFuture::cancel`].
    pub fn cancel(&self) {
        let Ok((flow, id)) = self.live() else {
            return;
        };
        match &self.rows {
            None => flow.cancel_map(id),
            Some(rows) => {
                for row in rows.clone() {
                    flow.cancel(crate::runner::RunReference::row(id, row));
                }
            }
        }
    }

    /// A handle that cancels all rows when it is dropped.
    pub fn cancel_on_drop(self) -> CancelOnDrop<Self> {
        CancelOnDrop::new(self)
    }

    /// Waits until all rows have settled, at most for `limit`, and says
    /// whether they have.
    pub async fn wait(&self, limit: impl Into<Option<Duration>>) -> bool {
        let settled = std::future::poll_fn(|context| self.poll_settled(context));
        match limit.into() {
            None => settled.await,
            Some(limit) => match crate::runtime::timeout(limit, settled).await {
                Some(()) => {}
                None => return false,
            },
        }
        if let Ok((flow, _)) = self.live() {
            flow.yield_if_stopping().await;
        }
        true
    }

    pub(crate) fn poll_settled(&self, context: &Context<'_>) -> Poll<()> {
        match self.live() {
            Err(_) => Poll::Ready(()),
            Ok((flow, id)) => flow.poll_map_settled(id, self.rows(), context.waker()),
        }
    }

    /// Why not all rows completed: the first of them, and how many there are.
    fn settled_error(&self) -> Option<Error> {
        let (flow, id) = match self.live() {
            Ok(live) => live,
            Err(error) => return Some(error.clone()),
        };
        let rows = self.rows.clone().unwrap_or(0..u32::MAX);
        let (first, view, count, length) = flow.with_map(id, |map| first_failure(map, &rows))??;
        let cause = view.error();
        let Some(first) = first else {
            return Some(cause);
        };
        let others = match count {
            1 => String::new(),
            _ => format!(" ({count} of {length} rows did not complete)"),
        };
        let mut builder = Error::build(cause.kind(), format!("row {first}: {cause}{others}"));
        if let Some(key) = cause.task_key() {
            builder = builder.task(key);
        }
        if let Some(name) = cause.run_name() {
            builder = builder.run(name);
        }
        Some(
            builder
                .type_name(cause.type_name().map(str::to_owned))
                .because(cause.clone())
                .finish(),
        )
    }
}

/// The first row of these that did not complete (`None`: the map has no rows
/// for a reason), how many did not, and how many rows there are.
fn first_failure(map: &Map, rows: &Range<u32>) -> Option<(Option<u32>, RunView, usize, usize)> {
    if map.ended_whole.is_some() {
        return Some((None, map.view(0)?, 0, 0));
    }
    let failed = map.failures.keys().filter(|row| rows.contains(row));
    let first = failed.clone().min().copied()?;
    let length = map.length.unwrap_or(0).min(rows.end) - rows.start;
    Some((
        Some(first),
        map.view(first)?,
        failed.count(),
        length as usize,
    ))
}

impl<T: Send + Sync + 'static> Mapped<T> {
    /// All rows, each with its value or its error, once all have settled.
    pub async fn outcomes(self) -> Result<Vec<Result<T>>> {
        self.wait(None).await;
        let rows = self.checked_rows()?;
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in rows {
            let error = Place::Row(Arc::clone(&self.cell), row).settled_error();
            outcomes.push(match error {
                Some(error) => Err(error),
                None => match MapCell::fetch(&self.cell, row) {
                    Some(fetch) => fetch.await.and_then(|()| self.take_row(row)),
                    None => self.take_row(row),
                },
            });
        }
        Ok(outcomes)
    }

    /// The rows in the order in which they settle, each with its index and its
    /// value or error.
    pub fn completions(self) -> Completions<T> {
        Completions::new(self)
    }

    /// All values, if they are there within `limit`.
    ///
    /// # Errors
    ///
    /// Those of awaiting the map, and an error of kind
    /// [`TimedOut`](crate::ErrorKind::TimedOut) if it has not ended in time. Its runs go on then.
    pub async fn result_within(&self, limit: Duration) -> Result<Vec<T>> {
        match crate::runtime::timeout(limit, self.clone()).await {
            Some(values) => values,
            None => {
                let open = self
                    .states()
                    .iter()
                    .filter(|name| !name.is_settled())
                    .count();
                let which = self.len().map_or_else(String::new, |rows| {
                    format!(" of {rows} rows ({open} of them are unfinished)")
                });
                Err(late("Map", &which, limit))
            }
        }
    }

    /// Blocks this thread until all values are there, for sync code; see
    /// [`TaskFuture::block`].
    ///
    /// # Errors
    ///
    /// Those of awaiting the map.
    pub fn block(self) -> Result<Vec<T>> {
        block_on(self)
    }

    fn take_row(&self, row: u32) -> Result<T> {
        self.cell.obtain_row(row, true, None)
    }

    /// The rows of a map that has settled; an error if some do not exist, or
    /// if the map ended before it had any.
    pub(crate) fn checked_rows(&self) -> Result<Range<u32>> {
        let (flow, id) = self.live().map_err(Clone::clone)?;
        let ended = flow.with_map(id, |map| map.ended_whole.as_ref().and(map.view(0)));
        if let Some(view) = ended.flatten() {
            return Err(view.error());
        }
        let rows = self.settled_rows();
        match &self.rows {
            Some(wanted) if *wanted != rows && !wanted.is_empty() => Err(Error::invalid(format!(
                "rows {}..{} of the map were asked for, but it has {}",
                wanted.start, wanted.end, rows.end
            ))),
            _ => Ok(rows),
        }
    }

    fn fetch_all(&self, rows: Range<u32>) -> Option<RunnerFuture<Result<()>>> {
        let fetches: Vec<_> = rows
            .filter_map(|row| MapCell::fetch(&self.cell, row))
            .collect();
        if fetches.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            for fetch in fetches {
                fetch.await?;
            }
            Ok(())
        }))
    }
}

impl<T: Send + Sync + 'static> Future for Mapped<T> {
    type Output = Result<Vec<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.fetch.is_idle() {
            ready!(self.poll_settled(context));
            if let Some(error) = self.settled_error() {
                let Self { cell, fetch, .. } = &mut *self;
                ready!(fetch.poll_error(cell.handle().flow(), context));
                return Poll::Ready(Err(error));
            }
            let rows = self.checked_rows()?;
            let fetch = self.fetch_all(rows);
            self.fetch.begin(fetch);
        }
        ready!(self.fetch.poll(context))?;
        let rows = self.checked_rows()?;
        Poll::Ready(rows.map(|row| self.take_row(row)).collect())
    }
}

impl<T: Send + Sync + 'static> IntoFuture for &Mapped<T> {
    type Output = Result<Vec<T>>;
    type IntoFuture = Mapped<T>;

    fn into_future(self) -> Mapped<T> {
        self.clone()
    }
}
