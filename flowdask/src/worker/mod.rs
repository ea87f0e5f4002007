//! A native worker in a cluster of stock Dask.
//!
//! [`Worker`] registers at a scheduler like a Python worker: it takes tasks,
//! holds their results, gives them to whoever asks, and fetches what its tasks
//! need from other workers, Python ones too. What a task of ours is, only its
//! [`Executor`] knows.
//!
//! The rules are a state machine without sockets, threads and clock (`state`).
//! Around it: a loop on a thread of its own, which gets everything that happens
//! as mail (`run_loop`); tasks on its runtime, which talk to the scheduler and
//! to peers; threads, which execute; and the store with the values.

mod builder;
mod error;
mod executor;
mod hand_back;
mod mail;
mod messages;
mod metrics;
mod peers;
mod registration;
mod run_loop;
mod run_spec;
mod server;
mod shared;
mod spill;
mod state;
mod store;
mod threads;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::builder::WorkerBuilder;
pub use self::error::WorkerError;
pub use self::executor::{Assignment, Executor, Outcome, Slot, Stored, StreamHandle};
use self::mail::{Mail, Mailbox};
pub(crate) use self::server::ORDER;

/// A worker that takes part in a cluster. It leaves at once when it is
/// dropped; [`close`](Self::close) gives its data to others first.
///
/// # Example
///
/// ```no_run
/// use std::sync::Arc;
///
/// use flowdask::wire::Key;
/// use flowdask::worker::{Assignment, Executor, Outcome, Slot, Worker};
///
/// /// Gives every task's first input back.
/// struct First;
///
/// impl Executor for First {
///     fn execute(&self, assignment: &Assignment, _slot: &Slot) -> Outcome {
///         match assignment.inputs.first() {
///             Some((_, value)) => Outcome::Finished(value.clone()),
///             None => Outcome::Erred { text: "there is no input".to_owned() },
///         }
///     }
///
///     fn cancel(&self, _key: &Key) {}
///
///     fn order(&self, body: bytes::Bytes) -> bytes::Bytes {
///         body
///     }
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let worker = Worker::builder("tcp://127.0.0.1:8786", Arc::new(First))
///     .nthreads(4)
///     .start()
///     .await?;
/// println!("{} takes tasks", worker.address());
/// worker.close().await?;
/// # Ok(())
/// # }
/// ```
pub struct Worker {
    address: String,
    name: String,
    mailbox: Mailbox,
    ended: watch::Receiver<bool>,
    /// How it ended; the first who asks gets it.
    end: Arc<Mutex<Option<Result<(), WorkerError>>>>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker for the scheduler at this address, which runs tasks by this
    /// executor.
    pub fn builder(scheduler: impl Into<String>, executor: Arc<dyn Executor>) -> WorkerBuilder {
        WorkerBuilder::new(scheduler.into(), executor)
    }

    /// The address that other workers and clients use, such as
    /// `tcp://127.0.0.1:41234`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its name at the scheduler.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves: other workers fetch what only this one holds, the scheduler
    /// gives its tasks to others, and executions that still go on are
    /// cancelled and get five seconds to end. If there is no other worker,
    /// its data is lost.
    ///
    /// # Errors
    ///
    /// As [`closed`](Self::closed).
    ///
    /// # Cancel safety
    ///
    /// It has begun to leave; dropping the future only stops the waiting, and
    /// drops the worker.
    pub async fn close(self) -> Result<(), WorkerError> {
        self.mailbox.put(Mail::Close { gracefully: true });
        self.closed().await
    }

    /// Waits until the worker has ended: because it was closed, because the
    /// scheduler said so, or because the scheduler was lost.
    ///
    /// # Errors
    ///
    /// The scheduler was lost for longer than the
    /// [timeout](WorkerBuilder::death_timeout), or refused the worker when it
    /// came back. Only the first call that returns has the error.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn closed(&self) -> Result<(), WorkerError> {
        let mut ended = self.ended.clone();
        let waited = ended.wait_for(|ended| *ended).await;
        match self.end.lock().take() {
            Some(end) => end,
            None if waited.is_ok() => Ok(()),
            None => Err(WorkerError::Broken),
        }
    }

    /// Waits until the worker has ended, and [closes](Self::close) it when
    /// `signal` is ready: for processes that are nothing but a worker.
    ///
    /// # Errors
    ///
    /// As [`closed`](Self::closed).
    pub async fn run_until(self, signal: impl Future<Output = ()>) -> Result<(), WorkerError> {
        tokio::select! {
            end = self.closed() => return end,
            () = signal => {}
        }
        self.close().await
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.mailbox.put(Mail::Close { gracefully: false });
    }
}
