//! The queue of ready work: higher priorities first, equal ones in their
//! order.
//!
//! As long as nothing has a priority it is a plain queue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use super::work::Item;

#[derive(Default)]
pub(super) struct Ready {
    /// Of priority 0.
    ordinary: VecDeque<Item>,
    others: BTreeMap<Reverse<i32>, VecDeque<Item>>,
    /// Whether anything ever had a priority.
    has_priorities: bool,
}

impl Ready {
    pub(super) fn push(&mut self, item: Item) {
        self.queue(item.priority()).push_back(item);
    }

    /// Before all others of its priority.
    pub(super) fn put_first(&mut self, item: Item) {
        self.queue(item.priority()).push_front(item);
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        match self.others.first_entry() {
            Some(first) if first.key().0 > 0 || self.ordinary.is_empty() => {
                let mut first = first;
                let item = first.get_mut().pop_front();
                if first.get().is_empty() {
                    first.remove();
                }
                item
            }
            _ => self.ordinary.pop_front(),
        }
    }

    /// The next item, if it is one that is wanted.
    pub(super) fn pop_if(&mut self, is_wanted: impl FnOnce(&Item) -> bool) -> Option<Item> {
        // Priorities are for who looks at all that waits.
        if self.has_priorities {
            return None;
        }
        self.ordinary.pop_front_if(|item| is_wanted(item))
    }

    fn queue(&mut self, priority: i32) -> &mut VecDeque<Item> {
        self.has_priorities |= priority != 0;
        match priority {
            0 => &mut self.ordinary,
            priority => self.others.entry(Reverse(priority)).or_default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ordinary.is_empty() && self.others.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.ordinary.len() + self.others.values().map(VecDeque::len).sum::<usize>()
    }

    pub(super) fn has_rows(&self) -> bool {
        let queues = self.others.values().chain([&self.ordinary]);
        queues.flatten().any(|item| matches!(item, Item::Rows(_)))
    }

    /// The highest priority that waits, or the lowest of all if nothing does
    /// or if priorities play no part.
    pub(super) fn urgency(&self) -> i32 {
        if !self.has_priorities {
            return i32::MIN;
        }
        let ordinary = (!self.ordinary.is_empty()).then_some(0);
        let others = self.others.keys().next().map(|priority| priority.0);
        ordinary.max(others).unwrap_or(i32::MIN)
    }
}
