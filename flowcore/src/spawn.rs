//! Code beside the runs of a flow, as a part of it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use crate::cancel_on_drop::CancelOnDrop;
use crate::context::{RunContext, Surroundings};
use crate::error::{Error, ErrorKind, Result};
use crate::flag::Flag;
use crate::flow::FlowRun;
use crate::runner::{Caught, PanicReport, Wait, drop_caught, waiting};

/// Starts async code that runs by itself, as [`tokio::spawn`] does, and that
/// belongs to the run that calls this: its log lines stand under that run, and
/// it may submit tasks. It runs on the runtime of users' code.
///
/// The flow waits for it: a normal end comes when all that was submitted *and
/// spawned* has ended, and what ends a flow otherwise (an error, a
/// cancellation) ends spawned code at its next await. Code that never ends by
/// itself is held by a handle that [cancels it](Spawned::cancel_on_drop).
/// Outside of runs nobody waits.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// async fn fetch(page: i64) -> i64 { page * 100 }
///
/// #[flow]
/// async fn pages() -> Result<i64> {
///     let first = flowcore::spawn(async {
///         let page = fetch.submit(1).await?;
///         fetch.submit(page).await
///     });
///     let second = fetch.submit(2);
///     Ok(first.await?? + second.await?)
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(pages().await?, 10_200);
/// # Ok(())
/// # }
/// ```
pub fn spawn<F>(future: F) -> Spawned<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (sender, ended) = oneshot::channel();
    let cancelled = Arc::new(Flag::default());
    let asked = Arc::clone(&cancelled);
    let surroundings = Surroundings::current();
    let flow = surroundings.context.as_ref().map(RunContext::flow);
    let held = flow.map(FlowRun::hold);
    let stopping = flow.map(|flow| flow.stopping());
    let code = async move {
        let asked = std::pin::pin!(asked.wait());
        if let Either::Right((result, _)) = select(asked, Caught(Box::pin(future))).await {
            if let Err(report) = &result {
                tracing::error!(target: "flowcore::runs", "spawned code: {report}");
            }
            // Nobody may be left to hear of it.
            let _ = sender.send(result);
        }
    };
    crate::runtime::user().spawn(async move {
        let code = surroundings.around(code);
        match stopping {
            None => code.await,
            Some(stopping) => {
                let code = Box::pin(code);
                let stopping = std::pin::pin!(stopping.wait());
                if let Either::Left(((), code)) = select(stopping, code).await {
                    drop_caught(code);
                }
            }
        }
        // The code is gone: now the flow may end.
        drop(held);
    });
    Spawned {
        ended,
        wait: None,
        cancelled,
    }
}

/// Async code that was spawned; made by [`spawn`].
///
/// Awaiting it gives what the code gives. Dropping it changes nothing.
pub struct Spawned<T> {
    ended: oneshot::Receiver<Result<T, PanicReport>>,
    /// It may submit runs, which need the slot of whoever waits.
    wait: Option<Wait>,
    cancelled: Arc<Flag>,
}

impl<T> fmt::Debug for Spawned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawned")
    }
}

impl<T> Spawned<T> {
    /// Ends the code at its next await.
    pub fn cancel(&self) {
        self.cancelled.set();
    }

    /// A handle that cancels the code when it is dropped.
    pub fn cancel_on_drop(self) -> CancelOnDrop<Self> {
        CancelOnDrop::new(self)
    }
}

impl<T> Future for Spawned<T> {
    /// The error is of kind [`ErrorKind::Failed`] if the code panicked, and
    /// [`ErrorKind::Cancelled`] if it was ended, alone or with its flow.
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = Pin::new(&mut self.ended).poll(context);
        self.wait = ended.is_pending().then(waiting).flatten();
        match ended {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Ok(value))) => Poll::Ready(Ok(value)),
            Poll::Ready(Ok(Err(report))) => {
                let error = Error::build(ErrorKind::Failed, report.to_string());
                Poll::Ready(Err(error.chain(report.chain()).finish()))
            }
            Poll::Ready(Err(_)) => {
                let message = "spawned code was ended before it had finished";
                Poll::Ready(Err(Error::build(ErrorKind::Cancelled, message).finish()))
            }
        }
    }
}
