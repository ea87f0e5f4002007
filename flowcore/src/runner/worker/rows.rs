//! Rows of a batch in the process that executes them.
//!
//! Invariant: one thread begins rows at a time. One whose row waits lets another
//! go on with the rows behind it, and ends after its own.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::Scope;

use parking_lot::Mutex;

use super::{Earlier, Worker, failure_of, told};
use crate::definition::TaskError;
use crate::error::{Error, Result};
use crate::flow::task_run_name;
use crate::runner::batch::{BatchDescriptor, BatchJob};
use crate::runner::descriptor::{RunReference, WorkDescriptor};
use crate::runner::seam::{RunEvent, RunFailure};
use crate::value::EncodedValue;

/// A batch at work.
pub(super) struct Rows<'a, R> {
    worker: &'a Worker,
    batch: &'a BatchDescriptor,
    job: Result<&'a dyn BatchJob, &'a Error>,
    earlier: Earlier,
    /// The place of the next row to begin.
    next: AtomicU32,
    report: Mutex<R>,
    outcomes: Mutex<Vec<Option<Result<EncodedValue, RunFailure>>>>,
}

impl<'w, R: FnMut(RunEvent) + Send> Rows<'w, R> {
    pub(super) fn new(
        worker: &'w Worker,
        batch: &'w BatchDescriptor,
        job: Result<&'w dyn BatchJob, &'w Error>,
        report: R,
    ) -> Self {
        Self {
            worker,
            batch,
            job,
            earlier: Earlier::of_rows(batch.rows.clone()),
            next: AtomicU32::new(0),
            report: Mutex::new(report),
            outcomes: Mutex::new(batch.rows.clone().map(|_| None).collect()),
        }
    }

    /// Executes all of them, and gives what became of each.
    pub(super) fn execute(self) -> Vec<Result<EncodedValue, RunFailure>> {
        std::thread::scope(|scope| self.go_on(scope));
        self.outcomes.into_inner().into_iter().flatten().collect()
    }

    /// Executes rows that nobody has begun. At each time one thread does; one
    /// whose row waits lets another go on, and ends after its row.
    fn go_on<'scope, 'a: 'scope>(&'a self, scope: &'scope Scope<'scope, 'a>) {
        let mut work = self.batch.work.clone();
        let has_left = Cell::new(false);
        let leave = || {
            let is_last = self.next.load(Ordering::Relaxed) as usize >= self.batch.rows.len();
            if is_last || has_left.get() {
                return;
            }
            let enter = self.worker.lines.link.companion();
            let thread = std::thread::Builder::new().name("flow-rows".to_owned());
            let next = thread.spawn_scoped(scope, move || {
                enter();
                self.go_on(scope);
            });
            // Without one the rows run one after the other.
            has_left.set(next.is_ok());
        };
        while !has_left.get() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(row) = self.batch.rows.clone().nth(index as usize) else {
                return;
            };
            let outcome = self.row(&mut work, row, index, &leave);
            if let Some(place) = self.outcomes.lock().get_mut(index as usize) {
                *place = Some(outcome);
            }
        }
    }

    fn row(
        &self,
        work: &mut WorkDescriptor,
        row: u32,
        index: u32,
        leave: &dyn Fn(),
    ) -> Result<EncodedValue, RunFailure> {
        let batch = self.batch;
        work.run = RunReference::Row(batch.map, row);
        work.run_name = task_run_name(&work.name, batch.name_seed, work.run);
        let mut report = |event| (self.report.lock())(event);
        let execution = self.job.map_err(Error::clone);
        let ended = match execution.and_then(|job| job.row(index)) {
            Ok(execution) => {
                let earlier = &self.earlier;
                self.worker
                    .run(work, &*execution, earlier, leave, &mut report)
            }
            Err(error) => {
                Err(TaskError::from_flow(error).into_failure(&work.task_key, &work.run_name, false))
            }
        };
        told(work.run, ended, &mut report).map_err(|failure| failure_of(&failure))
    }
}
