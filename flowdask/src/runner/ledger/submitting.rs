//! Runs come in, and go to Dask when the outcomes that they wait for are known.

use std::collections::HashSet;

use flowcore::Error;
use flowcore::bridge::RunReference;

use super::inputs::{self, Read};
use super::rows::BatchRows;
use super::{Inputs, Item, Ledger, Ready, Stage};
use crate::runner::payload::{Input, Job, Payload};
use crate::runner::runs::Runs;
use crate::wire::Key;

impl Ledger {
    /// A run or a batch is to be executed. Its inputs came before, and its
    /// large values are held.
    pub(crate) fn submit(&mut self, job: Job) -> Option<Ready> {
        let runs = job.runs();
        let key = key_of(&job);
        let (inputs, outcomes) = self.inputs(&job);
        for value in &inputs.values {
            self.values.share(*value);
        }
        for input in &outcomes {
            if let Some(input) = self.items.get_mut(input) {
                input.readers.push(key.clone());
            }
        }
        let rows = match &runs {
            Runs::Run(RunReference::Row(map, row)) => {
                self.maps.entry(*map).or_default().insert(*row, key.clone());
                None
            }
            Runs::Run(run) => {
                self.runs.insert(*run, key.clone());
                None
            }
            Runs::Rows(map, rows) => {
                let keys = self.maps.entry(*map).or_default();
                keys.insert(rows.start, key.clone());
                Some(Box::new(BatchRows::new(rows)))
            }
        };
        let (stage, ready) = if outcomes.is_empty() {
            let ready = self.ready(key.clone(), job, &inputs);
            (Stage::Submitted(None), Some(ready))
        } else {
            for input in &inputs.keys {
                if let Some(input) = self.items.get_mut(input) {
                    input.held_readers += 1;
                }
            }
            (Stage::Held(Box::new(job), outcomes.len()), None)
        };
        let item = Item {
            runs,
            stage,
            inputs,
            readers: Vec::new(),
            held_readers: 0,
            is_released: false,
            rows,
        };
        self.items.insert(key, item);
        ready
    }

    /// What a job reads, and which of it must have a known outcome first:
    /// single runs that may fail. What became of a row of a batch is in the
    /// batch's value.
    fn inputs(&self, job: &Job) -> (Inputs, HashSet<Key>) {
        let mut inputs = Inputs::default();
        let mut seen = HashSet::new();
        let mut outcomes = HashSet::new();
        inputs::visit(job, &mut |read| {
            let (runs, allows_failure) = match read {
                Read::Runs {
                    runs,
                    allows_failure,
                } => (runs, allows_failure),
                Read::Value(value) if inputs.values.contains(&value) => return,
                Read::Value(value) => return inputs.values.push(value),
            };
            self.visit_keys(&runs, &mut |run, key| {
                let Some(key) = key else {
                    return inputs.unknown.push(run);
                };
                if seen.insert(key.clone()) {
                    inputs.keys.push(key.clone());
                }
                let item = &self.items[key];
                if allows_failure && item.stage.is_open() && matches!(item.runs, Runs::Run(_)) {
                    outcomes.insert(key.clone());
                }
            });
        });
        (inputs, outcomes)
    }

    /// The keys of these runs, each with the first run that it is for; nothing
    /// for runs that were never submitted.
    fn visit_keys(&self, runs: &Runs, visit: &mut dyn FnMut(RunReference, Option<&Key>)) {
        let (map, rows) = match runs {
            Runs::Run(run) => return visit(*run, self.key(*run)),
            Runs::Rows(map, rows) => (*map, rows.clone()),
        };
        let mut row = rows.start;
        while row < rows.end {
            let run = RunReference::Row(map, row);
            let key = self.key(run);
            visit(run, key);
            row = match key.map(|key| &self.items[key].runs) {
                Some(Runs::Rows(_, batch)) => batch.end,
                _ => row + 1,
            };
        }
    }

    fn ready(&self, key: Key, job: Job, reads: &Inputs) -> Ready {
        let mut dependencies = Vec::new();
        let known = reads.keys.iter().map(|key| {
            let item = &self.items[key];
            let input = match &item.stage {
                Stage::Ended(error) => Input::Failed(error.clone()),
                _ => {
                    dependencies.push(key.clone());
                    Input::Dependency
                }
            };
            (item.runs.clone(), input)
        });
        let mut inputs: Vec<_> = known.collect();
        inputs.extend(reads.unknown.iter().map(|run| {
            let error = Error::msg(format!("{run:?} was never submitted"));
            (Runs::Run(*run), Input::Failed(error))
        }));
        let keys = reads
            .values
            .iter()
            .filter_map(|value| self.values.key(*value));
        dependencies.extend(keys.cloned());
        let payload = Payload {
            home: self.home.clone(),
            job,
            inputs,
            values: reads.values.clone(),
        };
        Ready {
            key,
            payload,
            dependencies,
        }
    }

    pub(super) fn outcome_known(&mut self, reader: &Key) -> Option<Ready> {
        let item = self.items.get_mut(reader)?;
        let Stage::Held(_, missing) = &mut item.stage else {
            return None;
        };
        *missing -= 1;
        if *missing > 0 {
            return None;
        }
        let Stage::Held(job, _) = std::mem::replace(&mut item.stage, Stage::Submitted(None)) else {
            return None;
        };
        let item = self.items.get(reader)?;
        Some(self.ready(reader.clone(), *job, &item.inputs))
    }
}

/// A key that no other run of any flow run has. What is before the first
/// number is the prefix by which Dask groups and estimates: the task's name.
fn key_of(job: &Job) -> Key {
    let work = job.work();
    let name = work.task_key.rsplit("::").next().unwrap_or_default();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let flow_run = work.flow_run_id;
    Key::from(match job.runs() {
        Runs::Run(RunReference::Run(run)) => format!("{name}-{flow_run:032x}-{run}"),
        Runs::Run(RunReference::Row(map, row)) => format!("{name}-{flow_run:032x}-{map}-{row}"),
        Runs::Rows(map, rows) => {
            format!("{name}-{flow_run:032x}-{map}-{}-{}", rows.start, rows.end)
        }
    })
}
