//! The Dask bridge beside the real thing: stock schedulers, stock workers and
//! stock clients of the pinned release.

mod client;
mod dashboard;
mod flow_faults;
mod flows;
mod link;
mod namespaces;
mod processes;
mod releases;
mod soak;
mod support;
mod values;
mod worker;
