//! Flows on Dask: [`DaskTaskRunner`], and below it a [`Client`] and a [`Worker`] that speak the
//! protocol of a stock Dask scheduler ([`wire`]), with [`values`] that Rust and Python share.
//!
//! The cargo feature `dataframe` (off by default in this crate) brings [`dataframe`], Dask-like
//! collections on DataFusion.

pub mod client;
mod cluster;
mod coded;
// `cargo fuzz` sets `fuzzing`.
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod graph;
mod mode;
mod peer_data;
mod release;
mod runner;
pub mod values;
pub mod wire;
pub mod worker;

pub use client::Client;
pub use cluster::{
    ClusterError, ClusterErrorReason, PythonError, SchedulerError, ShippingError,
    WorkerProcessError,
};
pub use graph::{KilledWorker, RemoteException, TaskNode};
pub use release::{Release, ReleaseError};
pub use runner::{DaskTaskRunner, PerformanceReportError};
pub use worker::Worker;

#[cfg(feature = "dataframe")]
pub mod dataframe;

#[cfg(test)]
mod fixtures;

/// The guide's programs.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/dask.md")]
mod guide {}
