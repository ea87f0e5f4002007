//! The Dask side: its protocol ([`wire`]), values between Rust and Python ([`values`]), a
//! [`Client`] of stock schedulers, native workers ([`worker`]), collections, and later
//! `DaskTaskRunner`.
//!
//! The cargo feature `dataframe` (off by default in this crate) brings [`dataframe`], Dask-like
//! collections on DataFusion.

pub mod client;
mod graph;
mod release;
pub mod values;
pub mod wire;
pub mod worker;

pub use client::Client;
pub use graph::{KilledWorker, RemoteException, TaskNode};
pub use release::{Release, ReleaseError};

#[cfg(feature = "dataframe")]
pub mod dataframe;

#[cfg(test)]
mod fixtures;

/// The guide's programs.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/dask.md")]
mod guide {}
