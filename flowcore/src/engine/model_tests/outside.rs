//! What a program waits for outside of the engine.

use super::super::run::{Dependent, Waits};
use super::both::{Both, failure, pick};
use super::model::{Dependency, Upstream};
use crate::state::StateName;

impl Both {
    pub(super) fn watch(&mut self, dependencies: &[Dependency], waits: Waits) {
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

    pub(super) fn tell(&mut self, index: usize, dependent: &Dependent) {
        let node = &self.model.outside[index];
        let name = node.state;
        let root = node.roots.first();
        let failure = root.map(|label| failure(name, label));
        let now = self.now();
        self.engine
            .external_settled(dependent, name, failure.as_ref(), now);
    }

    pub(super) fn outside_settles(&mut self, index: u8, name: StateName) {
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
}
