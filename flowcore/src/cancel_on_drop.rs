//! A handle that cancels what it stands for when it goes.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::flow::FlowHandle;
use crate::future::TaskFuture;
use crate::mapped::Mapped;
use crate::spawn::Spawned;

/// A handle whose run is cancelled when the handle is dropped; made by
/// `cancel_on_drop()` of [`TaskFuture`], [`Mapped`], [`FlowHandle`] and
/// [`Spawned`]. Awaiting it gives what the handle gives.
///
/// ```
/// use flowcore::prelude::*;
/// use std::time::Duration;
///
/// #[task]
/// async fn heartbeat() {
///     loop {
///         tokio::time::sleep(Duration::from_secs(1)).await;
///     }
/// }
///
/// #[task]
/// fn work() -> i64 { 7 }
///
/// #[flow]
/// async fn alive() -> Result<i64> {
///     // Without this the flow would wait for it at its end.
///     let _alive = heartbeat.submit().cancel_on_drop();
///     work.submit().await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(alive().await?, 7);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it cancels the run at once"]
pub struct CancelOnDrop<H: sealed::Cancel>(Option<H>);

pub(crate) mod sealed {
    /// What can be asked to stop. Nobody else implements it.
    pub trait Cancel {
        fn cancel(&self);
    }
}

impl<T> sealed::Cancel for TaskFuture<T> {
    fn cancel(&self) {
        self.cancel();
    }
}

impl<T> sealed::Cancel for Mapped<T> {
    fn cancel(&self) {
        self.cancel();
    }
}

impl<T> sealed::Cancel for FlowHandle<T> {
    fn cancel(&self) {
        self.cancel();
    }
}

impl<T> sealed::Cancel for Spawned<T> {
    fn cancel(&self) {
        self.cancel();
    }
}

impl<H: sealed::Cancel> CancelOnDrop<H> {
    pub(crate) fn new(handle: H) -> Self {
        Self(Some(handle))
    }

    /// The handle itself, whose drop cancels nothing.
    pub fn keep(mut self) -> H {
        self.0.take().expect(HELD)
    }
}

const HELD: &str = "held until it is kept or dropped";

impl<H: sealed::Cancel> Deref for CancelOnDrop<H> {
    type Target = H;

    fn deref(&self) -> &H {
        self.0.as_ref().expect(HELD)
    }
}

impl<H: sealed::Cancel + Future + Unpin> Future for CancelOnDrop<H> {
    type Output = H::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<H::Output> {
        Pin::new(self.0.as_mut().expect(HELD)).poll(context)
    }
}

impl<H: sealed::Cancel> Drop for CancelOnDrop<H> {
    fn drop(&mut self) {
        // What has settled is not changed by this.
        if let Some(handle) = &self.0 {
            handle.cancel();
        }
    }
}

impl<H: sealed::Cancel + fmt::Debug> fmt::Debug for CancelOnDrop<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelOnDrop").field(&**self).finish()
    }
}
