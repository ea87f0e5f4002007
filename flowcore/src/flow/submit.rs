//! `task.submit(..)` and `task.map(..)`: from typed arguments to entries in
//! the flow run's engine.

use std::sync::Arc;

use smallvec::SmallVec;

use super::observer::{Input, InputSource, Submission, Submitted};
use super::shell::{MapEntry, RunEntry};
use super::{FlowRun, end};
use crate::arguments::{ColumnInput, ColumnLength, Edge, Upstream};
use crate::context::RunContext;
use crate::definition::{
    Parameters, Task, TaskConfiguration, TaskDefinition, TaskInfo, TaskOptions,
};
use crate::engine::{Dependent, MapInput, RunId, RunInput, Source, Waits};
use crate::error::{Error, ErrorKind, Result};
use crate::future::{Place, TaskFuture};
use crate::handle::{Handle, MapCell, RowStore, RunCell};
use crate::mapped::Mapped;
use crate::progress::Progress;
use crate::runner::{Execution, MapExecution, RunReference, SingleExecution};
use crate::value::ValueCell;

/// Starts a run in the current flow's task runner.
#[doc(hidden)]
pub fn submit<D: TaskDefinition>(
    task: &Task<D>,
    arguments: <D::Parameters as Parameters>::Arguments,
) -> TaskFuture<D::Output> {
    let configuration = task.configuration();
    let configuration = configuration.in_scope();
    match flow_of::<D>("submit").and_then(|flow| {
        check_retries::<D>(&configuration)?;
        submit_in::<D>(flow, &configuration, arguments, false)
    }) {
        Ok(cell) => TaskFuture::new(Place::Run(cell)),
        Err(error) => {
            end::say_refused(&error);
            TaskFuture::rejected(error)
        }
    }
}

/// Starts one run per row in the current flow's task runner.
#[doc(hidden)]
pub fn map<D: TaskDefinition>(
    task: &Task<D>,
    columns: <D::Parameters as Parameters>::Columns,
) -> Mapped<D::Output> {
    let configuration = task.configuration();
    let configuration = configuration.in_scope();
    match flow_of::<D>("map").and_then(|flow| {
        check_retries::<D>(&configuration)?;
        map_in::<D>(&flow, &configuration, columns)
    }) {
        Ok(cell) => Mapped::new(cell),
        Err(error) => {
            end::say_refused(&error);
            Mapped::rejected(error)
        }
    }
}

fn flow_of<D: TaskDefinition>(method: &str) -> Result<Arc<FlowRun>> {
    RunContext::with_current(|context| flow_in(D::info(), method, context))
}

/// The flow run of this context, which tasks can be submitted to.
fn flow_in(info: &TaskInfo, method: &str, context: Option<&RunContext>) -> Result<Arc<FlowRun>> {
    let function = info.function;
    let context = context.ok_or_else(|| {
        invalid(
            info,
            format!(
                "`{function}.{method}(..)` was called outside a flow: call it inside a function \
                 with `#[flow]` (a spawned future takes the flow run along in \
                 `flowcore::in_current_run(..)`), or call the task itself: `{function}(..)`"
            ),
        )
    })?;
    let flow = context.flow();
    if context.is_over() {
        return Err(invalid(
            info,
            format!(
                "`{function}.{method}(..)` was called in a hook after its flow run '{}' had ended: \
                 call the task itself, `{function}(..).block()`, or a flow that submits it",
                flow.name()
            ),
        ));
    }
    if flow.is_elsewhere() && info.is_local {
        return Err(invalid(
            info,
            format!(
                "`{function}.{method}(..)` was called in a task that runs in another process than \
                 its flow, and `{function}` is local to that one: call the task itself, \
                 `{function}(..)`, or mark the caller `#[task(local)]`"
            ),
        ));
    }
    if flow.has_ended() {
        return Err(invalid(
            info,
            format!(
                "`{function}.{method}(..)` was called after its flow run '{}' had ended: the flow \
                 must await whatever submits tasks",
                flow.name()
            ),
        ));
    }
    Ok(Arc::clone(flow))
}

/// A second attempt needs a second value of everything that the task takes.
fn check_retries<D: TaskDefinition>(configuration: &TaskConfiguration) -> Result<()> {
    if configuration.options().retries_in_force() == 0 {
        return Ok(());
    }
    match D::Parameters::taken_once(&D::access()) {
        None => Ok(()),
        Some((index, type_name)) => Err(invalid(
            D::info(),
            format!(
                "`{}` has retries, and each needs a value for `{}`, but `{type_name}` is neither \
                 `Clone` nor serializable: derive `Clone`, take it as `&{type_name}`, or say `retries = 0`",
                D::info().function,
                D::info().parameters[index],
            ),
        )),
    }
}

/// What the caller of this task asked for cannot be.
fn invalid(info: &TaskInfo, message: String) -> Error {
    Error::build(ErrorKind::Invalid, message)
        .task(info.key)
        .finish()
}

/// Whether a run may have to wait for slots before it starts; an error if its
/// options are wrong or the flow's runner never has what it needs.
pub(super) fn may_wait(flow: &FlowRun, info: &TaskInfo, options: &TaskOptions) -> Result<bool> {
    let waits = options
        .check(info.parameters)
        .and_then(|()| flow.may_wait_for_slots(options));
    waits.map_err(|error| invalid(info, format!("`{}`: {error}", info.function)))
}

pub(super) fn submit_in<D: TaskDefinition>(
    home: Arc<FlowRun>,
    configuration: &TaskConfiguration,
    arguments: <D::Parameters as Parameters>::Arguments,
    is_direct: bool,
) -> Result<Arc<RunCell<D::Output>>> {
    let flow = &home;
    // What may have to wait for slots is held back.
    let may_wait = may_wait(flow, D::info(), configuration.options())?;
    let mut inputs = Inputs::of(flow);
    D::Parameters::edges(&arguments, &mut |parameter, edge| {
        inputs.add(Some(parameter), edge);
    });
    inputs.add_dependencies(configuration);
    let is_local = is_direct || D::info().is_local;
    let output = Arc::new(ValueCell::default());
    if let Some(values) = flow.symbolic() {
        values.fill::<D>(&output);
    }
    let job = Arc::new(SingleExecution::<D> {
        arguments,
        options: configuration.source(),
        output: Arc::clone(&output),
        is_direct,
        persists: configuration.options().results.persists_in(flow.results()),
    });
    let Inputs {
        here,
        foreign,
        noted,
        ..
    } = inputs;
    let is_early = !is_local && may_be_early(flow, configuration, may_wait);
    let membership = flow.membership(&configuration.source(), is_local);
    let id = flow.update_at(|shell, moment| {
        let id = shell.engine.reserve_run();
        shell.jobs.insert(id, RunEntry::Job(job));
        flow.note_transaction(shell, id, membership.as_ref());
        let what = Submitted::Run(id);
        flow.tell_submitted(
            what,
            D::info(),
            configuration.options(),
            noted.as_deref(),
            moment,
        );
        if is_early {
            shell
                .engine
                .submit_run(id, here.iter().cloned(), || moment.now());
            shell.engine.offer_run(id, &here);
        } else {
            shell.engine.submit_run(id, here, || moment.now());
        }
        id
    });
    for input in foreign {
        input.watch(flow, Waits::Run(id));
    }
    Ok(Arc::new(RunCell::live(
        home,
        id,
        output,
        D::output_access,
        is_local,
    )))
}

impl FlowRun {
    /// A run whose arguments are all values, for the code of a task run in
    /// another process.
    pub(crate) fn submit_job(
        self: &Arc<Self>,
        job: &Arc<dyn Execution>,
        by: RunReference,
    ) -> Result<RunId> {
        let info = job.info();
        if self.has_ended() {
            let name = self.name();
            return Err(invalid(
                info,
                format!("`{}`: its flow run '{name}' has ended", info.function),
            ));
        }
        let may_wait = may_wait(self, info, job.options())?;
        let is_early = !job.is_local() && !may_wait && self.feeds_early();
        let membership = self.membership(job.options(), job.is_local());
        Ok(self.update_at(|shell, moment| {
            let id = shell.engine.reserve_run();
            shell.jobs.insert(id, RunEntry::Job(Arc::clone(job)));
            self.note_transaction(shell, id, membership.as_ref());
            let what = Submitted::Run(id);
            self.tell_submission(&Submission {
                what,
                info,
                options: job.options(),
                // What it was made from is known where it was submitted.
                inputs: &[],
                by: Some(by),
                at: moment.now(),
            });
            shell.engine.submit_run(id, [], || moment.now());
            if is_early {
                shell.engine.offer_run(id, &[]);
            }
            id
        }))
    }
}

fn map_in<D: TaskDefinition>(
    flow: &Arc<FlowRun>,
    configuration: &TaskConfiguration,
    columns: <D::Parameters as Parameters>::Columns,
) -> Result<MapCell<D::Output>> {
    let length = MapExecution::<D>::length(&columns)?;
    let may_wait = may_wait(flow, D::info(), configuration.options())?;
    let mut whole = Inputs::of(flow);
    let mut inputs = Vec::new();
    let mut foreign_rows = false;
    D::Parameters::inputs(&columns, &mut |parameter, input| match input {
        ColumnInput::Aligned {
            handle: Handle::Live { flow: other, id },
            first,
            allow_failure,
        } => {
            // A row that does not run waits for none, but there are as many.
            let is_symbolic = flow.symbolic().is_some();
            foreign_rows |= !Arc::ptr_eq(other, flow);
            if let Some(noted) = &mut whole.noted {
                noted.push(Input {
                    parameter: Some(parameter),
                    row: None,
                    flow: other.id(),
                    upstream: InputSource::Aligned(*id, first),
                });
            }
            inputs.extend((!is_symbolic).then_some(MapInput::Aligned {
                map: *id,
                first,
                allow_failure,
            }));
        }
        ColumnInput::Aligned { .. } => {}
        ColumnInput::Row(row, edge) => {
            let mut row_inputs = Inputs::of(flow);
            whole.note(Some(parameter), Some(row), &edge);
            row_inputs.attach(edge);
            foreign_rows |= !row_inputs.foreign.is_empty();
            inputs.extend(
                row_inputs
                    .here
                    .into_iter()
                    .map(|input| MapInput::Row(row, input)),
            );
        }
        ColumnInput::Whole(edge) => whole.add(Some(parameter), edge),
    });
    D::Parameters::lengths(&columns, &mut |_, length| {
        if let ColumnLength::SameAs(Handle::Live { flow: other, id }) = length {
            foreign_rows |= !Arc::ptr_eq(other, flow);
            inputs.push(MapInput::LengthOf(*id));
        }
    });
    if foreign_rows {
        return Err(invalid(
            D::info(),
            format!(
                "`{}.map(..)` maps over runs of another flow run: await them there and map over their \
             values",
                D::info().function
            ),
        ));
    }
    whole.add_dependencies(configuration);
    let Inputs {
        here,
        foreign,
        noted,
        ..
    } = whole;
    inputs.extend(here.into_iter().map(MapInput::Whole));

    let store = Arc::new(RowStore::new());
    if let Some(length) = length {
        store.allocate(length);
    }
    let job = Arc::new(MapExecution::<D>::new(
        columns,
        configuration.source(),
        Arc::clone(&store),
        configuration.options().results.persists_in(flow.results()),
    ));
    let is_early = !D::info().is_local && may_be_early(flow, configuration, may_wait);
    let membership = flow.membership(&configuration.source(), D::info().is_local);
    let progress = length.filter(|_| flow.symbolic().is_none());
    let progress = progress.and_then(|length| {
        Progress::of_map(&configuration.options().labels.name, u64::from(length))
    });
    let id = flow.update_at(|shell, moment| {
        let id = shell.engine.reserve_map();
        shell.maps.insert(id, MapEntry::new(job, progress));
        flow.note_transactions(shell, id, membership);
        let what = Submitted::Map(id, length);
        flow.tell_submitted(
            what,
            D::info(),
            configuration.options(),
            noted.as_deref(),
            moment,
        );
        if is_early {
            shell
                .engine
                .submit_map(id, length, inputs.iter().cloned(), moment.now());
            shell.engine.offer_map(id, &inputs);
        } else {
            shell.engine.submit_map(id, length, inputs, moment.now());
        }
        id
    });
    for input in foreign {
        input.watch(flow, Waits::Map(id));
    }
    Ok(MapCell::live(
        Arc::clone(flow),
        id,
        store,
        D::output_access,
        D::info().is_local,
    ))
}

/// Whether a session that orders its work itself may have this before it is
/// ready: work that waits only for its arguments, which alone are described to
/// the session.
fn may_be_early(flow: &FlowRun, configuration: &TaskConfiguration, may_wait: bool) -> bool {
    flow.feeds_early() && !may_wait && configuration.dependencies().is_none()
}

/// What `after(..)` makes a run in place wait for.
pub(super) fn dependencies<'a>(
    flow: &'a Arc<FlowRun>,
    configuration: &TaskConfiguration,
) -> Inputs<'a> {
    let mut inputs = Inputs::of(flow);
    inputs.add_dependencies(configuration);
    inputs
}

/// The inputs of one run, sorted by where they are.
pub(super) struct Inputs<'a> {
    flow: &'a Arc<FlowRun>,
    /// Few have more than two: no allocation for them.
    pub(super) here: SmallVec<[RunInput; 2]>,
    pub(super) foreign: Vec<ForeignInput>,
    /// For observers, if there are any.
    pub(super) noted: Option<Vec<Input>>,
}

impl<'a> Inputs<'a> {
    fn of(flow: &'a Arc<FlowRun>) -> Self {
        Self {
            flow,
            here: SmallVec::new(),
            foreign: Vec::new(),
            noted: flow.is_observed().then(Vec::new),
        }
    }

    /// `parameter`: what the value is for; `None` for order without data.
    fn add(&mut self, parameter: Option<usize>, edge: Edge<'_>) {
        self.note(parameter, None, &edge);
        self.attach(edge);
    }

    /// What `after(..)` was given.
    fn add_dependencies(&mut self, configuration: &TaskConfiguration) {
        if let Some(dependencies) = configuration.dependencies() {
            dependencies.edges(&mut |edge| self.add(None, edge));
        }
    }

    fn note(&mut self, parameter: Option<usize>, row: Option<u32>, edge: &Edge<'_>) {
        if let Some(noted) = &mut self.noted {
            noted.extend(Input::of(parameter, row, edge));
        }
    }

    fn attach(&mut self, edge: Edge<'_>) {
        let allow_failure = edge.allow_failure;
        let source = match edge.upstream {
            Upstream::Run(Handle::Live { .. })
            | Upstream::Row(Handle::Live { .. }, _)
            | Upstream::Rows(Handle::Live { .. }, _)
                if self.flow.symbolic().is_some() =>
            {
                // What does not run waits for nothing.
                return;
            }
            Upstream::Run(Handle::Live { flow, id }) if Arc::ptr_eq(flow, self.flow) => {
                Source::Run(*id)
            }
            Upstream::Row(Handle::Live { flow, id }, row) if Arc::ptr_eq(flow, self.flow) => {
                Source::Row(*id, row)
            }
            Upstream::Rows(Handle::Live { flow, id }, rows) if Arc::ptr_eq(flow, self.flow) => {
                Source::Rows(*id, rows)
            }
            Upstream::Run(Handle::Live { flow, id }) => {
                self.foreign(flow, Watched::Run((*id).into()), allow_failure)
            }
            Upstream::Row(Handle::Live { flow, id }, row) => self.foreign(
                flow,
                Watched::Run(RunReference::row(*id, row)),
                allow_failure,
            ),
            Upstream::Rows(Handle::Live { flow, id }, rows) => {
                self.foreign(flow, Watched::Rows(*id, rows), allow_failure)
            }
            Upstream::Run(Handle::Rejected(error))
            | Upstream::Row(Handle::Rejected(error), _)
            | Upstream::Rows(Handle::Rejected(error), _)
            | Upstream::Rejected(error) => Source::Rejected(end::refused_upstream(error)),
        };
        self.here.push(RunInput {
            source,
            allow_failure,
        });
    }

    fn foreign(&mut self, flow: &Arc<FlowRun>, watched: Watched, allow_failure: bool) -> Source {
        self.foreign.push(ForeignInput {
            flow: Arc::clone(flow),
            watched,
            allow_failure,
        });
        Source::External
    }
}

/// A run of another flow run that a run here waits for.
pub(super) struct ForeignInput {
    flow: Arc<FlowRun>,
    watched: Watched,
    allow_failure: bool,
}

enum Watched {
    Run(RunReference),
    Rows(crate::engine::MapId, Option<std::ops::Range<u32>>),
}

impl ForeignInput {
    pub(super) fn watch(self, home: &Arc<FlowRun>, waits: Waits) {
        let home = Arc::clone(home);
        crate::runtime::service().spawn(async move {
            let Self {
                flow,
                watched,
                allow_failure,
            } = self;
            let (name, failure) = match watched {
                Watched::Run(run) => {
                    let view =
                        std::future::poll_fn(|context| flow.poll_settled(run, context.waker()))
                            .await;
                    (view.name, view.failure)
                }
                Watched::Rows(id, rows) => {
                    std::future::poll_fn(|context| {
                        flow.poll_map_settled(id, rows.as_ref(), context.waker())
                    })
                    .await;
                    flow.rows_end(id, rows.as_ref())
                }
            };
            let dependent = Dependent {
                waits,
                allow_failure,
            };
            home.update(|shell, now| {
                shell
                    .engine
                    .external_settled(&dependent, name, failure.as_ref(), now);
            });
        });
    }
}
