//! Collections: lazy data frames in partitions, as Dask's, computed by DataFusion in this process.
//!
//! ```
//! use flowdask::dataframe::{datasets, max, sum};
//!
//! # async fn example() -> flowdask::dataframe::Result<()> {
//! let df = datasets::timeseries("2000", "2001").partition_freq("4w").build()?.persist().await?;
//! let summary = df.groupby(["name"]).agg([sum("x"), max("y")])?.compute().await?;
//! println!("{summary}");
//! # Ok(())
//! # }
//! ```
//!
//! A [`DataFrame`] is a plan: nothing is read or made before [`DataFrame::compute`],
//! [`DataFrame::persist`] or one of their kin. Handles are cheap to clone and to send.
//! Computations run on threads of their own, one per core, so they can be awaited from any
//! executor; dropping the future stops the work. Each has a `_blocking` form for code that is not
//! `async`.

mod aggregates;
mod compute;
pub mod datasets;
mod describe;
mod drive;
mod engine;
mod error;
mod frame;
mod functions;
mod groupby;
mod join;
mod memory;
mod partitions;
mod persist;
mod progress;
mod read;
mod repartition;
mod serialize;
mod sql;
mod table;
mod transform;
mod write;

pub use datafusion::arrow;
pub use datafusion::logical_expr::Expr;
pub use datafusion::prelude::lit;
pub use error::{Error, Result};
pub use frame::DataFrame;
pub use functions::{
    Aggregate, IntoColumn, SortKey, asc, col, count, desc, max, mean, median, min, nunique,
    quantile, std, sum, var,
};
pub use groupby::GroupBy;
pub use join::How;
pub use read::{IntoPaths, read_csv, read_csv_blocking, read_parquet, read_parquet_blocking};
pub use sql::sql;
pub use table::Table;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/dataframes.md")]
mod guide {}
