//! When a critical section is.
//!
//! Invariant: one time for all that happens in a section. The clock is read once
//! somebody asks: a reading is a part of what a run costs, and most submissions
//! have no use for it.

use std::cell::Cell;

use crate::clock::Timestamp;

/// The time of one critical section.
#[derive(Default)]
pub(in crate::flow) struct Moment(Cell<Option<Timestamp>>);

impl Moment {
    pub(in crate::flow) fn now(&self) -> Timestamp {
        let read = self.0.get().unwrap_or_else(crate::runtime::now);
        self.0.set(Some(read));
        read
    }
}
