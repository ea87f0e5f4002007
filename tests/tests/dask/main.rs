//! The Dask bridge beside the real thing: stock schedulers, stock workers and
//! stock clients of the pinned release.

mod client;
mod flows;
mod processes;
mod support;
mod values;
mod worker;
