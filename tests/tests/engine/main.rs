//! Flows and tasks as users write them, in this process.

mod retries;
mod states;
mod support;
mod timeouts;
