//! Where the values of a run come from, as a server draws it.
//!
//! Invariant: whole lists of rows are resolved when their maps' lengths are
//! known, which is before the run that takes them starts.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::layout::Layout;
use crate::definition::TaskInfo;
use crate::engine::MapId;
use crate::flow::{Input, InputSource, task_run_id};
use crate::prefect::message::{TaskInput, TaskInputs};
use crate::runner::RunReference;

/// How the rows of maps are told, of all flow runs that have not ended.
pub(super) type Layouts = HashMap<(Uuid, MapId), Layout>;

/// Edges of all rows of a map together beyond which each row tells fewer:
/// lists of rows, given to every row of another map, would be millions.
const EDGES_OF_A_MAP: u32 = 50_000;

/// Edges beyond which one task run tells fewer: a server shows no more nodes,
/// and takes no larger events.
const EDGES_OF_A_RUN: usize = 10_000;

/// The inputs of one run, or of a map.
#[derive(Debug)]
pub(super) struct Sources {
    info: &'static TaskInfo,
    inputs: Vec<Input>,
    /// Those of single rows.
    rows: HashMap<u32, Vec<Input>>,
    /// The run whose code submitted it.
    parent: Option<Uuid>,
    /// What all rows have, once it is known.
    whole: Option<Arc<TaskInputs>>,
}

impl Sources {
    pub(super) fn new(info: &'static TaskInfo, inputs: &[Input], parent: Option<Uuid>) -> Self {
        let mut whole = Vec::new();
        let mut rows: HashMap<u32, Vec<Input>> = HashMap::new();
        for input in inputs {
            match input.row {
                Some(row) => rows.entry(row).or_default().push(input.clone()),
                None => whole.push(input.clone()),
            }
        }
        Self {
            info,
            inputs: whole,
            rows,
            parent,
            whole: None,
        }
    }

    /// Those of a single run.
    pub(super) fn of_run(&mut self, layouts: &Layouts) -> Arc<TaskInputs> {
        self.whole(layouts, 1)
    }

    /// Those of these rows, of so many, as one task run.
    pub(super) fn of_rows(
        &mut self,
        rows: &Range<u32>,
        length: u32,
        layouts: &Layouts,
    ) -> Arc<TaskInputs> {
        let has_aligned = self.inputs.iter().any(is_aligned);
        let own = self.rows.keys().any(|row| rows.contains(row));
        let runs = length / (rows.end - rows.start).max(1);
        let whole = self.whole(layouts, runs.max(1));
        if !has_aligned && !own {
            return whole;
        }
        let mut inputs = TaskInputs::clone(&whole);
        for input in self.inputs.iter().filter(|input| is_aligned(input)) {
            if let InputSource::Aligned(map, first) = input.upstream {
                let upstream = rows.start + first..rows.end + first;
                let ids = runs_of(input.flow, map, Some(&upstream), layouts);
                let ids = ids.into_iter().flatten().take(EDGES_OF_A_RUN);
                self.add(&mut inputs, input, ids);
            }
        }
        for row in rows.clone() {
            for input in self.rows.get(&row).into_iter().flatten() {
                let ids = ids_of(input, layouts).unwrap_or_default();
                self.add(&mut inputs, input, ids);
            }
        }
        Arc::new(inputs)
    }

    fn whole(&mut self, layouts: &Layouts, runs: u32) -> Arc<TaskInputs> {
        if let Some(whole) = &self.whole {
            return Arc::clone(whole);
        }
        let mut inputs: TaskInputs = self
            .info
            .parameters
            .iter()
            .map(|name| ((*name).to_owned(), Vec::new()))
            .collect();
        let most = (EDGES_OF_A_MAP / runs).max(1) as usize;
        let most = if runs == 1 { EDGES_OF_A_RUN } else { most };
        let mut is_known = true;
        for input in self.inputs.iter().filter(|input| !is_aligned(input)) {
            match ids_of(input, layouts) {
                Some(ids) => self.add(&mut inputs, input, ids.into_iter().take(most)),
                None => is_known = false,
            }
        }
        if let Some(parent) = self.parent {
            inputs.insert("__parents__".to_owned(), vec![TaskInput::TaskRun(parent)]);
        }
        let inputs = Arc::new(inputs);
        if is_known {
            self.whole = Some(Arc::clone(&inputs));
        }
        inputs
    }

    fn add(&self, inputs: &mut TaskInputs, input: &Input, ids: impl IntoIterator<Item = Uuid>) {
        let name = input
            .parameter
            .and_then(|index| self.info.parameters.get(index).copied())
            .unwrap_or("wait_for");
        let list = inputs.entry(name.to_owned()).or_default();
        for id in ids {
            let input = TaskInput::TaskRun(id);
            // Rows of one batch follow each other.
            if list.last() != Some(&input) {
                list.push(input);
            }
        }
    }
}

fn is_aligned(input: &Input) -> bool {
    matches!(input.upstream, InputSource::Aligned(..))
}

/// The task runs that an input stands for; `None`: not known yet.
fn ids_of(input: &Input, layouts: &Layouts) -> Option<Vec<Uuid>> {
    match &input.upstream {
        InputSource::Run(RunReference::Row(bits, row)) => {
            let map = MapId::from_bits(*bits);
            Some(
                runs_of(input.flow, map, Some(&(*row..row + 1)), layouts)
                    .unwrap_or_else(|| vec![task_run_id(input.flow, RunReference::row(map, *row))]),
            )
        }
        InputSource::Run(run) => Some(vec![task_run_id(input.flow, *run)]),
        InputSource::Rows(map, rows) => runs_of(input.flow, *map, rows.as_ref(), layouts),
        InputSource::Aligned(map, first) => {
            runs_of(input.flow, *map, Some(&(*first..u32::MAX)), layouts)
        }
    }
}

/// The task runs that these rows are told as.
fn runs_of(
    flow: Uuid,
    map: MapId,
    rows: Option<&Range<u32>>,
    layouts: &Layouts,
) -> Option<Vec<Uuid>> {
    let layout = layouts.get(&(flow, map))?;
    let end = layout.length;
    let rows = rows.map_or(0..end, |rows| rows.start.min(end)..rows.end.min(end));
    let ids = layout.runs_of(&rows).map(|run| layout.id(flow, map, run));
    Some(ids.collect())
}
