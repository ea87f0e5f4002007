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
use super::ending::Stop;
use super::graph::{Engine, MapInput, RunInput, Source};
use super::run::{Dependent, End, RunView, Waits};
use super::{MapId, RunId};
use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::error::Error;
use crate::state::StateName;

/// One step of a program. Numbers pick among what there is.
#[derive(Clone, Debug)]
enum Step {
    /// `true`: for a runner that orders work by itself.
    Run(Vec<Input>, bool),
    Map {
        /// `None`: found out later.
        length: Option<u8>,
        aligned: Vec<Alignment>,
        whole: Vec<Input>,
        rows: Vec<(u8, Input)>,
        early: bool,
    },
    /// A length that was asked for becomes known, or cannot be had.
    Measure(u8, Option<u8>),
    Start(u8),
    Retry(u8),
    End(u8, StateName),
    /// Rows from this one on complete in one block.
    Block(u8, u8),
    Cancel(u8),
    /// A row of a map, whether it exists or not.
    CancelRow(u8, u8),
    CancelMap(u8),
    /// Everything ends, and what comes later; `true`: what runs as well.
    Stop(bool),
    Release(u8),
    /// Something outside settles.
    Outside(u8, StateName),
}

/// A column that is another map, or a part of it.
#[derive(Clone, Debug)]
struct Alignment {
    map: u8,
    /// The first row of a part; `None` for the whole map.
    first: Option<u8>,
    allow_failure: bool,
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
    SomeRows(u8, u8),
    Outside,
    Refused,
}

fn input() -> impl Strategy<Value = Input> {
    let kind = prop_oneof![
        3 => Just(InputKind::Run),
        2 => (0..6_u8).prop_map(InputKind::Row),
        2 => Just(InputKind::AllRows),
        2 => (0..4_u8, 0..4_u8).prop_map(|(first, count)| InputKind::SomeRows(first, count)),
        1 => Just(InputKind::Outside),
        1 => Just(InputKind::Refused),
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
    let ended = || {
        prop_oneof![
            6 => Just(StateName::Completed),
            2 => Just(StateName::Failed),
            1 => Just(StateName::TimedOut),
            1 => Just(StateName::Crashed),
            1 => Just(StateName::Cancelled),
        ]
    };
    let alignment = (
        any::<u8>(),
        proptest::option::weighted(0.4, 0..4_u8),
        any::<bool>(),
    )
        .prop_map(|(map, first, allow_failure)| Alignment {
            map,
            first,
            allow_failure,
        });
    let map = (
        proptest::option::weighted(0.8, 0..5_u8),
        proptest::collection::vec(alignment, 0..3),
        inputs(),
        proptest::collection::vec((0..5_u8, input()), 0..2),
        any::<bool>(),
    );
    prop_oneof![
        4 => (inputs(), any::<bool>()).prop_map(|(inputs, early)| Step::Run(inputs, early)),
        3 => map.prop_map(|(length, aligned, whole, rows, early)| Step::Map {
            length, aligned, whole, rows, early
        }),
        2 => (any::<u8>(), proptest::option::weighted(0.9, 0..5_u8))
            .prop_map(|(map, length)| Step::Measure(map, length)),
        4 => any::<u8>().prop_map(Step::Start),
        1 => any::<u8>().prop_map(Step::Retry),
        2 => (any::<u8>(), ended()).prop_map(|(index, name)| Step::Outside(index, name)),
        10 => (any::<u8>(), ended()).prop_map(|(node, name)| Step::End(node, name)),
        3 => (any::<u8>(), 1..4_u8).prop_map(|(node, rows)| Step::Block(node, rows)),
        1 => any::<u8>().prop_map(Step::Cancel),
        1 => (any::<u8>(), 0..6_u8).prop_map(|(map, row)| Step::CancelRow(map, row)),
        1 => any::<u8>().prop_map(Step::CancelMap),
        1 => (proptest::bool::weighted(0.1), any::<bool>()).prop_map(|(all, force)| {
            if all { Step::Stop(force) } else { Step::Release(0) }
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
    Outside(usize),
    Refused,
}

/// A run or a row.
#[derive(Clone, Debug)]
struct Node {
    state: StateName,
    dependencies: Vec<Dependency>,
    dispatched: bool,
    early: bool,
    /// The runs where the failure may have begun.
    roots: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct ModelMap {
    rows: Option<Vec<Node>>,
    whole: Vec<Dependency>,
    aligned: Vec<Column>,
    single: Vec<(u32, Dependency)>,
    measured: bool,
    early: bool,
    /// Rows that were cancelled before there were any.
    cancelled: Vec<(u32, String)>,
    /// Ended before it had rows.
    ended: Option<(StateName, BTreeSet<String>)>,
}

#[derive(Clone, Debug)]
struct Column {
    map: usize,
    first: u32,
    allow_failure: bool,
    /// It decides how many rows there are.
    gives_length: bool,
}

#[derive(Debug, Default)]
struct Model {
    runs: Vec<Node>,
    maps: Vec<ModelMap>,
    outside: Vec<Node>,
    /// What stopped everything.
    stopped: Option<String>,
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
            early: false,
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
            Upstream::Outside(index) => return self.outside[*index].verdict(allow),
            Upstream::Refused if allow => return Verdict::Passes,
            Upstream::Refused => return Verdict::Stops(["refused".to_owned()].into()),
            Upstream::Row(map, row) => (*map, Some(*row..*row + 1)),
            Upstream::Rows(map, rows) => (*map, rows.clone()),
        };
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
        if !rows.is_empty() && rows.end > length {
            return if allow {
                Verdict::Passes
            } else {
                Verdict::Stops([format!("no row {}", rows.end - 1)].into())
            };
        }
        let mut waits = false;
        let mut roots = BTreeSet::new();
        for row in rows {
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
                let aligned = map.aligned.iter().map(|column| Dependency {
                    on: Upstream::Row(column.map, column.first + row),
                    allow_failure: column.allow_failure,
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

    /// A map has so many rows; those that were cancelled before stay so.
    fn rows_known(&mut self, index: usize, length: u32) {
        let map = &mut self.maps[index];
        let node = Node {
            early: map.early,
            ..Node::new(Vec::new())
        };
        let mut rows = vec![node; length as usize];
        for (row, label) in &map.cancelled {
            if let Some(node) = rows.get_mut(*row as usize)
                && node.state == StateName::Pending
            {
                node.state = StateName::Cancelled;
                node.roots = [label.clone()].into();
            }
        }
        map.rows = Some(rows);
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
        // What stops now may have several reasons, of which any may be named.
        let mut stopped = HashSet::new();
        let mut ended = HashSet::new();
        loop {
            let mut changed = false;
            for target in self.targets() {
                let dependencies = self.dependencies(target);
                let verdict = self.judge(&dependencies);
                let node = self.node(target);
                if let (true, Verdict::Stops(roots)) = (stopped.contains(&target), &verdict) {
                    let before = node.roots.len();
                    node.roots.extend(roots.iter().cloned());
                    changed |= node.roots.len() > before;
                }
                if node.state != StateName::Pending {
                    continue;
                }
                match verdict {
                    Verdict::Waits => continue,
                    Verdict::Passes if node.dispatched => continue,
                    Verdict::Passes => node.dispatched = true,
                    Verdict::Stops(roots) => {
                        node.state = StateName::NotReady;
                        node.roots = roots;
                        stopped.insert(target);
                    }
                }
                changed = true;
            }
            for index in 0..self.maps.len() {
                changed |= self.work_out_map(index, &mut ended);
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
            Upstream::Outside(_) | Upstream::Refused => false,
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
            let aligned = !is_run && map.aligned.iter().any(|column| column.map == index);
            let single = map.single.iter().any(|(_, dependency)| is_on(dependency));
            is_open && (aligned || single || map.whole.iter().any(is_on))
        });
        by_runs || by_maps
    }

    /// A map without rows stops, or may be measured.
    fn work_out_map(&mut self, index: usize, ended: &mut HashSet<usize>) -> bool {
        let map = &self.maps[index];
        let is_open = map.rows.is_none() && map.ended.is_none() && !map.measured;
        if !is_open && !ended.contains(&index) {
            return false;
        }
        let mut verdict = self.judge(&map.whole);
        // A map that learns its length from another one waits for that.
        for column in map.aligned.iter().filter(|column| column.gives_length) {
            let upstream = &self.maps[column.map];
            if let Some((_, roots)) = &upstream.ended {
                let mut roots = roots.clone();
                if let Verdict::Stops(more) = verdict {
                    roots.extend(more);
                }
                verdict = Verdict::Stops(roots);
            } else if upstream.rows.is_none() && !matches!(verdict, Verdict::Stops(_)) {
                verdict = Verdict::Waits;
            }
        }
        let map = &mut self.maps[index];
        match verdict {
            Verdict::Waits => return false,
            Verdict::Passes => map.measured = true,
            Verdict::Stops(roots) => {
                ended.insert(index);
                let before = map.ended.replace((StateName::NotReady, roots.clone()));
                return before.is_none_or(|(_, before)| before != roots);
            }
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
    /// Who waits for what is outside.
    watching: Vec<(usize, Dependent)>,
    /// Runs that the runner was told to forget.
    taken_back: HashSet<usize>,
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

    fn is_held(&self, handle: (bool, usize)) -> Option<()> {
        (!self.released.contains(&handle)).then_some(())
    }

    fn inputs(&self, inputs: &[Input]) -> (Vec<RunInput>, Vec<Dependency>) {
        inputs.iter().filter_map(|input| self.input(input)).unzip()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Run(inputs, early) => {
                let (inputs, dependencies) = self.inputs(inputs);
                let now = self.now();
                let id = self.engine.reserve_run();
                self.engine.submit_run(id, inputs.clone(), now);
                if *early {
                    self.engine.offer_run(id, &inputs);
                }
                self.runs.push(id);
                self.watch(&dependencies, Waits::Run(id));
                self.model.runs.push(Node {
                    early: *early,
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
            } => self.submit_map(*length, aligned, whole, rows, *early),
            Step::Outside(index, name) => self.outside_settles(*index, *name),
            Step::CancelRow(map, row) => {
                if let Some(map) = pick(*map, self.maps.len()) {
                    self.cancel_row(map, u32::from(*row));
                }
            }
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
            Step::Stop(force) => self.stop(*force),
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
            .filter(|target| self.may_run(*target))
            .collect();
        pick(number, targets.len()).map(|index| targets[index])
    }

    /// Whether it was handed out and its inputs are there: a runner that
    /// orders work by itself has waited for them.
    fn may_run(&self, target: Target) -> bool {
        self.dispatched.contains(&target)
            && matches!(
                self.model.judge(&self.model.dependencies(target)),
                Verdict::Passes
            )
    }

    fn watch(&mut self, dependencies: &[Dependency], waits: Waits) {
        for dependency in dependencies {
            let Upstream::Outside(index) = dependency.on else {
                continue;
            };
            let dependent = Dependent {
                waits,
                allow_failure: dependency.allow_failure,
            };
            if self.model.outside[index].state.is_settled() {
                self.tell(index, &dependent);
            } else {
                self.watching.push((index, dependent));
            }
        }
    }

    fn tell(&mut self, index: usize, dependent: &Dependent) {
        let node = &self.model.outside[index];
        let name = node.state;
        let root = node.roots.first();
        let failure = root.map(|label| failure(name, label));
        let now = self.now();
        self.engine
            .external_settled(dependent, name, failure.as_ref(), now);
    }

    fn outside_settles(&mut self, index: u8, name: StateName) {
        let open: Vec<usize> = (0..self.model.outside.len())
            .filter(|&index| !self.model.outside[index].state.is_settled())
            .collect();
        let Some(index) = pick(index, open.len()).map(|at| open[at]) else {
            return;
        };
        let node = &mut self.model.outside[index];
        node.state = name;
        if name != StateName::Completed {
            node.roots = [format!("outside {index}")].into();
        }
        let (now, later) = std::mem::take(&mut self.watching)
            .into_iter()
            .partition::<Vec<_>, _>(|(watched, _)| *watched == index);
        self.watching = later;
        for (_, dependent) in now {
            self.tell(index, &dependent);
        }
    }

    fn submit_map(
        &mut self,
        length: Option<u8>,
        aligned: &[Alignment],
        whole: &[Input],
        rows: &[(u8, Input)],
        early: bool,
    ) {
        let mut inputs = Vec::new();
        let mut model = ModelMap {
            early,
            ..ModelMap::default()
        };
        let mut length = length.map(u32::from);
        let aligned: Vec<_> = aligned
            .iter()
            .filter_map(|alignment| Some((pick(alignment.map, self.maps.len())?, alignment)))
            .filter(|(map, _)| self.is_held((false, *map)).is_some())
            .collect();
        // Whole maps as columns decide how many rows there are.
        let lengths: Vec<Option<u32>> = aligned
            .iter()
            .filter(|(_, alignment)| alignment.first.is_none())
            .map(|(map, _)| {
                self.model.maps[*map]
                    .rows
                    .as_ref()
                    .map(|rows| rows.len() as u32)
            })
            .collect();
        if lengths.contains(&None) {
            length = None;
        } else if let Some(first) = lengths.first() {
            length = *first;
        }
        for (map, alignment) in aligned {
            let is_whole = alignment.first.is_none();
            let known = self.model.maps[map]
                .rows
                .as_ref()
                .map(|rows| rows.len() as u32);
            if is_whole && length.is_some() && known != length {
                // Refused before it gets here.
                continue;
            }
            let (id, allow_failure) = (self.maps[map], alignment.allow_failure);
            let first = alignment.first.map_or(0, u32::from);
            inputs.push(MapInput::Aligned {
                map: id,
                first,
                allow_failure,
            });
            if is_whole && known.is_none() {
                inputs.push(MapInput::LengthOf(id));
            }
            model.aligned.push(Column {
                map,
                first,
                allow_failure,
                gives_length: is_whole,
            });
        }
        let (whole, dependencies) = self.inputs(whole);
        inputs.extend(whole.into_iter().map(MapInput::Whole));
        model.whole = dependencies;
        for (row, input) in rows {
            let row = u32::from(*row);
            if !matches!(input.kind, InputKind::Outside)
                && let Some((input, dependency)) = self.input(input)
                && length.is_some_and(|length| row < length)
            {
                inputs.push(MapInput::Row(row, input));
                model.single.push((row, dependency));
            }
        }
        let now = self.now();
        let id = self.engine.reserve_map();
        self.engine.submit_map(id, length, inputs.clone(), now);
        if early {
            self.engine.offer_map(id, &inputs);
        }
        self.maps.push(id);
        let dependencies = model.whole.clone();
        self.model.maps.push(model);
        if let Some(length) = length {
            self.model.rows_known(self.maps.len() - 1, length);
        }
        if let Some(label) = self.model.stopped.clone() {
            self.cancel_map_in_model(self.maps.len() - 1, &label);
        }
        self.watch(&dependencies, Waits::Map(id));
    }

    /// Maps whose length was asked for.
    fn unmeasured(&self) -> Vec<usize> {
        (0..self.maps.len())
            .filter(|map| {
                let entry = &self.model.maps[*map];
                self.measured.contains(map) && entry.rows.is_none() && entry.ended.is_none()
            })
            .collect()
    }

    fn measure(&mut self, number: u8, length: Option<u8>) {
        let open = self.unmeasured();
        let Some(map) = pick(number, open.len()).map(|index| open[index]) else {
            return;
        };
        let now = self.now();
        let lengths: BTreeSet<u32> = self.model.maps[map]
            .aligned
            .iter()
            .filter(|column| column.gives_length)
            .filter_map(|column| self.model.maps[column.map].rows.as_ref())
            .map(|rows| rows.len() as u32)
            .collect();
        let length = match lengths.len() {
            0 => length.map(u32::from),
            1 => lengths.first().copied(),
            // Columns of different lengths.
            _ => None,
        };
        match length {
            Some(length) => {
                self.model.rows_known(map, length);
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
            .take_while(|&row| self.may_run(Target::Row(map, row)))
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

    fn cancel_row(&mut self, map: usize, row: u32) {
        let entry = &self.model.maps[map];
        match &entry.rows {
            Some(rows) if (row as usize) < rows.len() => self.cancel(Target::Row(map, row)),
            _ => {
                let now = self.now();
                let label = format!("cancelled {}", self.clock);
                let cancelled = failure(StateName::Cancelled, &label);
                self.engine.cancel_row(self.maps[map], row, &cancelled, now);
                self.model.maps[map].cancelled.push((row, label));
            }
        }
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

    fn stop(&mut self, force: bool) {
        let now = self.now();
        let label = format!("stopped {}", self.clock);
        let stopped = failure(StateName::Cancelled, &label);
        let how = if force { Stop::Force } else { Stop::Ask };
        self.engine.stop(&stopped, how, now);
        self.model.stopped = Some(label.clone());
        if force {
            for target in self.model.targets() {
                let node = self.model.node(target);
                if !node.state.is_settled() {
                    node.state = StateName::Pending;
                }
            }
        }
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
                Command::Cancel(id) => {
                    let run = self.run_of(id);
                    self.taken_back.insert(run);
                }
                Command::RowsSettled(..) | Command::CancelRow(..) => {}
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
        if node.dispatched || !node.early {
            assert!(node.dispatched, "{target:?} is dispatched too early");
            return;
        }
        node.dispatched = true;
        for dependency in self.model.dependencies(target) {
            assert!(
                self.comes_before(&dependency),
                "{target:?} is handed out before {dependency:?}"
            );
        }
    }

    /// Whether a runner that orders work by itself has this input, or gets it
    /// before what needs it.
    fn comes_before(&self, dependency: &Dependency) -> bool {
        let is_there = |node: &Node, target: Target| {
            node.state.is_settled()
                || (node.early && self.dispatched.contains(&target) && !dependency.allow_failure)
        };
        let (map, rows) = match &dependency.on {
            Upstream::Run(run) => return is_there(&self.model.runs[*run], Target::Run(*run)),
            Upstream::Outside(index) => return self.model.outside[*index].state.is_settled(),
            Upstream::Refused => return true,
            Upstream::Row(map, row) => (*map, Some(*row..*row + 1)),
            Upstream::Rows(map, rows) => (*map, rows.clone()),
        };
        let Some(nodes) = &self.model.maps[map].rows else {
            return self.model.maps[map].ended.is_some();
        };
        rows.unwrap_or(0..nodes.len() as u32).all(|row| {
            nodes
                .get(row as usize)
                .is_none_or(|node| is_there(node, Target::Row(map, row)))
        })
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
            if let Target::Run(run) = target
                && self.dispatched.contains(&target)
                && node.state == StateName::NotReady
            {
                assert!(
                    self.taken_back.contains(&run),
                    "{target:?} will never start, and its runner does not know"
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
        for _ in 0..self.model.outside.len() {
            self.outside_settles(0, StateName::Completed);
            self.model.work_out();
            self.follow_commands();
        }
        while !self.engine.is_idle() {
            let open: Vec<Target> = self
                .model
                .targets()
                .into_iter()
                .filter(|target| self.may_run(*target))
                .collect();
            let open: Vec<_> = open
                .into_iter()
                .filter(|target| !self.model.node(*target).state.is_settled())
                .collect();
            let unmeasured = self.unmeasured();
            assert!(
                !(open.is_empty() && unmeasured.is_empty()),
                "something waits for ever"
            );
            for target in open {
                self.end(target, StateName::Completed);
                self.model.work_out();
                self.follow_commands();
            }
            for _ in unmeasured {
                self.measure(0, Some(2));
                self.model.work_out();
                self.follow_commands();
            }
        }
        self.compare();
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
        both.model.outside = vec![Node::new(Vec::new()); 4];
        for step in &steps {
            both.apply(step);
        }
        both.finish();
    }
}
