//! Flow runs: who they are on the server, and how they end.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::outage::Outage;
use super::verify::Asked;
use super::window::Sent;
use super::{Ledger, Note, Step};
use crate::prefect::client::ApiError;
use crate::prefect::message::StateUpdate;
use crate::state::StateType;

/// A flow run as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerFlowRun {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) flow: Uuid,
    pub(crate) flow_name: String,
    pub(crate) deployment: Option<Uuid>,
}

/// How reporting of a flow run ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Why the server does not know the flow run, if it refused it.
    pub(crate) refused: Option<ApiError>,
}

#[derive(Debug)]
pub(super) struct FlowEntry {
    place: Place,
    parent: Option<Uuid>,
    /// When it began in this process, if others may have executed it before.
    pub(super) since: Option<Timestamp>,
    /// The server fails at the next of its states.
    pub(super) stuck: Outage,
    /// Requests about it that are still to be made.
    pub(super) steps: usize,
    /// States of it so far.
    states: u64,
    /// Its task runs that are not known to be recorded.
    pub(super) runs: HashSet<Uuid>,
    /// Lines that are still to be sent.
    pub(super) lines: usize,
    /// Messages about what is in it that are [away](super::away).
    pub(super) away: usize,
    /// Runs that could not be told, because the server does not know it yet.
    pub(super) waiting: Vec<Uuid>,
    pub(super) sent: Sent,
    pub(super) asked: Asked,
    /// Its attempt, and how often that was paused.
    pauses: (u32, u32),
    pub(super) end: End,
    /// Its last state is the server's already.
    is_decided: bool,
}

#[derive(Debug)]
enum Place {
    NotYet,
    Known(ServerFlowRun),
    Refused(ApiError),
}

#[derive(Debug)]
pub(super) enum End {
    Open,
    /// What is told when all else is.
    Wanted(Box<StateUpdate>),
    Told,
}

impl FlowEntry {
    pub(super) fn new(parent: Option<Uuid>) -> Self {
        Self {
            place: Place::NotYet,
            parent,
            since: None,
            stuck: Outage::default(),
            steps: 1,
            states: 0,
            runs: HashSet::new(),
            lines: 0,
            away: 0,
            waiting: Vec::new(),
            sent: Sent::default(),
            asked: Asked::default(),
            pauses: (0, 0),
            end: End::Open,
            is_decided: false,
        }
    }

    pub(super) fn known(&self) -> Option<&ServerFlowRun> {
        match &self.place {
            Place::Known(known) => Some(known),
            _ => None,
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.place, Place::Refused(_))
    }

    /// Whether there is nothing more to tell of it, as far as is known.
    pub(super) fn is_over(&self) -> bool {
        let is_told = matches!(self.end, End::Told) && self.steps == 0;
        // What is away of one that is refused would come back as nobody's.
        is_told || (self.is_refused() && self.away == 0)
    }
}

impl Ledger {
    pub(super) fn state(&mut self, flow: Uuid, state: Box<StateUpdate>) {
        let Some(entry) = self.flows.get_mut(&flow) else {
            return;
        };
        // The same when the same messages are taken in once more: a state
        // that was told is not told again. The server compares it with others
        // of this flow run only.
        entry.states += 1;
        let id = match self.mark {
            Some(mark) => mark.numbered(entry.states),
            None => Uuid::from_u128(flow.as_u128().wrapping_add(entry.states.into())),
        };
        self.step(flow, |flow| Step::State(flow, state, id));
    }

    pub(super) fn step(&mut self, flow: Uuid, step: impl FnOnce(Uuid) -> Step) {
        if let Some(entry) = self.flows.get_mut(&flow) {
            entry.steps += 1;
            self.steps.push_back(step(flow));
        }
    }

    /// An attempt comes by the pauses of the one before in their order.
    pub(crate) fn next_pause(&mut self, flow: Uuid, attempt: u32) -> u32 {
        let Some(entry) = self.flows.get_mut(&flow) else {
            return 1;
        };
        if entry.pauses.0 != attempt {
            entry.pauses = (attempt, 0);
        }
        entry.pauses.1 += 1;
        entry.pauses.1
    }

    /// The flow runs that the server knows and that have not ended, by their
    /// ids there.
    pub(crate) fn open_on_server(&self) -> HashMap<Uuid, Uuid> {
        if self.is_shut() {
            return HashMap::new();
        }
        let open = self
            .flows
            .iter()
            .filter(|(_, entry)| matches!(entry.end, End::Open));
        open.filter_map(|(flow, entry)| Some((entry.known()?.id, *flow)))
            .collect()
    }

    /// Whether the flow run is reported, and has not ended.
    pub(crate) fn has(&self, flow: Uuid) -> bool {
        self.flows.contains_key(&flow)
    }

    /// Who the flow run is on the server, once that is known.
    pub(crate) fn place(&self, flow: Uuid) -> Option<Result<&ServerFlowRun, ApiError>> {
        let entry = self.flows.get(&flow)?;
        if let Some(error) = &self.refused {
            return Some(Err(error.clone()));
        }
        match &entry.place {
            Place::NotYet => None,
            Place::Known(known) => Some(Ok(known)),
            Place::Refused(error) => Some(Err(error.clone())),
        }
    }

    /// Whether all requests about the flow run have been made.
    pub(crate) fn is_in_step(&self, flow: Uuid) -> bool {
        let is_told = |entry: &FlowEntry| entry.steps == 0;
        self.is_shut() || self.flows.get(&flow).is_none_or(is_told)
    }

    pub(super) fn rename(&mut self, flow: Uuid, name: String) {
        self.step(flow, |flow| Step::Rename(flow, name));
    }

    pub(super) fn began(&mut self, flow: Uuid, place: Result<ServerFlowRun, ApiError>) {
        let Some(entry) = self.flows.get_mut(&flow) else {
            return;
        };
        let note = match &place {
            Ok(known) => Note::Began(flow, known.clone()),
            Err(_) => Note::Refused(flow),
        };
        entry.place = match place {
            Ok(known) => Place::Known(known),
            Err(error) => {
                tracing::warn!(
                    target: "flowcore::prefect",
                    "{error}; this flow run is not reported"
                );
                Place::Refused(error)
            }
        };
        if entry.is_refused() {
            for run in std::mem::take(&mut entry.runs) {
                self.runs.remove(&run);
            }
            self.artifacts.forget(flow);
        } else {
            self.wake_runs(flow);
        }
        self.note(note);
    }

    pub(super) fn step_done(&mut self, flow: Uuid) {
        if let Some(entry) = self.flows.get_mut(&flow) {
            entry.steps = entry.steps.saturating_sub(1);
            if entry.is_over() && !entry.is_refused() {
                self.note(Note::Over(flow));
            }
        }
    }

    /// The flow run has ended: when everything of it and of those in it is
    /// told and known to be recorded, this is its last state.
    pub(crate) fn finish(&mut self, flow: Uuid, last: StateUpdate) {
        if let Some(entry) = self.flows.get_mut(&flow) {
            // Only the server suspends; then it may run elsewhere.
            entry.is_decided |= last.kind == StateType::Paused;
            entry.end = End::Wanted(Box::new(last.clone()));
            self.note(Note::Ends(flow, Box::new(last)));
        }
    }

    /// Its last state is the server's already.
    pub(crate) fn is_decided(&mut self, flow: Uuid) {
        if let Some(entry) = self.flows.get_mut(&flow) {
            entry.is_decided = true;
        }
    }

    /// How it ended, once it has.
    pub(crate) fn finished(&mut self, flow: Uuid) -> Option<Finished> {
        let Some(entry) = self.flows.get(&flow) else {
            return Some(Finished { refused: None });
        };
        let refused = match &entry.place {
            Place::Refused(error) => Some(error.clone()),
            _ => self.refused.clone(),
        };
        if !entry.is_over() && !self.is_shut() {
            return None;
        }
        for one in self.family(flow) {
            let entry = self.flows.remove(&one);
            let out = entry.map_or(0, |entry| entry.sent.out());
            self.window.out = self.window.out.saturating_sub(out);
            self.artifacts.forget(one);
        }
        Some(Finished { refused })
    }

    /// How many things of a flow run, and of those in it, are still to be
    /// told or not known to be recorded.
    pub(crate) fn left(&self, flow: Uuid) -> usize {
        let family = self.family(flow);
        let entries = family.iter().filter_map(|one| self.flows.get(one));
        let things = |entry: &FlowEntry| entry.steps + entry.runs.len() + entry.lines + entry.away;
        // Those below end before it does.
        let below = family.iter().skip(1);
        let below = below.filter_map(|one| self.flows.get(one));
        let open = below.filter(|entry| matches!(entry.end, End::Wanted(_)));
        entries.map(things).sum::<usize>() + open.count()
    }

    /// The same for people: less what the server has counted. What is counted
    /// is let go only when all of it is.
    pub(crate) fn left_to_record(&self, flow: Uuid) -> usize {
        let family = self.family(flow);
        let entries = family.iter().filter_map(|one| self.flows.get(one));
        let counted = entries.map(|entry| entry.sent.counted_open().min(entry.runs.len()));
        self.left(flow) - counted.sum::<usize>()
    }

    /// The flow runs that are about to end.
    pub(super) fn ending(&self) -> Vec<Uuid> {
        let wanted = self
            .flows
            .iter()
            .filter(|(_, entry)| matches!(entry.end, End::Wanted(_)));
        wanted.map(|(flow, _)| *flow).collect()
    }

    /// The flow runs that are about to end, or have.
    pub(super) fn no_longer_open(&self) -> impl Iterator<Item = Uuid> {
        let flows = self.flows.iter();
        let ended = flows.filter(|(_, entry)| !matches!(entry.end, End::Open));
        ended.map(|(flow, _)| *flow)
    }

    /// Tells the last states of flow runs that have nothing else left.
    pub(super) fn end_flows(&mut self) {
        for flow in self.ending() {
            if self.left(flow) > 0 {
                continue;
            }
            let Some(entry) = self.flows.get_mut(&flow) else {
                continue;
            };
            match std::mem::replace(&mut entry.end, End::Told) {
                End::Wanted(_) if entry.is_decided => self.note(Note::Over(flow)),
                End::Wanted(last) => self.state(flow, last),
                End::Open | End::Told => {}
            }
        }
    }

    /// A flow run and all below it.
    pub(super) fn family(&self, flow: Uuid) -> Vec<Uuid> {
        let mut family = vec![flow];
        let mut next = 0;
        while next < family.len() {
            let parent = Some(family[next]);
            let children = self
                .flows
                .iter()
                .filter(|(_, entry)| entry.parent == parent);
            family.extend(children.map(|(child, _)| *child));
            next += 1;
        }
        family
    }
}

/// Whether a task run stays as it is in this state.
pub(super) fn is_final(kind: StateType, name: &str) -> bool {
    kind.is_terminal() || name == "NotReady"
}
