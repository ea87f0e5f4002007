//! What the ledger has come to know, in the order in which it did: with the
//! messages themselves enough to build it again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Ledger;
use super::flows::ServerFlowRun;
use crate::prefect::message::StateUpdate;

/// One thing that was learnt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Note {
    /// What the server calls a flow run.
    Began(Uuid, ServerFlowRun),
    /// The server does not want a flow run.
    Refused(Uuid),
    /// The oldest request about a flow run that was left is done.
    Stepped(Uuid),
    /// What the server calls an artifact.
    Made(Uuid, Uuid),
    /// These task runs are recorded as they are.
    Recorded(Vec<Uuid>),
    /// The lines up to this time are sent.
    Lines(Timestamp),
    /// This shall be the last state of a flow run.
    Ends(Uuid, Box<StateUpdate>),
    /// All of a flow run is told.
    Over(Uuid),
    /// So many more messages that were to be taken in later were taken in.
    Back(usize),
}

impl Ledger {
    pub(super) fn note(&mut self, note: Note) {
        match (self.notes.last_mut(), &note) {
            (Some(Note::Recorded(all)), Note::Recorded(more)) => all.extend(more),
            (Some(Note::Back(all)), Note::Back(more)) => *all += more,
            _ => self.notes.push(note),
        }
    }

    /// What was learnt since this was asked for last.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Whether all that was put in is told, and known to be recorded.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_shut()
            && self.steps.is_empty()
            && self.runs.is_empty()
            && self.lines.left() == 0
            && !self.is_behind()
            && self.flows.values().all(super::FlowEntry::is_over)
    }
}
