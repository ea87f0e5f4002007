//! `flowdask::Client` beside stock workers and stock clients.

pub(crate) mod bad_input;
mod cluster;
mod graphs;
mod links;
mod values;
