//! Every form of tasks and flows: each test runs a flow and looks at values.

mod arguments;
mod calls;
mod columns;
mod errors;
mod functions;
mod items;
mod options;
mod states;
