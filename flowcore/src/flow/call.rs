//! `task(..)`: a run here and now.
//!
//! With owned values sync code runs on the pool and async code where the
//! caller polls; with borrowed ones everything runs in the caller. A call
//! outside of flows is a flow run of its own, without a name.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use uuid::Uuid;

use super::observer::Began;
use super::running::Registration;
use super::shell::in_hook;
use super::submit::{may_wait, submit_in};
use super::{FlowRun, state_of, symbolic};
use crate::cancellation::block_on;
use crate::context::{RunContext, Surroundings};
use crate::deep::Deep;
use crate::definition::{
    BodyFuture, CacheKey, LentArguments, Parameters, TaskConfiguration, TaskDefinition, TaskError,
    each_arity,
};
use crate::engine::RunId;
use crate::error::Result;
use crate::future::{Place, TaskFuture};
use crate::handle::RunCell;
use crate::records::{Keep, KeySource, Unstable};
use crate::report::ReportCall;
use crate::runner::{
    AttemptBody, AttemptControl, Execution, InPlace, Kept, SingleExecution, drive_in_place,
    lend_while, name_attempt, run_name,
};
use crate::state::{State, StateOutcome};
use crate::value::{StoredValue, ValueCell};

/// A call of a task or a flow: nothing happens until it is awaited.
///
/// Awaiting gives the value or the error; [`Call::state`] gives the state and
/// never fails, and [`Call::block`] waits in sync code.
///
/// # Cancel safety
///
/// A call that is dropped half-way cancels its run.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<'a, T> {
    code: Code<'a, T>,
    flow: Option<Startable>,
}

type Code<'a, T> = Deep<'a, Ended<T>>;

/// What a flow's call says of it before it begins.
pub(super) struct Startable {
    pub(super) flow: Arc<FlowRun>,
    /// Its function runs on the thread that polls.
    pub(super) blocks: bool,
}

/// How a call ended.
#[doc(hidden)]
pub struct Ended<T> {
    pub(crate) state: State<T>,
    /// The value beside a state that is not completed: a flow that returned a
    /// list of runs, some of which failed.
    pub(super) value: Option<T>,
    /// The value's cell, if nobody else holds it.
    pub(super) cell: Option<Arc<RunCell<T>>>,
}

impl<T> fmt::Debug for Call<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Call")
    }
}

impl<'a, T: Send + Sync + 'static> Call<'a, T> {
    pub(super) fn new(code: impl Future<Output = Ended<T>> + Send + 'a) -> Self {
        Self::of_code(code)
    }

    pub(super) fn of_flow(
        flow: Startable,
        code: impl Future<Output = Ended<T>> + Send + 'a,
    ) -> Self {
        Self {
            code: Deep::new(code),
            flow: Some(flow),
        }
    }

    pub(super) fn into_parts(self) -> (Code<'a, T>, Option<Startable>) {
        (self.code, self.flow)
    }

    /// The final state instead of the value, as `return_state=True` in
    /// Prefect.
    ///
    /// ```
    /// use flowcore::prelude::*;
    ///
    /// #[task]
    /// fn parse(text: String) -> Result<i64, std::num::ParseIntError> { text.parse() }
    ///
    /// # #[flowcore::main]
    /// # async fn main() {
    /// let state = parse("five".into()).state().await;
    /// assert!(state.is_failed());
    /// # }
    /// ```
    pub fn state(self) -> StateCall<'a, T> {
        StateCall(self.code)
    }

    /// A report of all that ran beside the result: states, times, a summary.
    /// Nothing is kept of calls that are awaited otherwise.
    ///
    /// The report is of a flow's run with its subflows, or of a task that is
    /// called outside of flows. A task that is called inside a flow is part of
    /// that flow's report, and its own has only the result.
    ///
    /// ```
    /// use flowcore::prelude::*;
    ///
    /// #[task]
    /// fn double(x: i64) -> i64 { x * 2 }
    ///
    /// #[flow]
    /// async fn quadruple(x: i64) -> Result<i64> {
    ///     double.submit(double.submit(x)).await
    /// }
    /// # #[flowcore::main]
    /// # async fn main() -> Result<()> {
    /// let report = quadruple(3).report().await;
    /// println!("{}", report.summary());
    /// assert_eq!(report.into_result()?, 12);
    /// # Ok(())
    /// # }
    /// ```
    pub fn report(self) -> ReportCall<'a, T> {
        ReportCall::new(self.code)
    }

    /// Waits in sync code; async code awaits instead. A thread of a task
    /// runner lends its slot to other runs meanwhile.
    ///
    /// # Errors
    ///
    /// Those of awaiting the call.
    pub fn block(self) -> Result<T> {
        if !crate::runtime::stands_still_when_blocked() {
            return block_on(self);
        }
        // The call's timers and sockets would be this thread's runtime's.
        let surroundings = Surroundings::current();
        lend_while(|| crate::runtime::on_a_scoped_thread(|| surroundings.enter(|| block_on(self)))?)
    }
}

/// The end of a call, for code that goes on with it.
#[doc(hidden)]
pub fn ended<T>(call: Call<'_, T>) -> impl Future<Output = Ended<T>> + Send {
    call.code
}

impl<T> fmt::Debug for Ended<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ended").field(&self.state).finish()
    }
}

// Without bounds, so that a value that cannot be shared is told where the
// task is defined, once.
impl<'a, T> Call<'a, T> {
    /// The same call with another value.
    pub(crate) fn mapped<U: Send + Sync + 'static>(
        self,
        change: impl Fn(&T) -> U + Send + 'a,
    ) -> Call<'a, U>
    where
        T: 'a,
    {
        let Self { code, flow } = self;
        Call {
            code: Deep::new(async move { code.await.mapped(change) }),
            flow,
        }
    }

    /// A call whose code holds what it lends.
    pub(crate) fn of_code(code: impl Future<Output = Ended<T>> + Send + 'a) -> Self {
        Self {
            code: Deep::new(code),
            flow: None,
        }
    }
}

impl<T> Ended<T> {
    /// The same end with another value.
    fn mapped<U: Send + Sync + 'static>(self, change: impl Fn(&T) -> U) -> Ended<U> {
        let Self { state, value, cell } = self;
        let changed = match (value, cell) {
            (Some(value), _) => Ok(Some(change(&value))),
            (None, Some(cell)) if state.is_completed() => {
                cell.value().share().map(|value| Some(change(&value)))
            }
            (None, _) => Ok(None),
        };
        match changed {
            Ok(value) => Ended {
                state: state.of_other_value(),
                value,
                cell: None,
            },
            Err(error) => Ended::refused(error),
        }
    }
}

impl<T: Send + Sync + 'static> Ended<T> {
    pub(crate) fn into_result(self) -> Result<T> {
        let Self { state, value, cell } = self;
        if let Some(value) = value {
            return Ok(value);
        }
        match state.outcome() {
            StateOutcome::Error(error) => {
                symbolic::note_asked_for(error);
                return Err(error.clone());
            }
            StateOutcome::Open | StateOutcome::Value(_) => {}
        }
        drop(state);
        match cell {
            Some(cell) => {
                let last = Arc::strong_count(&cell) == 1;
                cell.value().obtain(last, &cell.access())
            }
            None => unreachable!("a call that completed has a value"),
        }
    }
}

impl<T: Send + Sync + 'static> Future for Call<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.code)
            .poll(context)
            .map(Ended::into_result)
    }
}

/// A call that gives its state; made by [`Call::state`].
#[must_use = "a call does nothing until it is awaited"]
pub struct StateCall<'a, T>(Code<'a, T>);

impl<T> fmt::Debug for StateCall<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateCall")
    }
}

impl<T: Send + Sync + 'static> Future for StateCall<'_, T> {
    type Output = State<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|ended| match ended.value {
                // A flow's value is not in a cell of a run.
                Some(value) if ended.state.is_completed() => {
                    ended.state.with_value(Arc::new(value))
                }
                _ => ended.state,
            })
    }
}

tokio::task_local! {
    /// The id of the run around a task that this code calls outside of flows.
    static AROUND: Uuid;
}

/// Calls a task outside of flows, in a run of this id: so who asked for the
/// call knows the ids of its runs.
#[cfg(feature = "prefect")]
pub(crate) async fn called_as<F: Future>(around: Uuid, call: F) -> F::Output {
    AROUND.scope(around, call).await
}

/// The flow run that a direct call belongs to: the caller's, or one of its own.
struct FlowHere {
    flow: Arc<FlowRun>,
    registration: Option<Registration>,
}

impl FlowHere {
    fn new() -> Self {
        match RunContext::caller() {
            Some(context) => Self {
                flow: Arc::clone(context.flow()),
                registration: None,
            },
            None => {
                let flow = FlowRun::standalone(AROUND.try_with(|id| *id).ok());
                flow.begin_observed(&Began {
                    flow: None,
                    parent: None,
                    at: crate::runtime::now(),
                });
                let registration = Registration::new(&flow, None);
                Self { flow, registration }
            }
        }
    }

    /// The call has ended.
    async fn leave(self) {
        if self.registration.is_some() {
            #[cfg(feature = "prefect")]
            if self.flow.is_observed() {
                crate::prefect::reporter::finish_alone(&self.flow).await;
            }
            drop(self.registration);
            self.flow.life().return_to_caller().await;
        }
    }
}

/// Calls a task with owned values.
#[doc(hidden)]
pub fn call<D: TaskDefinition>(
    configuration: &TaskConfiguration,
    stored: <D::Parameters as Parameters>::Stored,
) -> Call<'static, D::Output> {
    let configuration = configuration.clone();
    Call::new(async move {
        let configuration = configuration.in_scope();
        let arguments = D::Parameters::from_stored(stored);
        if D::info().is_async {
            let here = FlowHere::new();
            let execution = SingleExecution::<D> {
                arguments,
                options: configuration.source(),
                output: Arc::new(ValueCell::default()),
                is_direct: true,
                persists: configuration
                    .options()
                    .results
                    .persists_in(here.flow.results()),
            };
            let output = Arc::clone(&execution.output);
            run_in_place::<D>(here, &configuration, output, move |control| {
                execution.attempt(control)
            })
            .await
        } else {
            on_the_pool::<D>(&configuration, arguments).await
        }
    })
}

/// What a task is called as, if all its arguments are owned:
/// `dyn Fn(i64) -> Call<'static, i64>`.
#[doc(hidden)]
pub trait OwnedCall {
    /// [`call`] of such a task.
    type Run;

    /// The call with these options.
    fn of(run: Self::Run, configuration: TaskConfiguration) -> Box<Self>;
}

macro_rules! owned_calls {
    ($($name:ident),*) => {
        impl<T: 'static, $($name: 'static),*> OwnedCall
            for dyn Fn($($name),*) -> Call<'static, T> + Send + Sync
        {
            type Run = fn(&TaskConfiguration, ($($name,)*)) -> Call<'static, T>;

            #[allow(non_snake_case, reason = "each argument is called as its type")]
            fn of(run: Self::Run, configuration: TaskConfiguration) -> Box<Self> {
                Box::new(move |$($name: $name),*| run(&configuration, ($($name,)*)))
            }
        }
    };
}

each_arity!(owned_calls);

/// The direct call of a task whose arguments are all owned. The types of the
/// arguments are no bound here: a wrong one would be told once more.
#[doc(hidden)]
#[must_use]
pub fn owned_call<F: OwnedCall + ?Sized>(run: F::Run, configuration: TaskConfiguration) -> Box<F> {
    F::of(run, configuration)
}

/// A sync task on the pool; the caller waits and may leave.
async fn on_the_pool<D: TaskDefinition>(
    configuration: &TaskConfiguration,
    arguments: <D::Parameters as Parameters>::Arguments,
) -> Ended<D::Output> {
    let here = FlowHere::new();
    let cell = match submit_in::<D>(Arc::clone(&here.flow), configuration, arguments, true) {
        Ok(cell) => cell,
        Err(error) => return Ended::refused(error),
    };
    let run = TaskFuture::new(Place::Run(Arc::clone(&cell))).cancel_on_drop();
    run.wait(None).await;
    drop(run.keep());
    let ended = Ended::of(&here.flow, cell);
    here.leave().await;
    ended
}

/// Calls a sync task with loans.
#[doc(hidden)]
pub fn call_lent<'a, D, A, C>(
    configuration: &TaskConfiguration,
    arguments: A,
    key: fn(&A::Given) -> CacheKey,
    mut code: C,
) -> Call<'a, D::Output>
where
    D: TaskDefinition,
    A: LentArguments<D::Parameters> + 'a,
    C: FnMut(A::Given) -> Result<D::Output, TaskError> + Send + 'a,
{
    call_in_place::<D, A, _>(configuration, arguments, key, move |given, kept, output| {
        let fill = |value| output.fill(value);
        AttemptBody::Done(match kept {
            Some(kept) => kept.code(|| code(given), fill),
            None => code(given).map(fill),
        })
    })
}

/// Calls an async task with loans.
#[doc(hidden)]
pub fn call_lent_future<'a, D, A, C>(
    configuration: &TaskConfiguration,
    arguments: A,
    key: fn(&A::Given) -> CacheKey,
    mut code: C,
) -> Call<'a, D::Output>
where
    D: TaskDefinition,
    A: LentArguments<D::Parameters> + 'a,
    C: FnMut(A::Given) -> BodyFuture<'a, D::Output> + Send + 'a,
{
    call_in_place::<D, A, _>(configuration, arguments, key, move |given, kept, output| {
        let future = code(given);
        let output = Arc::clone(output);
        AttemptBody::Future(match kept {
            Some(kept) => Box::pin(kept.future(future, move |value| output.fill(value))),
            None => Box::pin(async move {
                output.fill(future.await?);
                Ok(())
            }),
        })
    })
}

/// The key of a task without `cache_key`.
///
/// # Errors
///
/// Never.
#[doc(hidden)]
pub fn no_key<T>(_: &T) -> CacheKey {
    Ok(None)
}

/// Calls a task whose attempts borrow from the caller.
fn call_in_place<'a, D, A, C>(
    configuration: &TaskConfiguration,
    arguments: A,
    key: fn(&A::Given) -> CacheKey,
    mut attempt: C,
) -> Call<'a, D::Output>
where
    D: TaskDefinition,
    A: LentArguments<D::Parameters> + 'a,
    C: FnMut(A::Given, Option<Kept<D::Output>>, &Arc<ValueCell<D::Output>>) -> AttemptBody<'a>
        + Send
        + 'a,
{
    let configuration = configuration.clone();
    Call::new(async move {
        let configuration = configuration.in_scope();
        let output = Arc::new(ValueCell::default());
        let filled = Arc::clone(&output);
        let here = FlowHere::new();
        let options = configuration.source();
        let persists = options.results.persists_in(here.flow.results());
        let access = D::access();
        let attempts = move |control: &Arc<AttemptControl>| {
            let given = match arguments.give(control.is_last(), &access) {
                Ok(given) => given,
                Err(error) => return AttemptBody::Done(Err(TaskError::from_flow(error))),
            };
            if let Some(template) = &options.task_run_name {
                let text = |index| arguments.text(&given, index, &access);
                name_attempt(control, run_name(D::info(), template, text));
            }
            let kept = persists.then(|| Kept {
                keep: Keep::of(
                    D::info(),
                    &options,
                    &Loans {
                        stable_text: |index| arguments.stable_text(&given, index, &access),
                        key: || key(&given),
                    },
                ),
                access: D::output_access(),
                control: Arc::clone(control),
            });
            attempt(given, kept, &filled)
        };
        run_in_place::<D>(here, &configuration, output, attempts).await
    })
}

/// What the key of a call with loans is made of.
struct Loans<T, K> {
    stable_text: T,
    key: K,
}

impl<T, K> KeySource for Loans<T, K>
where
    T: Fn(usize) -> Result<String, Unstable>,
    K: Fn() -> CacheKey,
{
    fn stable_text(&self, index: usize) -> Result<String, Unstable> {
        (self.stable_text)(index)
    }

    fn cache_key(&self) -> CacheKey {
        (self.key)()
    }
}

/// A run whose attempts run where the caller polls.
async fn run_in_place<'a, D: TaskDefinition>(
    here: FlowHere,
    configuration: &TaskConfiguration,
    output: Arc<ValueCell<D::Output>>,
    attempts: impl FnMut(&Arc<AttemptControl>) -> AttemptBody<'a> + Send + 'a,
) -> Ended<D::Output> {
    let flow = &here.flow;
    if let Err(error) = may_wait(flow, D::info(), configuration.options()) {
        return Ended::refused(error);
    }
    let id = flow.enter_inline(D::info(), configuration);
    if let Some(values) = flow.symbolic() {
        values.fill::<D>(&output);
        flow.settled(id.into(), values.end(D::info(), !output.is_empty()));
    }
    let cell = Arc::new(RunCell::live(
        Arc::clone(flow),
        id,
        output,
        D::output_access,
        true,
    ));
    let place = InPlace {
        flow: Arc::clone(flow),
        run: id,
        info: D::info(),
        options: configuration.source(),
    };
    if flow.symbolic().is_none() {
        drive_in_place(place, attempts).await;
    }
    // A hook that calls a task is itself one that would be waited for.
    if !configuration.options().hooks.is_empty() && !in_hook() {
        flow.hooks_called().await;
    } else if flow.has_transactions() {
        std::future::poll_fn(|context| flow.poll_settled(id.into(), context.waker())).await;
    }
    flow.yield_if_stopping().await;
    let ended = Ended::of(flow, cell);
    here.leave().await;
    ended
}

impl<T: Send + Sync + 'static> Ended<T> {
    fn of(flow: &Arc<FlowRun>, cell: Arc<RunCell<T>>) -> Self {
        let id: RunId = match cell.handle() {
            crate::handle::Handle::Live { id, .. } => *id,
            crate::handle::Handle::Rejected(error) => return Self::refused(error.clone()),
        };
        let view = flow
            .view(id.into())
            .expect("a run whose cell lives stays in its engine");
        Self {
            state: state_of(&view, || StoredValue::Run(Arc::clone(&cell))),
            value: None,
            cell: Some(cell),
        }
    }

    pub(super) fn refused(error: crate::Error) -> Self {
        Self {
            state: State::refused(error),
            value: None,
            cell: None,
        }
    }
}
