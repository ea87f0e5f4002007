//! Flows and tasks as users write them.

mod support;
