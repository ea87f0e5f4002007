//! The model: every run and row is a node with its dependencies.
//!
//! It knows nothing of worklists, ranges, gates or slabs.

use std::collections::BTreeSet;
use std::ops::Range;

use super::program::Limited;
use crate::state::StateName;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Run(usize),
    Row(usize, u32),
}

#[derive(Clone, Debug)]
pub(super) struct Dependency {
    pub(super) on: Upstream,
    pub(super) allow_failure: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Upstream {
    Run(usize),
    Row(usize, u32),
    Rows(usize, Option<Range<u32>>),
    Outside(usize),
    Refused,
}

/// A run or a row.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) state: StateName,
    /// How many attempts failed and were to be made again.
    pub(super) retries: u32,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) dispatched: bool,
    pub(super) early: bool,
    pub(super) limited: Limited,
    /// The runs where the failure may have begun.
    pub(super) roots: BTreeSet<String>,
}

#[derive(Debug, Default)]
pub(super) struct ModelMap {
    pub(super) rows: Option<Vec<Node>>,
    pub(super) whole: Vec<Dependency>,
    pub(super) aligned: Vec<Column>,
    pub(super) single: Vec<(u32, Dependency)>,
    pub(super) measured: bool,
    pub(super) early: bool,
    pub(super) limited: Limited,
    /// Rows that were cancelled before there were any.
    pub(super) cancelled: Vec<(u32, String)>,
    /// Ended before it had rows.
    pub(super) ended: Option<(StateName, BTreeSet<String>)>,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) map: usize,
    pub(super) first: u32,
    pub(super) allow_failure: bool,
    /// It decides how many rows there are.
    pub(super) gives_length: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) runs: Vec<Node>,
    pub(super) maps: Vec<ModelMap>,
    pub(super) outside: Vec<Node>,
    /// What stopped everything.
    pub(super) stopped: Option<String>,
}

pub(super) enum Verdict {
    Waits,
    Passes,
    Stops(BTreeSet<String>),
}

pub(super) fn passes(name: StateName, allow_failure: bool) -> bool {
    match name {
        StateName::Completed | StateName::Cached | StateName::RolledBack => true,
        StateName::Failed | StateName::TimedOut | StateName::NotReady => allow_failure,
        _ => false,
    }
}

/// Whether no attempt has begun yet.
pub(super) fn has_not_begun(name: StateName) -> bool {
    matches!(
        name,
        StateName::Pending | StateName::AwaitingConcurrencySlot
    )
}

impl Node {
    pub(super) fn new(dependencies: Vec<Dependency>) -> Self {
        Self {
            state: StateName::Pending,
            retries: 0,
            dependencies,
            dispatched: false,
            early: false,
            limited: Limited::default(),
            roots: BTreeSet::new(),
        }
    }

    pub(super) fn verdict(&self, allow_failure: bool) -> Verdict {
        match self.state {
            name if !name.is_settled() => Verdict::Waits,
            name if passes(name, allow_failure) => Verdict::Passes,
            _ => Verdict::Stops(self.roots.clone()),
        }
    }
}

impl Model {
    pub(super) fn dependencies(&self, target: Target) -> Vec<Dependency> {
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

    pub(super) fn node(&mut self, target: Target) -> &mut Node {
        match target {
            Target::Run(run) => &mut self.runs[run],
            Target::Row(map, row) => {
                &mut self.maps[map].rows.as_mut().expect("a row has a map")[row as usize]
            }
        }
    }

    pub(super) fn targets(&self) -> Vec<Target> {
        let runs = (0..self.runs.len()).map(Target::Run);
        let rows = self.maps.iter().enumerate().flat_map(|(map, entry)| {
            let length = entry.rows.as_ref().map_or(0, Vec::len) as u32;
            (0..length).map(move |row| Target::Row(map, row))
        });
        runs.chain(rows).collect()
    }

    /// A map has so many rows; those that were cancelled before stay so.
    pub(super) fn rows_known(&mut self, index: usize, length: u32) {
        let map = &mut self.maps[index];
        let node = Node {
            early: map.early,
            limited: map.limited,
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

    /// Whether something that has not settled holds this run or map as its
    /// argument.
    pub(super) fn needs(&self, (is_run, index): (bool, usize)) -> bool {
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
}
