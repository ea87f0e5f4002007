//! The Dask side: collections, and later wire, client, worker and `DaskTaskRunner`.
