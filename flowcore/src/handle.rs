//! What futures, arguments and states hold of a run: its place in a flow
//! run's engine, and the cell of its value.
//!
//! The last handle that goes away releases the run. A handle may also be
//! *rejected*: the call was wrong, no run exists, and everyone who asks gets
//! the error.

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use parking_lot::Mutex;

use crate::engine::{MapId, RunId};
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::runner::{ArgumentDescriptor, ColumnDescriptor, RunReference, RunnerFuture};
use crate::value::{Access, ValueCell};

/// Where a run or a map lives.
pub(crate) enum Handle<Id> {
    Live { flow: Arc<FlowRun>, id: Id },
    Rejected(Error),
}

impl<Id> Handle<Id> {
    pub(crate) fn flow(&self) -> Option<&Arc<FlowRun>> {
        match self {
            Self::Live { flow, .. } => Some(flow),
            Self::Rejected(_) => None,
        }
    }
}

impl<Id: Copy> Handle<Id> {
    fn id(&self) -> Result<Id> {
        match self {
            Self::Live { id, .. } => Ok(*id),
            Self::Rejected(error) => Err(error.clone()),
        }
    }
}

/// A single run and its value.
pub(crate) struct RunCell<T> {
    handle: Handle<RunId>,
    /// Shared with the execution that fills it.
    value: Arc<ValueCell<T>>,
    access: fn() -> Access<T>,
    /// The run stays in this process, and its value with it.
    is_local: bool,
}

impl<T> RunCell<T> {
    pub(crate) fn live(
        flow: Arc<FlowRun>,
        id: RunId,
        value: Arc<ValueCell<T>>,
        access: fn() -> Access<T>,
        is_local: bool,
    ) -> Self {
        Self {
            handle: Handle::Live { flow, id },
            value,
            access,
            is_local,
        }
    }

    pub(crate) fn rejected(error: Error) -> Self {
        Self {
            handle: Handle::Rejected(error),
            value: Arc::default(),
            access: || Access::new(None, None),
            is_local: true,
        }
    }

    pub(crate) fn handle(&self) -> &Handle<RunId> {
        &self.handle
    }

    pub(crate) fn value(&self) -> &ValueCell<T> {
        &self.value
    }

    /// The value for another process: where it lies, or itself if it stays
    /// here. `access` is the reader's.
    pub(crate) fn describe(&self, access: &Access<T>) -> Result<ArgumentDescriptor> {
        let id = self.handle.id()?;
        if self.is_local {
            return ArgumentDescriptor::inline(&self.value, &[*access, self.access()]);
        }
        Ok(ArgumentDescriptor::Result(id.into()))
    }

    pub(crate) fn access(&self) -> Access<T> {
        (self.access)()
    }
}

impl<T: Send + Sync + 'static> RunCell<T> {
    /// Brings the value here, if it lies with the runner.
    pub(crate) fn fetch(cell: &Arc<Self>) -> Option<RunnerFuture<Result<()>>> {
        let Handle::Live { flow, id } = &cell.handle else {
            return None;
        };
        fetch(flow, (*id).into(), cell.value(), Arc::clone(cell), |cell| {
            Ok((cell.value(), cell.access()))
        })
    }
}

/// A handle's way to values that lie with the runner, and to errors.
#[derive(Default)]
pub(crate) struct Fetch {
    /// Only ever used through `&mut`; the lock makes handles `Sync`.
    running: Mutex<Option<RunnerFuture<Result<()>>>>,
    has_yielded: bool,
}

impl Fetch {
    pub(crate) fn is_idle(&mut self) -> bool {
        self.running.get_mut().is_none()
    }

    pub(crate) fn begin(&mut self, fetch: Option<RunnerFuture<Result<()>>>) {
        *self.running.get_mut() = fetch;
    }

    /// Before an error is given: [`FlowRun::poll_yield_if_stopping`].
    pub(crate) fn poll_error(
        &mut self,
        flow: Option<&Arc<FlowRun>>,
        context: &Context<'_>,
    ) -> Poll<()> {
        flow.map_or(Poll::Ready(()), |flow| {
            flow.poll_yield_if_stopping(&mut self.has_yielded, context)
        })
    }

    /// Ready at once if there is nothing to fetch.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let running = self.running.get_mut();
        let Some(fetch) = running else {
            return Poll::Ready(Ok(()));
        };
        let result = std::task::ready!(fetch.as_mut().poll(context));
        *running = None;
        Poll::Ready(result)
    }
}

/// The value of a completed run, from the runner into its cell.
fn fetch<T, C>(
    flow: &Arc<FlowRun>,
    run: RunReference,
    value: &ValueCell<T>,
    cell: Arc<C>,
    parts: impl Fn(&C) -> Result<(&ValueCell<T>, Access<T>)> + Send + 'static,
) -> Option<RunnerFuture<Result<()>>>
where
    T: Send + Sync + 'static,
    C: Send + Sync + 'static,
{
    if !value.is_empty() {
        return None;
    }
    let session = Arc::clone(flow.session().filter(|session| session.keeps_values())?);
    Some(Box::pin(async move {
        let encoded = session.fetch(run).await?;
        let (value, access) = parts(&cell)?;
        let codec = access.codec().ok_or_else(|| {
            Error::invalid(format!(
                "a value of type `{}` came as bytes and cannot be decoded",
                std::any::type_name::<T>()
            ))
        })?;
        value.fill(codec.decode(&encoded)?);
        Ok(())
    }))
}

impl<T> Drop for RunCell<T> {
    fn drop(&mut self) {
        if let Handle::Live { flow, id } = &self.handle {
            flow.release_run(*id);
        }
    }
}

/// The values of a map's rows. The running map holds this and not the
/// [`MapCell`], so that the number of cells counts readers only.
pub(crate) struct RowStore<T>(OnceLock<Box<[ValueCell<T>]>>);

impl<T> RowStore<T> {
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Makes room for `length` rows; later calls do nothing.
    pub(crate) fn allocate(&self, length: u32) {
        self.0
            .get_or_init(|| (0..length).map(|_| ValueCell::default()).collect());
    }

    pub(crate) fn row(&self, row: u32) -> Option<&ValueCell<T>> {
        self.0.get()?.get(row as usize)
    }
}

/// A map and its rows' values.
pub(crate) struct MapCell<T> {
    handle: Handle<MapId>,
    store: Arc<RowStore<T>>,
    access: fn() -> Access<T>,
    /// The rows stay in this process, and their values with them.
    is_local: bool,
}

impl<T> MapCell<T> {
    pub(crate) fn live(
        flow: Arc<FlowRun>,
        id: MapId,
        store: Arc<RowStore<T>>,
        access: fn() -> Access<T>,
        is_local: bool,
    ) -> Self {
        Self {
            handle: Handle::Live { flow, id },
            store,
            access,
            is_local,
        }
    }

    pub(crate) fn rejected(error: Error) -> Self {
        Self {
            handle: Handle::Rejected(error),
            store: Arc::new(RowStore::new()),
            access: || Access::new(None, None),
            is_local: true,
        }
    }

    pub(crate) fn handle(&self) -> &Handle<MapId> {
        &self.handle
    }

    /// A row's value for another process, as [`RunCell::describe`].
    pub(crate) fn describe_row(&self, row: u32, access: &Access<T>) -> Result<ArgumentDescriptor> {
        let id = self.handle.id()?;
        // Nobody shall wait for a row that does not exist.
        let value = self.row(row)?;
        if self.is_local {
            return ArgumentDescriptor::inline(value, &[*access, self.access()]);
        }
        Ok(ArgumentDescriptor::Result(RunReference::row(id, row)))
    }

    /// Rows' values for another process, one for each row of a batch.
    pub(crate) fn describe_column(
        &self,
        first: u32,
        count: usize,
        access: &Access<T>,
    ) -> Result<ColumnDescriptor> {
        let id = self.handle.id()?;
        let rows = (first..).take(count);
        if self.is_local {
            return rows
                .map(|row| self.describe_row(row, access))
                .collect::<Result<_>>()
                .map(ColumnDescriptor::Each);
        }
        // Nobody shall wait for a row that does not exist.
        if let Some(last) = rows.last() {
            self.row(last)?;
        }
        let map = id.to_bits();
        Ok(ColumnDescriptor::Rows { map, first })
    }

    /// Rows' values for another process, as a list.
    pub(crate) fn describe_rows(&self, rows: Range<u32>) -> Result<ArgumentDescriptor> {
        let id = self.handle.id()?;
        if self.is_local {
            return rows
                .map(|row| self.describe_row(row, &self.access()))
                .collect::<Result<_>>()
                .map(ArgumentDescriptor::List);
        }
        Ok(ArgumentDescriptor::Rows(id.to_bits(), rows))
    }

    pub(crate) fn row(&self, row: u32) -> Result<&ValueCell<T>> {
        self.store
            .row(row)
            .ok_or_else(|| Error::invalid(format!("the map has no row {row}")))
    }

    /// The row's value for a reader of its own; `last` as far as this reader
    /// knows, but only if nobody else holds the map.
    pub(crate) fn obtain_row(
        self: &Arc<Self>,
        row: u32,
        last: bool,
        access: Option<&Access<T>>,
    ) -> Result<T> {
        let last = last && Arc::strong_count(self) == 1;
        let own = (self.access)();
        let access = access.filter(|access| access.can_copy()).unwrap_or(&own);
        self.row(row)?.obtain(last, access)
    }

    pub(crate) fn access(&self) -> Access<T> {
        (self.access)()
    }
}

impl<T: Send + Sync + 'static> MapCell<T> {
    /// Brings a row's value here, if it lies with the runner.
    pub(crate) fn fetch(cell: &Arc<Self>, row: u32) -> Option<RunnerFuture<Result<()>>> {
        let Handle::Live { flow, id } = &cell.handle else {
            return None;
        };
        let run = RunReference::row(*id, row);
        fetch(
            flow,
            run,
            cell.row(row).ok()?,
            Arc::clone(cell),
            move |cell| Ok((cell.row(row)?, cell.access())),
        )
    }
}

impl<T> Drop for MapCell<T> {
    fn drop(&mut self) {
        if let Handle::Live { flow, id } = &self.handle {
            flow.release_map(*id);
        }
    }
}
