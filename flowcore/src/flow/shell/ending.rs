//! How a flow run ends: joined, stopped, its runs cancelled and released.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use super::FlowRun;
use crate::definition::Failure;
use crate::engine::{MapId, RunId, Stop};
use crate::flow::Interrupt;
use crate::flow::running::family;
use crate::notified;
use crate::runner::{RunReference, cancelled, close_calls, lend_while, note_waiting};
use crate::runtime::block_on;
use crate::state::{State, StateName};

impl FlowRun {
    /// Ends when all that was submitted has settled.
    pub(in crate::flow) async fn joined(&self) {
        notified::until(&self.idle, || self.is_idle()).await;
    }

    /// Nothing is submitted any more: the runner's session closes.
    pub(in crate::flow) async fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        close_calls(self);
        if let Some(session) = self.session() {
            session.close().await;
        }
    }

    /// Whether nothing is left that the end waits for.
    fn is_idle(&self) -> bool {
        let shell = self.shell.lock();
        let is_over = shell.is_idle() || (self.aborted.is_set() && shell.engine.is_idle());
        is_over && shell.hooks.is_idle()
    }

    /// The run of another process that this stands for has ended: what it
    /// submitted ends too, before nothing is submitted any more.
    pub(crate) fn finish(self: &Arc<Self>, failure: Option<&Failure>) {
        if let Some(failure) = failure.filter(|failure| failure.0.name == StateName::Cancelled) {
            self.stop(failure, Stop::Ask);
        }
        if !self.is_idle() {
            lend_while(|| block_on(self.joined()));
        }
        block_on(self.end());
    }

    /// Ends what is queued and whatever is submitted from now on, and asks what
    /// runs to stop.
    pub(in crate::flow) fn stop(self: &Arc<Self>, failure: &Failure, how: Stop) {
        self.update(|shell, now| {
            // In this order: a task's code looks at the flag too, and one that
            // stops because of it was asked to; and nobody shall go on with the
            // errors that runs end with.
            for control in shell.controls.values() {
                control.cancel();
            }
            for entry in shell.maps.values() {
                entry.job.stops().stop_all();
            }
            self.stopping().set();
            shell.engine.stop(failure, how, now);
        });
        if how == Stop::Force {
            self.aborted.set();
            self.idle.notify_waiters();
        }
    }

    /// After a stop another attempt begins: it may submit again. `false` if the
    /// flow run was ended from outside.
    pub(in crate::flow) fn reopen(self: &Arc<Self>) -> bool {
        self.update(|shell, _| {
            // Whoever interrupts notes it first and stops the runs then, under
            // this lock: so nothing is stopped that is opened again.
            if self.life.interrupt().is_some() {
                return false;
            }
            shell.engine.reopen();
            *self.stopping.lock() = Arc::default();
            true
        })
    }

    /// Ends this flow run and those inside it from outside.
    pub(crate) fn interrupt(self: &Arc<Self>, interrupt: Interrupt) {
        let mut family = family(self);
        // All know it before any goes on: one that ends because another has
        // ended shall say why.
        family.retain(|flow| {
            let tell = |state: &State| flow.tell_state(state);
            flow.life.note(interrupt, tell)
        });
        for flow in family {
            flow.interrupted.set();
            flow.stop(&interrupt.of_runs(), interrupt.how());
        }
    }

    /// The flow run leaves this process: its code is left where it waits, and
    /// what it has submitted runs to its end, so that it is found again.
    #[cfg(feature = "prefect")]
    pub(crate) fn suspend(&self) {
        if self.life.suspend() {
            self.interrupted.set();
            self.stopping().set();
        }
    }

    /// Its own state is final: well, or as the failure says.
    pub(in crate::flow) fn has_final_state(
        &self,
        message: Option<&str>,
        failure: Option<&Failure>,
    ) {
        let tell = |state: &State| self.tell_state(state);
        self.life.end(message, failure, tell);
    }

    /// The state of the flow run itself.
    pub(crate) fn state(&self) -> State {
        self.life.state()
    }

    /// Ready when the flow run has ended.
    pub(crate) fn poll_ended(&self, waker: &Waker) -> Poll<()> {
        let ended = self.life.poll_ended(waker);
        if ended.is_pending() {
            note_waiting();
        }
        ended
    }

    pub(crate) fn cancel(self: &Arc<Self>, run: RunReference) {
        self.update(|shell, now| {
            let Some((info, options, _)) = shell.definition_of(run) else {
                return;
            };
            let name = self.task_run_name(&options.labels.name, run);
            let failure = cancelled(info, Some(&name));
            match run {
                RunReference::Run(id) => {
                    shell.engine.cancel_run(RunId::from_bits(id), &failure, now);
                }
                RunReference::Row(id, row) => {
                    let id = MapId::from_bits(id);
                    if let Some(entry) = shell.maps.get(id) {
                        entry.job.stops().stop(row);
                    }
                    shell.engine.cancel_row(id, row, &failure, now);
                }
            }
        });
    }

    pub(crate) fn cancel_map(self: &Arc<Self>, id: MapId) {
        self.update(|shell, now| {
            if let Some(entry) = shell.maps.get(id) {
                entry.job.stops().stop_all();
                let failure = cancelled(entry.job.info(), None);
                shell.engine.cancel_map(id, &failure, now);
            }
        });
    }
}
