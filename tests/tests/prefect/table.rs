//! Rows: a flow of this crate under the name that it has in Python too.

use std::future::Future;
use std::pin::Pin;

use crate::record::Line;

/// One flow of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Runs the flow; what the call gave and what became of all runs.
    pub(crate) run: fn() -> Running,
}

type Running = Pin<Box<dyn Future<Output = Vec<Line>>>>;

/// The rows of a chapter, from the names of its flows.
macro_rules! rows {
    ($($flow:ident),+ $(,)?) => {
        &[$(crate::table::Row {
            name: stringify!($flow),
            run: || Box::pin(async { crate::record::lines(&$flow().report().await) }),
        }),+]
    };
}
pub(crate) use rows;
