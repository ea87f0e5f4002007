//! What waits in an embedded session's queues: attempts of single runs, and
//! rows of maps.

use std::ops::Range;
use std::sync::Arc;

use super::super::control::AttemptControl;
use super::super::descriptor::RunReference;
use super::super::execution::{AttemptBody, Execution, MapJob};
use super::super::rows::Claim;
use crate::context::RunContext;
use crate::definition::{TaskInfo, TaskOptions};
use crate::engine::MapId;
use crate::flow::FlowRun;

/// One attempt of one run, or many rows of a map.
pub(super) enum Item {
    Attempt(Attempt),
    Rows(Rows),
}

#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) flow: Arc<FlowRun>,
    pub(super) run: RunReference,
    pub(super) job: Job,
    pub(super) number: u32,
}

#[derive(Clone)]
pub(super) enum Job {
    Single(Arc<dyn Execution>),
    Row(Arc<dyn MapJob>, u32),
}

impl Job {
    pub(super) fn info(&self) -> &'static TaskInfo {
        match self {
            Self::Single(job) => job.info(),
            Self::Row(job, _) => job.info(),
        }
    }

    pub(super) fn options(&self) -> &TaskOptions {
        match self {
            Self::Single(job) => job.options(),
            Self::Row(job, _) => job.options(),
        }
    }

    pub(super) fn attempt(&self, control: &AttemptControl) -> AttemptBody<'static> {
        match self {
            Self::Single(job) => job.attempt(control),
            Self::Row(job, row) => job.attempt_row(*row, control),
        }
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
        Some(self.single(row, 1))
    }

    pub(super) fn single(&self, row: u32, number: u32) -> Attempt {
        Attempt {
            flow: Arc::clone(&self.flow),
            run: RunReference::row(self.map, row),
            job: Job::Row(Arc::clone(&self.job), row),
            number,
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
        !self.job.info().is_async && options.timeout.is_none() && options.task_run_name.is_none()
    }
}
impl Attempt {
    pub(super) fn context(&self, control: &Arc<AttemptControl>) -> RunContext {
        let options = self.job.options();
        RunContext::of_run(
            &self.flow,
            self.job.info(),
            options.labels.name.clone(),
            self.run,
            control,
        )
    }
}

pub(super) enum Task {
    Attempt(Attempt),
    Rows(Arc<Claim>, Rows),
}
