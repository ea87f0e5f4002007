//! The rows of one map as a server is told them: one by one, or in batches
//! with the rows that did not complete beside them.

use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::inputs::{Layouts, Sources};
use super::layout::Layout;
use super::states;
use super::task::{Entered, Identity, Run, Task};
use crate::clock::Timestamp;
use crate::definition::MapReport;
use crate::engine::{Map, MapId};
use crate::flow::{Changes, FlowRun, task_run_id};
use crate::prefect::message::{TaskInputs, TaskRunUpdate};
use crate::runner::RunReference;
use crate::state::StateName;

/// Rows of one map in batches that are told because they did not complete.
const SINGLES_AT_MOST: u32 = 2000;

#[derive(Debug)]
pub(super) struct ReportedMap {
    pub(super) task: Arc<Task>,
    pub(super) sources: Sources,
    pub(super) submitted: Timestamp,
    report: Option<MapReport>,
    layout: Option<Layout>,
    runs: Vec<Run>,
    batches: Vec<Batch>,
    settled: u32,
    singles: u32,
}

/// What is known of the rows of a batch.
#[derive(Clone, Debug, Default)]
struct Batch {
    is_running: bool,
    settled: u32,
    failed: u32,
    cancelled: u32,
    retries: u32,
    is_rolled_back: bool,
    end: Timestamp,
}

/// The flow run, and what else the rows of all its maps share.
pub(super) struct Around<'a> {
    pub(super) flow: &'a FlowRun,
    /// `None` outside of flows.
    pub(super) told_flow: Option<Uuid>,
    pub(super) flow_run_count: u32,
    pub(super) layouts: &'a Layouts,
}

impl ReportedMap {
    pub(super) fn new(
        task: Arc<Task>,
        sources: Sources,
        submitted: Timestamp,
        report: Option<MapReport>,
        layout: Option<Layout>,
    ) -> Self {
        let mut map = Self {
            task,
            sources,
            submitted,
            report,
            layout: None,
            runs: Vec::new(),
            batches: Vec::new(),
            settled: 0,
            singles: 0,
        };
        if let Some(layout) = layout {
            map.has_layout(layout);
        }
        map
    }

    /// It has so many rows; how they are told.
    pub(super) fn has_length(&mut self, length: u32) -> Layout {
        let layout = Layout::of(length, self.report);
        self.has_layout(layout);
        layout
    }

    fn has_layout(&mut self, layout: Layout) {
        let count = layout.count() as usize;
        self.runs.resize_with(count, Run::default);
        if !layout.is_of_rows() {
            self.batches.resize(count, Batch::default());
        }
        self.layout = Some(layout);
    }

    /// Whether all that can be told has been.
    pub(super) fn is_settled(&self) -> bool {
        self.layout
            .is_some_and(|layout| self.settled >= layout.length)
    }

    /// Rows entered a state.
    pub(super) fn rows_changed(
        &mut self,
        around: &Around<'_>,
        (id, map): (MapId, &Map),
        rows: &Range<u32>,
        (name, attempt): (StateName, u32),
        changes: &Changes<'_>,
        tell: &mut dyn FnMut(TaskRunUpdate),
    ) {
        let Some(layout) = self.layout else {
            return;
        };
        if name.is_settled() && name != StateName::RolledBack {
            self.settled += rows.end - rows.start;
        }
        if !layout.is_of_rows() {
            return self.in_batches(around, (id, map), rows, (name, attempt), changes, tell);
        }
        for row in rows.clone() {
            let index = row as usize;
            let run = RunReference::row(id, row);
            if index >= self.runs.len() {
                continue;
            }
            let identity = self.identity_of_row(around, (id, row), layout.length, changes);
            let state = &mut self.runs[index];
            let is_settled = name.is_settled() && name != StateName::RolledBack;
            let mut at = changes.at();
            if is_settled {
                at = time(map.ended[index], at);
                // A block of rows tells only of their ends.
                state.ran(map.started[index], at);
            }
            let message = if name.is_settled() {
                changes.message(run).map(|message| message.to_string())
            } else {
                None
            };
            let entered = Entered {
                name,
                message,
                attempt,
                at,
                random: around.flow.random(run, attempt),
                record: states::record(name, run, changes),
            };
            state.enters(entered, &self.task, identity, tell);
        }
    }

    fn identity(
        &self,
        around: &Around<'_>,
        id: Uuid,
        name: String,
        inputs: Arc<TaskInputs>,
    ) -> Identity {
        Identity {
            id,
            flow: around.told_flow,
            flow_run_count: around.flow_run_count,
            name,
            awaits_name: false,
            inputs,
            submitted: self.submitted,
        }
    }

    /// A row as a task run of its own; `length` rows tell their inputs.
    fn identity_of_row(
        &mut self,
        around: &Around<'_>,
        (id, row): (MapId, u32),
        length: u32,
        changes: &Changes<'_>,
    ) -> Identity {
        let run = RunReference::row(id, row);
        let given = changes.given_name(run);
        let is_of_rows = self.layout.is_some_and(|layout| layout.is_of_rows());
        let given = match self.runs.get_mut(row as usize) {
            Some(of_row) if is_of_rows => of_row.name(given),
            _ => given,
        };
        let awaits_name = self.task.has_template && given.is_none();
        let name = given.unwrap_or_else(|| around.flow.task_run_name(&self.task.name, run));
        let inputs = self
            .sources
            .of_rows(&(row..row + 1), length, around.layouts);
        Identity {
            awaits_name,
            ..self.identity(around, task_run_id(around.flow.id(), run), name, inputs)
        }
    }

    /// A row that is told by itself is named.
    pub(super) fn row_named(&mut self, row: u32, name: &str) -> Option<TaskRunUpdate> {
        let is_of_rows = self.layout.is_some_and(|layout| layout.is_of_rows());
        let run = self.runs.get_mut(row as usize)?;
        is_of_rows.then(|| run.named(name)).flatten()
    }

    fn in_batches(
        &mut self,
        around: &Around<'_>,
        (id, map): (MapId, &Map),
        rows: &Range<u32>,
        (name, attempt): (StateName, u32),
        changes: &Changes<'_>,
        tell: &mut dyn FnMut(TaskRunUpdate),
    ) {
        let Some(layout) = self.layout else {
            return;
        };
        for number in layout.runs_of(rows) {
            let whole = layout.rows(number);
            let here = rows.start.max(whole.start)..rows.end.min(whole.end);
            let count = here.end - here.start;
            let (first, last) = (here.start as usize, here.end as usize - 1);
            let batch = &mut self.batches[number as usize];
            let is_rolled_back = name == StateName::RolledBack;
            if name.is_settled() && !is_rolled_back {
                batch.settled += count;
                batch.end = batch.end.max(time(map.ended[last], changes.at()));
                if name == StateName::Cancelled {
                    batch.cancelled += count;
                } else if !name.is_completed() {
                    batch.failed += count;
                }
            }
            batch.retries += if name == StateName::Retrying {
                count
            } else {
                0
            };
            let was_running = batch.is_running;
            batch.is_running |= name == StateName::Running || map.started[first].is_some();
            let is_over = batch.settled == whole.end - whole.start;
            let is_undone = is_rolled_back && !batch.is_rolled_back;
            batch.is_rolled_back |= is_rolled_back;
            let begins = batch.is_running && !was_running;
            let entered = if is_undone {
                Some((StateName::RolledBack, changes.at()))
            } else if name.is_settled() && !is_rolled_back && is_over {
                Some((batch.name(count_of(&whole)), batch.end))
            } else {
                None
            };
            let running = begins.then(|| {
                let started = time(map.started[first], changes.at());
                (StateName::Running, started)
            });
            let message = entered.is_some().then(|| batch.message(count_of(&whole)));
            for (name, at) in running.into_iter().chain(entered) {
                let run = layout.id(around.flow.id(), id, number);
                let run_name = format!("{}[{}..{}]", self.task.name, whole.start, whole.end);
                let inputs = self.sources.of_rows(&whole, layout.length, around.layouts);
                let identity = self.identity(around, run, run_name, inputs);
                let message = match name {
                    StateName::Running => None,
                    StateName::RolledBack => name.own_message().map(str::to_owned),
                    _ => message.clone(),
                };
                let entered = Entered {
                    name,
                    message,
                    attempt: 1,
                    at,
                    random: 0.0,
                    record: None,
                };
                self.runs[number as usize].enters(entered, &self.task, identity, tell);
            }
        }
        if name.is_settled() && !name.is_completed() {
            self.singles(around, (id, map), rows, (name, attempt), changes, tell);
        }
    }

    /// Rows that did not complete are told beside their batch.
    fn singles(
        &mut self,
        around: &Around<'_>,
        (id, map): (MapId, &Map),
        rows: &Range<u32>,
        (name, attempt): (StateName, u32),
        changes: &Changes<'_>,
        tell: &mut dyn FnMut(TaskRunUpdate),
    ) {
        for row in rows.clone() {
            if self.singles == SINGLES_AT_MOST {
                return;
            }
            self.singles += 1;
            let run = RunReference::row(id, row);
            let index = row as usize;
            let at = time(map.ended[index], changes.at());
            let mut state = Run::default();
            state.ran(map.started[index], at);
            let identity = self.identity_of_row(around, (id, row), u32::MAX, changes);
            let entered = Entered {
                name,
                message: changes.message(run).map(|message| message.to_string()),
                attempt,
                at,
                random: 0.0,
                record: None,
            };
            state.enters(entered, &self.task, identity, tell);
        }
    }

    /// The map ended before anybody knew how many rows it has.
    pub(super) fn ended_whole(
        &mut self,
        around: &Around<'_>,
        id: MapId,
        name: StateName,
        changes: &Changes<'_>,
        tell: &mut dyn FnMut(TaskRunUpdate),
    ) {
        let message = changes.message(RunReference::row(id, 0));
        let run = RunReference::row(id, u32::MAX);
        let run = task_run_id(around.flow.id(), run);
        let run_name = format!("{}[..]", self.task.name);
        let inputs = self.sources.of_run(around.layouts);
        let identity = self.identity(around, run, run_name, inputs);
        let entered = Entered {
            name,
            message: message.map(|message| message.to_string()),
            attempt: 0,
            at: changes.at(),
            random: 0.0,
            record: None,
        };
        Run::default().enters(entered, &self.task, identity, tell);
    }
}

impl Batch {
    fn name(&self, rows: u32) -> StateName {
        match self.failed + self.cancelled {
            0 => StateName::Completed,
            _ if self.cancelled == rows => StateName::Cancelled,
            _ => StateName::Failed,
        }
    }

    /// `1000 rows: 998 completed, 2 failed`
    fn message(&self, rows: u32) -> String {
        let completed = self.settled - self.failed - self.cancelled;
        let mut text = format!("{rows} rows: {completed} completed");
        let counts = [
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
            (self.retries, "retries"),
        ];
        for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {count} {what}"));
        }
        text
    }
}

fn count_of(rows: &Range<u32>) -> u32 {
    rows.end - rows.start
}

/// The first of the two that is a time.
fn time(at: Timestamp, or: Timestamp) -> Timestamp {
    if at.is_some() { at } else { or }
}
