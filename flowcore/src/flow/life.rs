//! A flow run's own state: what its handle sees, and what interrupts it.

use std::sync::Arc;
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use super::Interrupt;
use crate::definition::Failure;
use crate::signals::ended_by_signal;
use crate::state::{State, StateName, StateOutcome};
use crate::value::StoredValue;

/// Invariant: a final state never changes again.
pub(super) struct Life(Mutex<Inner>);

struct Inner {
    state: State,
    /// Attempts begun, in processes before this one too.
    attempt: u32,
    interrupt: Option<Interrupt>,
    wakers: Vec<Waker>,
}

fn open(name: StateName) -> State {
    State::new(name, None, crate::runtime::now(), StateOutcome::Open)
}

impl Life {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Inner {
            state: open(StateName::Pending),
            attempt: 0,
            interrupt: None,
            wakers: Vec::new(),
        }))
    }

    pub(super) fn state(&self) -> State {
        self.0.lock().state.clone()
    }

    pub(super) fn interrupt(&self) -> Option<Interrupt> {
        self.0.lock().interrupt
    }

    /// The attempt that runs or ran last, from 1; 0 before the first.
    pub(super) fn attempt(&self) -> u32 {
        self.0.lock().attempt
    }

    /// So many attempts were made in processes before this one.
    pub(super) fn had_attempts(&self, attempts: u32) {
        self.0.lock().attempt = attempts;
    }

    /// The flow's function begins; says for which time. Observers are told by
    /// `tell`, here and below, under this lock, and so in order.
    pub(super) fn begin(&self, tell: impl FnOnce(&State)) -> u32 {
        let mut life = self.0.lock();
        life.attempt += 1;
        if life.interrupt.is_none() {
            // Each time, as in Prefect: only task runs are Retrying.
            life.state = open(StateName::Running);
            tell(&life.state);
        }
        life.attempt
    }

    /// An attempt failed and another may follow; `false` if the run shall end.
    pub(super) fn await_retry(&self, failure: &Failure, tell: impl FnOnce(&State)) -> bool {
        let mut life = self.0.lock();
        if life.interrupt.is_some() {
            return false;
        }
        life.state = State::new(
            StateName::AwaitingRetry,
            failure.0.message.clone(),
            crate::runtime::now(),
            StateOutcome::Open,
        );
        tell(&life.state);
        true
    }

    /// Notes why the run shall end; `false` if it has ended, or if something as
    /// urgent was noted before.
    pub(super) fn note(&self, interrupt: Interrupt, tell: impl FnOnce(&State)) -> bool {
        let mut life = self.0.lock();
        let interrupt = interrupt.after(life.interrupt);
        if life.state.is_settled() || interrupt.is_none() {
            return false;
        }
        life.interrupt = interrupt;
        if life.state.name() != StateName::Cancelling {
            life.state = open(StateName::Cancelling);
            tell(&life.state);
        }
        true
    }

    /// The run goes on later, in another process: the state in which it waits
    /// for that is its last one here. `false` as in [`note`](Self::note).
    #[cfg(feature = "prefect")]
    pub(super) fn suspend(&self) -> bool {
        let mut life = self.0.lock();
        if life.state.is_settled() || life.interrupt >= Some(Interrupt::Suspended) {
            return false;
        }
        life.interrupt = Some(Interrupt::Suspended);
        true
    }

    /// The run ends: well, or as the failure says.
    pub(super) fn end(
        &self,
        message: Option<&str>,
        failure: Option<&Failure>,
        tell: impl FnOnce(&State),
    ) {
        let wakers = {
            let mut life = self.0.lock();
            let now = crate::runtime::now();
            life.state = match failure {
                Some(failure) => State::of_failure(failure, now),
                None => State::new(
                    StateName::Completed,
                    message.map(Arc::from),
                    now,
                    StateOutcome::Value(StoredValue::shared(Arc::new(()))),
                ),
            };
            tell(&life.state);
            std::mem::take(&mut life.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Code that called a run which a signal has ended is not gone on with: the
    /// process is about to end, with the signal's exit code.
    pub(super) async fn return_to_caller(&self) {
        if self.interrupt().is_some_and(Interrupt::ends_process) {
            ended_by_signal().await;
        }
    }

    /// Ready when the run has ended.
    pub(super) fn poll_ended(&self, waker: &Waker) -> Poll<()> {
        let mut life = self.0.lock();
        if life.state.is_settled() {
            return Poll::Ready(());
        }
        if !life.wakers.iter().any(|known| known.will_wake(waker)) {
            life.wakers.push(waker.clone());
        }
        Poll::Pending
    }
}
