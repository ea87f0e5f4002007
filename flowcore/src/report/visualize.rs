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
/// assert_eq!(graph.asked_for(), ["sum_all"]);
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
    /// The error is the flow's own: a flow that did not get the value of a task
    /// is drawn, however it ends.
    type Output = Result<Visualization>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let recorder = Arc::new(Recorder::default());
            let observers = Observers::only(Arc::clone(&recorder) as _);
            let asked_for = Arc::clone(self.symbolic.asked_for());
            let ended = self.symbolic.scope(observers.scope(self.call)).await;
            let asked_for = asked_for.functions();
            let error = match ended {
                Ok(_) => None,
                Err(error) if asked_for.is_empty() => return Err(error),
                Err(error) => Some(error),
            };
            let mut flows = recorder.take();
            flows.iter_mut().for_each(forget_states);
            if let Some(flow) = flows.first_mut()
                && !asked_for.is_empty()
            {
                let name = flow.flow.get_or_insert_default();
                name.push_str(&reservation(&asked_for, error.as_ref()));
            }
            Ok(Visualization { flows, asked_for })
        })
    }
}

/// What the title says of values that the flow's code did not get, and of how
/// it ended without them.
fn reservation(asked_for: &[&str], error: Option<&Error>) -> String {
    let last = error
        .and_then(|error| error.downcast_ref::<Unknown>())
        .map(|unknown| unknown.function);
    let others = asked_for.iter().copied();
    let others: Vec<_> = others.filter(|function| Some(*function) != last).collect();
    let others = values_of(&others).map(|values| format!(", without {values}"));
    let mut text = others.unwrap_or_default();
    match (last, error) {
        (Some(function), _) => {
            text.push_str(&format!(", until it asks for the value of `{function}`"));
        }
        (None, Some(error)) => text.push_str(&format!(", until it fails: {error}")),
        (None, None) => {}
    }
    text
}

/// Names the values of these tasks, if there are any.
pub(crate) fn values_of(functions: &[&str]) -> Option<String> {
    let names: Vec<_> = functions
        .iter()
        .map(|function| format!("`{function}`"))
        .collect();
    match &*names {
        [] => None,
        [one] => Some(format!("the value of {one}")),
        several => Some(format!("the values of {}", several.join(", "))),
    }
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
    asked_for: Vec<&'static str>,
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

    /// The tasks whose values the flow asked for and could not get: each once,
    /// in the order in which it did. The drawing shows what the flow does without
    /// them, up to its end or to the error that it ended with, and its title says
    /// so. Empty: the flow got all that it asked for.
    #[must_use]
    pub fn asked_for(&self) -> &[&'static str] {
        &self.asked_for
    }
}
