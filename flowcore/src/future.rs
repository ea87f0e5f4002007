//! The handle of one task run.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use uuid::Uuid;

use crate::cancel_on_drop::CancelOnDrop;
use crate::cancellation::block_on;
use crate::engine::RunView;
use crate::error::{Error, ErrorKind, Result};
use crate::flow::{FlowRun, state_of};
use crate::handle::{Fetch, Handle, MapCell, RunCell};
use crate::runner::{RunReference, RunnerFuture};
use crate::state::{State, StateName, StateOutcome};
use crate::value::StoredValue;

/// Where a run's value is: in a cell of its own or in a map's row.
pub(crate) enum Place<T> {
    Run(Arc<RunCell<T>>),
    Row(Arc<MapCell<T>>, u32),
}

impl<T> Clone for Place<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Run(cell) => Self::Run(Arc::clone(cell)),
            Self::Row(cell, row) => Self::Row(Arc::clone(cell), *row),
        }
    }
}

impl<T> Place<T> {
    /// The run and its flow run, or why there is none.
    pub(crate) fn run(&self) -> Result<(&Arc<FlowRun>, RunReference), &Error> {
        match self {
            Self::Run(cell) => match cell.handle() {
                Handle::Live { flow, id } => Ok((flow, (*id).into())),
                Handle::Rejected(error) => Err(error),
            },
            Self::Row(cell, row) => match cell.handle() {
                Handle::Live { flow, id } => Ok((flow, RunReference::row(*id, *row))),
                Handle::Rejected(error) => Err(error),
            },
        }
    }

    /// Why the run did not complete; `None` if it did or has not settled.
    pub(crate) fn settled_error(&self) -> Option<Error> {
        match self.run() {
            Err(error) => Some(error.clone()),
            Ok((flow, run)) => {
                let view = flow.view(run)?;
                (view.name.is_settled() && !view.name.is_completed()).then(|| view.error())
            }
        }
    }

    fn stored(&self) -> StoredValue<T> {
        match self.clone() {
            Self::Run(cell) => StoredValue::Run(cell),
            Self::Row(cell, row) => StoredValue::Row(cell, row),
        }
    }
}

impl<T: Send + Sync + 'static> Place<T> {
    /// Brings the value here, if it lies with the runner.
    pub(crate) fn fetch(&self) -> Option<RunnerFuture<Result<()>>> {
        match self {
            Self::Run(cell) => RunCell::fetch(cell),
            Self::Row(cell, row) => MapCell::fetch(cell, *row),
        }
    }

    /// The value: itself if this is its last reader, else a copy.
    fn obtain(&self) -> Result<T> {
        match self {
            Self::Run(cell) => {
                let last = Arc::strong_count(cell) == 1;
                cell.value().obtain(last, &cell.access())
            }
            Self::Row(cell, row) => cell.obtain_row(*row, true, None),
        }
    }
}

/// A task run that was submitted and will give a `T`.
///
/// Await it for its value, hand it to another task as an argument, or ask for
/// its state. Dropping it does not cancel the run; a flow waits for all that
/// it submitted.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// fn double(x: i64) -> i64 { x * 2 }
///
/// #[flow]
/// async fn quadruple(x: i64) -> Result<i64> {
///     let twice = double.submit(x);
///     double.submit(twice).await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(quadruple(3).await?, 12);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping a poll loop half-way loses nothing: the run goes on, and any other
/// handle of it gives the value.
#[must_use = "a run whose result nobody reads is easily forgotten; await it, or `drop` it"]
pub struct TaskFuture<T> {
    place: Place<T>,
    fetch: Fetch,
}

impl<T> Clone for TaskFuture<T> {
    fn clone(&self) -> Self {
        Self::new(self.place.clone())
    }
}

impl<T> fmt::Debug for TaskFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskFuture({})", self.state())
    }
}

impl<T> TaskFuture<T> {
    pub(crate) fn new(place: Place<T>) -> Self {
        Self {
            place,
            fetch: Fetch::default(),
        }
    }

    pub(crate) fn rejected(error: Error) -> Self {
        Self::new(Place::Run(Arc::new(RunCell::rejected(error))))
    }

    pub(crate) fn place(&self) -> &Place<T> {
        &self.place
    }

    pub(crate) fn into_place(self) -> Place<T> {
        self.place
    }

    /// The id of the run; `None` if the call was refused and no run exists.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        let (flow, run) = self.place.run().ok()?;
        Some(flow.task_run_id(run))
    }

    /// The state as it is now; see [`TaskFuture::wait`].
    #[must_use]
    pub fn state(&self) -> State<T> {
        match self.place.run() {
            Err(error) => State::refused(error.clone()),
            Ok((flow, run)) => match flow.view(run) {
                Some(view) => state_of(&view, || self.place.stored()),
                None => State::new(
                    StateName::Pending,
                    None,
                    crate::runtime::now(),
                    StateOutcome::Open,
                ),
            },
        }
    }

    /// How many attempts of the run have begun.
    #[must_use]
    pub fn run_count(&self) -> u32 {
        self.place
            .run()
            .ok()
            .and_then(|(flow, run)| flow.view(run))
            .map_or(0, |view| view.attempt)
    }

    /// Asks the run to stop. One that has not started is Cancelled at once;
    /// async code ends at its next await; sync code at its next `.block()`, or
    /// when it looks at its [`cancellation`](crate::cancellation()). One that has
    /// ended stays as it is.
    pub fn cancel(&self) {
        if let Ok((flow, run)) = self.place.run() {
            flow.cancel(run);
        }
    }

    /// A handle that cancels the run when it is dropped.
    pub fn cancel_on_drop(self) -> CancelOnDrop<Self> {
        CancelOnDrop::new(self)
    }

    pub(crate) fn poll_view(&self, context: &Context<'_>) -> Poll<Result<RunView, Error>> {
        match self.place.run() {
            Err(error) => Poll::Ready(Err(error.clone())),
            Ok((flow, run)) => flow.poll_settled(run, context.waker()).map(Ok),
        }
    }

    /// Waits until the run has settled, at most for `limit`, and says whether
    /// it has. Never fails: ask [`TaskFuture::state`] how it ended.
    ///
    /// ```
    /// # use flowcore::prelude::*;
    /// # use std::time::Duration;
    /// # #[task]
    /// # fn double(x: i64) -> i64 { x * 2 }
    /// # #[flow]
    /// # async fn example() -> Result<()> {
    /// let twice = double.submit(4);
    /// if twice.wait(Duration::from_secs(60)).await {
    ///     println!("{}", twice.state());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait(&self, limit: impl Into<Option<Duration>>) -> bool {
        let settled = std::future::poll_fn(|context| self.poll_view(context).map(|_| ()));
        match limit.into() {
            None => settled.await,
            Some(limit) => match crate::runtime::timeout(limit, settled).await {
                Some(()) => {}
                None => return false,
            },
        }
        self.yield_if_stopping().await;
        true
    }

    async fn yield_if_stopping(&self) {
        if let Ok((flow, _)) = self.place.run() {
            flow.yield_if_stopping().await;
        }
    }
}

impl<T: Send + Sync + 'static> TaskFuture<T> {
    /// The value, shared with its other readers, once it is there.
    ///
    /// # Errors
    ///
    /// The run's error, if it does not complete.
    pub async fn result(&self) -> Result<Arc<T>> {
        let view = std::future::poll_fn(|context| self.poll_view(context)).await?;
        if !view.name.is_completed() {
            self.yield_if_stopping().await;
            return Err(view.error());
        }
        if let Some(fetch) = self.place.fetch() {
            fetch.await?;
        }
        self.place.stored().share()
    }

    /// The value, if it is there within `limit`.
    ///
    /// ```
    /// # use flowcore::prelude::*;
    /// # use std::time::Duration;
    /// # #[task]
    /// # fn double(x: i64) -> i64 { x * 2 }
    /// # #[flow]
    /// # async fn example() -> Result<()> {
    /// let twice = double.submit(4).result_within(Duration::from_secs(60)).await?;
    /// assert_eq!(*twice, 8);
    /// # Ok(())
    /// # }
    /// # #[flowcore::main]
    /// # async fn main() -> Result<()> { example().await }
    /// ```
    ///
    /// # Errors
    ///
    /// The run's error, if it does not complete; an error of kind
    /// [`ErrorKind::TimedOut`] if it has not ended in time. The run goes on then.
    pub async fn result_within(&self, limit: Duration) -> Result<Arc<T>> {
        match crate::runtime::timeout(limit, self.result()).await {
            Some(result) => result,
            None => {
                let run = self.id().map_or_else(String::new, |id| format!(" {id}"));
                Err(late("Task run", &run, limit))
            }
        }
    }

    /// Blocks this thread until the value is there, for sync code. A thread of
    /// a task runner lends its slot to other runs meanwhile, so that nothing
    /// dead-locks; async code awaits instead.
    ///
    /// # Errors
    ///
    /// The run's error, if it does not complete.
    pub fn block(self) -> Result<T> {
        block_on(self)
    }
}

/// The error of whoever waited too long for `what`.
pub(crate) fn late(what: &str, which: &str, limit: Duration) -> Error {
    let seconds = limit.as_secs_f64();
    let message = format!("{what}{which} did not complete within {seconds:?} seconds");
    Error::build(ErrorKind::TimedOut, message).finish()
}

impl<T: Send + Sync + 'static> Future for TaskFuture<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.fetch.is_idle() {
            let view = ready!(self.poll_view(context))?;
            let Self { place, fetch } = &mut *self;
            if !view.name.is_completed() {
                let flow = place.run().ok().map(|(flow, _)| flow);
                ready!(fetch.poll_error(flow, context));
                return Poll::Ready(Err(view.error()));
            }
            fetch.begin(place.fetch());
        }
        ready!(self.fetch.poll(context))?;
        Poll::Ready(self.place.obtain())
    }
}

impl<T: Send + Sync + 'static> IntoFuture for &TaskFuture<T> {
    type Output = Result<T>;
    type IntoFuture = TaskFuture<T>;

    fn into_future(self) -> TaskFuture<T> {
        self.clone()
    }
}
