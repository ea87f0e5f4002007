//! What is still to be told, and in which order.
//!
//! A state machine: messages, answers and times go in, calls and events come
//! out; it knows no socket and no clock.
//!
//! Invariants: what is told of one flow run is told in the order in which it
//! came, its creation first. Of a task run the newest state is told at last,
//! whatever else melts. No more events are on their way than the server's
//! queue holds. A flow run that is [finished](Ledger::finish) gets its final
//! state when all its task runs are known to be recorded and all its lines
//! sent.

mod answers;
mod artifacts;
mod away;
mod calls;
mod flows;
mod hunt;
mod lines;
mod notes;
mod outage;
mod patience;
mod rebuild;
mod runs;
mod shut;
#[cfg(test)]
mod tests;
mod verify;
mod weight;
mod window;

use std::collections::{HashMap, HashSet, VecDeque};

use jiff::Timestamp;
use uuid::Uuid;

pub(super) use artifacts::ArtifactCall;
pub(super) use calls::{Call, Next, Reply, Step};
pub(crate) use flows::{Finished, ServerFlowRun};
pub(super) use lines::SentLine;
pub(super) use notes::Note;
pub(super) use rebuild::KnownFlow;
pub(super) use verify::{NextQuestion, Question, Seen};

use crate::prefect::client::ApiError;
use crate::prefect::mark::Mark;
use crate::prefect::message::Message;
use artifacts::Artifacts;
use away::Away;
use flows::FlowEntry;
use lines::Lines;
use outage::Outage;
use patience::Patience;
use runs::RunEntry;
use verify::Asked;
use window::Window;

/// Makes ids; an argument, so that tests know them.
pub(super) type NewId = fn() -> Uuid;

pub(super) struct Ledger {
    new_id: NewId,
    /// What the ids of transitions begin with.
    mark: Option<Mark>,
    flows: HashMap<Uuid, FlowEntry>,
    /// What is asked of the server by requests, those of one flow run in order.
    steps: VecDeque<Step>,
    /// Which of them is asked for now.
    step: usize,
    runs: HashMap<Uuid, RunEntry>,
    /// Runs with a state that was not sent, oldest first.
    dirty: VecDeque<Uuid>,
    window: Window,
    lines: Lines,
    artifacts: Artifacts,
    with_renaming: Patience,
    away: Away,
    /// About task runs outside of flow runs.
    alone: Asked,
    /// These runs, and some that are recorded by now.
    alone_runs: HashSet<Uuid>,
    /// Of the server as a whole.
    outage: Outage,
    /// Whether the server takes delays with fractions of a second.
    pub(super) has_fractional_delays: bool,
    /// Why nothing more is told.
    refused: Option<ApiError>,
    notes: Vec<Note>,
}

impl Ledger {
    pub(super) fn new(new_id: NewId) -> Self {
        Self {
            new_id,
            mark: None,
            flows: HashMap::new(),
            steps: VecDeque::new(),
            step: 0,
            runs: HashMap::new(),
            dirty: VecDeque::new(),
            window: Window::default(),
            lines: Lines::default(),
            artifacts: Artifacts::default(),
            with_renaming: Patience::default(),
            away: Away::default(),
            alone: Asked::default(),
            alone_runs: HashSet::new(),
            outage: Outage::default(),
            has_fractional_delays: false,
            refused: None,
            notes: Vec::new(),
        }
    }

    /// That of the process with this mark.
    pub(super) fn marked(mut self, mark: Option<Mark>) -> Self {
        self.mark = mark;
        self
    }

    /// The form in which a message is taken in; said before it is put in, so
    /// that it can be written down.
    pub(super) fn settle(&self, message: &mut Message) {
        if let Message::Log(line) = message {
            self.lines.settle(line);
        }
    }

    /// Takes a message in.
    pub(super) fn put(&mut self, message: Message, now: Timestamp) {
        if self.is_shut() {
            return;
        }
        match message {
            Message::FlowRun(new) => {
                let parent = new.placeholder.as_ref().map(|one| one.parent);
                let mut entry = FlowEntry::new(parent);
                entry.since = new.adopted.map(|_| new.state.at);
                self.flows.insert(new.id, entry);
                self.steps.push_back(Step::Begin(new));
            }
            Message::FlowRunName(flow, name) => self.rename(flow, name),
            Message::FlowState(flow, state) => self.state(flow, state),
            Message::TaskRun(update) => self.task_run(update),
            Message::Log(mut line) => {
                self.lines.settle(&mut line);
                self.line(line, now);
            }
            Message::Artifact(new) => self.artifact(new),
            Message::ArtifactData {
                flow,
                artifact,
                data,
            } => self.artifact_data(flow, artifact, data),
        }
    }

    /// What went well ends an outage.
    fn reached(&mut self) {
        self.outage.is_over();
    }

    /// Nothing is tried for a while.
    fn failed(&mut self, error: &ApiError, now: Timestamp) {
        if self.outage.fails(now) {
            tracing::warn!(
                target: "flowcore::prefect",
                "{error}; what is to be reported is kept, and sent when the server answers"
            );
        }
    }

    /// The server's id of a flow run; one that is not known there has its own.
    pub(super) fn server_id(&self, flow: Uuid) -> Uuid {
        let entry = self.flows.get(&flow);
        entry
            .and_then(FlowEntry::known)
            .map_or(flow, |known| known.id)
    }
}
