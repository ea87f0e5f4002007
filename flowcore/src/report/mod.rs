//! What a finished run tells of itself: its states, those of its task runs, a
//! summary.
//!
//! A report is made only for a call that asks for it, by an observer of its
//! flow runs.

mod cluster;
mod dot;
mod durations;
mod graph;
mod html;
mod layout;
mod profile;
mod record;
mod recorder;
mod summary;
mod svg;
mod text;
mod timeline;
mod visualize;

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::{Error, Result};
use crate::flow::{Ended, Observers};
use crate::state::State;

pub use cluster::{ClusterRecord, Execution, Step};
use record::{FlowRecord, Kind};
pub use record::{FlowRunRecord, RunRecord, StateChange};
use recorder::Recorder;
pub use summary::{Summary, TaskSummary};
#[cfg(feature = "cli")]
pub(crate) use visualize::values_of;
pub use visualize::{Visualization, Visualize, visualize};

/// What a call did: its result, and all that ran in it.
///
/// Made by [`Call::report`](crate::Call::report).
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task(retries = 1)]
/// fn parse(text: String) -> Result<i64, std::num::ParseIntError> { text.parse() }
///
/// #[flow]
/// async fn read(text: String) -> Result<i64> {
///     parse.submit(text).await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// let report = read("five".into()).report().await;
/// assert!(report.state().is_failed());
/// println!("{}", report.summary());
/// let run = report.runs().next().unwrap();
/// let states: Vec<_> = run.states().iter().map(|state| state.name().as_str()).collect();
/// assert_eq!(
///     states,
///     ["Pending", "Running", "AwaitingRetry", "Retrying", "Failed"],
/// );
/// # Ok(())
/// # }
/// ```
pub struct RunReport<T> {
    result: Result<T>,
    state: State,
    flows: Vec<FlowRecord>,
}

impl<T> fmt::Debug for RunReport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunReport({})", self.state)
    }
}

impl<T> RunReport<T> {
    /// The call's value.
    ///
    /// # Errors
    ///
    /// Those of awaiting the call.
    pub fn result(&self) -> Result<&T, &Error> {
        self.result.as_ref()
    }

    /// The call's value itself.
    ///
    /// # Errors
    ///
    /// Those of awaiting the call.
    pub fn into_result(self) -> Result<T> {
        self.result
    }

    /// The final state, without the value.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The table of tasks.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(&self.flows)
    }

    /// The report as one HTML page: summary, failures, a timeline, the graph.
    /// It needs no network and no other file, and stays small: maps are drawn
    /// as bands, however many rows they have.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::page(&self.state, &self.flows)
    }

    /// Writes [`RunReport::to_html`] to a file.
    ///
    /// ```
    /// use flowcore::prelude::*;
    ///
    /// #[flow]
    /// async fn nightly() {}
    ///
    /// # #[flowcore::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("nightly.html");
    /// nightly().report().await.write_html(&path)?;
    /// # assert!(std::fs::read_to_string(path)?.ends_with("</html>"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> std::io::Result<()> {
        std::fs::write(path, self.to_html())
    }

    /// The graph of runs as an SVG document: a node per run or map, a cluster
    /// per flow run, an edge per value or order.
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::document(&self.flows)
    }

    /// The graph of runs in the DOT language, for Graphviz.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot::document(&self.flows)
    }

    /// The flow runs, the called one first, then those inside it in the order
    /// in which they began.
    pub fn flow_runs(&self) -> impl Iterator<Item = FlowRunRecord<'_>> {
        self.flows.iter().map(FlowRunRecord)
    }

    /// The runs of the tasks of this name, as [`runs`](RunReport::runs).
    ///
    /// ```
    /// use flowcore::prelude::*;
    ///
    /// #[task]
    /// fn inc(x: i64) -> i64 { x + 1 }
    ///
    /// #[flow]
    /// async fn twice(x: i64) -> Result<i64> {
    ///     inc.submit(inc.submit(x)).await
    /// }
    /// # #[flowcore::main]
    /// # async fn main() {
    /// let report = twice(1).report().await;
    /// assert_eq!(report.runs_of("inc").count(), 2);
    /// for run in report.runs_of("inc") {
    ///     assert_eq!(run.history(), ["Pending", "Running", "Completed"]);
    /// }
    /// # }
    /// ```
    pub fn runs_of(&self, task_name: &str) -> impl Iterator<Item = RunRecord<'_>> {
        self.runs().filter(move |run| run.task_name() == task_name)
    }

    /// The task runs, in the order in which they were submitted, flow run by
    /// flow run. Rows of maps of more than 2,000 rows, and single runs of a
    /// flow run beyond 10,000, are not kept one by one: they are in the
    /// [summary](RunReport::summary) only.
    pub fn runs(&self) -> impl Iterator<Item = RunRecord<'_>> {
        self.flows.iter().flat_map(|flow| {
            flow.nodes.iter().flat_map(move |node| {
                let (runs, is_map) = match &node.kind {
                    Kind::Run(run) => (std::slice::from_ref(run), false),
                    Kind::Map { rows, .. } => (rows.as_slice(), true),
                    Kind::Many => (&[][..], false),
                };
                (0..).zip(runs).map(move |(row, run)| RunRecord {
                    flow,
                    node,
                    row: is_map.then_some(row),
                    run,
                })
            })
        })
    }
}

/// A call that gives its report; made by [`Call::report`](crate::Call::report).
#[must_use = "a call does nothing until it is awaited"]
pub struct ReportCall<'a, T>(Pin<Box<dyn Future<Output = RunReport<T>> + Send + 'a>>);

impl<T> fmt::Debug for ReportCall<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReportCall")
    }
}

impl<'a, T: Send + Sync + 'static> ReportCall<'a, T> {
    pub(crate) fn new(code: impl Future<Output = Ended<T>> + Send + 'a) -> Self {
        Self(Box::pin(async move {
            let recorder = Arc::new(Recorder::default());
            let observers = Observers::and(Arc::clone(&recorder) as _);
            let ended = observers.scope(code).await;
            RunReport {
                state: ended.state.without_value(),
                result: ended.into_result(),
                flows: recorder.take(),
            }
        }))
    }
}

impl<T> Future for ReportCall<'_, T> {
    type Output = RunReport<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<RunReport<T>> {
        self.0.as_mut().poll(context)
    }
}
