//! The home state machine of one flow run: which runs there are, what they
//! wait for, which state each is in.
//!
//! Sans-I/O: calls and events go in, [`Command`]s come out. No clock, no
//! lock, no thread, no type of a user's value; times are arguments. A single
//! run is an entry in a slab; a map is *one* entry with a column per fact, and
//! its rows are opened and settled as ranges.
//!
//! Invariants: a settled run never changes again (a repeated execution is no
//! new state); a run is dispatched at most once per attempt and only when all
//! its inputs have settled well; an upstream failure settles every transitive
//! dependent as NotReady with the *first* cause.

mod admission;
mod command;
mod early;
mod ending;
mod events;
mod graph;
mod journal;
mod limits;
mod map;
mod run;
mod settle;
mod slab;
mod submit;

#[cfg(test)]
mod model_tests;

pub(crate) use admission::Waiting;
pub(crate) use command::Command;
pub(crate) use ending::Stop;
pub(crate) use graph::{Engine, MapInput, RunInput, Source};
pub(crate) use journal::Change;
pub(crate) use limits::{Answer, LimitId, Limits, Refusal, Slots, Ticket};
pub(crate) use map::Map;
pub(crate) use run::{Dependent, End, Run, RunView, Waits, next_attempt};
pub(crate) use slab::{Key, Side};

/// Names a single run.
pub(crate) type RunId = slab::Key<run::Run>;
/// Names a map.
pub(crate) type MapId = slab::Key<map::Map>;
