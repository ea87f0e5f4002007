//! The engine against a model of it: random programs of runs and maps, whose
//! events come in random order.
//!
//! The model keeps every run and row as a node with its dependencies and
//! works states out again from scratch after every step; it knows nothing of
//! worklists, ranges, gates or slabs.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use proptest::prelude::*;

use super::command::Command;
use super::graph::{Engine, MapInput, RunInput, Source};
use super::run::{End, RunView};
use super::{MapId, RunId};
use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::error::Error;
use crate::state::StateName;

/// One step of a program. Numbers pick among what there is.
#[derive(Clone, Debug)]
enum Step {
    Run(Vec<Input>),
    Map {
        /// `None`: found out later.
        length: Option<u8>,
        aligned: Option<(u8, bool)>,
        whole: Vec<Input>,
        rows: Vec<(u8, Input)>,
    },
    /// A length that was asked for becomes known, or cannot be had.
    Measure(u8, Option<u8>),
    Start(u8),
    Retry(u8),
    End(u8, StateName),
    /// Rows from this one on complete in one block.
    Block(u8, u8),
    Cancel(u8),
    CancelMap(u8),
    CancelAll,
    Release(u8),
}

#[derive(Clone, Debug)]
struct Input {
    upstream: u8,
    kind: InputKind,
    allow_failure: bool,
}

#[derive(Clone, Copy, Debug)]
enum InputKind {
    Run,
    Row(u8),
    AllRows,
    SomeRows,
}

fn input() -> impl Strategy<Value = Input> {
    let kind = prop_oneof![
        3 => Just(InputKind::Run),
        2 => (0..6_u8).prop_map(InputKind::Row),
        2 => Just(InputKind::AllRows),
        1 => Just(InputKind::SomeRows),
    ];
    (any::<u8>(), kind, proptest::bool::weighted(0.25)).prop_map(
        |(upstream, kind, allow_failure)| Input {
            upstream,
            kind,
            allow_failure,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let inputs = || proptest::collection::vec(input(), 0..3);
    let ended = prop_oneof![
        6 => Just(StateName::Completed),
        2 => Just(StateName::Failed),
        1 => Just(StateName::TimedOut),
        1 => Just(StateName::Crashed),
        1 => Just(StateName::Cancelled),
    ];
    let map = (
        proptest::option::weighted(0.8, 0..5_u8),
        proptest::option::weighted(0.5, (any::<u8>(), any::<bool>())),
        inputs(),
        proptest::collection::vec((0..5_u8, input()), 0..2),
    );
    prop_oneof![
        4 => inputs().prop_map(Step::Run),
        3 => map.prop_map(|(length, aligned, whole, rows)| Step::Map {
            length, aligned, whole, rows
        }),
        2 => (any::<u8>(), proptest::option::weighted(0.9, 0..5_u8))
            .prop_map(|(map, length)| Step::Measure(map, length)),
        4 => any::<u8>().prop_map(Step::Start),
        1 => any::<u8>().prop_map(Step::Retry),
        10 => (any::<u8>(), ended).prop_map(|(node, name)| Step::End(node, name)),
        3 => (any::<u8>(), 1..4_u8).prop_map(|(node, rows)| Step::Block(node, rows)),
        1 => any::<u8>().prop_map(Step::Cancel),
        1 => any::<u8>().prop_map(Step::CancelMap),
        1 => proptest::bool::weighted(0.1).prop_map(|all| {
            if all { Step::CancelAll } else { Step::Release(0) }
        }),
        2 => any::<u8>().prop_map(Step::Release),
    ]
}

// ----- the model ------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Target {
    Run(usize),
    Row(usize, u32),
}

#[derive(Clone, Debug)]
struct Dependency {
    on: Upstream,
    allow_failure: bool,
}

#[derive(Clone, Debug)]
enum Upstream {
    Run(usize),
    Row(usize, u32),
    Rows(usize, Option<Range<u32>>),
}

/// A run or a row.
#[derive(Clone, Debug)]
struct Node {
    state: StateName,
    dependencies: Vec<Dependency>,
    dispatched: bool,
    /// The runs where the failure may have begun.
    roots: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct ModelMap {
    rows: Option<Vec<Node>>,
    whole: Vec<Dependency>,
    aligned: Option<(usize, bool)>,
    single: Vec<(u32, Dependency)>,
    measured: bool,
    /// Ended before it had rows.
    ended: Option<(StateName, BTreeSet<String>)>,
}

#[derive(Debug, Default)]
struct Model {
    runs: Vec<Node>,
    maps: Vec<ModelMap>,
}

enum Verdict {
    Waits,
    Passes,
    Stops(BTreeSet<String>),
}

fn passes(name: StateName, allow_failure: bool) -> bool {
    match name {
        StateName::Completed => true,
        StateName::Failed | StateName::TimedOut | StateName::NotReady => allow_failure,
        _ => false,
    }
}

impl Node {
    fn new(dependencies: Vec<Dependency>) -> Self {
        Self {
            state: StateName::Pending,
            dependencies,
            dispatched: false,
            roots: BTreeSet::new(),
        }
    }

    fn verdict(&self, allow_failure: bool) -> Verdict {
        match self.state {
            name if !name.is_settled() => Verdict::Waits,
            name if passes(name, allow_failure) => Verdict::Passes,
            _ => Verdict::Stops(self.roots.clone()),
        }
    }
}

impl Model {
    fn verdict(&self, dependency: &Dependency) -> Verdict {
        let allow = dependency.allow_failure;
        let (map, rows) = match &dependency.on {
            Upstream::Run(run) => return self.runs[*run].verdict(allow),
            Upstream::Row(map, row) => (*map, Some(*row..*row + 1)),
            Upstream::Rows(map, rows) => (*map, rows.clone()),
        };
        let is_one_row = matches!(dependency.on, Upstream::Row(..));
        let map = &self.maps[map];
        if let Some((name, roots)) = &map.ended {
            return if passes(*name, allow) {
                Verdict::Passes
            } else {
                Verdict::Stops(roots.clone())
            };
        }
        let Some(nodes) = &map.rows else {
            return Verdict::Waits;
        };
        let length = nodes.len() as u32;
        let rows = rows.unwrap_or(0..length);
        if is_one_row && rows.start >= length {
            return if allow {
                Verdict::Passes
            } else {
                Verdict::Stops([format!("no row {}", rows.start)].into())
            };
        }
        let mut waits = false;
        let mut roots = BTreeSet::new();
        for row in rows.start.min(length)..rows.end.min(length) {
            match nodes[row as usize].verdict(allow) {
                Verdict::Waits => waits = true,
                Verdict::Passes => {}
                Verdict::Stops(more) => roots.extend(more),
            }
        }
        match (roots.is_empty(), waits) {
            (false, _) => Verdict::Stops(roots),
            (true, true) => Verdict::Waits,
            (true, false) => Verdict::Passes,
        }
    }

    fn dependencies(&self, target: Target) -> Vec<Dependency> {
        match target {
            Target::Run(run) => self.runs[run].dependencies.clone(),
            Target::Row(map, row) => {
                let map = &self.maps[map];
                let aligned = map.aligned.map(|(map, allow_failure)| Dependency {
                    on: Upstream::Row(map, row),
                    allow_failure,
                });
                let single = map.single.iter().filter(|(wanted, _)| *wanted == row);
                map.whole
                    .iter()
                    .cloned()
                    .chain(aligned)
                    .chain(single.map(|(_, dependency)| dependency.clone()))
                    .collect()
            }
        }
    }

    fn node(&mut self, target: Target) -> &mut Node {
        match target {
            Target::Run(run) => &mut self.runs[run],
            Target::Row(map, row) => {
                &mut self.maps[map].rows.as_mut().expect("a row has a map")[row as usize]
            }
        }
    }

    fn targets(&self) -> Vec<Target> {
        let runs = (0..self.runs.len()).map(Target::Run);
        let rows = self.maps.iter().enumerate().flat_map(|(map, entry)| {
            let length = entry.rows.as_ref().map_or(0, Vec::len) as u32;
            (0..length).map(move |row| Target::Row(map, row))
        });
        runs.chain(rows).collect()
    }

    /// All that the dependencies say together.
    fn judge(&self, dependencies: &[Dependency]) -> Verdict {
        let mut waits = false;
        let mut roots = BTreeSet::new();
        for dependency in dependencies {
            match self.verdict(dependency) {
                Verdict::Waits => waits = true,
                Verdict::Passes => {}
                Verdict::Stops(more) => roots.extend(more),
            }
        }
        match (roots.is_empty(), waits) {
            (false, _) => Verdict::Stops(roots),
            (true, true) => Verdict::Waits,
            (true, false) => Verdict::Passes,
        }
    }

    /// Works out everything that follows, from scratch.
    fn work_out(&mut self) {
        loop {
            let mut changed = false;
            for target in self.targets() {
                let dependencies = self.dependencies(target);
                let verdict = self.judge(&dependencies);
                let node = self.node(target);
                if node.state != StateName::Pending || node.dispatched {
                    continue;
                }
                match verdict {
                    Verdict::Waits => continue,
                    Verdict::Passes => node.dispatched = true,
                    Verdict::Stops(roots) => {
                        node.state = StateName::NotReady;
                        node.roots = roots;
                    }
                }
                changed = true;
            }
            for index in 0..self.maps.len() {
                changed |= self.work_out_map(index);
            }
            if !changed {
                return;
            }
        }
    }

    /// Whether something that has not settled holds this run or map as its
    /// argument.
    fn needs(&self, (is_run, index): (bool, usize)) -> bool {
        let is_on = |dependency: &Dependency| match dependency.on {
            Upstream::Run(run) => is_run && run == index,
            Upstream::Row(map, _) | Upstream::Rows(map, _) => !is_run && map == index,
        };
        let by_runs = self
            .runs
            .iter()
            .any(|node| !node.state.is_settled() && node.dependencies.iter().any(is_on));
        let by_maps = self.maps.iter().any(|map| {
            let is_open = match &map.rows {
                None => map.ended.is_none(),
                Some(rows) => rows.iter().any(|node| !node.state.is_settled()),
            };
            let aligned = map.aligned.is_some_and(|(map, _)| !is_run && map == index);
            let single = map.single.iter().any(|(_, dependency)| is_on(dependency));
            is_open && (aligned || single || map.whole.iter().any(is_on))
        });
        by_runs || by_maps
    }

    /// A map without rows stops, or may be measured.
    fn work_out_map(&mut self, index: usize) -> bool {
        let map = &self.maps[index];
        if map.rows.is_some() || map.ended.is_some() || map.measured {
            return false;
        }
        let mut verdict = self.judge(&map.whole);
        // A map that learns its length from another one waits for that.
        if let Some((upstream, _)) = map.aligned {
            let upstream = &self.maps[upstream];
            if let Some((_, roots)) = &upstream.ended {
                verdict = Verdict::Stops(roots.clone());
            } else if upstream.rows.is_none() && !matches!(verdict, Verdict::Stops(_)) {
                verdict = Verdict::Waits;
            }
        }
        let map = &mut self.maps[index];
        match verdict {
            Verdict::Waits => return false,
            Verdict::Passes => map.measured = true,
            Verdict::Stops(roots) => map.ended = Some((StateName::NotReady, roots)),
        }
        true
    }
}

// ----- both together --------------------------------------------------------

#[derive(Default)]
struct Both {
    engine: Engine,
    model: Model,
    runs: Vec<RunId>,
    maps: Vec<MapId>,
    released: HashSet<(bool, usize)>,
    dispatched: HashSet<Target>,
    measured: HashSet<usize>,
    idle: bool,
    clock: u64,
}

fn failure(name: StateName, label: &str) -> Failure {
    let error = Error::msg(label);
    Failure::new(name, Some(label.to_owned()), error)
}

fn pick(number: u8, length: usize) -> Option<usize> {
    (length > 0).then(|| usize::from(number) % length)
}

impl Both {
    fn now(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp::from_nanoseconds(self.clock)
    }

    /// An input that exists, for the engine and for the model.
    fn input(&self, input: &Input) -> Option<(RunInput, Dependency)> {
        let allow_failure = input.allow_failure;
        let (source, on) = match input.kind {
            InputKind::Run => {
                let run = pick(input.upstream, self.runs.len())?;
                self.is_held((true, run))?;
                (Source::Run(self.runs[run]), Upstream::Run(run))
            }
            kind => {
                let map = pick(input.upstream, self.maps.len())?;
                self.is_held((false, map))?;
                let id = self.maps[map];
                let length = self.model.maps[map].rows.as_ref().map(Vec::len);
                match (kind, length) {
                    (InputKind::Row(row), _) => {
                        let row = u32::from(row);
                        (Source::Row(id, row), Upstream::Row(map, row))
                    }
                    (InputKind::SomeRows, Some(length)) if length > 1 => {
                        let rows = 1..length as u32;
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

    fn is_held(&self, handle: (bool, usize)) -> Option<()> {
        (!self.released.contains(&handle)).then_some(())
    }

    fn inputs(&self, inputs: &[Input]) -> (Vec<RunInput>, Vec<Dependency>) {
        inputs.iter().filter_map(|input| self.input(input)).unzip()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Run(inputs) => {
                let (inputs, dependencies) = self.inputs(inputs);
                let now = self.now();
                let id = self.engine.reserve_run();
                self.engine.submit_run(id, inputs, now);
                self.runs.push(id);
                self.model.runs.push(Node::new(dependencies));
            }
            Step::Map {
                length,
                aligned,
                whole,
                rows,
            } => self.submit_map(*length, *aligned, whole, rows),
            Step::Measure(map, length) => self.measure(*map, *length),
            Step::Start(node) => {
                if let Some(target) = self.dispatched_target(*node) {
                    self.start(target, 1);
                }
            }
            Step::Retry(node) => {
                if let Some(target) = self.dispatched_target(*node) {
                    self.start(target, 1);
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
            Step::CancelAll => self.cancel_all(),
            Step::Release(handle) => {
                let count = self.runs.len() + self.maps.len();
                if let Some(index) = pick(*handle, count) {
                    self.release(index);
                }
            }
        }
        self.model.work_out();
        self.follow_commands();
        self.compare();
    }

    fn dispatched_target(&self, number: u8) -> Option<Target> {
        let targets: Vec<_> = self
            .model
            .targets()
            .into_iter()
            .filter(|target| self.dispatched.contains(target))
            .collect();
        pick(number, targets.len()).map(|index| targets[index])
    }

    fn submit_map(
        &mut self,
        length: Option<u8>,
        aligned: Option<(u8, bool)>,
        whole: &[Input],
        rows: &[(u8, Input)],
    ) {
        let mut inputs = Vec::new();
        let mut model = ModelMap::default();
        let mut length = length.map(u32::from);
        let upstream = aligned
            .and_then(|(map, allow)| Some((pick(map, self.maps.len())?, allow)))
            .filter(|(map, _)| self.is_held((false, *map)).is_some());
        if let Some((map, allow_failure)) = upstream {
            // Two columns of one map have one length.
            length = self.model.maps[map]
                .rows
                .as_ref()
                .map(|rows| rows.len() as u32);
            inputs.push(MapInput::Aligned {
                map: self.maps[map],
                first: 0,
                allow_failure,
            });
            if length.is_none() {
                inputs.push(MapInput::LengthOf(self.maps[map]));
            }
            model.aligned = Some((map, allow_failure));
        }
        let (whole, dependencies) = self.inputs(whole);
        inputs.extend(whole.into_iter().map(MapInput::Whole));
        model.whole = dependencies;
        for (row, input) in rows {
            let row = u32::from(*row);
            if let Some((input, dependency)) = self.input(input)
                && length.is_some_and(|length| row < length)
            {
                inputs.push(MapInput::Row(row, input));
                model.single.push((row, dependency));
            }
        }
        model.rows = length.map(|length| vec![Node::new(Vec::new()); length as usize]);
        let now = self.now();
        let id = self.engine.reserve_map();
        self.engine.submit_map(id, length, inputs, now);
        self.maps.push(id);
        self.model.maps.push(model);
    }

    fn measure(&mut self, number: u8, length: Option<u8>) {
        let open: Vec<usize> = (0..self.maps.len())
            .filter(|map| {
                let entry = &self.model.maps[*map];
                self.measured.contains(map) && entry.rows.is_none() && entry.ended.is_none()
            })
            .collect();
        let Some(map) = pick(number, open.len()).map(|index| open[index]) else {
            return;
        };
        let now = self.now();
        let upstream = self.model.maps[map].aligned;
        let length = upstream
            .and_then(|(upstream, _)| self.model.maps[upstream].rows.as_ref().map(Vec::len))
            .map(|length| length as u32)
            .or(length.map(u32::from));
        match length {
            Some(length) => {
                self.model.maps[map].rows = Some(vec![Node::new(Vec::new()); length as usize]);
                self.engine.length_known(self.maps[map], Ok(length), now);
            }
            None => {
                let label = format!("map {map}");
                self.model.maps[map].ended = Some((StateName::Failed, [label.clone()].into()));
                let failure = failure(StateName::Failed, &label);
                self.engine.length_known(self.maps[map], Err(failure), now);
            }
        }
    }

    fn start(&mut self, target: Target, attempt: u32) {
        let now = self.now();
        let begins = match target {
            Target::Run(run) => self.engine.run_started(self.runs[run], attempt, now),
            Target::Row(map, row) => self.engine.row_started(self.maps[map], row, attempt, now),
        };
        let node = self.model.node(target);
        assert_eq!(begins, !node.state.is_settled(), "{target:?}");
        if begins {
            node.state = StateName::Running;
        }
    }

    fn retry(&mut self, target: Target) {
        match target {
            Target::Run(run) => self.engine.run_awaits_retry(self.runs[run]),
            Target::Row(map, row) => self.engine.row_awaits_retry(self.maps[map], row),
        };
        let node = self.model.node(target);
        if !node.state.is_settled() {
            node.state = StateName::AwaitingRetry;
        }
    }

    fn end(&mut self, target: Target, name: StateName) {
        let now = self.now();
        let label = format!("{target:?} {}", self.clock);
        let end = match name {
            StateName::Completed => End::Completed,
            name => End::Ended(failure(name, &label)),
        };
        match target {
            Target::Run(run) => self.engine.run_settled(self.runs[run], end, now),
            Target::Row(map, row) => self.engine.row_settled(self.maps[map], row, end, now),
        }
        let node = self.model.node(target);
        // At least once: what has settled does not change.
        if !node.state.is_settled() {
            node.state = name;
            if name != StateName::Completed {
                node.roots = [label].into();
            }
        }
    }

    /// Rows complete in one block, as a thread reports them.
    fn block(&mut self, map: usize, first: u32, count: u32) {
        let rows: Vec<u32> = (first..first + count)
            .take_while(|&row| self.dispatched.contains(&Target::Row(map, row)))
            .collect();
        let times: Vec<_> = (0..=rows.len()).map(|_| self.now()).collect();
        self.engine.rows_completed(self.maps[map], first, &times);
        for row in rows {
            let node = self.model.node(Target::Row(map, row));
            if !node.state.is_settled() {
                node.state = StateName::Completed;
            }
        }
    }

    fn cancel(&mut self, target: Target) {
        let now = self.now();
        let label = format!("cancelled {}", self.clock);
        let cancelled = failure(StateName::Cancelled, &label);
        match target {
            Target::Run(run) => self.engine.cancel_run(self.runs[run], &cancelled, now),
            Target::Row(map, row) => {
                self.engine.cancel_row(self.maps[map], row, &cancelled, now);
            }
        }
        self.cancel_in_model(target, &label);
    }

    fn cancel_in_model(&mut self, target: Target, label: &str) {
        let node = self.model.node(target);
        if matches!(node.state, StateName::Pending | StateName::AwaitingRetry) {
            node.state = StateName::Cancelled;
            node.roots = [label.to_owned()].into();
        }
    }

    fn cancel_map(&mut self, map: usize) {
        let now = self.now();
        let label = format!("cancelled {}", self.clock);
        let cancelled = failure(StateName::Cancelled, &label);
        self.engine.cancel_map(self.maps[map], &cancelled, now);
        self.cancel_map_in_model(map, &label);
    }

    fn cancel_map_in_model(&mut self, map: usize, label: &str) {
        let entry = &mut self.model.maps[map];
        match &entry.rows {
            None if entry.ended.is_none() => {
                entry.ended = Some((StateName::Cancelled, [label.to_owned()].into()));
            }
            None => {}
            Some(rows) => {
                for row in 0..rows.len() as u32 {
                    self.cancel_in_model(Target::Row(map, row), label);
                }
            }
        }
    }

    fn cancel_all(&mut self) {
        let now = self.now();
        let label = format!("cancelled {}", self.clock);
        let cancelled = failure(StateName::Cancelled, &label);
        self.engine.cancel_all(&cancelled, now);
        for run in 0..self.runs.len() {
            self.cancel_in_model(Target::Run(run), &label);
        }
        for map in 0..self.maps.len() {
            self.cancel_map_in_model(map, &label);
        }
    }

    fn release(&mut self, index: usize) {
        let handle = if index < self.runs.len() {
            (true, index)
        } else {
            (false, index - self.runs.len())
        };
        if !self.model.needs(handle) && self.released.insert(handle) {
            match handle {
                (true, run) => self.engine.release_run(self.runs[run]),
                (false, map) => self.engine.release_map(self.maps[map]),
            }
        }
    }

    fn follow_commands(&mut self) {
        while let Some(command) = self.engine.next_command() {
            match command {
                Command::Dispatch(id) => {
                    let run = self.run_of(id);
                    self.note_dispatch(Target::Run(run));
                }
                Command::DispatchRows(id, rows) => {
                    let map = self.map_of(id);
                    for row in rows {
                        self.note_dispatch(Target::Row(map, row));
                    }
                }
                Command::Measure(id) => {
                    let map = self.map_of(id);
                    assert!(self.measured.insert(map), "map {map} is measured twice");
                }
                Command::Settled(id) => self.engine.noted_run(id),
                Command::MapSettled(id) => self.engine.noted_map(id),
                Command::Idle => self.idle = true,
                Command::RowsSettled(..) | Command::Cancel(_) | Command::CancelRow(..) => {}
            }
        }
    }

    fn run_of(&self, id: RunId) -> usize {
        self.runs
            .iter()
            .position(|known| *known == id)
            .expect("a command names a run that was submitted")
    }

    fn map_of(&self, id: MapId) -> usize {
        self.maps
            .iter()
            .position(|known| *known == id)
            .expect("a command names a map that was submitted")
    }

    fn note_dispatch(&mut self, target: Target) {
        assert!(
            self.dispatched.insert(target),
            "{target:?} is dispatched twice"
        );
        let node = self.model.node(target);
        assert!(node.dispatched, "{target:?} is dispatched too early");
    }

    fn view(&self, target: Target) -> Option<RunView> {
        match target {
            Target::Run(run) => self.engine.run(self.runs[run]),
            Target::Row(map, row) => self.engine.row(self.maps[map], row),
        }
    }

    fn compare(&mut self) {
        let mut open = 0;
        for target in self.model.targets() {
            let node = self.model.node(target).clone();
            open += u64::from(!node.state.is_settled());
            if node.dispatched && node.state == StateName::Pending {
                assert!(
                    self.dispatched.contains(&target),
                    "{target:?} is not dispatched"
                );
            }
            let handle = match target {
                Target::Run(run) => (true, run),
                Target::Row(map, _) => (false, map),
            };
            let Some(view) = self.view(target) else {
                assert!(
                    self.released.contains(&handle),
                    "{target:?} is gone, but it is held"
                );
                continue;
            };
            assert_eq!(view.name, node.state, "{target:?}");
            if !matches!(node.state, StateName::Completed) && node.state.is_settled() {
                let failure = view.failure.expect("what ended badly says why");
                let root = failure.0.error.to_string();
                let root = match root.split_once("the map has no row ") {
                    Some((_, rest)) => format!("no row {}", rest.split(':').next().unwrap_or("")),
                    None => root,
                };
                assert!(
                    node.roots.contains(&root),
                    "{target:?} names {root:?}, not one of {:?}",
                    node.roots
                );
            }
        }
        for (index, map) in self.model.maps.iter().enumerate() {
            open += u64::from(map.rows.is_none() && map.ended.is_none());
            let is_open = map.rows.is_none() && map.ended.is_none();
            if map.measured && is_open {
                assert!(
                    self.measured.contains(&index),
                    "map {index} is not measured"
                );
            }
        }
        assert_eq!(self.engine.is_idle(), open == 0);
    }

    /// Everything that is open ends, every handle goes.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            let open: Vec<_> = self
                .model
                .targets()
                .into_iter()
                .filter(|target| self.dispatched.contains(target))
                .filter(|target| !self.model.node(*target).state.is_settled())
                .collect();
            for target in &open {
                self.end(*target, StateName::Completed);
                self.model.work_out();
                self.follow_commands();
            }
            for map in 0..=u8::MAX {
                self.measure(map, Some(2));
                self.model.work_out();
                self.follow_commands();
            }
            if self.engine.is_idle() {
                break;
            }
        }
        self.compare();
        assert!(self.engine.is_idle(), "something waits for ever");
        assert!(
            self.idle || (self.runs.is_empty() && self.maps.is_empty()),
            "nobody was told of the end"
        );
        let tally = self.engine.tally().clone();
        assert_eq!(tally.settled(), tally.submitted);
        assert_eq!(tally.submitted, self.model.targets().len() as u64);
        for index in 0..self.runs.len() + self.maps.len() {
            self.release(index);
        }
        assert_eq!(self.engine.entries(), 0, "entries are left behind");
    }
}

/// How many programs: `FLOW_TEST_SCALE` makes the test longer.
fn cases() -> u32 {
    let scale = std::env::var("FLOW_TEST_SCALE").map_or(1, |text| {
        text.trim()
            .parse()
            .expect("FLOW_TEST_SCALE is a whole number")
    });
    600_u32.saturating_mul(scale)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn the_engine_does_what_the_model_does(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut both = Both::default();
        for step in &steps {
            both.apply(step);
        }
        both.finish();
    }
}
