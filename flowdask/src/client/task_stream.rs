//! What the scheduler remembers of the tasks that ran: its task stream.

use super::{Client, ClientError};
use crate::wire::{FieldError, Fields, Key, Value};

const OP: &str = "get_task_stream";

/// A task that ran.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskStreamRecord {
    /// Its key.
    pub key: Key,
    /// The worker that ran it.
    pub worker: String,
    /// Which of the worker's threads; the number only tells them apart.
    pub thread: u64,
    /// Whether it ended with an error.
    pub has_failed: bool,
    /// What took time.
    pub startstops: Vec<StartStop>,
}

/// Something that a task took time for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StartStop {
    /// `compute`, `transfer`, `disk-read`, `disk-write` or `deserialize`.
    pub action: String,
    /// When it began, by the scheduler's clock, in seconds since 1970.
    pub start: f64,
    /// When it ended.
    pub stop: f64,
    /// The worker that a value came from.
    pub source: Option<String>,
}

impl Client {
    /// The tasks that ran lately, of all clients. The scheduler begins to
    /// remember them with the first question, unless it has a dashboard, and
    /// keeps as many as it is configured for (100,000).
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn get_task_stream(&self) -> Result<Vec<TaskStreamRecord>, ClientError> {
        let Value::List(records) = self.call(OP, []).await? else {
            return Ok(Vec::new());
        };
        let records = records.into_iter().map(read);
        records
            .collect::<Result<_, _>>()
            .map_err(ClientError::call(OP))
    }

    /// Lets the scheduler remember tasks from now on.
    pub(crate) async fn start_task_stream(&self) -> Result<(), ClientError> {
        self.call(OP, [("count", 0.into())]).await.map(drop)
    }
}

fn read(record: Value) -> Result<TaskStreamRecord, FieldError> {
    let mut record = Fields::unnamed(OP, record)?;
    let startstops = record.list("startstops")?.into_iter();
    Ok(TaskStreamRecord {
        key: record.key("key")?,
        worker: record.string("worker")?,
        thread: match record.optional("thread") {
            Some(Value::Integer(thread)) => thread.unsigned_abs(),
            Some(Value::Unsigned(thread)) => thread,
            _ => 0,
        },
        has_failed: record.optional("exception").is_some(),
        startstops: startstops.map(startstop).collect::<Result<_, _>>()?,
    })
}

fn startstop(entry: Value) -> Result<StartStop, FieldError> {
    let mut entry = Fields::unnamed(OP, entry)?;
    Ok(StartStop {
        action: entry.string("action")?,
        start: entry.float("start")?,
        stop: entry.float("stop")?,
        source: entry
            .optional("source")
            .and_then(|source| source.as_str().map(str::to_owned)),
    })
}
