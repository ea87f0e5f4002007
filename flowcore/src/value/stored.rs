//! A completed run's value as its state shows it: still in the run's cell, or
//! shared by itself.

use std::sync::Arc;

use crate::error::Result;
use crate::handle::{MapCell, RunCell};

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

    pub(crate) fn share(&self) -> Result<Arc<T>> {
        match self {
            Self::Run(cell) => cell.value().share(),
            Self::Row(cell, row) => cell.row(*row)?.share(),
            Self::Shared(value) => Ok(Arc::clone(value)),
        }
    }
}
