//! The one seam between the engine and what executes.
//!
//! Down go works: a run, or rows of a map, with everything they need either
//! as typed values in this process or as descriptors for another one. Up go
//! [`RunEvent`]s. Values stay where they were made until someone asks.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::batch::{BatchDescriptor, cut_by_size};
use super::channel::lose_calls;
use super::descriptor::{ArgumentDescriptor, RunReference, WorkDescriptor};
use super::execution::{Execution, MapJob};
use crate::clock::Timestamp;
use crate::definition::{Failure, TaskInfo, TaskOptions};
use crate::engine::{MapId, RunId};
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::limits::OfferedResources;
use crate::records::ResultDescriptor;
use crate::state::StateName;
use crate::value::EncodedValue;

/// A boxed future of a runner.
pub type RunnerFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Where the runs of a flow run: in this process's threads, one after the
/// other, on a cluster.
///
/// A runner is a description; each flow run [starts](TaskRunner::start) a
/// session of its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no task runner",
    label = "not a task runner",
    note = "use `ThreadPoolTaskRunner::new()` or `SequentialTaskRunner::new()`"
)]
pub trait TaskRunner: fmt::Debug + Send + Sync + 'static {
    /// The runner's name, for messages.
    fn name(&self) -> &'static str;

    /// Starts a session for one flow run.
    fn start(&self, home: Home) -> RunnerFuture<Result<Arc<dyn RunnerSession>>>;
}

/// When a session wants its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// When all inputs are there: in this process or, for runs that the
    /// session executed, with the session.
    Ready,
    /// As soon as all inputs have been handed to the session: each comes
    /// after what it needs, and the session waits for inputs by itself. Work
    /// whose input fails is [cancelled](RunnerSession::cancel).
    Submitted,
}

/// A runner at work for one flow run.
///
/// All methods but the futures return quickly: they are called from any
/// thread, also from the ones that run tasks.
pub trait RunnerSession: Send + Sync + 'static {
    /// Whether values stay with the session until someone fetches them.
    /// `false`: it fills them in where they are read.
    fn keeps_values(&self) -> bool {
        true
    }

    /// When the session wants its work.
    fn feed(&self) -> Feed {
        Feed::Ready
    }

    /// What runs may ask for in this process; `None` if the session sees to
    /// [`WorkDescriptor::resources`] by itself.
    fn resources(&self) -> Option<&OfferedResources> {
        None
    }

    /// Takes work.
    fn submit(&self, work: Work);

    /// Asks for a run to stop, or to be forgotten if it has not started.
    fn cancel(&self, run: RunReference);

    /// Nobody asks for these results any more, and no later work reads them.
    /// Works that came before may read them still. Comes in order with
    /// [`submit`](Self::submit), to a session that is fed
    /// [early](Feed::Submitted); once for each run and map that has ended.
    fn release(&self, released: Released) {
        let _ = released;
    }

    /// The result of a completed run.
    fn fetch(&self, run: RunReference) -> RunnerFuture<Result<EncodedValue>>;

    /// The number of elements of a completed run's result, a list, without
    /// moving it.
    fn length(&self, run: RunReference) -> RunnerFuture<Result<u32>>;

    /// The flow run has ended, nothing is needed any more.
    fn close(&self) -> RunnerFuture<()>;
}

/// Results that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Released {
    /// A single run's.
    Run(RunReference),
    /// Those of all rows of a map.
    Map(u64),
}

/// A run, or rows of a map, to be executed.
pub struct Work {
    pub(crate) flow: Arc<FlowRun>,
    pub(crate) kind: WorkKind,
    /// What is known of what columns of a map repeat for all rows.
    repeated: Option<Arc<[Option<ArgumentDescriptor>]>>,
}

pub(crate) enum WorkKind {
    Run(RunId, Arc<dyn Execution>),
    Rows(MapId, Range<u32>, Arc<dyn MapJob>),
}

impl WorkKind {
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Run(_, job) => job.is_local(),
            Self::Rows(_, _, job) => job.info().is_local,
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            WorkKind::Run(id, job) => write!(f, "Work({} {id:?})", job.info().key),
            WorkKind::Rows(id, rows, job) => {
                write!(f, "Work({} {id:?} rows {rows:?})", job.info().key)
            }
        }
    }
}

impl Work {
    pub(crate) fn new(flow: Arc<FlowRun>, kind: WorkKind) -> Self {
        Self {
            flow,
            kind,
            repeated: None,
        }
    }

    /// Codes what all rows of a map have in common, once for all
    /// [parts](Self::part) of this; `change` may put a name for each in its
    /// place. A single run has nothing of that kind.
    pub fn code_repeated(&mut self, change: impl FnMut(&mut ArgumentDescriptor)) {
        if let WorkKind::Rows(_, _, job) = &self.kind {
            let mut repeated = job.describe_repeated();
            repeated.iter_mut().flatten().for_each(change);
            self.repeated = Some(repeated.into());
        }
    }

    fn repeated(&self) -> &[Option<ArgumentDescriptor>] {
        self.repeated.as_deref().unwrap_or_default()
    }

    /// Whether the work must stay in this process.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.kind.is_local()
    }

    /// The runs of this work, each with its task's key.
    pub(crate) fn runs(&self) -> Vec<(RunReference, &'static str)> {
        match &self.kind {
            WorkKind::Run(id, job) => vec![((*id).into(), job.info().key)],
            WorkKind::Rows(map, rows, job) => rows
                .clone()
                .map(|row| (RunReference::row(*map, row), job.info().key))
                .collect(),
        }
    }

    /// The work as data, one descriptor per run.
    ///
    /// # Errors
    ///
    /// An argument that cannot be encoded, with the run that it belongs to.
    pub fn describe(&self) -> Vec<(RunReference, Result<WorkDescriptor>)> {
        match &self.kind {
            WorkKind::Run(id, job) => {
                let run = RunReference::from(*id);
                let descriptor = job
                    .describe()
                    .map(|arguments| self.descriptor(run, job.info(), job.options(), arguments));
                vec![(run, descriptor)]
            }
            WorkKind::Rows(map, rows, job) => rows
                .clone()
                .map(|row| {
                    let run = RunReference::row(*map, row);
                    let descriptor = job.describe_row(row, self.repeated()).map(|arguments| {
                        self.descriptor(run, job.info(), job.options(), arguments)
                    });
                    (run, descriptor)
                })
                .collect(),
        }
    }

    /// The map and the rows of it, if this is rows of a map.
    #[must_use]
    pub fn rows(&self) -> Option<(u64, Range<u32>)> {
        match &self.kind {
            WorkKind::Run(..) => None,
            WorkKind::Rows(map, rows, _) => Some((map.to_bits(), rows.clone())),
        }
    }

    /// What all runs of this work have in common: the first run, without its
    /// arguments.
    #[must_use]
    pub fn outline(&self) -> WorkDescriptor {
        match &self.kind {
            WorkKind::Run(id, job) => {
                self.descriptor((*id).into(), job.info(), job.options(), Vec::new())
            }
            WorkKind::Rows(map, rows, job) => {
                let first = RunReference::row(*map, rows.start);
                self.descriptor(first, job.info(), job.options(), Vec::new())
            }
        }
    }

    /// Some of the rows; a single run is what it is.
    #[must_use]
    pub fn part(&self, rows: Range<u32>) -> Self {
        let kind = match &self.kind {
            WorkKind::Run(id, job) => WorkKind::Run(*id, Arc::clone(job)),
            WorkKind::Rows(map, _, job) => WorkKind::Rows(*map, rows, Arc::clone(job)),
        };
        Self {
            repeated: self.repeated.clone(),
            ..Self::new(Arc::clone(&self.flow), kind)
        }
    }

    /// The rows of this work as pieces of data: one, unless the rows' own
    /// values take more than `most` bytes. A row that is larger by itself is a
    /// piece of its own.
    ///
    /// # Errors
    ///
    /// It is a single run, or an argument of some row cannot be encoded; then
    /// [`Work::describe`] says which.
    pub fn describe_batches(&self, most: usize) -> Result<Vec<BatchDescriptor>> {
        let WorkKind::Rows(_, rows, job) = &self.kind else {
            return Err(Error::invalid("a single run is no batch"));
        };
        let mut columns = job.describe_rows(rows.clone(), self.repeated())?;
        let seed = self.flow.name_seed();
        let mut batches = Vec::new();
        let mut first = rows.start;
        for count in cut_by_size(&columns, rows.len(), most) {
            let part = first..first + count;
            let columns = columns.iter_mut().map(|column| column.take(count));
            let outline = self.part(part.clone()).outline();
            batches.push(BatchDescriptor::new(
                outline,
                seed,
                part,
                columns.collect(),
            )?);
            first += count;
        }
        Ok(batches)
    }

    fn descriptor(
        &self,
        run: RunReference,
        info: &TaskInfo,
        options: &TaskOptions,
        arguments: Vec<ArgumentDescriptor>,
    ) -> WorkDescriptor {
        WorkDescriptor {
            flow_run_id: self.flow.id().as_u128(),
            flow_run_name: self.flow.name().to_owned(),
            run,
            run_name: self.flow.task_run_name(&options.labels.name, run),
            tells_name: options.task_run_name.is_some() && self.flow.wants_name_of(run, options),
            results: ResultDescriptor::of(options, &self.flow, run),
            ..WorkDescriptor::of_task(info, options, arguments)
        }
    }
}

/// What happens to a run, as the process that executes it tells home.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RunEvent {
    /// An attempt begins.
    Started {
        /// Which run.
        run: RunReference,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An attempt failed, another will follow.
    AwaitingRetry {
        /// Which run.
        run: RunReference,
        /// The line for the log.
        message: String,
    },
    /// The run completed; its value is with the runner.
    Completed {
        /// Which run.
        run: RunReference,
    },
    /// Consecutive rows of a map completed one after the other; their values
    /// are with the runner. The last ended just now.
    RowsCompleted {
        /// The map.
        map: u64,
        /// The first of the rows.
        first: u32,
        /// How many nanoseconds each took.
        took: Vec<u64>,
    },
    /// The run took its value from a record of an earlier one; it is with the
    /// runner.
    Cached {
        /// Which run.
        run: RunReference,
    },
    /// The run ended otherwise.
    Ended {
        /// Which run.
        run: RunReference,
        /// Failed, TimedOut, Crashed or Cancelled.
        state: StateName,
        /// The state's message.
        message: Option<String>,
        /// What readers of the run get. An error of the runner's own
        /// ([`Error::msg`]) becomes one of the state's kind.
        error: Error,
    },
}

/// When each of some rows began and the last one ended, by this process's
/// clock: those of two processes cannot be compared, durations can.
fn times_until(end: Timestamp, took: &[u64]) -> Vec<Timestamp> {
    let mut at = end;
    let mut times = vec![end];
    for took in took.iter().rev() {
        at = at.before(Duration::from_nanos(*took));
        times.push(at);
    }
    times.reverse();
    times
}

/// Why a run did not complete, as it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunFailure {
    /// Failed, TimedOut, Crashed or Cancelled.
    pub state: StateName,
    /// The state's message.
    pub message: Option<String>,
    /// What readers of the run get.
    pub error: Error,
}

/// The way home, for a session.
#[derive(Clone)]
pub struct Home(pub(crate) Weak<FlowRun>);

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Home")
    }
}

impl Home {
    /// Tells what happened. An event for a run that has settled changes
    /// nothing: execution is at least once.
    pub fn report(&self, event: RunEvent) {
        let Some(flow) = self.0.upgrade() else {
            return;
        };
        match event {
            RunEvent::Started { run, attempt } => {
                flow.started(run, attempt);
            }
            RunEvent::AwaitingRetry { run, message } => flow.awaits_retry(run, &message),
            RunEvent::Completed { run } => flow.settled(run, crate::engine::End::Completed),
            RunEvent::RowsCompleted { map, first, took } => {
                let times = times_until(crate::runtime::now(), &took);
                flow.rows_completed(MapId::from_bits(map), first, &times);
            }
            RunEvent::Cached { run } => flow.settled(run, crate::engine::End::Cached),
            RunEvent::Ended {
                run,
                state,
                message,
                error,
            } => {
                if state == StateName::Crashed {
                    lose_calls(&flow, run);
                }
                let failure = Failure::new(state, message, error.into_end(state));
                flow.settled(run, crate::engine::End::Ended(failure));
            }
        }
    }
}
