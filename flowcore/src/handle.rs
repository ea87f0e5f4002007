//! What futures, arguments and states hold of a run: its place in a flow
//! run's engine, and the cell of its value.
//!
//! The last handle that goes away releases the run. A handle may also be
//! *rejected*: the call was wrong, no run exists, and everyone who asks gets
//! the error.

use std::sync::{Arc, OnceLock};

use crate::engine::{MapId, RunId};
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::value::{Access, ValueCell};

/// Where a run or a map lives.
pub(crate) enum Handle<Id> {
    Live { flow: Arc<FlowRun>, id: Id },
    Rejected(Error),
}

/// A single run and its value.
pub(crate) struct RunCell<T> {
    handle: Handle<RunId>,
    value: ValueCell<T>,
    access: fn() -> Access<T>,
}

impl<T> RunCell<T> {
    pub(crate) fn live(flow: Arc<FlowRun>, id: RunId, access: fn() -> Access<T>) -> Self {
        Self {
            handle: Handle::Live { flow, id },
            value: ValueCell::default(),
            access,
        }
    }

    pub(crate) fn rejected(error: Error) -> Self {
        Self {
            handle: Handle::Rejected(error),
            value: ValueCell::default(),
            access: || Access::new(None, None),
        }
    }

    pub(crate) fn handle(&self) -> &Handle<RunId> {
        &self.handle
    }

    pub(crate) fn value(&self) -> &ValueCell<T> {
        &self.value
    }

    pub(crate) fn access(&self) -> Access<T> {
        (self.access)()
    }
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
}

impl<T> MapCell<T> {
    pub(crate) fn live(
        flow: Arc<FlowRun>,
        id: MapId,
        store: Arc<RowStore<T>>,
        access: fn() -> Access<T>,
    ) -> Self {
        Self {
            handle: Handle::Live { flow, id },
            store,
            access,
        }
    }

    pub(crate) fn rejected(error: Error) -> Self {
        Self {
            handle: Handle::Rejected(error),
            store: Arc::new(RowStore::new()),
            access: || Access::new(None, None),
        }
    }

    pub(crate) fn handle(&self) -> &Handle<MapId> {
        &self.handle
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

impl<T> Drop for MapCell<T> {
    fn drop(&mut self) {
        if let Handle::Live { flow, id } = &self.handle {
            flow.release_map(*id);
        }
    }
}
