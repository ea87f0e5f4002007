//! Things that are put in from several threads and taken out in their order.
//!
//! Whoever has put something in takes out until nothing is left; only one
//! thread takes out at a time, and nobody waits for a turn. Invariant: when
//! everybody who put something in has returned from [`InTurn::take`], all of
//! it has been taken out.

use std::collections::VecDeque;

use crate::sync::Mutex;

#[derive(Debug)]
pub(crate) struct InTurn<T> {
    things: Mutex<VecDeque<T>>,
    turn: Mutex<()>,
}

impl<T> Default for InTurn<T> {
    fn default() -> Self {
        Self {
            things: Mutex::new(VecDeque::new()),
            turn: Mutex::new(()),
        }
    }
}

impl<T> InTurn<T> {
    pub(crate) fn put(&self, things: impl IntoIterator<Item = T>) {
        self.things.lock().extend(things);
    }

    /// Takes out what is there, unless somebody is at it.
    pub(crate) fn take(&self, mut each: impl FnMut(T)) {
        while !self.things.lock().is_empty() {
            // Whoever has the turn looks again after giving it back.
            let Some(_turn) = self.turn.try_lock() else {
                return;
            };
            while let Some(thing) = self.next() {
                each(thing);
            }
        }
    }

    /// Out of the lock again before anything is done with it.
    fn next(&self) -> Option<T> {
        self.things.lock().pop_front()
    }
}
