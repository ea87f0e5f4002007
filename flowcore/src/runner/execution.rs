//! A task with its arguments, ready to run, with its types hidden.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;

use super::batch::ColumnDescriptor;
use super::control::AttemptControl;
use super::descriptor::{ArgumentDescriptor, RunReference, ValueSource, WorkDescriptor};
use super::keeping::attempt_and_keep;
use super::rows::RowSink;
use super::seam::RunnerFuture;
use super::stops::Stops;
use super::{Ending, catch};
use crate::arguments::ColumnLength;
use crate::context::RunContext;
use crate::definition::{
    OptionsSource, Parameters, TaskBody, TaskDefinition, TaskError, TaskInfo, TaskOptions, render,
};
use crate::error::{Error, ErrorKind, Result};
use crate::flow::Symbolic;
use crate::handle::RowStore;
use crate::value::{Codec, CodecError, CodecTag, EncodedValue, ValueCell, binary};

/// One attempt whose value, if any, has gone where it belongs.
pub(crate) enum AttemptBody<'a> {
    Done(Result<(), TaskError>),
    Future(Pin<Box<dyn Future<Output = Result<(), TaskError>> + Send + 'a>>),
}

/// A single run.
pub(crate) trait Execution: Send + Sync {
    fn info(&self) -> &'static TaskInfo;
    fn options(&self) -> &OptionsSource;
    /// Whether it stays in this process, whatever the runner.
    fn is_local(&self) -> bool;
    /// What brings inputs here that lie with the runner.
    fn fetches(&self) -> Vec<RunnerFuture<Result<()>>>;
    /// Begins an attempt; a sync task has run when this returns.
    fn attempt(&self, control: &Arc<AttemptControl>) -> AttemptBody<'static>;
    fn describe(&self) -> Result<Vec<ArgumentDescriptor>>;
    /// Whether the result is there.
    fn has_output(&self) -> bool;
    /// The result as bytes.
    fn output(&self) -> Result<EncodedValue>;
}

/// All runs of a map.
pub(crate) trait MapJob: Send + Sync {
    fn info(&self) -> &'static TaskInfo;
    fn options(&self) -> &OptionsSource;
    /// Lists that decide the number of rows and lie with the runner.
    fn lists_elsewhere(&self) -> Vec<RunReference>;
    /// Finds out how many rows there are and makes room for their results.
    /// `lengths` are those of the lists elsewhere.
    fn measure(&self, lengths: &[u32]) -> Result<u32>;
    /// What brings inputs of these rows here that lie with the runner.
    fn fetches(&self, rows: Range<u32>) -> Vec<RunnerFuture<Result<()>>>;
    /// Whether each row's result is written down.
    fn persists(&self) -> bool;
    /// Rows that shall not start any more.
    fn stops(&self) -> &Stops;
    /// The map has settled: its arguments go, whoever still has the job.
    fn release(&self);
    /// Runs the first attempt of rows of a sync task, one after the other.
    fn run_rows(&self, rows: &mut dyn RowSink);
    fn attempt_row(&self, row: u32, control: &Arc<AttemptControl>) -> AttemptBody<'static>;
    /// What each column repeats for all rows, if it can be coded.
    fn describe_repeated(&self) -> Vec<Option<ArgumentDescriptor>>;
    /// `repeated` is what is known already of what columns repeat, here and
    /// below.
    fn describe_row(
        &self,
        row: u32,
        repeated: &[Option<ArgumentDescriptor>],
    ) -> Result<Vec<ArgumentDescriptor>>;
    /// The arguments of these rows, column by column.
    fn describe_rows(
        &self,
        rows: Range<u32>,
        repeated: &[Option<ArgumentDescriptor>],
    ) -> Result<Vec<ColumnDescriptor>>;
    /// Fills in what is known of a row that does not run; whether that is
    /// anything.
    fn imagine_row(&self, row: u32, symbolic: &Symbolic) -> bool;
}

pub(crate) struct SingleExecution<D: TaskDefinition> {
    pub(crate) arguments: <D::Parameters as Parameters>::Arguments,
    pub(crate) options: OptionsSource,
    pub(crate) output: Arc<ValueCell<D::Output>>,
    /// A direct call: here, whatever the runner.
    pub(crate) is_direct: bool,
    /// Its result is written down.
    pub(crate) persists: bool,
}

impl<D: TaskDefinition> Execution for SingleExecution<D> {
    fn info(&self) -> &'static TaskInfo {
        D::info()
    }

    fn options(&self) -> &OptionsSource {
        &self.options
    }

    fn is_local(&self) -> bool {
        self.is_direct || D::info().is_local
    }

    fn fetches(&self) -> Vec<RunnerFuture<Result<()>>> {
        let mut fetches = Vec::new();
        D::Parameters::fetch(&self.arguments, &mut fetches);
        fetches
    }

    fn attempt(&self, control: &Arc<AttemptControl>) -> AttemptBody<'static> {
        match D::Parameters::obtain(&self.arguments, control.is_last(), &D::access()) {
            Ok(values) => run::<D>(values, &self.options, control, &self.output, self.persists),
            Err(error) => AttemptBody::Done(Err(TaskError::from_flow(error))),
        }
    }

    fn describe(&self) -> Result<Vec<ArgumentDescriptor>> {
        D::Parameters::describe(&self.arguments, &D::access())
    }

    fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    fn output(&self) -> Result<EncodedValue> {
        encoded_output::<D>(&self.output)
    }
}

/// A result as bytes.
pub(super) fn encoded_output<D: TaskDefinition>(
    output: &ValueCell<D::Output>,
) -> Result<EncodedValue> {
    let access = D::output_access();
    let codec = access.codec().ok_or_else(|| {
        Error::invalid(format!(
            "the result of local task `{}` stays here",
            D::info().key
        ))
    })?;
    let encoded = output.with(|value| encode_output(value, codec))?;
    encoded.map_err(|error| {
        let message = format!(
            "the result of task `{}` cannot leave its process: {error}",
            D::info().key
        );
        Error::build(ErrorKind::Other, message)
            .value(Box::new(error))
            .finish()
    })
}

/// A result as bytes, in a form that other languages read as what it is.
fn encode_output<T: 'static>(value: &T, codec: &Codec<T>) -> Result<EncodedValue, CodecError> {
    match codec.tag() {
        CodecTag::MessagePack => binary(value).unwrap_or_else(|| codec.encode(value)),
        CodecTag::Bincode => codec.encode(value),
    }
}

/// Something that can hold one result.
pub(super) trait Output<T>: Send + Sync + Clone + 'static {
    fn fill(&self, value: T);
}

impl<T: Send + Sync + 'static> Output<T> for Arc<ValueCell<T>> {
    fn fill(&self, value: T) {
        ValueCell::fill(self, value);
    }
}

struct RowOutput<T>(Arc<RowStore<T>>, u32);

impl<T> Clone for RowOutput<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), self.1)
    }
}

impl<T: Send + Sync + 'static> Output<T> for RowOutput<T> {
    fn fill(&self, value: T) {
        if let Some(cell) = self.0.row(self.1) {
            cell.fill(value);
        }
    }
}

fn run<D: TaskDefinition>(
    values: <D::Parameters as Parameters>::Values,
    options: &TaskOptions,
    control: &Arc<AttemptControl>,
    output: &impl Output<D::Output>,
    persists: bool,
) -> AttemptBody<'static> {
    if let Some(template) = &options.task_run_name {
        let text = |index| D::Parameters::text(&values, index, &D::access());
        name_attempt(control, run_name(D::info(), template, text));
    }
    if persists {
        return attempt_and_keep::<D>(values, options, control, output);
    }
    match D::run(values) {
        TaskBody::Done(result) => AttemptBody::Done(result.map(|value| {
            // An abandoned call came too late: its run has ended.
            if control.finish() {
                output.fill(value);
            }
        })),
        TaskBody::Future(future) => {
            let output = output.clone();
            AttemptBody::Future(Box::pin(async move {
                output.fill(future.await?);
                Ok(())
            }))
        }
    }
}

/// The calling attempt's run has this name from its template: who watches the
/// run hears of it before the task's code runs.
pub(crate) fn name_attempt(control: &AttemptControl, name: String) {
    if let Some(context) = RunContext::current()
        && let Some(run) = context.run()
    {
        context.flow().has_name(run, &name);
    }
    control.rename(name);
}

/// The name of a run of this task; `text` gives an argument's.
pub(crate) fn run_name(info: &TaskInfo, template: &str, text: impl Fn(usize) -> String) -> String {
    render(template, |parameter| {
        let mut names = info.parameters.iter();
        let index = names.position(|name| *name == parameter)?;
        Some(text(index))
    })
}

pub(crate) struct MapExecution<D: TaskDefinition> {
    columns: Mutex<Option<Arc<Columns<D>>>>,
    options: OptionsSource,
    output: Arc<RowStore<D::Output>>,
    persists: bool,
    stops: Stops,
}

type Columns<D> = <<D as TaskDefinition>::Parameters as Parameters>::Columns;

impl<D: TaskDefinition> MapExecution<D> {
    pub(crate) fn new(
        columns: Columns<D>,
        options: OptionsSource,
        output: Arc<RowStore<D::Output>>,
        persists: bool,
    ) -> Self {
        Self {
            columns: Mutex::new(Some(Arc::new(columns))),
            options,
            output,
            persists,
            stops: Stops::default(),
        }
    }

    /// The arguments of all rows, as long as the map has not settled.
    fn columns(&self) -> Result<Arc<Columns<D>>> {
        self.columns
            .lock()
            .clone()
            .ok_or_else(|| Error::invalid("the map has settled, its arguments are gone"))
    }

    /// The number of rows; `None` if a column does not know yet.
    pub(crate) fn length(columns: &Columns<D>) -> Result<Option<u32>> {
        let invalid = |message: String| {
            Error::build(ErrorKind::Invalid, message)
                .task(D::info().key)
                .finish()
        };
        let mut known = Vec::new();
        let mut later = false;
        D::Parameters::lengths(columns, &mut |index, length| match length {
            ColumnLength::Known(length) => known.push((D::info().parameters[index], length)),
            ColumnLength::Repeats => {}
            ColumnLength::SameAs(_) | ColumnLength::Later => later = true,
        });
        if let Some((name, _)) = known
            .iter()
            .find(|(_, length)| u32::try_from(*length).is_err())
        {
            return Err(invalid(format!(
                "`{}.map`: `{name}` has no end, or 2^32 rows or more, which no map has: give a \
                 range an end, as in `0..n`, map over parts, or repeat a single value by \
                 `unmapped(..)`",
                D::info().function
            )));
        }
        if let Some(&(_, first)) = known.first()
            && known.iter().any(|&(_, length)| length != first)
        {
            let lengths: Vec<_> = known
                .iter()
                .map(|(name, length)| format!("`{name}`: {length}"))
                .collect();
            return Err(invalid(format!(
                "`{}.map` received sequences of different lengths ({}); all must be the same \
                 length, or wrap a single value for all rows: `unmapped(..)`",
                D::info().function,
                lengths.join(", ")
            )));
        }
        match known.first() {
            _ if later => Ok(None),
            Some(&(_, length)) => Ok(u32::try_from(length).ok()),
            None => Err(invalid(format!(
                "`{}.map` received no sequence: at least one argument must be one, all others may \
                 be `unmapped(..)`",
                D::info().function
            ))),
        }
    }
}

impl<D: TaskDefinition> MapJob for MapExecution<D> {
    fn info(&self) -> &'static TaskInfo {
        D::info()
    }

    fn options(&self) -> &OptionsSource {
        &self.options
    }

    fn lists_elsewhere(&self) -> Vec<RunReference> {
        let mut lists = Vec::new();
        if let Ok(columns) = self.columns() {
            D::Parameters::lists_elsewhere(&columns, &mut lists);
        }
        lists
    }

    fn fetches(&self, rows: Range<u32>) -> Vec<RunnerFuture<Result<()>>> {
        let mut fetches = Vec::new();
        if let Ok(columns) = self.columns() {
            D::Parameters::fetch_rows(&columns, &rows, &mut fetches);
        }
        fetches
    }

    fn persists(&self) -> bool {
        self.persists
    }

    fn stops(&self) -> &Stops {
        &self.stops
    }

    fn release(&self) {
        let columns = self.columns.lock().take();
        drop(columns);
    }

    fn measure(&self, lengths: &[u32]) -> Result<u32> {
        let columns = self.columns()?;
        D::Parameters::expand(&columns, &mut lengths.iter().copied())?;
        let length = Self::length(&columns)?
            .ok_or_else(|| Error::invalid("the length of a map's column is still unknown"))?;
        self.output.allocate(length);
        Ok(length)
    }

    fn run_rows(&self, rows: &mut dyn RowSink) {
        // Without them the map has settled, and no row is left to run.
        let Ok(columns) = self.columns() else {
            return;
        };
        let access = D::access();
        let last = self.options.retries_in_force() == 0;
        while let Some(row) = rows.next() {
            // Users' code is not only the task: cloning, decoding and dropping
            // values may panic as well.
            let ending = catch(|| {
                let values = match D::Parameters::obtain_row(&columns, row, last, &access) {
                    Ok(values) => values,
                    Err(error) => return Ending::Failed(TaskError::from_flow(error)),
                };
                match D::run(values) {
                    TaskBody::Done(Ok(value)) => {
                        if let Some(cell) = self.output.row(row) {
                            cell.fill(value);
                        }
                        Ending::Completed
                    }
                    TaskBody::Done(Err(error)) => Ending::Failed(error),
                    TaskBody::Future(_) => unreachable!("async tasks run row by row"),
                }
            });
            match ending.unwrap_or_else(Ending::Panicked) {
                Ending::Completed => rows.completed(row),
                ending => rows.ended(row, ending),
            }
        }
    }

    fn attempt_row(&self, row: u32, control: &Arc<AttemptControl>) -> AttemptBody<'static> {
        let values = self.columns().and_then(|columns| {
            D::Parameters::obtain_row(&columns, row, control.is_last(), &D::access())
        });
        match values {
            Ok(values) => {
                let output = RowOutput(Arc::clone(&self.output), row);
                run::<D>(values, &self.options, control, &output, self.persists)
            }
            Err(error) => AttemptBody::Done(Err(TaskError::from_flow(error))),
        }
    }

    fn describe_repeated(&self) -> Vec<Option<ArgumentDescriptor>> {
        self.columns()
            .map(|columns| D::Parameters::describe_repeated(&columns, &D::access()))
            .unwrap_or_default()
    }

    fn describe_row(
        &self,
        row: u32,
        repeated: &[Option<ArgumentDescriptor>],
    ) -> Result<Vec<ArgumentDescriptor>> {
        D::Parameters::describe_row(&*self.columns()?, row, repeated, &D::access())
    }

    fn describe_rows(
        &self,
        rows: Range<u32>,
        repeated: &[Option<ArgumentDescriptor>],
    ) -> Result<Vec<ColumnDescriptor>> {
        D::Parameters::describe_rows(&*self.columns()?, &rows, repeated, &D::access())
    }

    fn imagine_row(&self, row: u32, symbolic: &Symbolic) -> bool {
        self.output.row(row).is_some_and(|cell| {
            symbolic.fill::<D>(cell);
            !cell.is_empty()
        })
    }
}

/// A run from its descriptor, in a process that did not submit it.
pub(crate) fn execution_of<D: TaskDefinition>(
    work: &WorkDescriptor,
    values: &dyn ValueSource,
    is_direct: bool,
) -> Result<Arc<dyn Execution>> {
    let options = options_of(D::info(), work)?;
    Ok(Arc::new(SingleExecution::<D> {
        arguments: D::Parameters::decode(work.arguments.clone(), values, &D::access(), D::info())?,
        options: OptionsSource::Changed(Arc::new(options)),
        output: Arc::new(ValueCell::default()),
        is_direct,
        persists: work.results.is_some(),
    }))
}

/// The options that travelled with a run.
pub(super) fn options_of(info: &'static TaskInfo, work: &WorkDescriptor) -> Result<TaskOptions> {
    if work.fingerprint != info.fingerprint {
        return Err(Error::invalid(format!(
            "task `{}` came with fingerprint {:016x}, but here it has {:016x}: both sides must run \
             the same build",
            info.key, work.fingerprint, info.fingerprint
        )));
    }
    let mut options = info
        .options
        .clone()
        .retries(work.retries)
        .retry_delay(work.retry_delay.clone());
    options.retry_jitter = work.retry_jitter;
    options.timeout = work.timeout;
    options.priority = work.priority;
    options.task_run_name = work.run_name_template.clone().map(Into::into);
    if let Some(results) = &work.results {
        options.results = results.options(info);
    }
    Ok(options
        .name(work.name.clone())
        .tags(work.tags.clone())
        .resources(work.resources.clone()))
}
