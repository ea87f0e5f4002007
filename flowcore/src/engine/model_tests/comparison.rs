//! After every step: the engine's commands are obeyed, and both agree.

use super::super::command::Command;
use super::super::run::RunView;
use super::super::{MapId, RunId};
use super::both::Both;
use super::model::{Dependency, Node, Target, Upstream, passes};
use crate::state::StateName;

impl Both {
    /// Both know what follows from what was done to them.
    pub(super) fn follow(&mut self) {
        self.model.work_out();
        while self.follow_command() || self.follow_answer() {
            self.model.work_out();
        }
    }

    /// Obeys one command; `false` if there is none.
    fn follow_command(&mut self) -> bool {
        let Some(command) = self.engine.next_command() else {
            return false;
        };
        match command {
            Command::Dispatch(id) => {
                let run = self.run_of(id);
                if self.run_is_admitted(run) {
                    self.note_dispatch(Target::Run(run));
                }
            }
            Command::DispatchRows(id, rows) => {
                let map = self.map_of(id);
                for row in self.admitted_rows(map, rows) {
                    self.note_dispatch(Target::Row(map, row));
                }
            }
            Command::Measure(id) => {
                let map = self.map_of(id);
                assert!(self.measured.insert(map), "map {map} is measured twice");
            }
            Command::Settled(id) => {
                self.run_gives_back(self.run_of(id));
                self.engine.noted_run(id);
            }
            Command::RowsSettled(id, rows) => self.rows_give_back(self.map_of(id), rows),
            Command::MapSettled(id) => {
                self.map_waits_no_longer(self.map_of(id));
                self.engine.noted_map(id);
            }
            Command::Idle => self.idle = true,
            Command::Cancel(id) => {
                let run = self.run_of(id);
                self.taken_back.insert(run);
            }
            Command::CancelRow(..) => {}
        }
        true
    }

    pub(super) fn run_of(&self, id: RunId) -> usize {
        self.runs
            .iter()
            .position(|known| *known == id)
            .expect("a command names a run that was submitted")
    }

    pub(super) fn map_of(&self, id: MapId) -> usize {
        self.maps
            .iter()
            .position(|known| *known == id)
            .expect("a command names a map that was submitted")
    }

    pub(super) fn note_dispatch(&mut self, target: Target) {
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
    pub(super) fn comes_before(&self, dependency: &Dependency) -> bool {
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

    pub(super) fn view(&self, target: Target) -> Option<RunView> {
        match target {
            Target::Run(run) => self.engine.run(self.runs[run]),
            Target::Row(map, row) => self.engine.row(self.maps[map], row),
        }
    }

    pub(super) fn compare(&mut self) {
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
            if node.state == StateName::Retrying {
                assert_eq!(view.attempt, node.retries + 1, "{target:?}");
            }
            if node.state.is_settled() && !passes(node.state, false) {
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
        self.compare_slots();
    }

    /// Everything that is open ends, every handle goes.
    pub(super) fn finish(&mut self) {
        for _ in 0..self.model.outside.len() {
            self.outside_settles(0, StateName::Completed);
            self.follow();
        }
        self.end_all(StateName::Completed);
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

    /// Everything that is open ends so, and what becomes open thereby.
    pub(super) fn end_all(&mut self, name: StateName) {
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
                self.end(target, name);
                self.follow();
            }
            for _ in unmeasured {
                self.measure(0, Some(2));
                self.follow();
            }
        }
    }
}
