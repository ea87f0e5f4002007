//! Flow runs in which no task runs: a flow's own code shows what it would
//! submit, for a drawing.
//!
//! A task run in one waits for nothing and ends as soon as it is there: well,
//! if a value is known for its task, else with the error [`Unknown`], which
//! whoever asks for the value gets, and which notes that. A task that returns
//! nothing is known.
//!
//! Invariant: no task's code runs, no runner starts, no hook is called, no
//! permit is taken, nothing is read or written.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;

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

/// The values that stand for those of tasks.
#[derive(Default)]
pub(crate) struct Symbolic {
    /// By the tasks' keys.
    given: HashMap<&'static str, Given>,
    asked_for: Arc<AskedFor>,
}

/// The tasks whose values were asked for and not known: each once, in the order
/// in which they were.
#[derive(Debug, Default)]
pub(crate) struct AskedFor(Mutex<Vec<&'static str>>);

impl AskedFor {
    fn note(&self, function: &'static str) {
        let mut functions = self.0.lock();
        if !functions.contains(&function) {
            functions.push(function);
        }
    }

    pub(crate) fn functions(&self) -> Vec<&'static str> {
        self.0.lock().clone()
    }
}

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
        self.given.insert(D::info().key, Arc::new(value));
    }

    pub(crate) fn asked_for(&self) -> &Arc<AskedFor> {
        &self.asked_for
    }

    /// Fills in what is known of the task's value.
    pub(crate) fn fill<D: TaskDefinition>(&self, cell: &ValueCell<D::Output>) {
        let given = self.given.get(D::info().key).cloned();
        let given = given.unwrap_or_else(|| Arc::new(()));
        if let Ok(value) = given.downcast::<D::Output>() {
            cell.fill_shared(value);
        }
    }

    /// How a task run ends whose code did not run.
    pub(super) fn end(&self, info: &'static TaskInfo, is_known: bool) -> End {
        match is_known {
            true => End::Completed,
            false => {
                let error = self.unknown(info);
                let message = Some(error.to_string());
                End::Ended(Failure::new(StateName::Failed, message, error))
            }
        }
    }

    /// What stands for a value that nobody knows.
    pub(super) fn unknown(&self, info: &'static TaskInfo) -> Error {
        let unknown = Unknown {
            function: info.function,
            asked_for: Arc::clone(&self.asked_for),
        };
        Error::build(ErrorKind::Invalid, unknown.to_string())
            .task(info.key)
            .value(Box::new(unknown))
            .finish()
    }
}

/// Notes it if this is the error of a value that nobody knows: somebody gets
/// it who asked for the value.
pub(super) fn note_asked_for(error: &Error) {
    if let Some(unknown) = error.downcast_ref::<Unknown>() {
        unknown.asked_for.note(unknown.function);
    }
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
    asked_for: Arc<AskedFor>,
}
