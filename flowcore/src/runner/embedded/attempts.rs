//! One attempt on a thread of an embedded session, and what follows it.

use std::sync::Arc;
use std::time::Duration;

use super::super::attempt::{Ending, Next, next};
use super::super::catch;
use super::super::control::AttemptControl;
use super::super::drive::run_attempt;
use super::super::execution::AttemptBody;
use super::super::waiting::Lending;
use super::EmbeddedSession;
use super::threads::ThreadSlot;
use super::work::{Attempt, Item};
use crate::context::RunContext;

impl EmbeddedSession {
    /// One attempt on this thread.
    pub(super) fn run_attempt(self: &Arc<Self>, attempt: Attempt) {
        let options = attempt.job.options();
        let control = Arc::new(AttemptControl::new(attempt.number, options.retries));
        if !attempt.flow.begin(attempt.run, &control) {
            return;
        }
        let context = attempt.context(&control);
        let limit = options.timeout;
        if attempt.job.info().is_async {
            let ending = self.poll_to_its_end(&attempt, &control, context);
            return self.finish_attempt(attempt, &control, ending);
        }
        if let Some(limit) = limit {
            self.watch(&attempt, &control, limit);
        }
        let ending = match context.enter(|| catch(|| attempt.job.attempt(&control))) {
            Ok(AttemptBody::Done(Ok(()))) => Ending::Completed,
            Ok(AttemptBody::Done(Err(error))) => Ending::Failed(error),
            Ok(AttemptBody::Future(_)) => unreachable!("a sync task gives no future"),
            Err(report) => Ending::Panicked(report),
        };
        // A completed attempt has marked itself as it stored its value.
        let in_time = match &ending {
            Ending::Completed => !control.is_abandoned(),
            _ => control.finish(),
        };
        if in_time {
            self.finish_attempt(attempt, &control, ending);
        } else {
            self.returned_late(attempt, &control);
        }
    }

    /// One by one: this thread polls an async attempt.
    fn poll_to_its_end(
        self: &Arc<Self>,
        attempt: &Attempt,
        control: &AttemptControl,
        context: RunContext,
    ) -> Ending {
        let run = std::pin::pin!(context.scope(async {
            match catch(|| attempt.job.attempt(control)) {
                Ok(body) => run_attempt(body, control, attempt.job.options().timeout).await,
                Err(report) => Ending::Panicked(report),
            }
        }));
        let _runtime = crate::runtime::user().enter();
        pollster::block_on(Lending::new(run, ThreadSlot(self)))
    }

    /// Settles the run, or queues its next attempt.
    pub(super) fn finish_attempt(
        self: &Arc<Self>,
        attempt: Attempt,
        control: &Arc<AttemptControl>,
        ending: Ending,
    ) {
        let flow = Arc::clone(&attempt.flow);
        match self.decide(&attempt, control, ending) {
            Next::Settle(end) => {
                let run = attempt.run;
                // The arguments go before the run is told to have settled, so
                // that whoever comes next may be their last reader.
                drop(attempt);
                flow.settled(run, end);
            }
            Next::Retry { delay, log } => {
                flow.retry(attempt.run, control, &log);
                self.again(attempt, delay);
            }
        }
    }

    fn decide(&self, attempt: &Attempt, control: &AttemptControl, ending: Ending) -> Next {
        let ending = ending.of_stopped(control.was_asked_to_stop());
        let options = attempt.job.options();
        let name = match ending {
            // Nobody reads the name of a run that completed.
            Ending::Completed => String::new(),
            _ => attempt
                .flow
                .attempt_name(&options.labels.name, attempt.run, control),
        };
        next(ending, attempt.number, attempt.job.info(), options, &name)
    }

    /// Queues the next attempt; the slot is free until then.
    fn again(self: &Arc<Self>, mut attempt: Attempt, delay: Duration) {
        attempt.number += 1;
        if delay.is_zero() {
            return self.push(Item::Attempt(attempt));
        }
        let session = Arc::clone(self);
        crate::runtime::later(delay, move || session.push(Item::Attempt(attempt)));
    }

    /// Ends the attempt at its limit, wherever its code is: the run is
    /// TimedOut at once, and the thread that is still busy is replaced. If
    /// there will be a retry it starts when the old call has returned.
    fn watch(self: &Arc<Self>, attempt: &Attempt, control: &Arc<AttemptControl>, limit: Duration) {
        let session = Arc::downgrade(self);
        let control = Arc::clone(control);
        let attempt = attempt.clone();
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
            if !control.abandon() {
                return;
            }
            session.lend();
            match session.decide(&attempt, &control, Ending::TimedOut(limit)) {
                Next::Settle(end) => attempt.flow.settled(attempt.run, end),
                Next::Retry { log, .. } => attempt.flow.retry(attempt.run, &control, &log),
            }
        });
    }

    /// The code of an abandoned attempt returned at last.
    fn returned_late(self: &Arc<Self>, attempt: Attempt, control: &Arc<AttemptControl>) {
        let limit = attempt.job.options().timeout.unwrap_or_default();
        if let Next::Retry { delay, .. } = self.decide(&attempt, control, Ending::TimedOut(limit)) {
            self.again(attempt, delay);
        }
        self.take_back();
    }
}
