//! The large values that runs of one flow run share: which key each has, and
//! how many need it.
//!
//! Invariants: a key is used once; what is let go and needed again gets
//! another. What nobody needs stays a while, since the next run often reads
//! the same: the last of them, and as many as are small enough together.

use std::collections::{HashMap, VecDeque};

use super::super::shared_value::ValueId;
use crate::wire::Key;

/// So many bytes of values may lie there that nobody needs.
const IDLE_BYTES: usize = 64 << 20;

#[derive(Debug, Default)]
pub(super) struct Values {
    known: HashMap<ValueId, Known>,
    /// Those that nobody needs, in the order in which the last let them go.
    idle: VecDeque<ValueId>,
    idle_bytes: usize,
}

#[derive(Debug)]
struct Known {
    key: Key,
    size: usize,
    holders: usize,
    /// Dask could not make it.
    is_lost: bool,
}

impl Values {
    pub(super) fn key(&self, value: ValueId) -> Option<&Key> {
        self.known.get(&value).map(|known| &known.key)
    }

    /// Somebody needs a value of so many bytes; gives a key for it if it has
    /// none that is good.
    pub(super) fn hold(&mut self, value: ValueId, size: usize) -> Option<Key> {
        let new_key = || Key::from(format!("value-{}", uuid::Uuid::new_v4().simple()));
        let Some(known) = self.known.get_mut(&value) else {
            let key = new_key();
            let known = Known {
                key: key.clone(),
                size,
                holders: 1,
                is_lost: false,
            };
            self.known.insert(value, known);
            return Some(key);
        };
        known.holders += 1;
        if known.holders == 1 {
            self.idle_bytes -= known.size;
            self.idle.retain(|idle| *idle != value);
        }
        if !std::mem::take(&mut known.is_lost) {
            return None;
        }
        known.key = new_key();
        Some(known.key.clone())
    }

    /// One more needs a value that somebody holds.
    pub(super) fn share(&mut self, value: ValueId) {
        if let Some(known) = self.known.get_mut(&value) {
            known.holders += 1;
        }
    }

    /// Somebody needs a value no longer; gives the keys that are not kept.
    pub(super) fn let_go(&mut self, value: ValueId) -> Vec<Key> {
        let Some(known) = self.known.get_mut(&value) else {
            return Vec::new();
        };
        known.holders -= 1;
        if known.holders > 0 {
            return Vec::new();
        }
        if known.is_lost {
            // Its key went when it was lost.
            self.known.remove(&value);
            return Vec::new();
        }
        self.idle_bytes += known.size;
        self.idle.push_back(value);
        let mut unneeded = Vec::new();
        while self.idle.len() > 1
            && self.idle_bytes > IDLE_BYTES
            && let Some(oldest) = self.idle.pop_front()
            && let Some(known) = self.known.remove(&oldest)
        {
            self.idle_bytes -= known.size;
            unneeded.push(known.key);
        }
        unneeded
    }

    /// Somebody needs none of these any longer; as [`let_go`](Self::let_go).
    pub(super) fn let_all_go(&mut self, values: &mut Vec<ValueId>) -> Vec<Key> {
        let values = values.drain(..);
        values.flat_map(|value| self.let_go(value)).collect()
    }

    /// A key failed at Dask. Whoever reads its value from now on needs another;
    /// gives the key if it was a value's.
    pub(super) fn lost(&mut self, key: &Key) -> Option<Key> {
        let mut known = self.known.iter_mut();
        let (value, known) = known.find(|(_, known)| known.key == *key)?;
        if known.holders > 0 {
            return (!std::mem::replace(&mut known.is_lost, true)).then(|| key.clone());
        }
        let value = *value;
        self.idle_bytes -= known.size;
        self.idle.retain(|idle| *idle != value);
        self.known.remove(&value).map(|known| known.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_needs_stays_while_it_is_the_last_or_small() {
        let mut values = Values::default();
        let large = values.hold(1, 2 * IDLE_BYTES).unwrap();
        assert!(values.let_go(1).is_empty(), "the last stays");
        assert_eq!(values.hold(1, 2 * IDLE_BYTES), None);
        assert!(values.let_go(1).is_empty());
        let half = values.hold(2, IDLE_BYTES / 2).unwrap();
        assert_eq!(values.let_go(2), std::slice::from_ref(&large));
        let third = values.hold(3, IDLE_BYTES / 2).unwrap();
        assert!(values.let_go(3).is_empty(), "both are small");
        assert_eq!(values.hold(2, IDLE_BYTES / 2), None);
        assert!(values.let_go(2).is_empty());
        values.hold(4, 1).unwrap();
        assert_eq!(values.let_go(4), [third], "which was let go before 2");
        assert_eq!(values.key(2), Some(&half));
        assert_ne!(values.hold(1, 2 * IDLE_BYTES), Some(large));
    }

    #[test]
    fn a_value_that_is_lost_gets_another_key() {
        let mut values = Values::default();
        let first = values.hold(1, 10).unwrap();
        assert_eq!(values.lost(&first), Some(first.clone()));
        assert_eq!(values.lost(&first), None);
        let second = values.hold(1, 10).unwrap();
        assert_ne!(second, first);
        for _ in 0..2 {
            assert!(values.let_go(1).is_empty());
        }
        // Nobody needs it when it is lost.
        assert_eq!(values.lost(&second), Some(second.clone()));
        assert!(values.hold(1, 10).is_some());
        assert_eq!(values.lost(&Key::from("another")), None);
    }
}
