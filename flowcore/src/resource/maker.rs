//! Where the code that makes a resource waits, so that nobody blocks the only
//! thread that could go on with it.
//!
//! Invariant: a place is noted only between two polls of that code, and gone
//! when the code is.

use std::thread::ThreadId;

use parking_lot::Mutex;

/// Who makes a resource, if somebody does.
#[derive(Debug)]
pub(super) struct Maker(Mutex<Option<Place>>);

/// Who polls.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    thread: ThreadId,
    task: Option<tokio::task::Id>,
}

impl Place {
    fn here() -> Self {
        Self {
            thread: std::thread::current().id(),
            task: tokio::task::try_id(),
        }
    }
}

impl Maker {
    pub(super) const fn nobody() -> Self {
        Self(Mutex::new(None))
    }

    /// The making code, from its first wait to its end.
    pub(super) fn waits(&self) -> Waits<'_> {
        Waits {
            maker: self,
            noted: None,
        }
    }

    /// Whether the code could not go on while this thread is blocked: it is
    /// part of the same task, or a task of the runtime that has this thread
    /// only.
    pub(super) fn would_be_stopped(&self) -> bool {
        let Some(place) = *self.0.lock() else {
            return false;
        };
        let here = Place::here();
        here.task.is_some() && here.task == place.task
            || here.thread == place.thread && crate::runtime::stands_still_when_blocked()
    }
}

/// Code that makes a resource and has to be polled again.
#[derive(Debug)]
pub(super) struct Waits<'a> {
    maker: &'a Maker,
    noted: Option<Place>,
}

impl Waits<'_> {
    /// It waits here.
    pub(super) fn note(&mut self) {
        self.noted = Some(Place::here());
        *self.maker.0.lock() = self.noted;
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut known = self.maker.0.lock();
        // Where this one has failed, the next may have begun.
        if *known == self.noted {
            *known = None;
        }
    }
}
