//! A call to the server: awaited, or waited for in sync code.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::PrefectError;
use super::answer::{Asker, answer};
use super::question::Question;
use crate::cancellation::block_on;
use crate::context::RunContext;
use crate::error::{Error, Result};
use crate::runner::Request;

/// Something that is asked of a Prefect server: await it, or
/// [`block`](Self::block) in sync code.
///
/// It may be dropped at any time; what was asked is then done or not.
#[must_use = "nothing is asked until it is awaited"]
pub struct ServerCall<T> {
    question: Result<Question, PrefectError>,
    read: Box<dyn FnOnce(Value) -> Result<T, PrefectError> + Send>,
}

impl<T> fmt::Debug for ServerCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the question: it may hold what a user wants to keep.
        f.debug_struct("ServerCall").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> ServerCall<T> {
    pub(super) fn new(
        question: Result<Question, PrefectError>,
        read: impl FnOnce(Value) -> Result<T, PrefectError> + Send + 'static,
    ) -> Self {
        Self {
            question,
            read: Box::new(read),
        }
    }

    /// A question whose answer is the value.
    pub(in crate::prefect) fn asking(question: Result<Question, PrefectError>) -> Self
    where
        T: DeserializeOwned,
    {
        Self::new(question, |value| {
            serde_json::from_value(value).map_err(|error| PrefectError::Server(error.to_string()))
        })
    }

    /// Waits in sync code; a thread of a task runner lends its slot to other
    /// runs meanwhile.
    ///
    /// # Errors
    ///
    /// Those of awaiting it, and an error of kind `Cancelled` if the run is
    /// cancelled meanwhile.
    pub fn block(self) -> Result<T> {
        block_on(self.ask())
    }

    async fn ask(self) -> Result<T> {
        let question = self.question.map_err(PrefectError::into_error)?;
        let context = RunContext::current();
        let line = context
            .as_ref()
            .and_then(|context| context.flow().line().cloned());
        let value = match line {
            None => {
                let asker = context.map(|context| Asker::of(&context));
                answer(question, asker)
                    .await
                    .map_err(PrefectError::into_error)?
            }
            // The flow's process asks.
            Some(line) => {
                let text = serde_json::to_string(&question).map_err(Error::from)?;
                let text = line.ask(Request::Server(text)).server().await?;
                serde_json::from_str(&text).map_err(Error::from)?
            }
        };
        (self.read)(value).map_err(PrefectError::into_error)
    }
}

impl<T: Send + 'static> IntoFuture for ServerCall<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.ask())
    }
}
