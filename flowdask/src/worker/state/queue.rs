//! Runs whose inputs are all here, and what they must get before they start.
//!
//! Invariant: slots and resources in use are those of the executions that
//! hold them, and never exceed what there is. The scheduler does not see to
//! the latter: it sends any number of runs to a worker that has enough for
//! one of them (protocol, sections 7.6.7 and 17.5).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Rank;
use super::event::Resources;
use crate::wire::Key;

/// The ready runs, and the free slots and resources.
#[derive(Debug)]
pub(super) struct Queue {
    free_slots: usize,
    free: HashMap<Arc<str>, f64>,
    ready: BTreeSet<(Rank, Key)>,
    /// Runs that need resources. The first one that does not fit holds back
    /// those behind it, so that a big one gets its turn.
    constrained: BTreeSet<(Rank, Key)>,
}

impl Queue {
    pub(super) fn new(slots: usize, resources: &Resources) -> Self {
        Self {
            free_slots: slots,
            free: resources.iter().cloned().collect(),
            ready: BTreeSet::new(),
            constrained: BTreeSet::new(),
        }
    }

    pub(super) fn push(&mut self, rank: Rank, key: Key, resources: &Resources) {
        self.line(resources).insert((rank, key));
    }

    pub(super) fn remove(&mut self, rank: Rank, key: Key, resources: &Resources) {
        self.line(resources).remove(&(rank, key));
    }

    /// Takes the most urgent run that can start now, with its slot.
    /// `resources_of` tells what a run needs.
    pub(super) fn start<'a>(
        &mut self,
        resources_of: impl Fn(&Key) -> &'a Resources,
    ) -> Option<Key> {
        if self.free_slots == 0 {
            return None;
        }
        let constrained = self
            .constrained
            .first()
            .filter(|(_, key)| self.fits(resources_of(key)));
        let is_constrained = match (constrained, self.ready.first()) {
            (Some(constrained), Some(ready)) => constrained < ready,
            (constrained, _) => constrained.is_some(),
        };
        let line = if is_constrained {
            &mut self.constrained
        } else {
            &mut self.ready
        };
        let (_, key) = line.pop_first()?;
        self.free_slots -= 1;
        self.change(resources_of(&key), -1.0);
        Some(key)
    }

    /// A run gave its slot back, at its end or because it waits.
    pub(super) fn free_slot(&mut self) {
        self.free_slots += 1;
    }

    /// A run ended.
    pub(super) fn free_resources(&mut self, resources: &Resources) {
        self.change(resources, 1.0);
    }

    fn line(&mut self, resources: &Resources) -> &mut BTreeSet<(Rank, Key)> {
        if resources.is_empty() {
            &mut self.ready
        } else {
            &mut self.constrained
        }
    }

    fn fits(&self, resources: &Resources) -> bool {
        resources.iter().all(|(name, needed)| {
            // Sums of fractions are off by a little.
            self.free
                .get(name)
                .is_some_and(|free| free + 1e-9 >= *needed)
        })
    }

    fn change(&mut self, resources: &Resources, sign: f64) {
        for (name, amount) in resources {
            if let Some(free) = self.free.get_mut(name) {
                *free += sign * amount;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Priority;
    use super::*;

    fn rank(first: f64) -> Rank {
        Rank::new(Priority::new([first]), 0)
    }

    #[test]
    fn a_run_without_resources_passes_one_that_has_to_wait() {
        let gpu: Resources = vec![("GPU".into(), 1.0)];
        let none = Resources::new();
        let mut queue = Queue::new(3, &gpu);
        queue.push(rank(0.0), "first".into(), &gpu);
        queue.push(rank(1.0), "second".into(), &gpu);
        queue.push(rank(2.0), "plain".into(), &none);
        let resources_of = |key: &Key| {
            if key.as_str() == Some("plain") {
                &none
            } else {
                &gpu
            }
        };

        assert_eq!(queue.start(resources_of), Some("first".into()));
        assert_eq!(queue.start(resources_of), Some("plain".into()));
        assert_eq!(queue.start(resources_of), None);
        queue.free_slot();
        queue.free_resources(&gpu);
        assert_eq!(queue.start(resources_of), Some("second".into()));
    }
}
