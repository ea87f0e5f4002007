//! What the model says of a node: may it begin, must it wait, or has it been
//! stopped. Worked out from scratch after every step.

use std::collections::{BTreeSet, HashSet};

use super::model::{Dependency, Model, Upstream, Verdict, has_not_begun, passes};
use crate::state::StateName;

impl Verdict {
    /// What several dependencies say together.
    fn of_all(verdicts: impl Iterator<Item = Self>) -> Self {
        let mut waits = false;
        let mut roots = BTreeSet::new();
        for verdict in verdicts {
            match verdict {
                Self::Waits => waits = true,
                Self::Passes => {}
                Self::Stops(more) => roots.extend(more),
            }
        }
        match (roots.is_empty(), waits) {
            (false, _) => Self::Stops(roots),
            (true, true) => Self::Waits,
            (true, false) => Self::Passes,
        }
    }
}

impl Model {
    pub(super) fn verdict(&self, dependency: &Dependency) -> Verdict {
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
        Verdict::of_all(rows.map(|row| nodes[row as usize].verdict(allow)))
    }

    /// All that the dependencies say together.
    pub(super) fn judge(&self, dependencies: &[Dependency]) -> Verdict {
        Verdict::of_all(dependencies.iter().map(|one| self.verdict(one)))
    }

    /// Works out everything that follows, from scratch.
    pub(super) fn work_out(&mut self) {
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
                if !has_not_begun(node.state) {
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

    /// A map without rows stops, or may be measured.
    pub(super) fn work_out_map(&mut self, index: usize, ended: &mut HashSet<usize>) -> bool {
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
