//! The graph of a flow that was not run: its own code says what it would
//! submit.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use super::record::{FlowRecord, Kind, Tally};
use super::recorder::Recorder;
use super::{dot, svg};
use crate::definition::TaskDefinition;
use crate::error::{Error, Result};
use crate::flow::{Call, Observers, Symbolic, Unknown};
use crate::state::StateName;

/// A flow that is about to be drawn without running its tasks; made by a flow's
/// `visualize(..)`, and awaited for the [`Visualization`].
///
/// The flow's own code runs, and that of its subflows, with the arguments that
/// are given; what it submits, maps and calls is noted and does not run. No
/// hook is called, no limit is asked, no result is read or written, and no task
/// runner is started. What the flow does beside its tasks, it does.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// fn list() -> Vec<String> { unreachable!("not run") }
///
/// #[task]
/// fn size(file: String) -> u64 { unreachable!("not run") }
///
/// #[task]
/// fn sum_all(sizes: Vec<u64>) -> u64 { unreachable!("not run") }
///
/// #[flow]
/// async fn usage() -> Result<u64> {
///     let mut sizes = Vec::new();
///     for file in list().await? {
///         sizes.push(size.submit(file));
///     }
///     sum_all.submit(sizes).await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// // The flow's code goes through the files, so it needs some.
/// let files = vec!["a".to_owned(), "b".to_owned()];
/// let graph = usage.visualize().value_of(&list, files).await?;
/// assert_eq!(graph.to_dot().matches("label=\"size\"").count(), 2);
///
/// // It ended where it asked for the last value, and all was drawn.
/// assert_eq!(graph.asked_for(), Some("sum_all"));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is drawn until it is awaited"]
pub struct Visualize<'a, T> {
    call: Call<'a, T>,
    symbolic: Symbolic,
}

impl<T> fmt::Debug for Visualize<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visualize")
    }
}

/// Draws what the flow would submit.
#[doc(hidden)]
pub fn visualize<T>(call: Call<'_, T>) -> Visualize<'_, T> {
    Visualize {
        call,
        symbolic: Symbolic::default(),
    }
}

impl<T> Visualize<'_, T> {
    /// What the flow's code gets for each run of this task: `viz_return_value`
    /// in Prefect. Tasks that return nothing need none.
    pub fn value_of<D: TaskDefinition>(mut self, _task: &D, value: D::Output) -> Self {
        self.symbolic.give::<D>(value);
        self
    }
}

impl<'a, T: Send + Sync + 'static> IntoFuture for Visualize<'a, T> {
    /// The error is the flow's own: one that has nothing to do with values that
    /// tasks did not make.
    type Output = Result<Visualization>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let recorder = Arc::new(Recorder::default());
            let observers = Observers::only(Arc::clone(&recorder) as _);
            let ended = self.symbolic.scope(observers.scope(self.call)).await;
            let asked_for = match ended {
                Ok(_) => None,
                Err(error) => Some(asked_for(&error).ok_or(error)?),
            };
            let mut flows = recorder.take();
            flows.iter_mut().for_each(forget_states);
            if let (Some(function), Some(flow)) = (asked_for, flows.first_mut()) {
                let name = flow.flow.get_or_insert_default();
                name.push_str(&format!(", until it asks for the value of `{function}`"));
            }
            Ok(Visualization { flows, asked_for })
        })
    }
}

fn asked_for(error: &Error) -> Option<&'static str> {
    let unknown = error.downcast_ref::<Unknown>()?;
    Some(unknown.function)
}

/// How runs ended says nothing where none ran.
fn forget_states(flow: &mut FlowRecord) {
    flow.run_name.clear();
    flow.states.clear();
    for node in &mut flow.nodes {
        let runs = node.tally.runs();
        node.tally = Tally::default();
        node.tally.count(StateName::Pending, runs);
        if let Kind::Run(run) = &mut node.kind {
            run.name.clear();
        }
    }
}

/// The graph of what a flow would do; made by a flow's `visualize(..)`.
pub struct Visualization {
    flows: Vec<FlowRecord>,
    asked_for: Option<&'static str>,
}

impl fmt::Debug for Visualization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visualization")
    }
}

impl Visualization {
    /// The graph as an SVG document: a node per run or map, a cluster per flow,
    /// an edge per value or order.
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::document(&self.flows)
    }

    /// The graph in the DOT language, for Graphviz.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot::document(&self.flows)
    }

    /// The task whose value the flow asked for and could not get: what the flow
    /// does after that, if anything, is not drawn, and the drawing says so.
    /// `None`: the flow went through to its end.
    #[must_use]
    pub fn asked_for(&self) -> Option<&'static str> {
        self.asked_for
    }
}
