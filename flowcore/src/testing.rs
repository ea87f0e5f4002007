//! Tests of flows: a paused clock, no server, nothing on disk.
//!
//! [`run`] gives a test a world of its own. Flows run in it as they do
//! elsewhere, on threads and as async code, but time passes only when all of
//! them wait: a retry after an hour, a timeout, a rate limit, the expiry of a
//! cached result take no time, and the times of states are exact. What a test
//! asserts on is the [report](crate::Call::report) of a run.
//!
//! With the feature `testing`, which is for `[dev-dependencies]`.

use std::future::Future;

use crate::world::World;

/// Runs the code of a test with a paused clock; `#[flowcore::test]` on an
/// `async fn` is a test that does so.
///
/// The clock is tokio's: it moves to the next timer as soon as nothing else can
/// be done, so `tokio::time::sleep` in tasks, flows and the test itself ends
/// at once, and `tokio::time::Instant` tells how much time has passed. Sync
/// code takes no time on it, however long it works. Results go to memory unless
/// a store is named, and [`limits`](crate::limits()) are those of this test
/// alone.
///
/// ```
/// use std::time::Duration;
///
/// use flowcore::prelude::*;
///
/// #[task(retries = 2, retry_delay = "1h")]
/// async fn fetch() -> Result<String, std::io::Error> {
///     Err(std::io::Error::other("503"))
/// }
///
/// #[flow]
/// async fn nightly() -> Result<String> {
///     fetch.submit().await
/// }
///
/// # fn main() {
/// flowcore::testing::run(async {
///     let report = nightly().report().await;
///     assert!(report.state().is_failed());
///
///     let run = report.runs_of("fetch").next().unwrap();
///     assert_eq!(
///         run.history(),
///         ["Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying", "Failed"],
///     );
///     let ran = run.states()[6].timestamp().duration_since(run.states()[0].timestamp());
///     assert_eq!(ran, jiff::SignedDuration::from_hours(2));
/// });
/// # }
/// ```
///
/// # Panics
///
/// In a tokio runtime: tests that use it are `#[test]`, not `#[tokio::test]`.
/// Async code in the test that blocks its thread, as [`Call::block`] does,
/// panics too, for all other async code needs that thread; sync tasks and sync
/// flows may block.
///
/// [`Call::block`]: crate::Call::block
pub fn run<F: Future>(code: F) -> F::Output {
    assert!(
        tokio::runtime::Handle::try_current().is_err(),
        "`flowcore::testing::run` brings a runtime of its own: write `#[test] fn ..` instead of \
         `#[tokio::test] async fn ..`"
    );
    World::run(code)
}

#[doc = include_str!("../../docs/guide/testing.md")]
#[cfg(doctest)]
mod guide {}
