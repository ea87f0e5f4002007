//! The Dask bridge beside the real thing: stock schedulers, stock workers and
//! stock clients of the pinned release.

mod client;
mod clusters;
mod dashboard;
mod flow_faults;
mod flows;
mod languages;
mod link;
mod namespaces;
mod performance_report;
mod processes;
mod releases;
mod semantics;
mod soak;
mod support;
mod values;
mod worker;
