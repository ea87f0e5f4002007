//! One attempt on a thread of an embedded session, and what follows it.

use std::sync::Arc;
use std::time::Duration;

use super::super::attempt::{Ending, Next, next};
use super::super::control::AttemptControl;
use super::super::drive::run_attempt;
use super::super::execution::{AttemptBody, Execution};
use super::super::waiting::Lending;
use super::super::{PanicReport, catch, drop_caught};
use super::EmbeddedSession;
use super::threads::ThreadSlot;
use super::work::{Attempt, Facts, Item, Job};
use crate::context::RunContext;
use crate::definition::Failure;
use crate::engine::{End, RunId};
use crate::error::{Error, ErrorKind};
use crate::flow::Begun;
use crate::state::StateName;

impl EmbeddedSession {
    /// One attempt on this thread, and what it goes on with.
    pub(super) fn run_attempt(self: &Arc<Self>, facts: &Facts, job: Job) -> Option<Begun> {
        let control = facts.control();
        if !facts.flow.begin(facts.run, &control) {
            return None;
        }
        self.run_begun(facts, job, control)
    }

    /// An attempt that has begun on this thread, and what it goes on with.
    pub(super) fn run_begun(
        self: &Arc<Self>,
        facts: &Facts,
        job: Job,
        control: Arc<AttemptControl>,
    ) -> Option<Begun> {
        let context = facts.context(&control);
        if facts.info.is_async {
            let ending = self.poll_to_its_end(facts, &job, &control, context);
            self.finish_attempt(facts, job, control, ending);
            return None;
        }
        if let Some(limit) = facts.options.timeout {
            self.watch(facts.clone(), &control, limit);
        }
        let ending = match context.enter(|| catch(|| job.start(&control))) {
            Ok(AttemptBody::Done(result)) => result.into(),
            Ok(AttemptBody::Future(_)) => unreachable!("a sync task gives no future"),
            Err(report) => Ending::Panicked(report),
        };
        // An attempt that stored its value has finished before, in whatever way
        // it ended after that.
        control.finish();
        if control.is_abandoned() {
            self.returned_late(facts, job, &control);
            return None;
        }
        self.keep_following();
        let wants = |job: &dyn Execution| self.goes_on_with(job);
        self.finish_and_go_on(facts, job, control, ending, wants, || {
            self.next_of(&facts.flow)
        })
    }

    /// One by one: this thread polls an async attempt.
    fn poll_to_its_end(
        self: &Arc<Self>,
        facts: &Facts,
        job: &Job,
        control: &Arc<AttemptControl>,
        context: RunContext,
    ) -> Ending {
        let run = std::pin::pin!(context.scope(async {
            match catch(|| job.start(control)) {
                Ok(body) => run_attempt(body, control, facts.options.timeout).await,
                Err(report) => Ending::Panicked(report),
            }
        }));
        let runtime = crate::runtime::user();
        let _runtime = runtime.enter();
        crate::runtime::block_on(Lending::new(run, ThreadSlot(self)))
    }

    /// Settles the run, or queues its next attempt.
    pub(super) fn finish_attempt(
        self: &Arc<Self>,
        facts: &Facts,
        job: Job,
        control: Arc<AttemptControl>,
        ending: Ending,
    ) {
        let next = self.finish_and_go_on(facts, job, control, ending, |_| false, || None);
        debug_assert!(next.is_none(), "nothing was wanted");
    }

    /// The same; a run that this made ready begins if it is wanted.
    fn finish_and_go_on(
        self: &Arc<Self>,
        facts: &Facts,
        job: Job,
        control: Arc<AttemptControl>,
        ending: Ending,
        wants: impl FnOnce(&dyn Execution) -> bool,
        other: impl FnOnce() -> Option<(RunId, Arc<dyn Execution>)>,
    ) -> Option<Begun> {
        match facts.decide(&control, ending) {
            // The arguments go before the run is told to have settled, so that
            // whoever comes next may be their last reader.
            Next::Settle(end) => facts
                .flow
                .settled_without(facts.run, end, job, control, wants, other),
            Next::Retry { delay, log } => {
                facts.flow.retry(facts.run, &control, &log);
                self.again(facts.clone(), job, delay);
                None
            }
        }
    }

    /// Queues the next attempt; the slot is free until then.
    fn again(self: &Arc<Self>, mut facts: Facts, job: Job, delay: Duration) {
        facts.number += 1;
        let attempt = Attempt { facts, job };
        if delay.is_zero() {
            return self.push(Item::Attempt(attempt));
        }
        let session = Arc::clone(self);
        crate::runtime::later(delay, move || session.push(Item::Attempt(attempt)));
    }

    /// Ends the attempt at its limit, wherever its code is: the run is
    /// TimedOut at once, and the thread that is still busy is replaced. If
    /// there will be a retry it starts when the old call has returned.
    fn watch(self: &Arc<Self>, facts: Facts, control: &Arc<AttemptControl>, limit: Duration) {
        let session = Arc::downgrade(self);
        let control = Arc::clone(control);
        crate::runtime::service().spawn(async move {
            // When the code returns in time nothing of it is kept any longer.
            if crate::runtime::timeout(limit, control.ended())
                .await
                .is_some()
            {
                return;
            }
            let Some(session) = session.upgrade() else {
                return;
            };
            // Before: code that stops as soon as it is told gives the slot back
            // at once.
            session.lend();
            if !control.abandon() {
                return session.take_back();
            }
            facts.timed_out(control, limit);
        });
    }

    /// The code of an abandoned attempt returned at last.
    fn returned_late(self: &Arc<Self>, facts: &Facts, job: Job, control: &Arc<AttemptControl>) {
        let limit = facts.options.timeout.unwrap_or_default();
        match facts.after_timeout(control, limit) {
            Next::Retry { delay, .. } => self.again(facts.clone(), job, delay),
            Next::Settle(_) => {
                drop_caught(job);
                facts.flow.returned_late(facts.run, control);
            }
        }
        self.take_back();
    }
}

impl Facts {
    /// Code beside the task's own, whose panic must not leave the run open.
    pub(super) fn guard<R>(&self, code: impl FnOnce() -> Option<R>) -> Option<R> {
        catch(code).unwrap_or_else(|report| {
            self.lost(&report);
            None
        })
    }

    /// A panic outside of the task's own code, as in a value's destructor,
    /// must not leave the run open.
    pub(super) fn lost(&self, report: &PanicReport) {
        let text = report.to_string();
        let error = Error::build(ErrorKind::Crashed, text.clone())
            .task(self.info.key)
            .finish();
        let failure = Failure::new(StateName::Crashed, Some(text), error);
        self.flow.settled(self.run, End::Ended(failure));
    }

    /// The attempt was abandoned; its code still runs.
    fn timed_out(self, control: Arc<AttemptControl>, limit: Duration) {
        let asks = self.options.retry_if.is_some();
        let tell = move || match self.after_timeout(&control, limit) {
            Next::Settle(end) => self.flow.settled_late(self.run, end, &control),
            Next::Retry { log, .. } => self.flow.retry(self.run, &control, &log),
        };
        // The service thread runs no code of users.
        if asks {
            crate::runtime::service().spawn_blocking(tell);
        } else {
            tell();
        }
    }

    /// What follows the attempt.
    fn decide(&self, control: &AttemptControl, ending: Ending) -> Next {
        let ending = ending.of_attempt(control);
        let name = match ending {
            // Nobody reads the name of a run that completed.
            Ending::Completed | Ending::Cached => String::new(),
            _ => self
                .flow
                .attempt_name(&self.options.labels.name, self.run, control),
        };
        let random = || self.flow.random(self.run, self.number);
        next(ending, self.number, self.info, &self.options, &name, random)
    }

    /// What follows the abandoned attempt.
    fn after_timeout(&self, control: &AttemptControl, limit: Duration) -> Next {
        control.decided(|| self.decide(control, Ending::TimedOut(limit)))
    }
}
