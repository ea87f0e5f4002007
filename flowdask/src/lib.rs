//! The Dask side: its protocol ([`wire`]), values between Rust and Python ([`values`]), native
//! workers ([`worker`]), collections, and later client and `DaskTaskRunner`.
//!
//! The cargo feature `dataframe` (off by default in this crate) brings [`dataframe`], Dask-like
//! collections on DataFusion.

// Used by the client and the worker, which are on their way.
#[allow(dead_code, unused_imports)]
mod graph;
mod release;
pub mod values;
pub mod wire;
pub mod worker;

pub use graph::{KilledWorker, RemoteException};
pub use release::{Release, ReleaseError};

#[cfg(feature = "dataframe")]
pub mod dataframe;

#[cfg(test)]
mod fixtures;
