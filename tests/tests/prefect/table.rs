//! Rows: a flow of this crate under the name that it has in Python too.

use std::future::Future;
use std::pin::Pin;

/// One flow of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Runs the flow; what the call gave, as text.
    pub(crate) run: fn() -> Pin<Box<dyn Future<Output = String> + Send>>,
}

/// The rows of a chapter, from the names of its flows.
macro_rules! rows {
    ($($flow:ident),+ $(,)?) => {
        &[$(crate::table::Row {
            name: stringify!($flow),
            run: || Box::pin(async { crate::text::given(&$flow().await) }),
        }),+]
    };
}
pub(crate) use rows;
