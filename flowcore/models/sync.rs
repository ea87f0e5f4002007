//! loom's parts, with the methods of those that they stand for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// As parking_lot's: nothing is poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }

    pub(crate) fn try_lock(&self) -> Option<loom::sync::MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

/// As tokio's, by its documentation: a call for one is kept for a waiter that
/// comes later; a call for all reaches whoever has made its future before.
#[derive(Debug)]
pub(crate) struct Notify(loom::sync::Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    is_kept: bool,
    /// How often all were called.
    of_all: u32,
    waiting: Vec<Waiting>,
    next: u32,
}

#[derive(Debug)]
struct Waiting {
    number: u32,
    waker: Option<Waker>,
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Mutex::new(Calls::default()))
    }

    pub(crate) fn notify_waiters(&self) {
        let woken = {
            let mut calls = self.0.lock().unwrap();
            calls.of_all += 1;
            std::mem::take(&mut calls.waiting)
        };
        woken
            .into_iter()
            .filter_map(|one| one.waker)
            .for_each(Waker::wake);
    }

    pub(crate) fn notify_one(&self) {
        let woken = {
            let mut calls = self.0.lock().unwrap();
            if calls.waiting.is_empty() {
                calls.is_kept = true;
                return;
            }
            calls.waiting.remove(0)
        };
        if let Some(waker) = woken.waker {
            waker.wake();
        }
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            of_all: self.0.lock().unwrap().of_all,
            number: None,
            is_called: false,
        }
    }
}

pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    of_all: u32,
    /// Its number among those that wait.
    number: Option<u32>,
    is_called: bool,
}

impl Notified<'_> {
    pub(crate) fn enable(mut self: Pin<&mut Self>) -> bool {
        self.look(None)
    }

    fn look(&mut self, waker: Option<&Waker>) -> bool {
        if self.is_called {
            return true;
        }
        let mut calls = self.notify.0.lock().unwrap();
        let waker = waker.cloned();
        let place = calls
            .waiting
            .iter()
            .position(|one| Some(one.number) == self.number);
        self.is_called = match (self.number, place) {
            _ if calls.of_all != self.of_all => true,
            (Some(_), Some(place)) => {
                calls.waiting[place].waker = waker;
                false
            }
            // Called, and so taken out.
            (Some(_), None) => true,
            (None, _) if std::mem::take(&mut calls.is_kept) => true,
            (None, _) => {
                let number = calls.next;
                calls.next += 1;
                calls.waiting.push(Waiting { number, waker });
                self.number = Some(number);
                false
            }
        };
        self.is_called
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.look(Some(context.waker())) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}
