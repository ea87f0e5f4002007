//! Attempts whose results outlive them: a look for a record before the code
//! runs, a record written after.
//!
//! Async code waits for the store like for anything else; sync code blocks its
//! thread and lends its slot out.

use std::future::Future;
use std::sync::Arc;

use super::control::AttemptControl;
use super::execution::{AttemptBody, Output};
use super::lend_while;
use crate::definition::{
    BodyFuture, CacheKey, Parameters, TaskBody, TaskDefinition, TaskError, TaskOptions,
};
use crate::records::{Begun, Keep, KeySource, Unstable};
use crate::value::Access;

/// One attempt of a run whose result is written down.
pub(super) fn attempt_and_keep<D: TaskDefinition>(
    values: <D::Parameters as Parameters>::Values,
    options: &TaskOptions,
    control: &Arc<AttemptControl>,
    output: &impl Output<D::Output>,
) -> AttemptBody<'static> {
    let keep = Keep::of(D::info(), options, &Arguments::<D>(&values));
    let kept = Kept {
        keep,
        access: D::output_access(),
        control: Arc::clone(control),
    };
    let output = output.clone();
    let fill = move |value| output.fill(value);
    if D::info().is_async {
        let code = Box::pin(async move {
            match D::run(values) {
                TaskBody::Done(result) => result,
                TaskBody::Future(future) => future.await,
            }
        });
        AttemptBody::Future(Box::pin(kept.future(code, fill)))
    } else {
        let code = || match D::run(values) {
            TaskBody::Done(result) => result,
            TaskBody::Future(_) => unreachable!("a sync task gives no future"),
        };
        AttemptBody::Done(kept.code(code, fill))
    }
}

/// What surrounds the code of one attempt.
pub(crate) struct Kept<T> {
    pub(crate) keep: Option<Keep>,
    pub(crate) access: Access<T>,
    pub(crate) control: Arc<AttemptControl>,
}

impl<T: Send> Kept<T> {
    /// Runs async code, unless there is a record.
    pub(crate) async fn future(
        self,
        code: BodyFuture<'_, T>,
        fill: impl FnOnce(T),
    ) -> Result<(), TaskError> {
        let mut begun = begin(self.keep, &self.access).await?;
        if let Some(value) = begun.found() {
            self.control.note_cached();
            fill(value);
            return Ok(());
        }
        let value = code.await?;
        if let Some(encoded) = begun.encode(&value, self.access.codec()) {
            encoded.write().await;
        }
        fill(value);
        Ok(())
    }

    /// Runs sync code, unless there is a record.
    pub(crate) fn code(
        self,
        code: impl FnOnce() -> Result<T, TaskError>,
        fill: impl FnOnce(T),
    ) -> Result<(), TaskError> {
        let mut begun = block(begin(self.keep, &self.access))?;
        if let Some(value) = begun.found() {
            if self.control.finish() {
                self.control.note_cached();
                fill(value);
            }
            return Ok(());
        }
        let value = code()?;
        // An abandoned call came too late: its run has ended.
        if self.control.finish() {
            if let Some(encoded) = begun.encode(&value, self.access.codec()) {
                block(encoded.write());
            }
            fill(value);
        }
        Ok(())
    }
}

async fn begin<T>(keep: Option<Keep>, access: &Access<T>) -> Result<Begun<T>, TaskError> {
    match keep {
        Some(keep) => keep
            .begin(access.codec())
            .await
            .map_err(TaskError::from_flow),
        None => Ok(Begun::empty()),
    }
}

fn block<F: Future>(future: F) -> F::Output {
    lend_while(|| crate::runtime::block_on(future))
}

struct Arguments<'a, D: TaskDefinition>(&'a <D::Parameters as Parameters>::Values);

impl<D: TaskDefinition> KeySource for Arguments<'_, D> {
    fn stable_text(&self, index: usize) -> Result<String, Unstable> {
        D::Parameters::stable_text(self.0, index, &D::access())
    }

    fn cache_key(&self) -> CacheKey {
        D::cache_key(self.0)
    }
}
