//! How a worker leaves (protocol, section 7.7).

use std::sync::Arc;
use std::time::Duration;

use crate::wire::Value;
use crate::worker::mail::Mail;
use crate::worker::messages::stimulus_id;
use crate::worker::state::Event;

use super::RunLoop;
use super::commands::close_stream;

/// How long others may take to fetch our data.
const RETIREMENT: Duration = Duration::from_secs(60);

/// How long executions may take to end once nobody wants them any more.
const GRACE: Duration = Duration::from_secs(5);

/// Whether the worker is about to leave.
#[derive(Debug)]
pub(super) enum Leaving {
    No,
    /// Others fetch our data, or nobody is to be told any more.
    Begun,
    /// We said goodbye on this stream.
    Said {
        stream: Option<u64>,
    },
}

impl Leaving {
    pub(super) fn begin(&mut self) {
        if matches!(self, Self::No) {
            *self = Self::Begun;
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self, Self::No)
    }

    /// True if it was the one that we said goodbye on.
    pub(super) fn stream_ended(&mut self, number: u64) -> bool {
        match self {
            Self::Said { stream } if *stream == Some(number) => {
                *stream = None;
                true
            }
            _ => false,
        }
    }
}

impl RunLoop {
    /// Somebody on our side wants the worker to end.
    pub(super) fn close(&mut self, gracefully: bool) {
        let was_under_way = self.leaving.is_under_way();
        self.leaving.begin();
        if !gracefully || self.line.is_none() {
            self.tell(Event::Close);
            return;
        }
        if was_under_way {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let request = Value::map([
            ("op", "retire_workers".into()),
            ("reply", true.into()),
            ("workers", [&*shared.address].into_iter().collect()),
            ("close_workers", false.into()),
            ("remove", true.into()),
            ("stimulus_id", stimulus_id("retire-worker")),
        ]);
        tokio::spawn(async move {
            let call = shared.pool.call(&shared.scheduler, &request);
            match tokio::time::timeout(RETIREMENT, call).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the worker leaves with its data"),
                Err(_) => tracing::warn!("the worker leaves with its data: nobody fetched it"),
            }
            shared.mailbox.put(Mail::Retired);
        });
    }

    /// The state machine is closed: says goodbye, and gives executions time.
    pub(super) fn leave(&mut self) {
        self.send(close_stream());
        for (_, (_, fetch)) in self.fetches.drain() {
            fetch.abort();
        }
        let stream = self.hang_up();
        self.leaving = Leaving::Said { stream };
        let mailbox = self.shared.mailbox.clone();
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            mailbox.put(Mail::Deadline);
        });
    }

    /// The scheduler knows, and nothing executes any more.
    pub(super) fn has_left(&self) -> bool {
        matches!(self.leaving, Leaving::Said { stream: None }) && self.state.is_idle()
    }
}
