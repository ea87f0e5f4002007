//! The Dask side: its protocol ([`wire`]), collections, and later client,
//! worker and `DaskTaskRunner`.
//!
//! The cargo feature `dataframe` (off by default in this crate) brings [`dataframe`], Dask-like
//! collections on DataFusion.

pub mod wire;

#[cfg(feature = "dataframe")]
pub mod dataframe;
