//! What flows, tasks and maps promise, checked in this process.
//!
//! No test asserts how long something takes. Each has a deadline instead, far
//! beyond what it needs, so that a run that hangs is a failure.

mod arguments;
mod caching;
mod cancelling;
mod codecs;
mod defaults;
mod definitions;
mod environments;
mod errors;
mod flow_retries;
mod flows;
mod graphs;
mod hooks;
mod hostile;
mod limits;
mod maps;
mod memory;
mod names;
mod panics;
mod priorities;
mod reports;
mod resources;
mod retries;
mod scopes;
mod slots;
mod spawning;
mod states;
mod stopping;
mod support;
mod timeouts;
mod transactions;
mod validation;
mod visualizing;
mod waiting;
