//! A ledger from what a process that is no more had written down.
//!
//! Nothing of it is sent before it was compared with what the server has:
//! task runs [wait](Ledger::parked) for that, lines are looked up, and what
//! flow runs go through is [dropped](Ledger::leave_alone) where somebody else
//! has decided.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::flows::{End, ServerFlowRun, is_final};
use super::runs::RecordedBy;
use super::{Ledger, Note, Step};
use crate::prefect::message::StateUpdate;
use crate::state::StateType;

/// What is said of runs that nobody finished.
pub(crate) const DIED: &str = "The process of this run ended before it told how the run did.";

/// A flow run that a dead process has left, and that the server knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownFlow {
    pub(crate) flow: Uuid,
    /// Its id there.
    pub(crate) server: Uuid,
    /// When the process began it, if others may have executed it before.
    pub(crate) since: Option<Timestamp>,
}

impl Ledger {
    /// Takes in what was learnt when these messages were new.
    pub(crate) fn learn(&mut self, note: Note) {
        match note {
            Note::Began(flow, place) => {
                self.drop_step(flow);
                self.began(flow, Ok(place));
            }
            Note::Refused(flow) | Note::Over(flow) => self.forget(flow),
            Note::Stepped(flow) => self.drop_step(flow),
            Note::Made(artifact, server) => self.artifact_is_made(artifact, server),
            Note::Recorded(runs) => runs.into_iter().for_each(|run| self.drop_run(run)),
            Note::Lines(until) => self.drop_lines(until),
            Note::Ends(flow, last) => self.finish(flow, *last),
            // Whoever reads the file has them.
            Note::Back(_) => {}
        }
        self.notes.clear();
    }

    /// The process is no more: what it left open ends here. The number of
    /// flow runs that had no final state.
    pub(crate) fn bury(&mut self) -> usize {
        let last = self.last_time();
        let died = |at| StateUpdate {
            kind: StateType::Crashed,
            name: "Crashed".to_owned(),
            message: Some(DIED.to_owned()),
            at,
            details: serde_json::Map::new(),
            data: None,
        };
        let open: Vec<Uuid> = self.open_flows().collect();
        for flow in &open {
            self.finish(*flow, died(last));
        }
        self.dirty.clear();
        for entry in self.flows.values_mut() {
            entry.waiting.clear();
        }
        let just_after = SignedDuration::from_micros(1);
        for entry in self.runs.values_mut() {
            let newest = Arc::make_mut(&mut entry.newest);
            if !is_final(newest.state.kind, &newest.state.name) {
                newest.state = died(last);
                newest.end = newest.start.map(|_| last);
            }
            // The server takes no two states of one time, and may have seen
            // this one and lost it.
            newest.state.at = newest.state.at.checked_add(just_after).unwrap_or(last);
            entry.park();
        }
        self.lines.doubt_all();
        self.artifacts.doubt();
        open.len()
    }

    /// How many flow runs are not told to their ends.
    pub(crate) fn unfinished(&self) -> usize {
        let all = self.flows.values();
        all.filter(|entry| !entry.is_over()).count()
    }

    /// The state of a task run as it is known here: its name, its time, and
    /// whether it is only what [`bury`](Self::bury) made of it.
    pub(crate) fn newest_of(&self, run: Uuid) -> Option<(&str, Timestamp, bool)> {
        let state = &self.runs.get(&run)?.newest.state;
        let is_guess = state.message.as_deref() == Some(DIED);
        Some((&state.name, state.at, is_guess))
    }

    /// The time of the newest message.
    fn last_time(&self) -> Timestamp {
        let runs = self.runs.values().map(|entry| entry.newest.state.at);
        let steps = self.steps.iter().filter_map(|step| match step {
            Step::Begin(new) => Some(new.state.at),
            Step::State(_, state, _) => Some(state.at),
            Step::Rename(..) | Step::Artifact(_) | Step::ArtifactData(..) => None,
        });
        let all = runs.chain(steps).chain(self.lines.last());
        all.max().unwrap_or_else(Timestamp::now)
    }

    fn open_flows(&self) -> impl Iterator<Item = Uuid> {
        let open = self
            .flows
            .iter()
            .filter(|(_, entry)| matches!(entry.end, End::Open));
        open.map(|(flow, _)| *flow)
    }

    /// Flow runs that the server knows and that are not told to their ends;
    /// also those that it knew before their process began them.
    pub(crate) fn known_flows(&self) -> Vec<KnownFlow> {
        let adopted = self.steps.iter().filter_map(|step| match step {
            Step::Begin(new) => Some((new.id, new.adopted?)),
            _ => None,
        });
        let open = self.flows.iter().filter(|(_, entry)| !entry.is_over());
        let known = open.filter_map(|(flow, entry)| Some((*flow, entry.known()?.id)));
        let all = known.chain(adopted).map(|(flow, server)| KnownFlow {
            flow,
            server,
            since: self.flows.get(&flow).and_then(|entry| entry.since),
        });
        all.collect()
    }

    /// Nobody has to tell the server of this flow run, which it knew before.
    pub(crate) fn is_known(&mut self, flow: Uuid, place: impl FnOnce(String) -> ServerFlowRun) {
        let begin = self.steps.iter().find_map(|step| match step {
            Step::Begin(new) if new.id == flow => Some(new.flow_name.clone()),
            _ => None,
        });
        if let Some(flow_name) = begin {
            self.drop_step(flow);
            self.began(flow, Ok(place(flow_name)));
        }
    }

    /// Task runs that were not compared yet, with the time of their state.
    pub(crate) fn parked(&self) -> Vec<(Uuid, Timestamp)> {
        let parked = self.runs.iter().filter(|(_, entry)| entry.is_parked());
        parked
            .map(|(id, entry)| (*id, entry.newest.state.at))
            .collect()
    }

    /// The server has these as they are, or newer.
    pub(crate) fn has_recorded(&mut self, runs: &HashSet<Uuid>) {
        for run in runs {
            self.drop_run(*run);
            self.note(Note::Recorded(vec![*run]));
        }
    }

    /// All that was not compared is sent.
    pub(crate) fn unpark(&mut self) -> usize {
        let mut parked = self.parked();
        // In the order in which it was.
        parked.sort_unstable_by_key(|(id, at)| (*at, *id));
        for (id, _) in &parked {
            if let Some(entry) = self.runs.get_mut(id) {
                entry.send_newest();
                // A count cannot tell it from those that were there before.
                entry.recorded_by = RecordedBy::Row;
                self.dirty.push_back(*id);
            }
        }
        parked.len()
    }

    /// Somebody else has decided how this flow run goes on; what it made is
    /// told all the same.
    pub(crate) fn leave_alone(&mut self, flow: Uuid) {
        let is_artifact = |step: &Step| matches!(step, Step::Artifact(_) | Step::ArtifactData(..));
        self.steps.retain(|step| {
            step.flow() != flow || matches!(step, Step::Begin(_)) || is_artifact(step)
        });
        let of_flow = self.steps.iter().filter(|step| step.flow() == flow);
        let left = of_flow.filter(|step| is_artifact(step)).count();
        if let Some(entry) = self.flows.get_mut(&flow) {
            entry.end = End::Told;
            entry.steps = left;
        }
    }

    /// A run that is being cancelled can only become cancelled.
    pub(crate) fn end_cancelled(&mut self, flow: Uuid) {
        if let Some(entry) = self.flows.get_mut(&flow)
            && let End::Wanted(last) = &mut entry.end
            && last.kind == StateType::Crashed
        {
            last.kind = StateType::Cancelled;
            "Cancelled".clone_into(&mut last.name);
        }
    }

    /// Nothing more is told of a flow run.
    pub(crate) fn forget(&mut self, flow: Uuid) {
        self.steps.retain(|step| step.flow() != flow);
        let Some(entry) = self.flows.remove(&flow) else {
            return;
        };
        for run in entry.runs {
            self.runs.remove(&run);
        }
        self.lines.drop_of(flow);
        self.artifacts.forget(flow);
    }

    fn drop_step(&mut self, flow: Uuid) {
        let first = self.steps.iter().position(|step| step.flow() == flow);
        if let Some(first) = first {
            self.steps.remove(first);
            self.step_done(flow);
        }
    }

    fn drop_run(&mut self, run: Uuid) {
        if let Some(entry) = self.runs.remove(&run)
            && let Some(flow) = entry.newest.flow
            && let Some(flow) = self.flows.get_mut(&flow)
        {
            flow.runs.remove(&run);
        }
    }

    fn drop_lines(&mut self, until: Timestamp) {
        for flow in self.lines.drop_until(until) {
            self.line_done(flow);
        }
    }
}
