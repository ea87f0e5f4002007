//! Who watches flow runs: reports, spans, what is sent to a server.
//!
//! A flow run tells its observers what is submitted and every change of state,
//! in order, and in batches as the engine settles them. An observer is called
//! under the flow run's lock: it notes what it wants and returns; it never
//! waits, never calls back into the run, never drops a user's value.
//!
//! Invariant: a flow run without observers pays one branch per critical
//! section, and nothing per row.

use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::FlowRun;
use super::end::state_message;
use crate::arguments::{Edge, Upstream};
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::definition::{FlowInfo, FlowOptions, TaskInfo, TaskOptions};
use crate::engine::{Change, Map, MapId, RunId, RunView};
use crate::handle::Handle;
use crate::runner::RunReference;
use crate::state::State;

/// Is told of everything that happens in flow runs; one observer may watch
/// many, each of which says who it is.
pub(crate) trait Observer: Send + Sync {
    /// A flow run begins, before anything is submitted to it.
    fn flow_began(&self, flow: &FlowRun, began: &Began<'_>);

    /// The flow run itself is in this state now: Running first, its final
    /// state last.
    fn flow_changed(&self, flow: &FlowRun, state: &State);

    /// A run or a map comes in; it is Pending.
    fn submitted(&self, flow: &FlowRun, submission: &Submission<'_>);

    /// Runs and rows changed, in this order.
    fn changed(&self, flow: &FlowRun, changes: &Changes<'_>);

    /// The template of a run, which is Running or about to be, gives it this
    /// name; its task's code has not begun.
    fn named(&self, flow: &FlowRun, run: RunReference, name: &str) {
        let _ = (flow, run, name);
    }

    /// What it watches for.
    #[cfg(any(feature = "otel", feature = "prefect"))]
    fn watch(&self) -> Watch {
        Watch::Calls
    }
}

/// What an observer watches for: of each kind but the first the process has
/// one, which watches all flow runs.
#[cfg(any(feature = "otel", feature = "prefect"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Flow runs that some code called.
    Calls,
    #[cfg(feature = "otel")]
    Spans,
    #[cfg(feature = "prefect")]
    Server,
}

/// What is known of a flow run when it begins.
pub(crate) struct Began<'a> {
    /// `None`: the run around a task that is called outside of flows.
    pub(crate) flow: Option<(&'static FlowInfo, &'a FlowOptions)>,
    /// The flow run that called it, and the task run, if a task did.
    pub(crate) parent: Option<(Uuid, Option<RunReference>)>,
    pub(crate) at: Timestamp,
}

/// One run or one map.
pub(crate) struct Submission<'a> {
    pub(crate) what: Submitted,
    pub(crate) info: &'static TaskInfo,
    pub(crate) options: &'a TaskOptions,
    pub(crate) inputs: &'a [Input],
    /// The task run of the same flow run whose code submits it, if it is one's.
    #[cfg_attr(
        not(feature = "prefect"),
        expect(dead_code, reason = "only a server is told of it")
    )]
    pub(crate) by: Option<RunReference>,
    pub(crate) at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    Run(RunId),
    /// With its length, if that is known.
    Map(MapId, Option<u32>),
}

/// One edge to something upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// Which parameter the value is for; `None`: order without data.
    pub(crate) parameter: Option<usize>,
    /// Of a map: the row that waits; `None`: all do.
    pub(crate) row: Option<u32>,
    /// The flow run of the upstream, usually the same.
    pub(crate) flow: Uuid,
    pub(crate) upstream: InputSource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InputSource {
    Run(RunReference),
    /// Row i waits for row `first + i`.
    Aligned(MapId, u32),
    /// These rows; `None`: all.
    Rows(MapId, Option<Range<u32>>),
}

impl Input {
    /// `None` for an upstream that never was.
    pub(super) fn of(parameter: Option<usize>, row: Option<u32>, edge: &Edge<'_>) -> Option<Self> {
        let (flow, upstream) = match &edge.upstream {
            Upstream::Run(Handle::Live { flow, id }) => (flow, InputSource::Run((*id).into())),
            Upstream::Row(Handle::Live { flow, id }, row) => {
                (flow, InputSource::Run(RunReference::row(*id, *row)))
            }
            Upstream::Rows(Handle::Live { flow, id }, rows) => {
                (flow, InputSource::Rows(*id, rows.clone()))
            }
            Upstream::Run(Handle::Rejected(_))
            | Upstream::Row(Handle::Rejected(_), _)
            | Upstream::Rows(Handle::Rejected(_), _)
            | Upstream::Rejected(_) => return None,
        };
        Some(Self {
            parameter,
            row,
            flow: flow.id(),
            upstream,
        })
    }
}

/// A batch of changes, and what can be seen of their runs while it is told.
pub(crate) struct Changes<'a> {
    pub(super) changes: &'a [Change],
    pub(super) at: Timestamp,
    pub(super) look: &'a dyn Look,
}

/// What the flow run shows of its runs.
pub(super) trait Look {
    fn run(&self, run: RunReference) -> Option<RunView>;
    fn map(&self, id: MapId) -> Option<&Map>;
    fn given_name(&self, run: RunReference) -> Option<String>;
    #[cfg(feature = "prefect")]
    fn record(&self, run: RunReference) -> Option<&serde_json::Value>;
}

impl Changes<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// When they were told to the engine. Blocks of rows have times of their
    /// own in the map.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    pub(crate) fn run(&self, run: RunReference) -> Option<RunView> {
        self.look.run(run)
    }

    /// The map's columns.
    pub(crate) fn map(&self, id: MapId) -> Option<&Map> {
        self.look.map(id)
    }

    /// The message of a settled run's state.
    pub(crate) fn message(&self, run: RunReference) -> Option<Arc<str>> {
        state_message(&self.look.run(run)?)
    }

    /// The name that a run's template gave it, while its attempt lives.
    pub(crate) fn given_name(&self, run: RunReference) -> Option<String> {
        self.look.given_name(run)
    }

    /// What the record says of itself that the value of a run lies in, one that
    /// has just settled.
    #[cfg(feature = "prefect")]
    pub(crate) fn record(&self, run: RunReference) -> Option<&serde_json::Value> {
        self.look.record(run)
    }
}

/// The observers of one flow run, which those inside it inherit.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

tokio::task_local! {
    /// Observers of the flow runs that begin in this code.
    static WATCHING: Observers;
}

impl Observers {
    pub(super) const NOBODY: Self = Self(Vec::new());

    /// Those of the calling code and of the flow run that it belongs to. Who
    /// watches a flow run in which tasks run sees nothing of one that is drawn
    /// inside it.
    pub(super) fn here(is_symbolic: bool) -> Self {
        let mut observers = WATCHING.try_with(Clone::clone).unwrap_or_default();
        if let Some(context) = RunContext::current()
            && context.flow().symbolic().is_some() == is_symbolic
        {
            for inherited in &context.flow().observers().0 {
                if !observers.0.iter().any(|one| Arc::ptr_eq(one, inherited)) {
                    observers.0.push(Arc::clone(inherited));
                }
            }
        }
        observers
    }

    /// Those of the calling code and one more.
    pub(crate) fn and(observer: Arc<dyn Observer>) -> Self {
        let mut observers = WATCHING.try_with(Clone::clone).unwrap_or_default();
        observers.0.push(observer);
        observers
    }

    /// This one, whoever watches the calling code.
    pub(crate) fn only(observer: Arc<dyn Observer>) -> Self {
        Self(vec![observer])
    }

    /// Runs code whose flow runs they watch.
    pub(crate) async fn scope<F: Future>(self, code: F) -> F::Output {
        WATCHING.scope(self, code).await
    }

    /// With the process's observer of this kind, unless that is inherited.
    #[cfg(any(feature = "otel", feature = "prefect"))]
    pub(super) fn or_one(
        mut self,
        kind: Watch,
        begin: impl FnOnce() -> Option<Arc<dyn Observer>>,
    ) -> Self {
        if !self.0.iter().any(|observer| observer.watch() == kind) {
            self.0.extend(begin());
        }
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &dyn Observer> {
        self.0.iter().map(|observer| &**observer)
    }
}
