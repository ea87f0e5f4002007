//! What tasks and flows are told of results: the options, and which of them
//! are in force where a run is submitted.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::json;
use super::key::{Unstable, object};
use super::lock::Isolation;
use super::policy::{CachePart, CachePolicy, DEFAULT, NO_CACHE};
use super::settings::Settings;
use super::store::{ResultStore, absolute};
use crate::definition::{FlowOptions, TaskInfo, TaskOptions};
use crate::flow::FlowRun;
use crate::runner::RunReference;

/// The options of a task that are about its results.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResultOptions {
    policy: Option<CachePolicy>,
    /// The task has a `cache_key`, which counts instead of a policy.
    has_key_function: bool,
    expires_after: Option<Duration>,
    refresh: Option<bool>,
    persist: Option<bool>,
    store: Option<Cow<'static, str>>,
    isolation: Isolation,
    /// Records are found, and none are written: the run is in another process
    /// than the transaction that decides whether it counts.
    is_read_only: bool,
    /// The flow's process wants to know the record of a run in another one.
    is_told: bool,
}

/// What `#[task(..)]` says of results, as the macro writes it down.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct ResultAttributes {
    /// The policy's parts, the arguments left out, and whether it is a sum.
    pub cache: Option<(&'static [CachePart], &'static [&'static str], bool)>,
    /// Whether the task has a `cache_key` function.
    pub has_key_function: bool,
    /// How long a record counts.
    pub cache_expiration: Option<Duration>,
    /// Whether records are written but not read.
    pub refresh_cache: Option<bool>,
    /// Whether results are written down.
    pub persist_result: Option<bool>,
    /// Where.
    pub result_store: Option<&'static str>,
    /// What runs with one key see of each other.
    pub isolation: Isolation,
}

impl ResultAttributes {
    /// Nothing is said.
    pub const NONE: Self = Self {
        cache: None,
        has_key_function: false,
        cache_expiration: None,
        refresh_cache: None,
        persist_result: None,
        result_store: None,
        isolation: Isolation::ReadCommitted,
    };
}

impl ResultOptions {
    pub(crate) const fn from_attributes(attributes: ResultAttributes) -> Self {
        Self {
            policy: match attributes.cache {
                Some((parts, excluded, is_sum)) => Some(CachePolicy::of(parts, excluded, is_sum)),
                None => None,
            },
            has_key_function: attributes.has_key_function,
            expires_after: attributes.cache_expiration,
            refresh: attributes.refresh_cache,
            persist: attributes.persist_result,
            store: match attributes.result_store {
                Some(url) => Some(Cow::Borrowed(url)),
                None => None,
            },
            isolation: attributes.isolation,
            is_read_only: false,
            is_told: false,
        }
    }

    /// The store that the task names.
    #[cfg(feature = "prefect")]
    pub(crate) fn store_url(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// Whether runs of the task in this flow run are written down. The one
    /// branch that tasks pay which have nothing to do with results.
    pub(crate) fn persists_in(&self, flow: &FlowResults) -> bool {
        match self.persist {
            Some(persist) => persist,
            None => {
                self.has_key_function
                    || self.store.is_some()
                    || self
                        .policy
                        .as_ref()
                        .is_some_and(|policy| !policy.is_no_cache())
                    || flow.persists
            }
        }
    }

    fn wants_parameters(&self) -> bool {
        let policy = self.policy.as_ref();
        policy.is_some_and(|policy| policy.parts().contains(&CachePart::FlowParameters))
    }

    /// The rules for a run, with everything filled in that the flow and the
    /// environment say.
    pub(crate) fn rules(&self, flow: &FlowResults) -> Rules {
        let settings = Settings::of_process();
        let policy = match &self.policy {
            _ if settings.disable_caching => NO_CACHE,
            Some(policy) => policy.clone(),
            None if settings.default_no_cache => NO_CACHE,
            None => DEFAULT,
        };
        let store = self.store.as_deref().or(flow.store.as_deref());
        Rules {
            has_key_function: self.has_key_function && !settings.disable_caching,
            policy,
            expires_after: self.expires_after,
            refresh: self.refresh.unwrap_or(settings.refresh_cache),
            isolation: self.isolation,
            is_read_only: self.is_read_only,
            is_told: self.is_told,
            store: store.map_or_else(ResultStore::default_url, str::to_owned),
        }
    }
}

/// What holds for the results of one run.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(super) policy: CachePolicy,
    pub(super) has_key_function: bool,
    pub(super) expires_after: Option<Duration>,
    /// A record that is there does not count.
    pub(super) refresh: bool,
    pub(super) isolation: Isolation,
    pub(super) is_read_only: bool,
    pub(super) is_told: bool,
    /// The URL of the store.
    pub(super) store: String,
}

/// What a flow run says to its tasks.
#[derive(Clone, Debug)]
pub(crate) struct FlowResults {
    persists: bool,
    store: Option<Cow<'static, str>>,
    parameters: FlowParameters,
}

/// The flow's arguments in writing.
#[derive(Clone, Debug)]
pub struct FlowParameters {
    /// As a JSON object for the keys of its tasks; none outside of flows. The
    /// error says why there is no such text.
    for_keys: Result<Option<String>, String>,
    /// For a server that is told of the run.
    #[cfg(feature = "prefect")]
    reported: Option<std::sync::Arc<serde_json::Value>>,
}

impl FlowParameters {
    fn new(for_keys: Result<Option<String>, String>) -> Self {
        Self {
            for_keys,
            #[cfg(feature = "prefect")]
            reported: None,
        }
    }
}

impl FlowResults {
    /// Outside of flows the environment decides.
    pub(crate) fn of_process() -> Self {
        let settings = Settings::of_process();
        Self {
            persists: settings
                .tasks_persist
                .unwrap_or(settings.persist_by_default),
            store: None,
            parameters: FlowParameters::new(Ok(None)),
        }
    }

    /// Of a flow with these options, called in the run `parent` or none.
    pub(crate) fn of_flow(
        options: &FlowOptions,
        parent: Option<&FlowRun>,
        parameters: FlowParameters,
    ) -> Self {
        let (persist, store) = options.results();
        let settings = Settings::of_process();
        let inherited =
            || parent.map_or(settings.persist_by_default, |flow| flow.results().persists);
        Self {
            persists: persist.unwrap_or_else(|| store.is_some() || inherited()),
            store: store
                .cloned()
                .or_else(|| parent.and_then(|flow| flow.results().store.clone())),
            parameters,
        }
    }

    /// Where they write.
    pub(super) fn store(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// Whether tasks that say nothing write their results down.
    pub(crate) fn persists(&self) -> bool {
        self.persists
    }

    /// What a server is told of the flow's arguments.
    #[cfg(feature = "prefect")]
    pub(crate) fn reported_parameters(&self) -> Option<&serde_json::Value> {
        self.parameters.reported.as_deref()
    }

    /// The flow's arguments, or why there is no text of them.
    pub(crate) fn parameters(&self) -> Result<Option<&str>, &str> {
        match &self.parameters.for_keys {
            Ok(text) => Ok(text.as_deref()),
            Err(reason) => Err(reason),
        }
    }
}

/// Whether any task wants its flow's arguments in its key. They are not
/// written down for nothing: they may be large.
static ARE_PARAMETERS_WANTED: AtomicBool = AtomicBool::new(false);

fn are_parameters_wanted() -> bool {
    static BY_ATTRIBUTES: OnceLock<bool> = OnceLock::new();
    ARE_PARAMETERS_WANTED.load(Ordering::Relaxed)
        || *BY_ATTRIBUTES.get_or_init(|| {
            crate::definition::task_infos().any(|info| info.options.results.wants_parameters())
        })
}

/// The arguments of a flow for the keys of its tasks.
#[doc(hidden)]
pub fn flow_parameters(packed: impl FnOnce() -> PackedParameters) -> FlowParameters {
    #[cfg(feature = "prefect")]
    let is_reported = crate::prefect::reporter::of_process().is_some();
    #[cfg(not(feature = "prefect"))]
    let is_reported = false;
    if !are_parameters_wanted() && !is_reported {
        return FlowParameters::new(Err(NOT_KEPT.to_owned()));
    }
    let packed = packed();
    #[cfg(feature = "prefect")]
    let reported = is_reported.then(|| crate::prefect::reporter::parameters(&packed).into());
    let for_keys = if are_parameters_wanted() {
        stable_texts(packed).map(Some)
    } else {
        Err(NOT_KEPT.to_owned())
    };
    FlowParameters {
        for_keys,
        #[cfg(feature = "prefect")]
        reported,
    }
}

const NOT_KEPT: &str = "they were not kept, because no task of the program had a policy with FLOW_PARAMETERS when \
     the flow began: write it into the task's attribute, or make the changed copy before the flow \
     is called";

/// Arguments by name, as their types' `Serialize` wrote them.
pub(crate) type PackedParameters = Vec<(&'static str, Result<Vec<u8>, Unstable>)>;

fn stable_texts(packed: PackedParameters) -> Result<String, String> {
    let mut entries = Vec::new();
    for (name, packed) in packed {
        let text = packed.and_then(|bytes| Ok(json::stable_text(&bytes)?));
        entries.push((name, text.map_err(|reason| format!("`{name}`: {reason}"))?));
    }
    Ok(object(entries))
}

impl TaskOptions {
    /// What makes two runs the same, so that the second takes the result of
    /// the first. Without it, tasks that persist their results have
    /// [`DEFAULT`](crate::results::DEFAULT).
    ///
    /// ```
    /// use flowcore::prelude::*;
    /// use flowcore::results::{INPUTS, TASK_SOURCE};
    ///
    /// #[task]
    /// fn load(path: String) -> usize { path.len() }
    ///
    /// # #[flowcore::main]
    /// # async fn main() -> Result<()> {
    /// let cached = load.with_options(|o| o.cache(INPUTS + TASK_SOURCE).result_store("memory://doc"));
    /// let state = cached("x".into()).state().await;
    /// assert_eq!(state.to_string(), "Completed()");
    /// let state = cached("x".into()).state().await;
    /// assert_eq!(state.to_string(), "Cached(type=COMPLETED)");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cache(mut self, policy: CachePolicy) -> Self {
        self.results.has_key_function = false;
        self.results.policy = Some(policy);
        if self.results.wants_parameters() {
            ARE_PARAMETERS_WANTED.store(true, Ordering::Relaxed);
        }
        self
    }

    /// How long a result counts after it was written. Default: for ever.
    #[must_use]
    pub fn cache_expiration(mut self, after: Duration) -> Self {
        self.results.expires_after = Some(after);
        self
    }

    /// Runs are not taken from records, but write new ones.
    #[must_use]
    pub fn refresh_cache(mut self, refresh: bool) -> Self {
        self.results.refresh = Some(refresh);
        self
    }

    /// Whether results are written down. Default: if there is a policy, a
    /// `cache_key` or a store, else what the flow says.
    #[must_use]
    pub fn persist_result(mut self, persist: bool) -> Self {
        self.results.persist = Some(persist);
        self
    }

    /// What runs with one key see of each other, also between processes.
    /// Default: records that have been written.
    ///
    /// With [`Isolation::Serializable`] one runs at a time. A run whose store
    /// has no locks fails.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.results.isolation = isolation;
        self
    }

    /// Where results are written: a URL or path, as in
    /// [`ResultStore::open`](crate::results::ResultStore::open).
    #[must_use]
    pub fn result_store(mut self, url: impl Into<String>) -> Self {
        self.results.store = Some(Cow::Owned(url.into()));
        self
    }
}

/// The rules as they travel to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultDescriptor {
    parts: Vec<CachePart>,
    excluded: Vec<String>,
    is_sum: bool,
    has_key_function: bool,
    expires_after: Option<Duration>,
    refresh: bool,
    isolation: Isolation,
    is_read_only: bool,
    is_told: bool,
    store: String,
    /// The flow's arguments, if the key needs them.
    flow_parameters: Option<String>,
}

impl ResultDescriptor {
    /// What a run takes along; nothing if its result is not written down.
    pub(crate) fn of(
        options: &TaskOptions,
        flow: &Arc<FlowRun>,
        run: RunReference,
    ) -> Option<Self> {
        if !options.results.persists_in(flow.results()) {
            return None;
        }
        let rules = options.results.rules(flow.results());
        let excluded = rules.policy.excluded().iter();
        Some(Self {
            parts: rules.policy.parts().to_vec(),
            excluded: excluded.map(|name| (*name).to_owned()).collect(),
            is_sum: rules.policy.is_sum(),
            has_key_function: rules.has_key_function,
            expires_after: rules.expires_after,
            refresh: rules.refresh,
            isolation: rules.isolation,
            is_read_only: flow
                .transaction_of(run)
                .is_some_and(|transaction| transaction.defers()),
            is_told: flow.wants_record_of(run, options.report),
            store: absolute(&rules.store),
            flow_parameters: options
                .results
                .wants_parameters()
                .then(|| {
                    flow.results()
                        .parameters()
                        .ok()
                        .flatten()
                        .map(str::to_owned)
                })
                .flatten(),
        })
    }

    /// What the flow says to the run where it is executed.
    pub(crate) fn flow(&self) -> FlowResults {
        FlowResults {
            persists: true,
            store: None,
            parameters: FlowParameters::new(Ok(self.flow_parameters.clone())),
        }
    }

    /// The options of the run where it is executed.
    pub(crate) fn options(&self, info: &TaskInfo) -> ResultOptions {
        let is_excluded = |name: &&&str| self.excluded.iter().any(|other| other == **name);
        let excluded = info.parameters.iter().filter(is_excluded).copied();
        ResultOptions {
            policy: Some(CachePolicy::from_parts(
                self.parts.clone(),
                excluded.collect(),
                self.is_sum,
            )),
            has_key_function: self.has_key_function,
            expires_after: self.expires_after,
            refresh: Some(self.refresh),
            persist: Some(true),
            isolation: self.isolation,
            is_read_only: self.is_read_only,
            is_told: self.is_told,
            store: Some(Cow::Owned(self.store.clone())),
        }
    }
}
