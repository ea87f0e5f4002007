//! Streams of one-way messages, many in one array (protocol, section 5.2).

use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use super::connection::{ConnectionReader, ConnectionWriter};
use super::{FieldError, Fields, Value, WireError};

/// How many messages go out as one array at most.
const BATCH: usize = 1024;

/// Sends one-way messages in their order. Clones send into the same stream;
/// with the last one the stream's writing side ends.
#[derive(Clone, Debug)]
pub struct StreamSender {
    queue: UnboundedSender<Value>,
}

/// The link is gone: nothing that is sent arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is closed")]
pub struct StreamClosed;

impl StreamSender {
    /// Starts to send over a link. A message that comes alone goes out at
    /// once, those that follow it within `interval` go out together: for the
    /// scheduler one array of many is far cheaper.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(writer: ConnectionWriter, interval: Duration) -> Self {
        let (queue, messages) = mpsc::unbounded_channel();
        tokio::spawn(write_batches(writer, messages, interval));
        Self { queue }
    }

    /// Puts a message into the stream; never waits.
    ///
    /// # Errors
    ///
    /// The link is gone.
    pub fn send(&self, message: Value) -> Result<(), StreamClosed> {
        self.queue.send(message).map_err(|_| StreamClosed)
    }

    /// Waits until the link is gone.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

async fn write_batches(
    mut writer: ConnectionWriter,
    mut messages: UnboundedReceiver<Value>,
    interval: Duration,
) {
    let mut batch = Vec::new();
    let mut next = Instant::now();
    while let Some(message) = messages.recv().await {
        batch.push(message);
        if Instant::now() < next {
            tokio::time::sleep_until(next).await;
        }
        while batch.len() < BATCH {
            match messages.try_recv() {
                Ok(message) => batch.push(message),
                Err(_) => break,
            }
        }
        next = Instant::now() + interval;
        if let Err(error) = writer.write(&Value::List(std::mem::take(&mut batch))).await {
            // Whoever reads the stream hears of it as well, and tells.
            tracing::debug!(%error, "a stream ends");
            return;
        }
    }
    writer.close().await;
}

/// Reads the messages of a stream.
#[derive(Debug)]
pub struct StreamReader {
    reader: ConnectionReader,
}

impl StreamReader {
    /// Reads from a link.
    #[must_use]
    pub fn new(reader: ConnectionReader) -> Self {
        Self { reader }
    }

    /// The next messages. Not cancel-safe.
    ///
    /// # Errors
    ///
    /// The link is lost, or what came is no list of messages.
    pub async fn read(&mut self) -> Result<Vec<Fields>, WireError> {
        Ok(messages(self.reader.read().await?)?)
    }
}

/// An array of messages; a single one is tolerated.
fn messages(value: Value) -> Result<Vec<Fields>, FieldError> {
    match value {
        Value::List(messages) => messages.into_iter().map(Fields::of).collect(),
        message => Ok(vec![Fields::of(message)?]),
    }
}
