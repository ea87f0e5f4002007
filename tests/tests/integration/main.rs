//! The tests of data frames and examples, in one program: each further one
//! would link DataFusion once more.

mod dataframe;
mod dataframe_against_dask;
mod examples;
mod timeseries_against_dask;
mod timeseries_distribution;
