//! The engine and the model, side by side: each step of a program is done to
//! both.

use std::collections::HashSet;

use super::super::graph::{Engine, RunInput, Source};
use super::super::run::{Dependent, Waits};
use super::super::{MapId, RunId};
use super::model::{Dependency, Model, Node, Target, Upstream, Verdict};
use super::program::{Input, InputKind, Step};
use super::slots::ModelSlots;
use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::error::Error;
use crate::state::StateName;

#[derive(Default)]
pub(super) struct Both {
    pub(super) engine: Engine,
    pub(super) model: Model,
    pub(super) runs: Vec<RunId>,
    pub(super) maps: Vec<MapId>,
    pub(super) released: HashSet<(bool, usize)>,
    pub(super) dispatched: HashSet<Target>,
    pub(super) measured: HashSet<usize>,
    /// Who waits for what is outside.
    pub(super) watching: Vec<(usize, Dependent)>,
    /// Runs that the runner was told to forget.
    pub(super) taken_back: HashSet<usize>,
    pub(super) slots: ModelSlots,
    pub(super) idle: bool,
    pub(super) clock: u64,
}

pub(super) fn failure(name: StateName, label: &str) -> Failure {
    let error = Error::msg(label);
    Failure::new(name, Some(label.to_owned()), error)
}

pub(super) fn pick(number: u8, length: usize) -> Option<usize> {
    (length > 0).then(|| usize::from(number) % length)
}

impl Both {
    pub(super) fn now(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp::from_nanoseconds(self.clock)
    }

    /// An input that exists, for the engine and for the model.
    pub(super) fn input(&self, input: &Input) -> Option<(RunInput, Dependency)> {
        let allow_failure = input.allow_failure;
        let (source, on) = match input.kind {
            InputKind::Outside => (
                Source::External,
                Upstream::Outside(pick(input.upstream, self.model.outside.len())?),
            ),
            InputKind::Refused => (
                Source::Rejected(failure(StateName::Failed, "refused")),
                Upstream::Refused,
            ),
            InputKind::Run => {
                let run = pick(input.upstream, self.runs.len())?;
                self.is_held((true, run))?;
                (Source::Run(self.runs[run]), Upstream::Run(run))
            }
            kind => {
                let map = pick(input.upstream, self.maps.len())?;
                self.is_held((false, map))?;
                let id = self.maps[map];
                match kind {
                    InputKind::Row(row) => {
                        let row = u32::from(row);
                        (Source::Row(id, row), Upstream::Row(map, row))
                    }
                    InputKind::SomeRows(first, count) => {
                        let rows = u32::from(first)..u32::from(first + count);
                        let on = Upstream::Rows(map, Some(rows.clone()));
                        (Source::Rows(id, Some(rows)), on)
                    }
                    _ => (Source::Rows(id, None), Upstream::Rows(map, None)),
                }
            }
        };
        let input = RunInput {
            source,
            allow_failure,
        };
        Some((input, Dependency { on, allow_failure }))
    }

    pub(super) fn is_held(&self, handle: (bool, usize)) -> Option<()> {
        (!self.released.contains(&handle)).then_some(())
    }

    pub(super) fn inputs(&self, inputs: &[Input]) -> (Vec<RunInput>, Vec<Dependency>) {
        inputs.iter().filter_map(|input| self.input(input)).unzip()
    }

    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Run {
                inputs,
                early,
                limited,
            } => {
                let (inputs, dependencies) = self.inputs(inputs);
                let now = self.now();
                let id = self.engine.reserve_run();
                self.engine.submit_run(id, inputs.clone(), || now);
                if *early {
                    self.engine.offer_run(id, &inputs);
                }
                self.runs.push(id);
                self.watch(&dependencies, Waits::Run(id));
                self.model.runs.push(Node {
                    early: *early,
                    limited: *limited,
                    ..Node::new(dependencies)
                });
                if let Some(label) = self.model.stopped.clone() {
                    self.cancel_in_model(Target::Run(self.runs.len() - 1), &label);
                }
            }
            Step::Map {
                length,
                aligned,
                whole,
                rows,
                early,
                limited,
            } => self.submit_map(*length, aligned, whole, rows, *early, *limited),
            Step::Outside(index, name) => self.outside_settles(*index, *name),
            Step::CancelRow(map, row) => {
                if let Some(map) = pick(*map, self.maps.len()) {
                    self.cancel_row(map, u32::from(*row));
                }
            }
            Step::Measure(map, length) => self.measure(*map, *length),
            Step::Start(node) => {
                if let Some(target) = self.dispatched_target(*node) {
                    self.start(target);
                }
            }
            Step::Retry(node) => {
                if let Some(target) = self.dispatched_target(*node) {
                    self.start(target);
                    self.retry(target);
                }
            }
            Step::End(node, name) => {
                if let Some(target) = self.dispatched_target(*node) {
                    self.end(target, *name);
                }
            }
            Step::Block(node, count) => {
                if let Some(Target::Row(map, row)) = self.dispatched_target(*node) {
                    self.block(map, row, u32::from(*count));
                }
            }
            Step::Cancel(node) => {
                let targets = self.model.targets();
                if let Some(index) = pick(*node, targets.len()) {
                    self.cancel(targets[index]);
                }
            }
            Step::CancelMap(map) => {
                if let Some(map) = pick(*map, self.maps.len()) {
                    self.cancel_map(map);
                }
            }
            Step::Stop(force) => self.stop(*force),
            Step::Reopen => self.reopen(),
            Step::RollBack(node) => self.roll_back(*node),
            Step::Limit(limit, slots) => self.set_limit(*limit, u64::from(*slots)),
            Step::Release(handle) => {
                let count = self.runs.len() + self.maps.len();
                if let Some(index) = pick(*handle, count) {
                    self.release(index);
                }
            }
        }
        self.follow();
        self.compare();
    }

    pub(super) fn dispatched_target(&self, number: u8) -> Option<Target> {
        let targets: Vec<_> = self
            .model
            .targets()
            .into_iter()
            .filter(|target| self.may_run(*target))
            .collect();
        pick(number, targets.len()).map(|index| targets[index])
    }

    /// Whether it was handed out and its inputs are there: a runner that
    /// orders work by itself has waited for them.
    pub(super) fn may_run(&self, target: Target) -> bool {
        self.dispatched.contains(&target)
            && matches!(
                self.model.judge(&self.model.dependencies(target)),
                Verdict::Passes
            )
    }
}
