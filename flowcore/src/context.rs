//! Which run the current code belongs to.
//!
//! A task-local that follows async code and is set around sync code. Log
//! lines, `submit` and nested calls find their run here; spans play no part.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cancellation::{Cancellation, RunSource};
use crate::definition::{OptionsSource, TaskInfo};
use crate::engine::MapId;
use crate::flow::FlowRun;
use crate::runner::{AttemptControl, MapJob, RunReference};
use crate::scope::Scope;
use crate::transacting::Transaction;

tokio::task_local! {
    static CURRENT: RunContext;
}

/// The run that code belongs to.
#[derive(Clone)]
pub(crate) struct RunContext {
    flow: Arc<FlowRun>,
    task: Option<TaskContext>,
    scope: Option<Arc<Scope>>,
    /// The flow run has ended, and this code comes after it.
    is_over: bool,
}

#[derive(Clone)]
struct TaskContext {
    info: &'static TaskInfo,
    options: OptionsSource,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Run(RunReference, Arc<AttemptControl>),
    /// A thread that goes through rows of a map.
    Rows(MapId, CurrentRow, Arc<dyn MapJob>),
}

/// The row that a thread is at.
#[derive(Clone, Debug, Default)]
pub(crate) struct CurrentRow(Arc<AtomicU32>);

impl CurrentRow {
    pub(crate) fn row(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, row: u32) {
        self.0.store(row, Ordering::Relaxed);
    }
}

impl RunContext {
    pub(crate) fn of_flow(flow: &Arc<FlowRun>) -> Self {
        Self {
            flow: Arc::clone(flow),
            task: None,
            scope: Scope::current(),
            is_over: false,
        }
    }

    /// Code that comes after the flow run, as its last hooks do: its log lines
    /// are the run's, and what it calls is none of it.
    pub(crate) fn after_flow(flow: &Arc<FlowRun>) -> Self {
        Self {
            is_over: true,
            ..Self::of_flow(flow)
        }
    }

    pub(crate) fn of_run(
        flow: &Arc<FlowRun>,
        info: &'static TaskInfo,
        options: &OptionsSource,
        run: RunReference,
        control: &Arc<AttemptControl>,
    ) -> Self {
        Self {
            flow: Arc::clone(flow),
            is_over: false,
            scope: flow.scope_of_run(run, options.scope()),
            task: Some(TaskContext {
                info,
                options: options.clone(),
                place: Place::Run(run, Arc::clone(control)),
            }),
        }
    }

    pub(crate) fn of_rows(
        flow: &Arc<FlowRun>,
        info: &'static TaskInfo,
        options: &OptionsSource,
        map: MapId,
        current: &CurrentRow,
        job: &Arc<dyn MapJob>,
    ) -> Self {
        Self {
            flow: Arc::clone(flow),
            is_over: false,
            scope: options.scope(),
            task: Some(TaskContext {
                info,
                options: options.clone(),
                place: Place::Rows(map, current.clone(), Arc::clone(job)),
            }),
        }
    }

    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Looks at the context of this code, without a copy; none outside of
    /// flows.
    pub(crate) fn with_current<R>(look: impl Fn(Option<&Self>) -> R) -> R {
        let here = CURRENT.try_with(|context| look(Some(context)));
        here.unwrap_or_else(|_| look(None))
    }

    /// The run without what surrounded it where it was submitted.
    pub(crate) fn without_scope(mut self) -> Self {
        self.scope = None;
        self
    }

    /// The run that tasks and flows called here belong to.
    pub(crate) fn caller() -> Option<Self> {
        Self::current().filter(|context| !context.is_over)
    }

    /// Whether the flow run has ended before this code began.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(crate) fn flow(&self) -> &Arc<FlowRun> {
        &self.flow
    }

    /// Runs sync code as this run's.
    pub(crate) fn enter<R>(self, code: impl FnOnce() -> R) -> R {
        let scope = self.scope.clone();
        Scope::enter_shared(scope, || CURRENT.sync_scope(self, code))
    }

    /// Runs async code as this run's.
    pub(crate) async fn scope<F: Future>(self, code: F) -> F::Output {
        let scope = self.scope.clone();
        Scope::around_shared(scope, CURRENT.scope(self, code)).await
    }

    /// The task run; `None` for a flow's own code.
    pub(crate) fn run(&self) -> Option<RunReference> {
        Some(match &self.task.as_ref()?.place {
            Place::Run(run, _) => *run,
            Place::Rows(map, row, _) => RunReference::row(*map, row.row()),
        })
    }

    /// The run's own transaction, if that decides later whether it counts.
    pub(crate) fn deferring_transaction(&self) -> Option<Transaction> {
        let transaction = self.flow.transaction_of(self.run()?)?;
        transaction.defers().then_some(transaction)
    }

    fn task_run_name(&self) -> Option<String> {
        let task = self.task.as_ref()?;
        if let Place::Run(_, control) = &task.place
            && let Some(name) = control.name()
        {
            return Some(name.to_owned());
        }
        Some(
            self.flow
                .task_run_name(&task.options.labels.name, self.run()?),
        )
    }

    fn task_run_id(&self) -> Option<uuid::Uuid> {
        Some(self.flow.task_run_id(self.run()?))
    }

    pub(crate) fn cancellation(&self) -> Cancellation {
        let run = match self.task.as_ref().map(|task| &task.place) {
            None => RunSource::None,
            Some(Place::Run(_, control)) => RunSource::Attempt(Arc::clone(control)),
            Some(Place::Rows(_, row, job)) => RunSource::Row(Arc::clone(job), row.row()),
        };
        Cancellation::of(self.flow.stopping(), run)
    }

    /// `Task run 'inc-9c2'` or `Flow run 'brave-otter'`, as log lines say it.
    pub(crate) fn who(&self) -> String {
        match self.task_run_name() {
            Some(name) => format!("Task run '{name}'"),
            None => format!("Flow run '{}'", self.flow.name()),
        }
    }
}

/// The future as part of the run that calls this, wherever it is polled: its
/// log lines stand under that run, and it may submit tasks.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// async fn elsewhere() -> Result<String> {
///     let name = async { flowcore::run_info().and_then(|run| run.task_run_name) };
///     let name = tokio::spawn(flowcore::in_current_run(name)).await?;
///     Ok(name.unwrap())
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert!(elsewhere().await?.starts_with("elsewhere"));
/// # Ok(())
/// # }
/// ```
pub fn in_current_run<F: Future>(future: F) -> impl Future<Output = F::Output> {
    Surroundings::current().around(future)
}

/// The run that code belongs to, if any, and the scope that it stands in.
pub(crate) struct Surroundings {
    pub(crate) context: Option<RunContext>,
    scope: Option<Arc<Scope>>,
}

impl Surroundings {
    pub(crate) fn current() -> Self {
        Self {
            context: RunContext::current(),
            scope: Scope::current(),
        }
    }

    pub(crate) fn enter<R>(self, code: impl FnOnce() -> R) -> R {
        match self.context {
            None => Scope::enter_shared(self.scope, code),
            Some(mut context) => {
                context.scope = self.scope;
                context.enter(code)
            }
        }
    }

    pub(crate) async fn around<F: Future>(self, code: F) -> F::Output {
        match self.context {
            None => Scope::around_shared(self.scope, code).await,
            Some(mut context) => {
                context.scope = self.scope;
                context.scope(code).await
            }
        }
    }
}

/// What code can know of the run it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunInfo {
    /// The name of the flow run, such as `brave-otter`; a task that is called
    /// outside a flow is a run of its own and has none.
    pub flow_run_name: Option<String>,
    /// The id of the flow run.
    pub flow_run_id: uuid::Uuid,
    /// The key of the task, in a task.
    pub task_key: Option<&'static str>,
    /// The name of the task run, such as `inc-9c2`, in a task.
    pub task_run_name: Option<String>,
    /// The tags of the task run, or of the flow run in a flow's own code; those
    /// of a [`Scope`] among them.
    pub tags: Vec<String>,
    /// The id of the task run, in a task.
    pub task_run_id: Option<uuid::Uuid>,
    /// The attempt, from 1: of the task run, or of the flow run in a flow's own
    /// code.
    pub attempt: u32,
    /// Whether the run was asked to stop: it was cancelled, or its time is up.
    /// See [`cancellation`](crate::cancellation()).
    pub is_cancelled: bool,
}

/// The run that the calling code belongs to; `None` outside of runs, and on
/// threads that the code started by itself.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// fn which() -> String {
///     flowcore::run_info().unwrap().task_run_name.unwrap()
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert!(which().await?.starts_with("which"));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn run_info() -> Option<RunInfo> {
    let context = RunContext::current()?;
    let control = context.task.as_ref().and_then(|task| match &task.place {
        Place::Run(_, control) => Some(control),
        Place::Rows(..) => None,
    });
    Some(RunInfo {
        flow_run_name: (!context.flow.is_standalone()).then(|| context.flow.name().to_owned()),
        flow_run_id: context.flow.id(),
        task_key: context.task.as_ref().map(|task| task.info.key),
        task_run_name: context.task_run_name(),
        tags: match &context.task {
            Some(task) => task.options.all_tags().map(str::to_owned).collect(),
            None => context.flow.tags().to_vec(),
        },
        task_run_id: context.task_run_id(),
        attempt: match (control, &context.task) {
            (Some(control), _) => control.attempt(),
            (None, Some(_)) => 1,
            (None, None) => context.flow.attempt(),
        },
        is_cancelled: context.cancellation().is_cancelled(),
    })
}
