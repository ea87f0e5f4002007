//! Data frames as their users see them.

mod bad_input;
mod describe;
mod files;
mod operations;
mod partitions;
mod printing;
mod runs;
mod timeseries;
mod zero_rows;

use flowdask::dataframe::{DataFrame, datasets};

/// One day by the minute: 1,440 rows in 24 partitions.
fn day() -> DataFrame {
    datasets::timeseries("2000-01-01", "2000-01-02")
        .freq("1min")
        .partition_freq("1h")
        .build()
        .unwrap()
}

/// A frame of literal rows, as SQL's `values` has them.
fn values(query: &str) -> DataFrame {
    flowdask::dataframe::sql(query, Vec::<(String, &DataFrame)>::new()).unwrap()
}
