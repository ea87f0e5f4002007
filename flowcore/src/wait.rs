//! Several runs at once: [`wait`] for all of them, or take them
//! [`as_completed`].
//!
//! Owns [`Settles`], which futures, maps and references to them share, so that
//! runs of different types wait together.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use tokio::time::Sleep;

use crate::error::{Error, ErrorKind, Result};
use crate::flow::FlowHandle;
use crate::future::{Place, TaskFuture};
use crate::handle::Handle;
use crate::mapped::Mapped;
use crate::runner::{RunReference, note_waiting};

/// What settles some time: a [`TaskFuture`], a [`Mapped`], a [`FlowHandle`], a
/// reference to one.
///
/// Runs of different types wait together as `&dyn Settles`:
///
/// ```
/// use flowcore::prelude::*;
/// use flowcore::Settles;
///
/// #[task]
/// fn length(text: &str) -> usize { text.len() }
///
/// #[task]
/// fn shout(text: &str) -> String { text.to_uppercase() }
///
/// #[flow]
/// async fn both() -> Result<()> {
///     let (lengths, shouted) = (length.map(["a", "bc"]), shout.submit("hey"));
///     let (done, not_done) = flowcore::wait([&lengths as &dyn Settles, &shouted], None).await;
///     assert_eq!((done.len(), not_done.len()), (2, 0));
///     Ok(())
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> { both().await }
/// ```
pub trait Settles: sealed::Settles {}

impl<S: sealed::Settles + ?Sized> Settles for S {}

pub(crate) mod sealed {
    use std::task::{Context, Poll};

    /// What [`wait`](super::wait) asks of a run. Nobody else implements it.
    pub trait Settles: Send + Sync + Unpin {
        /// Ready when the run has settled.
        fn poll_settled(&self, context: &Context<'_>) -> Poll<()>;

        /// Equal for handles of the same run.
        fn identity(&self) -> super::Identity;
    }
}

/// What makes two handles handles of one run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity(Which);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Which {
    /// The address of the flow run, and the run in it.
    Run(usize, RunReference),
    Rows(usize, u64, Option<Range<u32>>),
    /// The address of a flow run.
    Flow(usize),
    /// The address of a handle that was refused.
    Refused(usize),
}

fn address<T>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared).addr()
}

impl<T: Send + Sync + 'static> sealed::Settles for TaskFuture<T> {
    fn poll_settled(&self, context: &Context<'_>) -> Poll<()> {
        self.poll_view(context).map(drop)
    }

    fn identity(&self) -> Identity {
        Identity(match (self.place().run(), self.place()) {
            (Ok((flow, run)), _) => Which::Run(address(flow), run),
            (Err(_), Place::Run(cell)) => Which::Refused(address(cell)),
            (Err(_), Place::Row(cell, _)) => Which::Refused(address(cell)),
        })
    }
}

impl<T: Send + Sync + 'static> sealed::Settles for Mapped<T> {
    fn poll_settled(&self, context: &Context<'_>) -> Poll<()> {
        self.poll_settled(context)
    }

    fn identity(&self) -> Identity {
        Identity(match self.cell().handle() {
            Handle::Live { flow, id } => {
                Which::Rows(address(flow), id.to_bits(), self.rows().cloned())
            }
            Handle::Rejected(_) => Which::Refused(address(self.cell())),
        })
    }
}

impl<T: Send + Sync + 'static> sealed::Settles for FlowHandle<T> {
    fn poll_settled(&self, context: &Context<'_>) -> Poll<()> {
        self.poll_ended(context)
    }

    fn identity(&self) -> Identity {
        Identity(Which::Flow(address(self.run())))
    }
}

impl<S: sealed::Settles + ?Sized> sealed::Settles for &S {
    fn poll_settled(&self, context: &Context<'_>) -> Poll<()> {
        (**self).poll_settled(context)
    }

    fn identity(&self) -> Identity {
        (**self).identity()
    }
}

/// Each run once, in the order given.
fn unique<S: Settles>(futures: impl IntoIterator<Item = S>) -> Vec<S> {
    let mut known = HashSet::new();
    futures
        .into_iter()
        .filter(|future| known.insert(future.identity()))
        .collect()
}

/// Waits until all have settled, at most for `timeout`, and gives those that
/// have and those that have not. Never fails; each run is in one of the two
/// lists once, in the order given.
///
/// ```
/// use flowcore::prelude::*;
/// use std::time::Duration;
///
/// #[task]
/// fn parse(text: &str) -> Result<i64, std::num::ParseIntError> { text.parse() }
///
/// #[flow]
/// async fn count(texts: Vec<String>) -> Result<usize> {
///     let parsed: Vec<_> = texts.iter().map(|text| parse.submit(text)).collect();
///     let (done, not_done) = flowcore::wait(parsed, Duration::from_secs(60)).await;
///     println!("{} are late", not_done.len());
///     Ok(done.iter().filter(|run| run.state().is_completed()).count())
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(count(vec!["1".into(), "two".into()]).await?, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping it loses nothing but the handles it was given.
pub async fn wait<S: Settles>(
    futures: impl IntoIterator<Item = S>,
    timeout: impl Into<Option<Duration>>,
) -> (Vec<S>, Vec<S>) {
    let futures = unique(futures);
    let all = async {
        for future in &futures {
            std::future::poll_fn(|context| future.poll_settled(context)).await;
        }
    };
    match timeout.into() {
        None => all.await,
        Some(limit) => crate::runtime::timeout(limit, all)
            .await
            .unwrap_or_default(),
    }
    // As whoever waits sees it: its hooks belong to a run.
    let now = Context::from_waker(Waker::noop());
    futures
        .into_iter()
        .partition(|future| future.poll_settled(&now).is_ready())
}

/// The runs as they settle, in whatever way. If some have not after `timeout`,
/// the last item is an error of kind [`ErrorKind::TimedOut`], `2 (of 3) futures
/// unfinished`. Each run comes once.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// fn parse(text: &str) -> Result<i64, std::num::ParseIntError> { text.parse() }
///
/// #[flow]
/// async fn first_number(texts: Vec<String>) -> Result<Option<i64>> {
///     let parsed = texts.iter().map(|text| parse.submit(text));
///     let mut settled = flowcore::as_completed(parsed, None);
///     while let Some(run) = settled.next().await {
///         if let Ok(number) = run?.await {
///             return Ok(Some(number));
///         }
///     }
///     Ok(None)
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(first_number(vec!["one".into(), "2".into()]).await?, Some(2));
/// # Ok(())
/// # }
/// ```
pub fn as_completed<S: Settles>(
    futures: impl IntoIterator<Item = S>,
    timeout: impl Into<Option<Duration>>,
) -> AsCompleted<S> {
    let open: FuturesUnordered<_> = unique(futures)
        .into_iter()
        .map(|future| Settling(Some(future)))
        .collect();
    AsCompleted {
        total: open.len(),
        open,
        deadline: timeout
            .into()
            .map(|limit| Box::pin(crate::runtime::sleep(limit))),
    }
}

/// Runs as they settle; made by [`as_completed`].
#[must_use = "a stream does nothing until it is polled"]
pub struct AsCompleted<S> {
    open: FuturesUnordered<Settling<S>>,
    total: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> fmt::Debug for AsCompleted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsCompleted({} of {} open)", self.open.len(), self.total)
    }
}

impl<S: Settles> AsCompleted<S> {
    /// The next run that has settled; `None` after the last one.
    ///
    /// # Errors
    ///
    /// The time is up and some runs have not settled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no run.
    pub async fn next(&mut self) -> Option<Result<S>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<S: Settles> Stream for AsCompleted<S> {
    type Item = Result<S>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(next) = Pin::new(&mut self.open).poll_next(context) {
            return Poll::Ready(next.map(Ok));
        }
        // It polls only those that were woken, so the others cannot say it.
        note_waiting();
        let Some(deadline) = &mut self.deadline else {
            return Poll::Pending;
        };
        ready!(deadline.as_mut().poll(context));
        let (open, total) = (self.open.len(), self.total);
        self.open = FuturesUnordered::new();
        let message = format!("{open} (of {total}) futures unfinished");
        Poll::Ready(Some(Err(
            Error::build(ErrorKind::TimedOut, message).finish()
        )))
    }
}

/// Gives the future itself when its run has settled.
struct Settling<S>(Option<S>);

impl<S: Settles> Future for Settling<S> {
    type Output = S;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<S> {
        let future = self.0.as_ref().expect("polled until it is ready");
        ready!(future.poll_settled(context));
        Poll::Ready(self.0.take().expect("it is there"))
    }
}
