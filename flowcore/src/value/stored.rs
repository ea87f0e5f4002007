//! A completed run's value as its state shows it: still in the run's cell, or
//! shared by itself.

use std::sync::Arc;

use crate::error::Result;
use crate::handle::{MapCell, RunCell};
use crate::value::{Access, ValueCell};

/// Points at a value without copying it.
pub(crate) enum StoredValue<T> {
    Run(Arc<RunCell<T>>),
    Row(Arc<MapCell<T>>, u32),
    Shared(Arc<T>),
}

impl<T> Clone for StoredValue<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Run(cell) => Self::Run(Arc::clone(cell)),
            Self::Row(cell, row) => Self::Row(Arc::clone(cell), *row),
            Self::Shared(value) => Self::Shared(Arc::clone(value)),
        }
    }
}

impl<T> StoredValue<T> {
    pub(crate) fn shared(value: Arc<T>) -> Self {
        Self::Shared(value)
    }

    /// A value of the reader's own.
    pub(crate) fn obtain(self) -> Result<T>
    where
        T: Send + Sync + 'static,
    {
        match self {
            Self::Run(cell) => {
                let last = Arc::strong_count(&cell) == 1;
                cell.value().obtain(last, &cell.access())
            }
            Self::Row(cell, row) => cell.obtain_row(row, true, None),
            Self::Shared(value) => ValueCell::shared(value).obtain(true, &Access::new(None, None)),
        }
    }

    pub(crate) fn share(&self) -> Result<Arc<T>> {
        match self {
            Self::Run(cell) => cell.value().share(),
            Self::Row(cell, row) => cell.row(*row)?.share(),
            Self::Shared(value) => Ok(Arc::clone(value)),
        }
    }
}
