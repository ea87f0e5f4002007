//! Flows that report to a stock Prefect server, and what the server then knows.
//!
//! All tests share one server, unless they do harm to it.

mod asks;
mod control;
mod deployments;
mod faults;
mod kept;
mod letters;
mod names;
mod older;
mod ordered;
mod pages;
mod reports;
mod rows;
mod secured;
mod server;
mod slots;
mod things;
mod told;
