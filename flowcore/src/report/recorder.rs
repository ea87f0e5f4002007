//! The observer that keeps a record of flow runs.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::record::{
    Caller, Edge, FlowRecord, Kind, Node, Parent, ROWS_IN_FULL, RUNS_IN_FULL, RunStates,
    StateChange, Tally,
};
use crate::clock::Timestamp;
use crate::engine::{Change, Map, MapId, RunId};
use crate::flow::{Began, Changes, FlowRun, Input, InputSource, Observer, Submission, Submitted};
use crate::runner::RunReference;
use crate::state::{State, StateName};

/// Records the flow runs that it watches.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Recording>);

#[derive(Debug, Default)]
struct Recording {
    flows: Vec<FlowRecord>,
    index: HashMap<Uuid, (usize, Index)>,
}

/// Where the nodes of one flow run's entries are.
#[derive(Debug, Default)]
struct Index {
    runs: HashMap<RunId, usize>,
    maps: HashMap<MapId, usize>,
    /// Nodes of tasks whose runs are not kept one by one.
    many: HashMap<&'static str, usize>,
    singles: usize,
}

impl Recorder {
    /// What was recorded; the recorder begins anew.
    pub(super) fn take(&self) -> Vec<FlowRecord> {
        std::mem::take(&mut *self.0.lock()).flows
    }
}

impl Observer for Recorder {
    fn flow_began(&self, flow: &FlowRun, began: &Began<'_>) {
        let mut recording = self.0.lock();
        let parent = began
            .parent
            .and_then(|(id, caller)| recording.parent(id, caller));
        let place = recording.flows.len();
        recording.flows.push(FlowRecord {
            id: flow.id(),
            run_name: flow.name().to_owned(),
            flow: began
                .flow
                .map(|(_, options)| options.name_in_force().to_owned()),
            parent,
            states: vec![pending(began.at)],
            nodes: Vec::new(),
        });
        recording.index.insert(flow.id(), (place, Index::default()));
    }

    fn flow_changed(&self, flow: &FlowRun, state: &State) {
        let mut recording = self.0.lock();
        let Some((record, _)) = recording.of(flow) else {
            return;
        };
        let begun = |state: &&StateChange| state.name == StateName::Running;
        let before = record.states.iter().filter(begun).count();
        let begins = usize::from(state.name() == StateName::Running);
        record.states.push(StateChange {
            name: state.name(),
            message: state.message().map(Arc::from),
            attempt: u32::try_from(before + begins).unwrap_or(u32::MAX),
            at: state.at(),
        });
    }

    fn submitted(&self, flow: &FlowRun, submission: &Submission<'_>) {
        let mut recording = self.0.lock();
        let edges = recording.edges(submission.inputs);
        if let Some((record, index)) = recording.of(flow) {
            index.submitted(record, flow, submission, edges);
        }
    }

    fn changed(&self, flow: &FlowRun, changes: &Changes<'_>) {
        let mut recording = self.0.lock();
        let Some((record, index)) = recording.of(flow) else {
            return;
        };
        for change in changes.iter() {
            index.changed(record, flow, changes, change);
        }
    }
}

impl Recording {
    fn of(&mut self, flow: &FlowRun) -> Option<(&mut FlowRecord, &mut Index)> {
        let (place, index) = self.index.get_mut(&flow.id())?;
        Some((&mut self.flows[*place], index))
    }

    fn parent(&self, flow: Uuid, caller: Caller) -> Option<Parent> {
        let (place, index) = self.index.get(&flow)?;
        Some(Parent {
            flow: *place,
            node: caller.and_then(|run| index.node(run)),
        })
    }

    fn edges(&self, inputs: &[Input]) -> Vec<Edge> {
        let mut edges = Vec::new();
        let mut known = HashSet::new();
        for input in inputs {
            let Some((flow, index)) = self.index.get(&input.flow) else {
                continue;
            };
            let node = match &input.upstream {
                InputSource::Run(run) => index.node(*run),
                InputSource::Aligned(map, _) | InputSource::Rows(map, _) => {
                    index.maps.get(map).copied()
                }
            };
            let edge = node.map(|node| Edge {
                flow: *flow,
                node,
                parameter: input.parameter,
            });
            // Many rows of one map are one edge.
            edges.extend(edge.filter(|edge| known.insert(*edge)));
        }
        edges
    }
}

impl Index {
    fn node(&self, run: RunReference) -> Option<usize> {
        match run {
            RunReference::Run(bits) => self.runs.get(&RunId::from_bits(bits)).copied(),
            RunReference::Row(bits, _) => self.maps.get(&MapId::from_bits(bits)).copied(),
        }
    }

    fn submitted(
        &mut self,
        record: &mut FlowRecord,
        flow: &FlowRun,
        submission: &Submission<'_>,
        edges: Vec<Edge>,
    ) {
        let place = record.nodes.len();
        let name = submission.options.name_in_force();
        let kind = match submission.what {
            Submitted::Run(id) if self.singles >= RUNS_IN_FULL => {
                let task = submission.info.key;
                let known = self.many.get(task).copied();
                self.runs.insert(id, known.unwrap_or(place));
                if known.is_some() {
                    return;
                }
                self.many.insert(task, place);
                Kind::Many
            }
            Submitted::Run(id) => {
                self.singles += 1;
                self.runs.insert(id, place);
                Kind::Run(RunStates {
                    name: flow.task_run_name(name, id.into()),
                    states: vec![pending(submission.at)],
                })
            }
            Submitted::Map(id, length) => {
                self.maps.insert(id, place);
                Kind::Map {
                    length,
                    rows: open_rows(flow, id, length, name, submission.at),
                }
            }
        };
        record.nodes.push(Node {
            task: submission.info,
            name: Arc::from(name),
            kind,
            edges,
            submitted: submission.at,
            tally: Tally::default(),
        });
    }

    fn changed(
        &mut self,
        record: &mut FlowRecord,
        flow: &FlowRun,
        changes: &Changes<'_>,
        change: &Change,
    ) {
        match change {
            Change::Run(id, StateName::RolledBack, attempt) => {
                if let Some(place) = self.runs.get(id) {
                    record.nodes[*place].rolled_back(&(0..1), *attempt, changes.at());
                }
            }
            Change::Rows(id, rows, StateName::RolledBack, attempt) => {
                if let Some(place) = self.maps.get(id) {
                    record.nodes[*place].rolled_back(rows, *attempt, changes.at());
                }
            }
            Change::Run(id, name, attempt) => {
                if let Some(place) = self.runs.get(id) {
                    let node = &mut record.nodes[*place];
                    node.run_changed(*id, *name, *attempt, changes);
                    if matches!(node.kind, Kind::Many) && name.is_settled() {
                        self.runs.remove(id);
                    }
                }
            }
            Change::Rows(id, rows, name, attempt) => {
                let node = self.maps.get(id).map(|place| &mut record.nodes[*place]);
                if let (Some(node), Some(map)) = (node, changes.map(*id)) {
                    node.rows_changed((*id, map), rows, (*name, *attempt), changes);
                }
            }
            Change::LengthKnown(id, length) => {
                if let Some(place) = self.maps.get(id) {
                    let node = &mut record.nodes[*place];
                    let length = Some(*length);
                    let rows = open_rows(flow, *id, length, &node.name, node.submitted);
                    node.kind = Kind::Map { length, rows };
                }
            }
            Change::Map(id, name) => {
                if let Some(place) = self.maps.get(id) {
                    let tally = &mut record.nodes[*place].tally;
                    tally.count(*name, 1);
                    let message = changes.message(RunReference::row(*id, 0));
                    tally.note(None, message.as_deref());
                }
            }
        }
    }
}

impl Node {
    /// Runs that had completed were undone; their last handle may have gone,
    /// and they with it.
    fn rolled_back(&mut self, rows: &Range<u32>, attempt: u32, at: Timestamp) {
        let name = StateName::RolledBack;
        self.tally.undo(u64::from(rows.end - rows.start));
        let states: &mut [RunStates] = match &mut self.kind {
            Kind::Run(states) => std::slice::from_mut(states),
            Kind::Map { rows, .. } => rows,
            Kind::Many => &mut [],
        };
        for row in rows.clone() {
            if let Some(states) = states.get_mut(row as usize) {
                states.push(name, name.own_message().map(Arc::from), attempt, at);
            }
        }
    }

    fn run_changed(&mut self, id: RunId, name: StateName, attempt: u32, changes: &Changes<'_>) {
        let run = RunReference::from(id);
        let is_settled = name.is_settled();
        let message = is_settled.then(|| changes.message(run)).flatten();
        self.tally.retries += u64::from(name == StateName::Retrying);
        if is_settled {
            self.tally.count(name, 1);
            if let Some(view) = changes.run(run) {
                self.tally.ran(view.started, view.ended);
            }
            self.tally.note(None, message.as_deref());
        }
        if let Kind::Run(states) = &mut self.kind {
            states.push(name, message, attempt, changes.at());
            if is_settled && let Some(given) = changes.given_name(run) {
                states.name = given;
            }
        }
    }

    fn rows_changed(
        &mut self,
        (id, map): (MapId, &Map),
        range: &Range<u32>,
        (name, attempt): (StateName, u32),
        changes: &Changes<'_>,
    ) {
        let count = u64::from(range.end - range.start);
        let is_settled = name.is_settled();
        if name == StateName::Retrying {
            self.tally.retries += count;
        }
        if is_settled {
            self.tally.count(name, count);
            for row in range.clone() {
                let index = row as usize;
                self.tally.ran(map.started[index], map.ended[index]);
            }
        }
        let Kind::Map { rows, .. } = &mut self.kind else {
            return;
        };
        for row in range.clone() {
            let run = RunReference::row(id, row);
            let is_told = !rows.is_empty() || self.tally.takes_messages();
            let has_message = is_settled && !name.is_completed() && is_told;
            let message = has_message.then(|| changes.message(run)).flatten();
            self.tally.note(Some(row), message.as_deref());
            let Some(states) = rows.get_mut(row as usize) else {
                continue;
            };
            let (started, ended) = (map.started[row as usize], map.ended[row as usize]);
            // A block of rows tells only of their ends.
            if is_settled && started.is_some() && states.times().0 == Timestamp::NONE {
                states.push(StateName::Running, None, 1, started);
            }
            let at = if is_settled { ended } else { changes.at() };
            states.push(name, message, attempt, at);
            if is_settled && let Some(given) = changes.given_name(run) {
                states.name = given;
            }
        }
    }
}

impl RunStates {
    fn push(&mut self, name: StateName, message: Option<Arc<str>>, attempt: u32, at: Timestamp) {
        self.states.push(StateChange {
            name,
            message,
            attempt,
            at,
        });
    }
}

fn pending(at: Timestamp) -> StateChange {
    StateChange {
        name: StateName::Pending,
        message: None,
        attempt: 0,
        at,
    }
}

/// The rows of a map that is short enough to keep them.
fn open_rows(
    flow: &FlowRun,
    id: MapId,
    length: Option<u32>,
    task: &str,
    at: Timestamp,
) -> Vec<RunStates> {
    let kept = length.filter(|length| *length <= ROWS_IN_FULL);
    (0..kept.unwrap_or(0))
        .map(|row| RunStates {
            name: flow.task_run_name(task, RunReference::row(id, row)),
            states: vec![pending(at)],
        })
        .collect()
}
