//! A task runner whose runs happen on the thread that drives it, in an order
//! drawn from a seed. Time is a number that grows when there is nothing else
//! to do.
//!
//! Attempts are real ones: values are assembled, code runs in its run's
//! context, and what follows is decided as everywhere. How long an attempt
//! takes is drawn: too long, and its time is up.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Random;
use crate::context::RunContext;
use crate::definition::{OptionsSource, TaskInfo};
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::runner::{
    AttemptBody, AttemptControl, Ending, Execution, Home, MapJob, Next, RunReference, RunnerFuture,
    RunnerSession, TaskRunner, Work, WorkKind, catch, next,
};
use crate::value::EncodedValue;

/// What happened to which run.
pub(super) trait Witness {
    fn is_over(&self, run: RunReference) -> bool;
    fn begins(&self, run: RunReference, attempt: u32);
    fn ends(&self, run: RunReference, timed_out: bool);
}

/// The work of one flow run.
#[derive(Clone, Default)]
pub(super) struct Desk(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    now: u64,
    ready: Vec<Attempt>,
    /// Attempts that run until then.
    running: Vec<(u64, Running)>,
    /// Attempts that begin then.
    later: Vec<(u64, Attempt)>,
}

struct Attempt {
    flow: Arc<FlowRun>,
    run: RunReference,
    job: Job,
    number: u32,
}

enum Job {
    Single(Arc<dyn Execution>),
    Row(Arc<dyn MapJob>, u32),
}

struct Running {
    attempt: Attempt,
    control: Arc<AttemptControl>,
    times_out: bool,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl Attempt {
    fn info(&self) -> &'static TaskInfo {
        match &self.job {
            Job::Single(job) => job.info(),
            Job::Row(job, _) => job.info(),
        }
    }

    fn options(&self) -> &OptionsSource {
        match &self.job {
            Job::Single(job) => job.options(),
            Job::Row(job, _) => job.options(),
        }
    }

    /// Runs the code.
    fn ending(&self, control: &Arc<AttemptControl>) -> Ending {
        let options = self.options();
        let context = RunContext::of_run(&self.flow, self.info(), options, self.run, control);
        let body = context.enter(|| {
            catch(|| match &self.job {
                Job::Single(job) => job.attempt(control),
                Job::Row(job, row) => job.attempt_row(*row, control),
            })
        });
        match body {
            Ok(AttemptBody::Done(result)) => result.into(),
            Ok(AttemptBody::Future(_)) => unreachable!("the programs' tasks are sync"),
            Err(report) => Ending::Panicked(report),
        }
    }
}

impl Desk {
    /// Does one thing of those that there are; `false`: there are none.
    pub(super) fn step(&self, random: &mut Random, witness: &impl Witness) -> bool {
        let mut work = self.0.lock();
        let timed = work.running.len() + work.later.len();
        let is_ready = !work.ready.is_empty();
        if !is_ready && timed == 0 {
            return false;
        }
        if is_ready && (timed == 0 || random.once_in(2)) {
            let index = random.below(work.ready.len());
            let attempt = work.ready.swap_remove(index);
            drop(work);
            self.begin(attempt, random, witness);
            return true;
        }
        let first = |times: &mut dyn Iterator<Item = u64>| times.enumerate().min_by_key(|at| at.1);
        let ends = first(&mut work.running.iter().map(|at| at.0));
        let begins = first(&mut work.later.iter().map(|at| at.0));
        match (ends, begins) {
            (Some((index, end)), begin) if begin.is_none_or(|begin| end <= begin.1) => {
                work.now = end;
                let (_, running) = work.running.swap_remove(index);
                drop(work);
                self.end(running, witness);
            }
            (_, Some((index, begin))) => {
                work.now = begin;
                let (_, attempt) = work.later.swap_remove(index);
                work.ready.push(attempt);
            }
            (_, None) => unreachable!("one of them is there"),
        }
        true
    }

    fn begin(&self, attempt: Attempt, random: &mut Random, witness: &impl Witness) {
        let options = attempt.options();
        let control = AttemptControl::new(attempt.number, options.retries_in_force());
        let control = Arc::new(control);
        let begins = attempt.flow.begin(attempt.run, &control);
        assert_eq!(begins, !witness.is_over(attempt.run), "{:?}", attempt.run);
        if !begins {
            return;
        }
        witness.begins(attempt.run, attempt.number);
        let takes = random.below(20) as u64;
        let limit = options.timeout.map(|limit| limit.as_millis() as u64);
        let times_out = limit.is_some_and(|limit| takes > limit);
        let mut work = self.0.lock();
        let until = work.now + limit.map_or(takes, |limit| takes.min(limit));
        let running = Running {
            attempt,
            control,
            times_out,
        };
        work.running.push((until, running));
    }

    fn end(&self, running: Running, witness: &impl Witness) {
        let Running {
            mut attempt,
            control,
            times_out,
        } = running;
        let ending = match attempt.options().timeout {
            Some(limit) if times_out => {
                assert!(control.abandon());
                Ending::TimedOut(limit)
            }
            _ => attempt.ending(&control),
        };
        let ending = ending.of_attempt(&control);
        let Attempt { flow, run, .. } = &attempt;
        let (flow, run) = (Arc::clone(flow), *run);
        let name = flow.attempt_name(&attempt.options().labels.name, run, &control);
        let next = next(
            ending,
            attempt.number,
            attempt.info(),
            attempt.options(),
            &name,
            // No task of the model has jitter.
            || 0.0,
        );
        witness.ends(run, times_out);
        match next {
            Next::Settle(end) => {
                drop(attempt);
                flow.settled(run, end);
            }
            Next::Retry { delay, log } => {
                flow.retry(run, &control, &log);
                attempt.number += 1;
                let mut work = self.0.lock();
                let begins = work.now + delay.as_millis() as u64;
                work.later.push((begins, attempt));
            }
        }
    }
}

impl TaskRunner for Desk {
    fn name(&self) -> &'static str {
        "Desk"
    }

    fn start(&self, _home: Home) -> RunnerFuture<Result<Arc<dyn RunnerSession>>> {
        let session: Arc<dyn RunnerSession> = Arc::new(self.clone());
        Box::pin(std::future::ready(Ok(session)))
    }
}

impl RunnerSession for Desk {
    fn keeps_values(&self) -> bool {
        false
    }

    fn submit(&self, work: Work) {
        let Work { flow, kind, .. } = work;
        let attempt = |run, job| Attempt {
            flow: Arc::clone(&flow),
            run,
            job,
            number: 1,
        };
        let ready = &mut self.0.lock().ready;
        match kind {
            WorkKind::Run(id, job) => ready.push(attempt(id.into(), Job::Single(job))),
            WorkKind::Rows(map, rows, job) => ready.extend(rows.map(|row| {
                let run = RunReference::row(map, row);
                attempt(run, Job::Row(Arc::clone(&job), row))
            })),
        }
    }

    fn cancel(&self, _run: RunReference) {
        // The attempt's own control stops it.
    }

    fn fetch(&self, _run: RunReference) -> RunnerFuture<Result<EncodedValue>> {
        Box::pin(async { Err(Error::invalid("the value is here")) })
    }

    fn length(&self, _run: RunReference) -> RunnerFuture<Result<u32>> {
        Box::pin(async { Err(Error::invalid("the value is here")) })
    }

    fn close(&self) -> RunnerFuture<()> {
        Box::pin(std::future::ready(()))
    }
}
