//! Whether the current run shall stop, for code that has to look by itself.

use std::fmt;
use std::sync::Arc;

use crate::context::RunContext;
use crate::error::{Error, ErrorKind, Result};
use crate::flag::Flag;
use crate::runner::{AttemptControl, MapJob, lend_while};

/// Says whether a run was asked to stop; made by [`cancellation`].
///
/// It may be handed to other threads, and outlive the run.
#[derive(Clone)]
pub struct Cancellation(Option<Source>);

#[derive(Clone)]
struct Source {
    flow: Arc<Flag>,
    run: RunSource,
}

/// What asks the task run itself to stop.
#[derive(Clone)]
pub(crate) enum RunSource {
    /// The code belongs to no task run.
    None,
    Attempt(Arc<AttemptControl>),
    Row(Arc<dyn MapJob>, u32),
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancellation({})", self.is_cancelled())
    }
}

/// The token of the run that the calling code belongs to. Async code needs
/// none: it ends at its next `.await`. Sync code that takes long looks now and
/// then; outside of runs nobody ever asks to stop.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// fn primes_below(limit: u64) -> Result<Vec<u64>> {
///     let cancellation = flowcore::cancellation();
///     let mut primes: Vec<u64> = Vec::new();
///     for number in 2..limit {
///         // Cancelled, or its time is up: the error ends the run.
///         cancellation.check()?;
///         if primes.iter().all(|prime| number % prime != 0) {
///             primes.push(number);
///         }
///     }
///     Ok(primes)
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(primes_below(10).await?, [2, 3, 5, 7]);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn cancellation() -> Cancellation {
    RunContext::caller().map_or(Cancellation(None), |context| context.cancellation())
}

impl Cancellation {
    pub(crate) fn of(flow: Arc<Flag>, run: RunSource) -> Self {
        Self(Some(Source { flow, run }))
    }

    /// Whether the run was asked to stop: it or its flow was cancelled, its
    /// flow has failed, or its time is up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let Some(Source { flow, run }) = &self.0 else {
            return false;
        };
        flow.is_set()
            || match run {
                RunSource::None => false,
                RunSource::Attempt(control) => control.is_cancelled(),
                RunSource::Row(job, row) => job.stops().contains(*row),
            }
    }

    /// Ends when the run is asked to stop; never, if it is not.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn cancelled(&self) {
        let Some(Source { flow, run }) = &self.0 else {
            return std::future::pending().await;
        };
        let run = async {
            match run {
                RunSource::None => std::future::pending().await,
                RunSource::Attempt(control) => control.cancelled().await,
                RunSource::Row(job, row) => job.stops().stopped(*row).await,
            }
        };
        futures_util::future::select(std::pin::pin!(flow.wait()), std::pin::pin!(run)).await;
    }

    /// Nothing, or the error that ends the run.
    ///
    /// # Errors
    ///
    /// Of kind [`ErrorKind::Cancelled`]: the run was asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(asked_to_stop());
        }
        Ok(())
    }
}

fn asked_to_stop() -> Error {
    Error::build(ErrorKind::Cancelled, "the run was asked to stop").finish()
}

/// Blocks this thread on something that other runs have to do first, or until
/// the run that it belongs to is asked to stop.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let cancellation = cancellation();
    lend_while(|| {
        let future = std::pin::pin!(future);
        let cancelled = std::pin::pin!(cancellation.cancelled());
        match crate::runtime::block_on(futures_util::future::select(future, cancelled)) {
            futures_util::future::Either::Left((result, _)) => result,
            futures_util::future::Either::Right(_) => Err(asked_to_stop()),
        }
    })
}
