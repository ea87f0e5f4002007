//! Flow runs in which no task runs: a flow's own code shows what it would
//! submit, for a drawing.
//!
//! A task run in one waits for nothing and ends as soon as it is there: well,
//! if a value is known for its task, else with the error [`Unknown`], which
//! whoever asks for the value gets. A task that returns nothing is known.
//!
//! Invariant: no task's code runs, no runner starts, no hook is called, no
//! permit is taken, nothing is read or written.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use crate::context::RunContext;
use crate::definition::{Failure, TaskDefinition, TaskInfo};
use crate::engine::End;
use crate::error::{Error, ErrorKind};
use crate::state::StateName;
use crate::value::ValueCell;

tokio::task_local! {
    /// The flow runs that begin in this code are symbolic.
    static HERE: Arc<Symbolic>;
}

type Given = Arc<dyn Any + Send + Sync>;

/// The values that stand for those of tasks, by the tasks' keys.
#[derive(Default)]
pub(crate) struct Symbolic(HashMap<&'static str, Given>);

impl Symbolic {
    /// Of the calling code, or of the flow run that it belongs to.
    pub(super) fn here() -> Option<Arc<Self>> {
        HERE.try_with(Arc::clone)
            .ok()
            .or_else(|| RunContext::current()?.flow().symbolic().cloned())
    }

    pub(crate) async fn scope<F: Future>(self, code: F) -> F::Output {
        HERE.scope(Arc::new(self), code).await
    }

    pub(crate) fn give<D: TaskDefinition>(&mut self, value: D::Output) {
        self.0.insert(D::info().key, Arc::new(value));
    }

    /// Fills in what is known of the task's value.
    pub(crate) fn fill<D: TaskDefinition>(&self, cell: &ValueCell<D::Output>) {
        let given = self.0.get(D::info().key).cloned();
        let given = given.unwrap_or_else(|| Arc::new(()));
        if let Ok(value) = given.downcast::<D::Output>() {
            cell.fill_shared(value);
        }
    }
}

/// How a task run ends whose code did not run.
pub(super) fn end(info: &'static TaskInfo, is_known: bool) -> End {
    match is_known {
        true => End::Completed,
        false => {
            let error = unknown(info);
            let message = Some(error.to_string());
            End::Ended(Failure::new(StateName::Failed, message, error))
        }
    }
}

/// What stands for a value that nobody knows.
pub(super) fn unknown(info: &'static TaskInfo) -> Error {
    let unknown = Unknown {
        function: info.function,
    };
    Error::build(ErrorKind::Invalid, unknown.to_string())
        .task(info.key)
        .value(Box::new(unknown))
        .finish()
}

/// A flow that is only drawn asked for a value that no task has made.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{function}` did not run, so nobody knows its value: `visualize` runs only the flow's own code; \
     give a value with `.value_of(&{function}, ..)`, or draw a run that has finished: \
     `flow(..).report().await.to_svg()`"
)]
pub(crate) struct Unknown {
    pub(crate) function: &'static str,
}
