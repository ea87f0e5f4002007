//! A flow run that was started and goes on by itself.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::call::{Call, Ended};
use super::{FlowRun, Interrupt};
use crate::cancel_on_drop::CancelOnDrop;
use crate::context::{RunContext, Surroundings};
use crate::error::{Error, ErrorKind, Result};
use crate::runner::{Wait, waiting};
use crate::state::State;

/// Starts a flow's call.
#[doc(hidden)]
pub fn start<T: Send + Sync + 'static>(call: Call<'static, T>) -> FlowHandle<T> {
    let (code, started) = call.into_parts();
    let started = started.expect("only flows have the method");
    let flow = started.flow;
    let (sender, ended) = oneshot::channel();
    let surroundings = Surroundings::current();
    let parent = surroundings.context.as_ref().map(RunContext::flow);
    let held = parent.map(FlowRun::hold);
    let stopping = parent.map(|parent| parent.stopping());
    let run = Arc::clone(&flow);
    let code = async move {
        let code = surroundings.around(code);
        let ended = match stopping {
            None => code.await,
            Some(stopping) => {
                let code = std::pin::pin!(code);
                match select(code, std::pin::pin!(stopping.wait())).await {
                    Either::Left((ended, _)) => ended,
                    Either::Right(((), code)) => {
                        run.interrupt(Interrupt::Cancelled);
                        code.await
                    }
                }
            }
        };
        // Nobody may be left to hear of it.
        let _ = sender.send(ended);
        drop(held);
    };
    if started.blocks {
        // Without a thread the sender is dropped, and the handle tells it.
        let _ = crate::runtime::on_a_thread(move || crate::runtime::block_on(code));
    } else {
        crate::runtime::user().spawn(code);
    }
    FlowHandle {
        flow,
        ended,
        wait: None,
    }
}

/// A flow run that goes on by itself; made by a flow's `start(..)`.
///
/// Await it for the flow's value, look at its state, cancel it. Dropping it
/// changes nothing; a flow that was started inside another one belongs to
/// that, which waits for it and takes it along when it is cancelled.
///
/// ```
/// use flowcore::prelude::*;
/// use std::time::Duration;
///
/// #[task]
/// async fn listen(port: u16) {
///     tokio::time::sleep(Duration::from_secs(u64::from(port))).await;
/// }
///
/// #[flow]
/// async fn serve(port: u16) -> Result<()> {
///     listen.submit(port).await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// let server = serve.start(8080);
/// println!("{} is {}", server.name(), server.state());
/// if !server.wait(Duration::from_millis(10)).await {
///     server.cancel();
/// }
/// let error = server.await.unwrap_err();
/// assert_eq!(error.kind(), flowcore::ErrorKind::Cancelled);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// The handle may be polled in a `select!` and go on; the value is given once.
#[must_use = "a flow whose end nobody sees is easily forgotten; await it, or `drop` it"]
pub struct FlowHandle<T> {
    flow: Arc<FlowRun>,
    ended: oneshot::Receiver<Ended<T>>,
    /// Its runs may need the slot of whoever waits.
    wait: Option<Wait>,
}

impl<T> fmt::Debug for FlowHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowHandle({} {})", self.name(), self.state())
    }
}

impl<T> FlowHandle<T> {
    /// The id of the flow run.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.flow.id()
    }

    /// The name of the flow run, such as `brave-otter`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.flow.name()
    }

    /// The state as it is now, without the value: Pending, Running, Cancelling
    /// once it was [cancelled](FlowHandle::cancel), and the final one.
    #[must_use]
    pub fn state(&self) -> State {
        self.flow.state()
    }

    /// Asks the flow run to stop, with its tasks and subflows. What has not
    /// started is Cancelled at once, async code ends at its next await, sync
    /// code at its next `.block()` or when it looks at its
    /// [`cancellation`](crate::cancellation()). The flow run is Cancelled when all
    /// of it has ended. One that has ended stays as it is.
    pub fn cancel(&self) {
        self.flow.interrupt(Interrupt::Cancelled);
    }

    /// A handle that cancels the flow run when it is dropped.
    pub fn cancel_on_drop(self) -> CancelOnDrop<Self> {
        CancelOnDrop::new(self)
    }

    /// Waits until the flow run has ended, at most for `limit`, and says
    /// whether it has. Never fails: ask [`FlowHandle::state`] how.
    pub async fn wait(&self, limit: impl Into<Option<Duration>>) -> bool {
        let ended = std::future::poll_fn(|context| self.poll_ended(context));
        match limit.into() {
            None => ended.await,
            Some(limit) => return crate::runtime::timeout(limit, ended).await.is_some(),
        }
        true
    }

    pub(crate) fn run(&self) -> &Arc<FlowRun> {
        &self.flow
    }

    pub(crate) fn poll_ended(&self, context: &Context<'_>) -> Poll<()> {
        self.flow.poll_ended(context.waker())
    }
}

impl<T: Send + Sync + 'static> FlowHandle<T> {
    /// Blocks this thread until the flow run has ended, for sync code.
    ///
    /// # Errors
    ///
    /// Those of awaiting it.
    pub fn block(self) -> Result<T> {
        crate::cancellation::block_on(self)
    }
}

impl<T: Send + Sync + 'static> Future for FlowHandle<T> {
    /// The flow's value, or why there is none.
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = Pin::new(&mut self.ended).poll(context);
        self.wait = ended.is_pending().then(waiting).flatten();
        match ended {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(ended)) => Poll::Ready(ended.into_result()),
            Poll::Ready(Err(_)) => Poll::Ready(Err(self.flow.state().error().map_or_else(
                || Error::build(ErrorKind::Crashed, "the flow run could not be started").finish(),
                Clone::clone,
            ))),
        }
    }
}
