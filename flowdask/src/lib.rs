//! The Dask side: its protocol ([`wire`]), collections, and later client,
//! worker and `DaskTaskRunner`.
//!
//! The cargo feature `dataframe` (off by default in this crate) brings [`dataframe`], Dask-like
//! collections on DataFusion.

mod release;
pub mod wire;

pub use release::{Release, ReleaseError};

#[cfg(feature = "dataframe")]
pub mod dataframe;

#[cfg(test)]
mod fixtures;
