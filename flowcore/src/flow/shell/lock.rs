//! The lock of a flow run: the standard library's, because of how it waits.
//!
//! Everything of a flow run goes through it, in critical sections of well under a
//! microsecond. `parking_lot` yields the processor while it waits, which is a
//! system call and often a switch to a thread that wants the lock as well; the
//! standard lock spins for as long (`docs/decisions/0070-the-lock-of-a-flow-run.md`).

use std::sync::{MutexGuard, PoisonError};

pub(super) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// A panic under the lock is reported where it is caught, and poisons
    /// nothing.
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
