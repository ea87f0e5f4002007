//! Background tasks: runs of tasks that some program asks for and another one
//! executes, whenever it is there.
//!
//! The server keeps the runs, and gives each to one of the workers that serve
//! its task. Arguments do not go through the server: they lie as JSON in the
//! task's result store, which both sides must reach. Source: `api.md` 17.

mod delay;
mod parameters;
mod worker;

pub use delay::{Background, BackgroundRun, Delay, Delayed};
pub(super) use delay::{NewBackgroundRun, create, look};
pub use worker::{ServeTasks, serve_tasks};
