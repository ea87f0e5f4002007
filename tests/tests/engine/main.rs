//! Flows and tasks as users write them, in this process.

mod console;
mod edges;
mod random;
mod retries;
mod starved;
mod states;
mod support;
mod timeouts;
