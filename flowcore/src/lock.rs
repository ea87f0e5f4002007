//! The locks that every run goes through: the standard library's, because of how
//! they wait.
//!
//! The critical sections are well under a microsecond. `parking_lot` yields the
//! processor while it waits, which is a system call and often a switch to a thread
//! that wants the lock as well; the standard lock spins for as long
//! (`docs/decisions/0070-the-locks-of-every-run.md`).

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// A panic under the lock is reported where it is caught, and poisons
    /// nothing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    /// A system call, whether anybody waits or not.
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits to be notified, and whether the time was over first.
    pub(crate) fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let waited = self.0.wait_timeout(guard, limit);
        let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        (guard, waited.timed_out())
    }
}
