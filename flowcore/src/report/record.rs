//! What is kept of flow runs: a flow run's states, and what was submitted to
//! it, each single run or map a node of its graph.
//!
//! Invariant: a map costs the same however many rows it has (rows of maps up
//! to [`ROWS_IN_FULL`] are kept one by one), and so do the single runs of one
//! task beyond [`RUNS_IN_FULL`].

use std::sync::Arc;

use uuid::Uuid;

use super::durations::Durations;
use super::profile::Profile;
use crate::clock::Timestamp;
use crate::definition::TaskInfo;
use crate::runner::RunReference;
use crate::state::{StateName, describe_state};

/// Maps up to this length keep the states of every row.
pub(super) const ROWS_IN_FULL: u32 = 2_000;
/// So many single runs of a flow run are kept one by one.
pub(super) const RUNS_IN_FULL: usize = 10_000;

/// One state that a run went through.
#[derive(Clone, Debug)]
pub struct StateChange {
    pub(super) name: StateName,
    pub(super) message: Option<Arc<str>>,
    pub(super) attempt: u32,
    pub(super) at: Timestamp,
}

impl StateChange {
    /// The state's name.
    #[must_use]
    pub fn name(&self) -> StateName {
        self.name
    }

    /// What the state says of itself.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// How many attempts had begun, this one included.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the run entered the state.
    #[must_use]
    pub fn timestamp(&self) -> jiff::Timestamp {
        self.at.to_jiff()
    }
}

impl std::fmt::Display for StateChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&describe_state(self.name, self.message()))
    }
}

/// One flow run, or the unnamed run around a task that was called outside of
/// flows.
#[derive(Debug)]
pub(super) struct FlowRecord {
    pub(super) id: Uuid,
    pub(super) run_name: String,
    /// The flow's name; `None` outside of flows.
    pub(super) flow: Option<String>,
    /// The flow run that called it, and which of its nodes did.
    pub(super) parent: Option<Parent>,
    pub(super) states: Vec<StateChange>,
    pub(super) nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    pub(super) flow: usize,
    pub(super) node: Option<usize>,
}

/// A single run, a map, or many single runs of one task.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) task: &'static TaskInfo,
    /// The task's name in force.
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) edges: Vec<Edge>,
    pub(super) submitted: Timestamp,
    pub(super) tally: Tally,
}

impl Node {
    /// Runs that have not ended: those of a flow that was left behind.
    pub(super) fn unsettled(&self) -> u64 {
        let runs = match &self.kind {
            Kind::Run(_) => 1,
            Kind::Map { length, .. } => u64::from(length.unwrap_or(0)),
            Kind::Many => 0,
        };
        runs.saturating_sub(self.tally.runs())
    }
}

#[derive(Debug)]
pub(super) enum Kind {
    Run(RunStates),
    Map {
        length: Option<u32>,
        /// Empty if the map is longer than [`ROWS_IN_FULL`].
        rows: Vec<RunStates>,
    },
    /// Beyond [`RUNS_IN_FULL`].
    Many,
}

#[derive(Clone, Debug)]
pub(super) struct RunStates {
    pub(super) name: String,
    pub(super) states: Vec<StateChange>,
}

/// Where a value, or only the order, comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Edge {
    pub(super) flow: usize,
    pub(super) node: usize,
    /// Which parameter the value is for; `None`: order without data.
    pub(super) parameter: Option<usize>,
}

/// How a node's runs ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// By state, Completed first.
    ends: Vec<(StateName, u64)>,
    pub(super) retries: u64,
    pub(super) durations: Durations,
    pub(super) profile: Option<Profile>,
    /// The first failures' messages.
    pub(super) messages: Vec<(Option<u32>, String)>,
}

/// So many messages of failures are kept per node.
const MESSAGES: usize = 5;

impl Tally {
    pub(super) fn count(&mut self, name: StateName, runs: u64) {
        match self.ends.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += runs,
            None => {
                self.ends.push((name, runs));
                self.ends
                    .sort_by_key(|(name, _)| (*name != StateName::Completed, *name as u8));
            }
        }
    }

    /// Runs that had completed were rolled back.
    pub(super) fn undo(&mut self, runs: u64) {
        let completed = self.ends.iter_mut();
        let mut completed = completed.filter(|(name, _)| *name == StateName::Completed);
        if let Some((_, count)) = completed.next() {
            *count = count.saturating_sub(runs);
        }
        self.ends.retain(|(_, count)| *count > 0);
        self.count(StateName::RolledBack, runs);
    }

    pub(super) fn ran(&mut self, started: Timestamp, ended: Timestamp) {
        if !started.is_some() || !ended.is_some() {
            return;
        }
        self.durations.add(ended.duration_since(started));
        self.profile
            .get_or_insert_with(|| Profile::new(started))
            .add(started, ended);
    }

    pub(super) fn takes_messages(&self) -> bool {
        self.messages.len() < MESSAGES
    }

    pub(super) fn note(&mut self, row: Option<u32>, message: Option<&str>) {
        if let Some(message) = message
            && self.takes_messages()
        {
            self.messages.push((row, message.to_owned()));
        }
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = (StateName, u64)> {
        self.ends.iter().copied()
    }

    pub(super) fn runs(&self) -> u64 {
        self.ends.iter().map(|(_, count)| count).sum()
    }

    /// Of several nodes of one task; what only one node has is left out.
    pub(super) fn merge(&mut self, other: &Self) {
        for (name, count) in other.ends() {
            self.count(name, count);
        }
        self.retries += other.retries;
        self.durations.merge(&other.durations);
    }
}

impl RunStates {
    /// When the first attempt began and the run ended.
    pub(super) fn times(&self) -> (Timestamp, Timestamp) {
        let started = self.states.iter().find(|state| state.attempt > 0);
        let ended = self.states.iter().find(|state| state.name.is_settled());
        let at = |state: Option<&StateChange>| state.map_or(Timestamp::NONE, |state| state.at);
        (at(started), at(ended))
    }

    pub(super) fn last(&self) -> StateName {
        last(&self.states)
    }
}

/// The run of a task, as a report shows it.
#[derive(Clone, Copy, Debug)]
pub struct RunRecord<'a> {
    pub(super) flow: &'a FlowRecord,
    pub(super) node: &'a Node,
    pub(super) row: Option<u32>,
    pub(super) run: &'a RunStates,
}

impl<'a> RunRecord<'a> {
    /// The task run's name, such as `inc-9c2`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.run.name
    }

    /// The task's name.
    #[must_use]
    pub fn task_name(&self) -> &'a str {
        &self.node.name
    }

    /// The task's key.
    #[must_use]
    pub fn task_key(&self) -> &'static str {
        self.node.task.key
    }

    /// The row, in a map.
    #[must_use]
    pub fn row(&self) -> Option<u32> {
        self.row
    }

    /// The name of the flow run that it belongs to; empty outside of flows.
    #[must_use]
    pub fn flow_run_name(&self) -> &'a str {
        &self.flow.run_name
    }

    /// The states that the run went through, Pending first.
    #[must_use]
    pub fn states(&self) -> &'a [StateChange] {
        &self.run.states
    }

    /// The last of its states.
    #[must_use]
    pub fn state(&self) -> StateName {
        self.run.last()
    }

    /// The names of its [states](RunRecord::states), for comparisons.
    #[must_use]
    pub fn history(&self) -> Vec<&'static str> {
        history(self.states())
    }
}

fn last(states: &[StateChange]) -> StateName {
    states.last().map_or(StateName::Pending, |state| state.name)
}

fn history(states: &[StateChange]) -> Vec<&'static str> {
    states.iter().map(|state| state.name.as_str()).collect()
}

/// A flow run, as a report shows it.
#[derive(Clone, Copy, Debug)]
pub struct FlowRunRecord<'a>(pub(super) &'a FlowRecord);

impl<'a> FlowRunRecord<'a> {
    /// The flow run's name, such as `brave-otter`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.0.run_name
    }

    /// The flow's name; `None` for the run around a task that was called
    /// outside of flows.
    #[must_use]
    pub fn flow_name(&self) -> Option<&'a str> {
        self.0.flow.as_deref()
    }

    /// The flow run's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.0.id
    }

    /// The states that the flow run went through.
    #[must_use]
    pub fn states(&self) -> &'a [StateChange] {
        &self.0.states
    }

    /// The last of its states.
    #[must_use]
    pub fn state(&self) -> StateName {
        last(self.states())
    }

    /// The names of its [states](FlowRunRecord::states), for comparisons.
    #[must_use]
    pub fn history(&self) -> Vec<&'static str> {
        history(self.states())
    }
}

/// The task run that called a flow, as the engine names it.
pub(super) type Caller = Option<RunReference>;
