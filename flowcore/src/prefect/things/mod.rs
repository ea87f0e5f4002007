//! What flows and tasks make on a Prefect server, or read there: artifacts,
//! variables, secrets, events, runs of deployments.
//!
//! Owns the way of such calls: made in a process that executes tasks for
//! another one, a call goes home, and the flow's process asks the server.
//! Workers know neither its address nor its key.

mod answer;
pub(crate) mod artifacts;
mod call;
pub(crate) mod deployments;
mod error;
pub(crate) mod events;
pub(crate) mod pause;
mod question;
mod run_on_server;
pub(crate) mod secrets;
pub(crate) mod suspend;
pub(crate) mod variables;

pub(crate) use answer::answer_from_home;
pub use call::ServerCall;
pub use error::PrefectError;
pub(super) use question::Question;
pub(super) use run_on_server::{result_of, until_ended};
