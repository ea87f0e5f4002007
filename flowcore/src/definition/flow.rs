//! What `#[flow]` generates and what a flow may be told beside its arguments.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::callable::{JsonCall, Signature};
use super::default_retries::DefaultRetries;
use super::json_parameters::ReadValues;
use super::labels::{Labels, label_methods};
use super::name_template;
use super::reporting::Api;
use super::retry::{RetryDelay, RetryDelayAttribute, retries_in_force, retry_delay_method};
use crate::error::Result;
use crate::hooks::{AttributeHook, Hooks, hook_methods};
use crate::runner::{TaskRunner, ThreadPoolTaskRunner};

/// The facts of one flow, known at compile time.
#[derive(Debug)]
pub struct FlowInfo {
    /// `module_path::name` of the function.
    pub key: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// The module it stands in.
    pub module: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the function.
    pub line: u32,
    /// The parameters' names, in order.
    pub parameters: &'static [&'static str],
    /// Whether the function is an `async fn`.
    pub is_async: bool,
    /// The options of the attribute.
    pub options: FlowOptions,
}

/// A flow as its callers see it; implemented by `#[flow]`.
#[doc(hidden)]
pub trait FlowDefinition: Deref<Target: Send + Sync> + Sized + 'static {
    /// The facts of the flow.
    const INFO: &'static FlowInfo;

    /// The call with these options.
    fn callable(configuration: FlowConfiguration) -> Box<Self::Target>;

    /// The parameters and what it returns.
    fn signature() -> Signature;

    /// The call with parameters that were read from JSON.
    fn call_with(configuration: &FlowConfiguration, values: ReadValues) -> JsonCall;

    /// Its [`FlowInfo`].
    fn info() -> &'static FlowInfo {
        Self::INFO
    }
}

/// The options of a flow: those of its `#[flow(..)]`, changed by
/// `with_options`.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[flow]
/// async fn nightly(day: String) -> usize { day.len() }
///
/// let debugged = nightly.with_options(|o| {
///     o.flow_run_name("nightly-{day}").task_runner(SequentialTaskRunner::new())
/// });
/// # let _ = debugged;
/// ```
#[derive(Clone, Debug)]
pub struct FlowOptions {
    labels: Labels,
    retries: Option<u32>,
    retry_delay: Option<RetryDelay>,
    timeout: Option<Duration>,
    flow_run_name: Option<Cow<'static, str>>,
    task_runner: RunnerSource,
    persist_result: Option<bool>,
    result_store: Option<Cow<'static, str>>,
    pub(crate) api: Api,
    resumed: Option<Uuid>,
    is_changed: bool,
    pub(crate) hooks: Hooks<FlowInfo>,
}

#[derive(Clone)]
enum RunnerSource {
    Default,
    Attribute(fn() -> Arc<dyn TaskRunner>),
    Given(Arc<dyn TaskRunner>),
}

impl fmt::Debug for RunnerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("ThreadPoolTaskRunner"),
            Self::Attribute(make) => make().fmt(f),
            Self::Given(runner) => runner.fmt(f),
        }
    }
}

/// What `#[flow(..)]` says, as the macro writes it down.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct FlowAttributes {
    /// The flow's name.
    pub name: &'static str,
    /// Its description.
    pub description: &'static str,
    /// The version of its code.
    pub version: Option<&'static str>,
    /// Its tags.
    pub tags: &'static [&'static str],
    /// How often a failed run is tried again.
    pub retries: u32,
    /// Whether it says so.
    pub has_retries: bool,
    /// The wait before a retry.
    pub retry_delay: RetryDelayAttribute,
    /// Whether it says so.
    pub has_retry_delay: bool,
    /// The longest time of one attempt.
    pub timeout: Option<Duration>,
    /// The template of run names.
    pub flow_run_name: Option<&'static str>,
    /// Makes the task runner.
    pub task_runner: Option<fn() -> Arc<dyn TaskRunner>>,
    /// Whether its tasks persist their results.
    pub persist_result: Option<bool>,
    /// Where.
    pub result_store: Option<&'static str>,
    /// What an absent server means.
    pub api: Api,
    /// What is called when a run enters a state.
    pub hooks: &'static [AttributeHook<FlowInfo>],
}

impl FlowAttributes {
    /// A flow of this name without any option.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self {
            name,
            description: "",
            version: None,
            tags: &[],
            retries: 0,
            has_retries: false,
            retry_delay: RetryDelayAttribute::NONE,
            has_retry_delay: false,
            timeout: None,
            flow_run_name: None,
            task_runner: None,
            persist_result: None,
            result_store: None,
            api: Api::BestEffort,
            hooks: &[],
        }
    }
}

impl FlowOptions {
    #[doc(hidden)]
    #[must_use]
    pub const fn from_attributes(attributes: FlowAttributes) -> Self {
        Self {
            labels: Labels::new(
                attributes.name,
                attributes.description,
                attributes.version,
                attributes.tags,
            ),
            retries: match attributes.has_retries {
                true => Some(attributes.retries),
                false => None,
            },
            retry_delay: match attributes.has_retry_delay {
                true => Some(RetryDelay::from_attribute(attributes.retry_delay)),
                false => None,
            },
            timeout: attributes.timeout,
            flow_run_name: match attributes.flow_run_name {
                Some(template) => Some(Cow::Borrowed(template)),
                None => None,
            },
            task_runner: match attributes.task_runner {
                Some(make) => RunnerSource::Attribute(make),
                None => RunnerSource::Default,
            },
            persist_result: attributes.persist_result,
            result_store: match attributes.result_store {
                Some(url) => Some(Cow::Borrowed(url)),
                None => None,
            },
            api: attributes.api,
            resumed: None,
            is_changed: false,
            hooks: Hooks::new(attributes.hooks),
        }
    }

    label_methods!();
    retry_delay_method!();
    retries_in_force!(of_flows);
    hook_methods!(FlowInfo);

    /// How often a failed or timed-out run is tried again: its function runs
    /// once more, from the beginning, and its tasks with it. Arguments must be
    /// `Clone` or loans then. Default: what `PREFECT_FLOWS_DEFAULT_RETRIES` says,
    /// else 0.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// What is wrong with the options.
    pub(crate) fn check(&self, parameters: &[&str]) -> Result<()> {
        // One of the attribute was checked where it stands.
        if let Some(Cow::Owned(template)) = &self.flow_run_name {
            name_template::check("flow_run_name", template, parameters)?;
        }
        self.check_delay()
    }

    /// The longest time that one attempt may take. Default: no limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The template of run names; `{day}` stands for the argument `day`.
    /// Default: an adjective and an animal.
    #[must_use]
    pub fn flow_run_name(mut self, template: impl Into<String>) -> Self {
        self.flow_run_name = Some(Cow::Owned(template.into()));
        self
    }

    /// Where the flow's tasks run. Default: [`ThreadPoolTaskRunner`].
    #[must_use]
    pub fn task_runner(mut self, runner: impl TaskRunner) -> Self {
        self.task_runner = RunnerSource::Given(Arc::new(runner));
        self
    }

    /// Whether the flow's tasks persist their results, unless they say
    /// otherwise: then a run that is resumed finds what it had finished.
    /// Default: `PREFECT_RESULTS_PERSIST_BY_DEFAULT`, else not.
    #[must_use]
    pub fn persist_result(mut self, persist: bool) -> Self {
        self.persist_result = Some(persist);
        self
    }

    /// Where the flow's tasks write their results, unless they say otherwise:
    /// a URL or path, as in
    /// [`ResultStore::open`](crate::results::ResultStore::open). A flow with a
    /// store persists results.
    #[must_use]
    pub fn result_store(mut self, url: impl Into<String>) -> Self {
        self.result_store = Some(Cow::Owned(url.into()));
        self
    }

    /// What an absent or unwilling Prefect server means. Default:
    /// [`Api::BestEffort`], nothing.
    ///
    /// ```
    /// use flowcore::Api;
    /// use flowcore::prelude::*;
    ///
    /// #[flow]
    /// async fn audit() {}
    ///
    /// let on_record = audit.with_options(|o| o.api(Api::Required));
    /// # let _ = on_record;
    /// ```
    #[must_use]
    pub fn api(mut self, api: Api) -> Self {
        self.api = api;
        self
    }

    /// Whether they are another's than `#[flow(..)]`'s.
    #[cfg(feature = "prefect")]
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// The run that goes on, if it is not a new one.
    pub(crate) fn resumed(&self) -> Option<Uuid> {
        self.resumed
    }

    pub(crate) fn results(&self) -> (Option<bool>, Option<&Cow<'static, str>>) {
        (self.persist_result, self.result_store.as_ref())
    }

    pub(crate) fn time_limit(&self) -> Option<Duration> {
        self.timeout
    }

    pub(crate) fn run_name_template(&self) -> Option<&str> {
        self.flow_run_name.as_deref()
    }

    pub(crate) fn runner(&self) -> Arc<dyn TaskRunner> {
        match &self.task_runner {
            RunnerSource::Default => Arc::new(ThreadPoolTaskRunner::new()),
            RunnerSource::Attribute(make) => make(),
            RunnerSource::Given(runner) => Arc::clone(runner),
        }
    }
}

/// The options that a flow's static or a changed copy holds.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct FlowConfiguration(Source);

#[derive(Clone, Debug)]
enum Source {
    Attribute(fn() -> &'static FlowInfo),
    Changed(Arc<dyn ChangedOptions>),
}

/// A trait object for the compiler's sake, as that of a task's configuration.
trait ChangedOptions: fmt::Debug + Send + Sync {
    fn options(&self) -> &FlowOptions;
}

impl ChangedOptions for FlowOptions {
    fn options(&self) -> &FlowOptions {
        self
    }
}

impl FlowConfiguration {
    /// A copy whose runs are that run again.
    #[must_use]
    pub fn resume(&self, run: Uuid) -> Self {
        self.with_options(|options| FlowOptions {
            resumed: Some(run),
            ..options
        })
    }

    /// The configuration of a flow's static.
    #[must_use]
    pub const fn of<D: FlowDefinition>() -> Self {
        Self(Source::Attribute(D::info))
    }

    /// The options in force.
    #[must_use]
    pub fn options(&self) -> &FlowOptions {
        match &self.0 {
            Source::Attribute(info) => &info().options,
            Source::Changed(options) => options.options(),
        }
    }

    /// A copy with other options.
    #[must_use]
    pub fn with_options(&self, change: impl FnOnce(FlowOptions) -> FlowOptions) -> Self {
        let mut options = change(self.options().clone());
        options.is_changed = true;
        Self(Source::Changed(Arc::new(options)))
    }
}
