//! The Dask side: collections, and later wire, client, worker and `DaskTaskRunner`.
//!
//! The cargo feature `dataframe` (off by default in this crate) brings [`dataframe`], Dask-like
//! collections on DataFusion.

#[cfg(feature = "dataframe")]
pub mod dataframe;
