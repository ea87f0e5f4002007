//! What a task may be told beside its arguments.
//!
//! [`TaskOptions`] is made by `#[task(..)]` in a constant and changed by
//! `with_options`; [`TaskConfiguration`] is what a task's static and its
//! changed copies hold.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::default_retries::DefaultRetries;
use super::labels::{Labels, label_methods};
use super::name_template;
use super::reporting::MapReport;
use super::resources::Resources;
use super::retry::{
    RetryDelay, RetryDelayAttribute, check_jitter, retries_in_force, retry_delay_method,
};
use super::task::{TaskDefinition, TaskInfo};
use crate::arguments::{Dependencies, IntoDependencies};
use crate::error::{Error, Result};
use crate::hooks::{AttributeHook, Hooks, hook_methods};
use crate::records::{ResultAttributes, ResultOptions};
use crate::scope::Scope;
use crate::transacting::{AttributeTransactionHook, TransactionHooks};

/// The options of a task: those of its `#[task(..)]`, changed by
/// `with_options`.
///
/// ```
/// use flowcore::prelude::*;
/// use std::time::Duration;
///
/// #[task]
/// fn load(path: String) -> usize { path.len() }
///
/// let patient = load.with_options(|o| o.retries(3).retry_delay(Duration::from_secs(1)).tag("io"));
/// # let _ = patient;
/// ```
#[derive(Clone, Debug)]
pub struct TaskOptions {
    pub(crate) labels: Labels,
    retries: Option<u32>,
    retry_delay: Option<RetryDelay>,
    pub(crate) retry_jitter: f64,
    pub(crate) retry_if: Option<RetryCondition>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) task_run_name: Option<Cow<'static, str>>,
    pub(crate) priority: i32,
    pub(crate) batch: Option<u32>,
    pub(crate) report: Option<MapReport>,
    pub(crate) resources: Resources,
    pub(crate) results: ResultOptions,
    pub(crate) hooks: Hooks<TaskInfo>,
    pub(crate) transaction_hooks: TransactionHooks,
}

/// `retry_if` of a task: a function that says whether a failure is worth
/// another attempt. It runs where the task runs, so it is named in the
/// attribute, and no copy can change it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct RetryCondition {
    /// The path in the attribute.
    pub name: &'static str,
    /// The function, asked of the failure and the number of its attempt.
    pub is_retriable: fn(&Error, u32) -> bool,
}

/// A function that `retry_if` can name.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "this function is no condition of retries",
    label = "`retry_if` wants `fn(&flowcore::Error) -> bool`",
    note = "or `fn(&flowcore::Error, u32) -> bool`, which gets the number of the attempt too, from 1"
)]
pub trait AnswersRetry<Form> {
    /// Whether another attempt is worth it.
    fn is_retriable(&self, error: &Error, attempt: u32) -> bool;
}

impl<F: Fn(&Error) -> bool> AnswersRetry<fn(&Error)> for F {
    fn is_retriable(&self, error: &Error, _: u32) -> bool {
        self(error)
    }
}

impl<F: Fn(&Error, u32) -> bool> AnswersRetry<fn(&Error, u32)> for F {
    fn is_retriable(&self, error: &Error, attempt: u32) -> bool {
        self(error, attempt)
    }
}

/// What `#[task(..)]` says, as the macro writes it down: one call for each
/// option that is given. A struct with an update would cost the compiler a
/// step for each field, in each task.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct TaskAttributes {
    name: &'static str,
    description: &'static str,
    version: Option<&'static str>,
    tags: &'static [&'static str],
    retries: Option<u32>,
    retry_delay: Option<RetryDelayAttribute>,
    retry_jitter: f64,
    retry_if: Option<RetryCondition>,
    timeout: Option<Duration>,
    task_run_name: Option<&'static str>,
    priority: i32,
    batch: Option<u32>,
    report: Option<MapReport>,
    resources: &'static [(&'static str, f64)],
    results: ResultAttributes,
    hooks: &'static [AttributeHook<TaskInfo>],
    transaction_hooks: &'static [AttributeTransactionHook],
}

/// The methods that note an option, each named as its field.
macro_rules! said {
    ($($(#[$doc:meta])* $field:ident: $type:ty $(=> $wrap:ident)?;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub const fn $field(mut self, $field: $type) -> Self {
            self.$field = $($wrap)? ($field);
            self
        }
    )*};
}

#[allow(unused_parens, reason = "`said!` puts a value in some of them")]
impl TaskAttributes {
    /// A task of this name and description without any option.
    #[must_use]
    pub const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            version: None,
            tags: &[],
            retries: None,
            retry_delay: None,
            retry_jitter: 0.0,
            retry_if: None,
            timeout: None,
            task_run_name: None,
            priority: 0,
            batch: None,
            report: None,
            resources: &[],
            results: ResultAttributes::NONE,
            hooks: &[],
            transaction_hooks: &[],
        }
    }

    said! {
        /// The version of its code.
        version: &'static str => Some;
        /// Its tags.
        tags: &'static [&'static str];
        /// How often a failed run is tried again.
        retries: u32 => Some;
        /// The wait before a retry.
        retry_delay: RetryDelayAttribute => Some;
        /// How far delays are spread.
        retry_jitter: f64;
        /// Which failures are tried again.
        retry_if: RetryCondition => Some;
        /// The longest time of one attempt.
        timeout: Duration => Some;
        /// The template of run names.
        task_run_name: &'static str => Some;
        /// Runs of a higher priority start first.
        priority: i32;
        /// How many rows of a map travel together.
        batch: u32 => Some;
        /// How rows of maps are told to a server.
        report: MapReport => Some;
        /// What runs need of their task runner.
        resources: &'static [(&'static str, f64)];
        /// What it says of results.
        results: ResultAttributes;
        /// What is called when a run enters a state.
        hooks: &'static [AttributeHook<TaskInfo>];
        /// What is called when a run is committed or rolled back.
        transaction_hooks: &'static [AttributeTransactionHook];
    }
}

impl TaskOptions {
    #[doc(hidden)]
    #[must_use]
    pub const fn from_attributes(attributes: TaskAttributes) -> Self {
        Self {
            labels: Labels::new(
                attributes.name,
                attributes.description,
                attributes.version,
                attributes.tags,
            ),
            retries: attributes.retries,
            retry_delay: match attributes.retry_delay {
                Some(delay) => Some(RetryDelay::from_attribute(delay)),
                None => None,
            },
            retry_jitter: attributes.retry_jitter,
            retry_if: attributes.retry_if,
            timeout: attributes.timeout,
            task_run_name: match attributes.task_run_name {
                Some(template) => Some(Cow::Borrowed(template)),
                None => None,
            },
            priority: attributes.priority,
            batch: attributes.batch,
            report: attributes.report,
            resources: Resources::new(attributes.resources),
            results: ResultOptions::from_attributes(attributes.results),
            hooks: Hooks::new(attributes.hooks),
            transaction_hooks: TransactionHooks::new(attributes.transaction_hooks),
        }
    }

    label_methods!();
    retry_delay_method!();
    retries_in_force!(of_tasks);
    hook_methods!(TaskInfo, transaction_hooks);

    /// How often a failed or timed-out run is tried again. Default: what
    /// `PREFECT_TASKS_DEFAULT_RETRIES` says, else 0.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Spreads the delays, so that runs which failed together do not come back
    /// together: each is drawn around its length, at most `1 + factor` times as
    /// long. Default: 0, as long as `retry_delay` says. A negative factor, or
    /// one that is no number, is an error of the run.
    #[must_use]
    pub fn retry_jitter(mut self, factor: f64) -> Self {
        self.retry_jitter = factor;
        self
    }

    /// What is wrong with the options.
    pub(crate) fn check(&self, parameters: &[&str]) -> Result<()> {
        // One of the attribute was checked where it stands.
        if let Some(Cow::Owned(template)) = &self.task_run_name {
            name_template::check("task_run_name", template, parameters)?;
        }
        if self.batch == Some(0) {
            return Err(Error::invalid(
                "`batch` is 0, but a batch has at least one row: `batch = 1` sends every row alone",
            ));
        }
        self.check_delay()?;
        check_jitter(self.retry_jitter)
    }

    /// The longest time that one attempt may take. Default: no limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The template of run names; `{x}` stands for the argument `x`. Default:
    /// the task's name and three characters of the run's id.
    #[must_use]
    pub fn task_run_name(mut self, template: impl Into<String>) -> Self {
        self.task_run_name = Some(Cow::Owned(template.into()));
        self
    }

    /// Ready runs of a higher priority start before others, as Dask's
    /// annotation of this name; equal ones start in their order. Default: 0.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How many rows of a map travel together to a process that executes them,
    /// if the flow's task runner sends them to one: with 1 every row goes
    /// alone. States, retries and failures are those of single rows in any
    /// case, and runs in this process know no batches. Default: as the runner
    /// thinks best. 0 is an error of the run.
    #[must_use]
    pub fn batch(mut self, rows: u32) -> Self {
        self.batch = Some(rows);
        self
    }

    /// How rows of maps are told to a Prefect server. Default: each of them in
    /// maps of up to 2,000 rows, and batches in longer ones.
    ///
    /// ```
    /// use flowcore::MapReport;
    /// use flowcore::prelude::*;
    ///
    /// #[task(report = summary)]
    /// fn parse(line: String) -> usize { line.len() }
    ///
    /// let each = parse.with_options(|o| o.report(MapReport::Rows));
    /// # let _ = each;
    /// ```
    #[must_use]
    pub fn report(mut self, report: MapReport) -> Self {
        self.report = Some(report);
        self
    }

    /// What a run needs of the flow's task runner while it runs, as Dask's
    /// resources of workers; see
    /// [`ThreadPoolTaskRunner::resources`](crate::ThreadPoolTaskRunner::resources).
    /// A call outside of flows has no task runner and needs nothing. Default:
    /// none.
    ///
    /// ```
    /// # use flowcore::prelude::*;
    /// # #[task]
    /// # fn train(seed: u64) -> u64 { seed }
    /// let on_half_a_gpu = train.with_options(|o| o.resources([("GPU", 0.5)]));
    /// # let _ = on_half_a_gpu;
    /// ```
    #[must_use]
    pub fn resources<N: Into<String>>(
        mut self,
        resources: impl IntoIterator<Item = (N, f64)>,
    ) -> Self {
        self.resources = Resources::changed(resources);
        self
    }
}

/// The options that a task's static or a changed copy holds, and what its
/// runs wait for.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct TaskConfiguration {
    info: fn() -> &'static TaskInfo,
    changed: Option<Arc<dyn ChangedConfiguration>>,
}

/// What a copy has of its own.
///
/// A trait object, because that says by its type that threads can share it.
/// For a struct the compiler looks through all that it is made of, which here
/// is most of this crate, again for every task of a program.
trait ChangedConfiguration: fmt::Debug + Send + Sync {
    fn source(&self) -> &OptionsSource;
    fn after(&self) -> Option<&Dependencies>;
}

#[derive(Debug)]
struct Changed {
    options: OptionsSource,
    after: Option<Dependencies>,
}

impl ChangedConfiguration for Changed {
    fn source(&self) -> &OptionsSource {
        &self.options
    }

    fn after(&self) -> Option<&Dependencies> {
        self.after.as_ref()
    }
}

#[derive(Clone, Debug)]
pub(crate) enum OptionsSource {
    Attribute(&'static TaskOptions),
    Changed(Arc<TaskOptions>),
    /// Changed by what surrounds the call.
    Scoped(Arc<ScopedOptions>),
}

#[derive(Debug)]
pub(crate) struct ScopedOptions {
    options: TaskOptions,
    scope: Arc<Scope>,
}

impl OptionsSource {
    /// Whether they are those of the attribute, which nobody owns.
    pub(crate) fn is_static(&self) -> bool {
        matches!(self, Self::Attribute(_))
    }

    /// What surrounds the runs, and what they submit.
    pub(crate) fn scope(&self) -> Option<Arc<Scope>> {
        match self {
            Self::Attribute(_) | Self::Changed(_) => None,
            Self::Scoped(scoped) => Some(Arc::clone(&scoped.scope)),
        }
    }
}

impl OptionsSource {
    /// Whether the runs are parts of a transaction.
    pub(crate) fn is_in_transaction(&self) -> bool {
        matches!(self, Self::Scoped(scoped) if scoped.scope.transaction().is_some())
    }
}

impl std::ops::Deref for OptionsSource {
    type Target = TaskOptions;

    fn deref(&self) -> &TaskOptions {
        match self {
            Self::Attribute(options) => options,
            Self::Changed(options) => options,
            Self::Scoped(scoped) => &scoped.options,
        }
    }
}

impl TaskConfiguration {
    /// The configuration of a task's static.
    #[must_use]
    pub const fn of<D: TaskDefinition>() -> Self {
        Self {
            info: D::info,
            changed: None,
        }
    }

    /// The options in force.
    #[must_use]
    pub fn options(&self) -> &TaskOptions {
        match &self.changed {
            None => &(self.info)().options,
            Some(changed) => changed.source(),
        }
    }

    /// The configuration in the scope of the calling code.
    pub(crate) fn in_scope(&self) -> Cow<'_, Self> {
        match Scope::current() {
            None => Cow::Borrowed(self),
            Some(scope) => Cow::Owned(self.changed(
                OptionsSource::Scoped(Arc::new(ScopedOptions {
                    options: scope.applied_to(self.options()),
                    scope,
                })),
                self.dependencies().cloned(),
            )),
        }
    }

    pub(crate) fn source(&self) -> OptionsSource {
        match &self.changed {
            None => OptionsSource::Attribute(&(self.info)().options),
            Some(changed) => changed.source().clone(),
        }
    }

    pub(crate) fn dependencies(&self) -> Option<&Dependencies> {
        self.changed.as_ref()?.after()
    }

    /// A copy with other options.
    #[must_use]
    pub fn with_options(&self, change: impl FnOnce(TaskOptions) -> TaskOptions) -> Self {
        self.changed(
            OptionsSource::Changed(Arc::new(change(self.options().clone()))),
            self.dependencies().cloned(),
        )
    }

    /// A copy whose runs wait for `runs` too.
    #[must_use]
    pub fn after(&self, runs: impl IntoDependencies) -> Self {
        let mut after = self.dependencies().cloned().unwrap_or_default();
        runs.add_to(&mut after);
        self.changed(self.source(), Some(after))
    }

    fn changed(&self, options: OptionsSource, after: Option<Dependencies>) -> Self {
        Self {
            info: self.info,
            changed: Some(Arc::new(Changed { options, after })),
        }
    }
}
