//! The seam between the worker and what runs in it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::mail::{Mail, Mailbox};
use super::state::{Event, Execution};
use crate::wire::{Key, Serialized, StreamClosed, StreamSender, Value};

/// Runs the payloads of tasks. A panic in it is the failure of one run.
pub trait Executor: Send + Sync + 'static {
    /// Runs one task to its end, on a thread of the worker.
    fn execute(&self, assignment: &Assignment, slot: &Slot) -> Outcome;

    /// Nobody wants the result of this key's execution any more. The
    /// execution may go on; its outcome is dropped. Must not block.
    fn cancel(&self, key: &Key);

    /// A message from a client to this worker, by the scheduler's `proxy` RPC
    /// with the op `flow_order`. Must not block.
    fn order(&self, body: Bytes) -> Bytes;
}

/// One task to run.
#[derive(Debug)]
pub struct Assignment {
    /// Its key.
    pub key: Key,
    /// What it is, in a form that the executor knows.
    pub payload: Bytes,
    /// Its inputs with their keys, in the order of its arguments.
    pub inputs: Vec<(Key, Stored)>,
    /// The annotations that it was submitted with: a map.
    pub annotations: Value,
}

/// How an execution ended.
#[derive(Debug)]
pub enum Outcome {
    /// With a result.
    Finished(Stored),
    /// With an error; Python clients get a `RuntimeError` of this text.
    Erred {
        /// What went wrong.
        text: String,
    },
    /// Not here: the scheduler shall place it anew.
    Reschedule,
}

/// A value that a worker holds.
#[derive(Clone)]
pub struct Stored {
    /// As it travels.
    pub value: Serialized,
    /// The name of its type, for dashboards.
    pub type_name: Arc<str>,
    /// The pickle of its Python class, or nothing.
    pub pickled_type: Bytes,
    /// The value itself, for readers in the same process. It is dropped when
    /// the value goes to disk.
    pub typed: Option<Arc<dyn Any + Send + Sync>>,
}

impl Stored {
    /// A value that came from elsewhere, of a type that nobody asked for.
    pub(crate) fn opaque(value: Serialized) -> Self {
        Self {
            value,
            type_name: "object".into(),
            pickled_type: Bytes::new(),
            typed: None,
        }
    }

    /// What it takes in memory, never nothing.
    pub(crate) fn nbytes(&self) -> u64 {
        (self.value.header().len() + self.value.size()).max(1) as u64
    }
}

/// Values may be secret.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({}, {:?})", self.type_name, self.value)
    }
}

/// The slot that an execution occupies, and its line to the cluster.
#[derive(Clone, Debug)]
pub struct Slot {
    pub(super) execution: Execution,
    pub(super) mailbox: Mailbox,
    pub(super) stream: StreamHandle,
    /// Set before [`Executor::cancel`] is called.
    pub(super) is_unwanted: Arc<AtomicBool>,
}

impl Slot {
    /// The execution waits for something else from now on: the worker starts
    /// another task, and the scheduler hears that this one is long-running
    /// (Dask's `secede`). It keeps its resources. Returns at once; a second
    /// call does nothing.
    ///
    /// The execution simply goes on when its wait is over; like in Dask, it
    /// stays long-running until its end.
    pub fn lend(&self) {
        self.mailbox.put(Mail::Event(Event::Lent(self.execution)));
    }

    /// Nobody wants the result any more. An executor that makes an execution known
    /// to its [`cancel`](Executor::cancel), and looks here then, misses none: that
    /// is called when this is true.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.is_unwanted.load(Ordering::Acquire)
    }

    /// The worker's stream to the scheduler. What is sent there by this
    /// execution arrives before the scheduler hears that it ended.
    #[must_use]
    pub fn stream(&self) -> &StreamHandle {
        &self.stream
    }
}

#[cfg(test)]
impl Slot {
    /// Of an execution that nobody wants any more before it begins.
    pub(crate) fn cancelled() -> Self {
        Self {
            execution: Execution(0),
            mailbox: Mailbox::new().0,
            stream: StreamHandle::default(),
            is_unwanted: Arc::new(AtomicBool::new(true)),
        }
    }
}

/// Sends events over a worker's stream to the scheduler. Clones send over the
/// same one, and over the next if the worker has to register anew.
#[derive(Clone, Debug, Default)]
pub struct StreamHandle {
    current: Arc<Mutex<Option<StreamSender>>>,
}

impl StreamHandle {
    /// Appends an event to a topic; clients that subscribed to it get it.
    ///
    /// # Errors
    ///
    /// The worker has no scheduler now.
    pub fn log_event(&self, topic: &str, message: Value) -> Result<(), StreamClosed> {
        let event = Value::map([
            ("op", "log-event".into()),
            ("topic", topic.into()),
            ("msg", message),
        ]);
        self.current
            .lock()
            .as_ref()
            .ok_or(StreamClosed)?
            .send(event)
    }

    pub(super) fn set(&self, stream: Option<StreamSender>) {
        *self.current.lock() = stream;
    }
}
