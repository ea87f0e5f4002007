//! The control channel beside the seam: what a task in another process asks
//! of its flow's process, and what goes back.
//!
//! Invariants: only the flow's process decides; a request has a number of its
//! own, so that one that comes twice is served once; what a task holds (slots
//! of limits) is given back when its execution ends, or when it is known to be
//! lost. Nothing here knows how messages travel or how they are coded.

mod calls;
mod home;
mod line;
mod messages;
mod submitting;

pub(crate) use calls::Calls;
pub(crate) use home::{Served, close as close_calls, lose as lose_calls};
pub(crate) use line::{Asking, Line, Lines, SlotsElsewhere};
pub use messages::{Answer, LogLevel, LogRecord, Request, RequestId, ToHome, ToWorker};
pub(crate) use submitting::Submitting;
