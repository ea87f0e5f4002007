//! What waits in an embedded session's queues: attempts of single runs, and
//! rows of maps.

use std::ops::Range;
use std::sync::Arc;

use super::super::control::AttemptControl;
use super::super::descriptor::RunReference;
use super::super::execution::{AttemptBody, Execution, MapJob};
use super::super::rows::Claim;
use crate::context::RunContext;
use crate::definition::{OptionsSource, TaskInfo};
use crate::engine::{MapId, RunId};
use crate::flow::FlowRun;
use crate::state::StateName;
use crate::world::World;

/// One attempt of one run, or many rows of a map.
pub(super) enum Item {
    Attempt(Attempt),
    Rows(Rows),
}

impl Item {
    pub(super) fn priority(&self) -> i32 {
        match self {
            Self::Attempt(attempt) => attempt.facts.options.priority,
            Self::Rows(rows) => rows.job.options().priority,
        }
    }
}

/// One attempt. Whoever has it has the run's arguments: it goes before the
/// run is told to have settled.
pub(super) struct Attempt {
    pub(super) facts: Facts,
    /// The arguments.
    pub(super) job: Job,
}

/// An attempt without the arguments.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) flow: Arc<FlowRun>,
    pub(super) run: RunReference,
    pub(super) info: &'static TaskInfo,
    pub(super) options: OptionsSource,
    /// Which attempt, from 1.
    pub(super) number: u32,
}

pub(super) enum Job {
    Single(Arc<dyn Execution>),
    Row(Arc<dyn MapJob>, u32),
}

impl Attempt {
    /// The first attempt of a single run.
    pub(super) fn first(flow: Arc<FlowRun>, run: RunId, job: Arc<dyn Execution>) -> Self {
        Self {
            facts: Facts::first(flow, run, &job),
            job: Job::Single(job),
        }
    }

    /// Whether it is the first one of a single run of this flow run, of a sync
    /// task.
    pub(super) fn is_first_of(&self, flow: &Arc<FlowRun>) -> bool {
        Arc::ptr_eq(&self.facts.flow, flow)
            && self.facts.number == 1
            && !self.facts.info.is_async
            && matches!(self.job, Job::Single(_))
    }

    /// The single run, without its flow run.
    pub(super) fn into_run(self) -> Option<(RunId, Arc<dyn Execution>)> {
        match (self.facts.run, self.job) {
            (RunReference::Run(id), Job::Single(job)) => Some((RunId::from_bits(id), job)),
            _ => None,
        }
    }
}

impl Job {
    /// Begins an attempt; a sync task has run when this returns.
    pub(super) fn start(&self, control: &Arc<AttemptControl>) -> AttemptBody<'static> {
        match self {
            Self::Single(job) => job.attempt(control),
            Self::Row(job, row) => job.attempt_row(*row, control),
        }
    }
}

impl Facts {
    /// Of the first attempt of a single run.
    pub(super) fn first(flow: Arc<FlowRun>, run: RunId, job: &Arc<dyn Execution>) -> Self {
        Self {
            flow,
            run: run.into(),
            info: job.info(),
            options: job.options().clone(),
            number: 1,
        }
    }

    pub(super) fn control(&self) -> Arc<AttemptControl> {
        Arc::new(AttemptControl::new(
            self.number,
            self.options.retries_in_force(),
        ))
    }

    pub(super) fn context(&self, control: &Arc<AttemptControl>) -> RunContext {
        RunContext::of_run(&self.flow, self.info, &self.options, self.run, control)
    }
}

#[derive(Clone)]
pub(super) struct Rows {
    pub(super) flow: Arc<FlowRun>,
    pub(super) map: MapId,
    pub(super) rows: Range<u32>,
    pub(super) job: Arc<dyn MapJob>,
}

impl Rows {
    /// The first row, by itself.
    pub(super) fn first(&mut self) -> Option<Attempt> {
        let row = self.rows.next()?;
        Some(self.single(row))
    }

    /// The first attempt of one row.
    pub(super) fn single(&self, row: u32) -> Attempt {
        Attempt {
            facts: Facts {
                flow: Arc::clone(&self.flow),
                run: RunReference::row(self.map, row),
                info: self.job.info(),
                options: self.job.options().clone(),
                number: 1,
            },
            job: Job::Row(Arc::clone(&self.job), row),
        }
    }

    /// Other rows of the same map.
    pub(super) fn part(&self, rows: Range<u32>) -> Self {
        Self {
            rows,
            ..self.clone()
        }
    }

    /// Rows go through a loop of their own if nothing has to be done for each
    /// one beside calling it.
    pub(super) fn goes_through_the_loop(&self) -> bool {
        let options = self.job.options();
        !self.job.info().is_async
            && options.timeout.is_none()
            && options.task_run_name.is_none()
            && !self.job.persists()
            && !options.hooks.want(StateName::Running)
            // The loop tells of its rows when real time has passed.
            && !World::is_here()
            && !options.is_in_transaction()
    }
}

pub(super) enum Task {
    Attempt(Attempt),
    Rows(Arc<Claim>, Rows),
}
