//! Requests, one after the other.

use jiff::Timestamp;
use uuid::Uuid;

use super::artifacts::ArtifactCall;
use super::flows::{FlowEntry, ServerFlowRun};
use super::lines::SentLine;
use super::{Ledger, Note};
use crate::prefect::client::ApiError;
use crate::prefect::message::{NewArtifact, NewFlowRun, StateUpdate};

/// What a flow run is told with.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Begin(Box<NewFlowRun>),
    Rename(Uuid, String),
    /// With the id of the transition: said twice, it is made once.
    State(Uuid, Box<StateUpdate>, Uuid),
    Artifact(Box<NewArtifact>),
    /// The newest data of an artifact of this flow run.
    ArtifactData(Uuid, Uuid),
}

impl Step {
    pub(super) fn flow(&self) -> Uuid {
        match self {
            Self::Begin(new) => new.id,
            Self::Artifact(new) => new.flow,
            Self::Rename(flow, _) | Self::State(flow, ..) | Self::ArtifactData(flow, _) => *flow,
        }
    }
}

/// One thing to ask of the server.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Begin {
        new: Box<NewFlowRun>,
        /// The parent flow run's id on the server.
        parent: Option<Uuid>,
    },
    Rename {
        server: Uuid,
        name: String,
    },
    State {
        server: Uuid,
        state: Box<StateUpdate>,
        transition: Uuid,
    },
    Artifact(ArtifactCall),
    Lines(Vec<SentLine>),
    /// Which of these lines does the server have?
    FindLines(Vec<SentLine>),
}

#[derive(Debug)]
pub(crate) enum Next {
    Call(Box<Call>),
    /// Nothing before then, unless a message comes.
    Wait(Option<Timestamp>),
}

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Reply {
    Began(ServerFlowRun),
    /// The server's id of an artifact.
    Made(Uuid),
    Done,
    /// The lines that are there.
    Found(Vec<(Timestamp, String)>),
    Failed(ApiError),
    /// The server fails at this call, and does others.
    FailedAtThis(ApiError),
}

impl Ledger {
    /// What to ask for now; the answer is [told](Self::answered) before the
    /// next one is asked for.
    pub(crate) fn next_call(&mut self, now: Timestamp) -> Next {
        if self.is_shut() {
            return Next::Wait(None);
        }
        if let Some(until) = self.outage.until(now) {
            return Next::Wait(Some(until));
        }
        self.end_flows();
        let later = match self.next_step(now) {
            Next::Wait(later) => later,
            call => return call,
        };
        if let Some(until) = self.lines.paused_until(now) {
            return Next::Wait(earlier(later, Some(until)));
        }
        if let Some(lines) = self.lines.take_doubtful() {
            return Next::Call(Box::new(Call::FindLines(lines)));
        }
        let lines = self.next_lines(now);
        if let Some(lines) = self.lines.take_doubtful() {
            return Next::Call(Box::new(Call::FindLines(lines)));
        }
        match lines {
            Some(lines) => Next::Call(Box::new(Call::Lines(lines))),
            None => Next::Wait(earlier(later, self.lines.due_at().filter(|at| *at > now))),
        }
    }

    /// The first step of a flow run that is not [stuck](FlowEntry::stuck).
    fn next_step(&mut self, now: Timestamp) -> Next {
        let mut later = None;
        self.step = 0;
        while let Some(step) = self.steps.get(self.step) {
            let stuck = self.flows.get(&step.flow());
            if let Some(until) = stuck.and_then(|flow| flow.stuck.until(now)) {
                later = earlier(later, Some(until));
                self.step += 1;
                continue;
            }
            let call = self.call_of(step);
            if let Some(call) = call {
                return Next::Call(Box::new(call));
            }
            // There is nothing to ask for it: the server has refused the flow
            // run, or knows it already.
            self.step_is_over();
        }
        Next::Wait(later)
    }

    fn call_of(&self, step: &Step) -> Option<Call> {
        if let Step::Begin(new) = step {
            let parent = new.placeholder.as_ref().map(|one| one.parent);
            let parent = parent.and_then(|parent| self.flows.get(&parent));
            return Some(Call::Begin {
                new: new.clone(),
                parent: parent.and_then(FlowEntry::known).map(|known| known.id),
            });
        }
        let server = self.flows.get(&step.flow())?.known()?.id;
        Some(match step {
            Step::Begin(_) => return None,
            Step::Artifact(new) => Call::Artifact(self.artifacts.call(new, server)),
            Step::ArtifactData(_, artifact) => Call::Artifact(self.artifacts.data_call(*artifact)?),
            Step::Rename(_, name) => Call::Rename {
                server,
                name: name.clone(),
            },
            Step::State(_, state, transition) => Call::State {
                server,
                state: state.clone(),
                transition: *transition,
            },
        })
    }

    fn step_is_over(&mut self) {
        if let Some(step) = self.steps.remove(self.step) {
            if !matches!(step, Step::Begin(_)) {
                self.note(Note::Stepped(step.flow()));
            }
            self.step_done(step.flow());
        }
    }

    /// Takes the answer to a call.
    pub(crate) fn answered(&mut self, call: Call, reply: Reply, now: Timestamp) {
        match reply {
            Reply::Failed(error) if error.may_pass() => self.not_now(call, &error, now),
            Reply::Failed(error) if Self::shuts(&call, &error) => self.shut(error),
            Reply::Failed(error) => self.refused(call, error, now),
            Reply::FailedAtThis(error) => match call {
                Call::Artifact(of) if self.artifacts.gives_up(&of) => {
                    self.reached();
                    self.refused(Call::Artifact(of), error, now);
                }
                Call::Rename { .. } if self.with_renaming.ends() => {
                    self.reached();
                    self.refused(call, error, now);
                }
                Call::State { .. } => self.state_fails(&error, now),
                Call::Lines(lines) => {
                    self.reached();
                    self.lines_fail(lines, error, false, now);
                }
                Call::FindLines(lines) => self.finding_fails(lines, &error, now),
                call => self.not_now(call, &error, now),
            },
            reply => {
                self.reached();
                self.done(call, reply, now);
            }
        }
    }

    fn done(&mut self, call: Call, reply: Reply, now: Timestamp) {
        match (call, reply) {
            (Call::Begin { new, .. }, Reply::Began(place)) => {
                self.step_is_over();
                self.began(new.id, Ok(place));
            }
            (Call::Lines(lines), _) => {
                self.lines.go_well(lines.len());
                self.lines_done(&lines);
                self.note_lines(&lines);
            }
            (Call::Artifact(call), reply) => {
                if self.artifact_done(call, &reply) {
                    self.step_is_over();
                }
            }
            (Call::FindLines(lines), Reply::Found(found)) => {
                let (there, missing): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| {
                    let is_it = |(at, text): &(Timestamp, String)| {
                        at.as_microsecond() == line.line.at.as_microsecond()
                            && *text == line.line.message
                    };
                    found.iter().any(is_it)
                });
                self.lines_done(&there);
                if missing.is_empty() {
                    self.note_lines(&there);
                }
                self.lines.are_found();
                self.lines.put_back(missing, now, &self.away.scale);
            }
            (Call::FindLines(lines), _) => self.lines.doubt(lines),
            (Call::Rename { .. }, _) => {
                self.with_renaming.succeeded();
                self.step_is_over();
            }
            (Call::State { .. }, _) => {
                if let Some(entry) = self.flow_of_step() {
                    entry.stuck.is_over();
                }
                self.step_is_over();
            }
            (Call::Begin { .. }, _) => self.step_is_over(),
        }
    }

    fn flow_of_step(&mut self) -> Option<&mut FlowEntry> {
        let flow = self.steps.get(self.step)?.flow();
        self.flows.get_mut(&flow)
    }

    /// The server fails at a state of a flow run, and does others. It is never
    /// given up: others act on it. Until it is taken it holds up its own flow
    /// run, whose states have an order, and nothing else.
    fn state_fails(&mut self, error: &ApiError, now: Timestamp) {
        self.reached();
        let Some(entry) = self.flow_of_step() else {
            return;
        };
        if entry.stuck.fails(now) {
            tracing::warn!(
                target: "flowcore::prefect",
                "{error}; the state is told again until the server takes it, and what comes after \
                 it in its flow run waits"
            );
        }
    }

    /// The server could not be asked; it is, later.
    fn not_now(&mut self, call: Call, error: &ApiError, now: Timestamp) {
        self.failed(error, now);
        match call {
            Call::Lines(lines) if error.is_doubtful() => self.lines.doubt(lines),
            Call::Lines(lines) => self.lines.put_back(lines, now, &self.away.scale),
            Call::FindLines(lines) => self.lines.doubt(lines),
            // The step is still there.
            Call::Artifact(call) => self.artifacts.not_now(call, error.is_doubtful()),
            Call::Begin { .. } | Call::Rename { .. } | Call::State { .. } => {}
        }
    }

    /// The server does not want it.
    fn refused(&mut self, call: Call, error: ApiError, now: Timestamp) {
        match call {
            Call::Begin { new, .. } => {
                self.step_is_over();
                self.began(new.id, Err(error));
            }
            Call::Rename { .. } => {
                if self.with_renaming.lost() {
                    tracing::warn!(
                        target: "flowcore::prefect",
                        "{error}: the flow run keeps the name that it has there"
                    );
                }
                self.step_is_over();
            }
            Call::State { .. } => {
                tracing::warn!(target: "flowcore::prefect", "{error}");
                self.step_is_over();
            }
            Call::Artifact(call) => {
                self.step_is_over();
                self.artifact_refused(call, &error);
            }
            Call::Lines(lines) => self.lines_fail(lines, error, true, now),
            Call::FindLines(lines) => {
                self.lines.lose(lines.len(), error);
                self.lines_are_lost(&lines);
            }
        }
    }

    pub(super) fn note_lines(&mut self, lines: &[SentLine]) {
        if let Some(last) = lines.iter().map(|line| line.line.at).max() {
            self.note(Note::Lines(last));
        }
    }
}

/// The first of two times, as far as there are any.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}
