//! The line to the scheduler: registered, kept alive, lost and found again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::Release;
use crate::wire::{Fields, StreamSender, Value, WireError};
use crate::worker::mail::Mail;
use crate::worker::messages::now;
use crate::worker::metrics::Counts;
use crate::worker::registration::{Link, heartbeat_interval, register_patiently};
use crate::worker::state::{Event, Status};

use super::RunLoop;

/// How often something is sent if nothing else is, as stock workers do.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How long the scheduler may take to answer a heartbeat.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(30);

/// How long an order to close may take that the scheduler has sent before.
const ORDER_PATIENCE: Duration = Duration::from_secs(1);

/// The stream to the scheduler.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) stream: StreamSender,
    pub(super) reader: AbortHandle,
    pub(super) clock_offset: f64,
    pub(super) heartbeat_interval: Duration,
    pub(super) kept_alive: Instant,
    pub(super) release: Release,
}

impl RunLoop {
    pub(super) fn registered(&mut self, link: Link) {
        self.lines += 1;
        let number = self.lines;
        let mailbox = self.shared.mailbox.clone();
        let mut reader = link.reader;
        let reader = tokio::spawn(async move {
            loop {
                match reader.read().await {
                    Ok(messages) => mailbox.put(Mail::Stream(number, messages)),
                    Err(error) => {
                        mailbox.put(Mail::StreamEnded(number, error));
                        return;
                    }
                }
            }
        });
        self.shared.stream.set(Some(link.stream.clone()));
        self.line = Some(Line {
            number,
            stream: link.stream,
            reader: reader.abort_handle(),
            clock_offset: link.clock_offset,
            heartbeat_interval: link.heartbeat_interval,
            kept_alive: Instant::now(),
            release: link.release,
        });
        // What was here before is of another life.
        let status = self.state.status();
        if status != Status::Running {
            self.tell(Event::StatusChange(status));
        }
        self.schedule_heartbeat();
    }

    /// The line, if the letter is of this one and not of one before.
    pub(super) fn line(&mut self, number: u64) -> Option<&mut Line> {
        self.line.as_mut().filter(|line| line.number == number)
    }

    pub(super) fn send(&self, message: Value) {
        if let Some(line) = &self.line {
            // A stream that is gone is heard of from its reader.
            let _ = line.stream.send(message);
        }
    }

    pub(super) fn stream_ended(&mut self, number: u64, error: &WireError) {
        if self.leaving.stream_ended(number) {
            return;
        }
        let Some(line) = self.line(number) else {
            return;
        };
        line.reader.abort();
        self.hang_up();
        // A worker that was retired is not to come back.
        let is_retired = self.state.status() == Status::ClosingGracefully;
        if self.leaving.is_under_way() || is_retired {
            self.leaving.begin();
            self.tell(Event::Close);
            return;
        }
        tracing::warn!(
            worker = self.shared.name,
            scheduler = %self.shared.scheduler,
            %error,
            "the worker lost the scheduler, and registers anew"
        );
        for (_, (_, fetch)) in self.fetches.drain() {
            fetch.abort();
        }
        self.handing_back.clear();
        self.transfers.clear();
        self.tell(Event::SchedulerLost);
        let shared = Arc::clone(&self.shared);
        let metrics = self.measure();
        tokio::spawn(async move {
            let link = register_patiently(&shared, metrics, shared.death_timeout).await;
            shared.mailbox.put(Mail::Registered(link));
        });
    }

    /// Ends our side of the stream, after what was sent.
    pub(super) fn hang_up(&mut self) -> Option<u64> {
        self.shared.stream.set(None);
        self.line.take().map(|line| line.number)
    }

    fn measure(&mut self) -> Value {
        let counts = Counts {
            tasks: self.state.task_counts(),
            incoming_bytes: self.state.incoming_bytes(),
        };
        self.metrics.measure(&self.shared, &counts)
    }

    fn schedule_heartbeat(&self) {
        if let Some(line) = &self.line {
            let (number, interval) = (line.number, line.heartbeat_interval);
            let mailbox = self.shared.mailbox.clone();
            tokio::spawn(async move {
                tokio::time::sleep(interval).await;
                mailbox.put(Mail::HeartbeatDue(number));
            });
        }
    }

    pub(super) fn heartbeat(&mut self, number: u64) {
        let Some(line) = self.line(number) else {
            return;
        };
        if line.kept_alive.elapsed() > KEEP_ALIVE {
            line.kept_alive = Instant::now();
            self.send(Value::map([("op", "keep-alive".into())]));
        }
        self.tell(Event::Tick);
        let metrics = self.measure();
        let executing = self
            .state
            .executing()
            .filter_map(|(key, execution)| {
                Some((
                    key.into(),
                    (now() - self.started.get(&execution)?.at).into(),
                ))
            })
            .collect();
        let request = Value::map([
            ("op", "heartbeat_worker".into()),
            ("reply", true.into()),
            ("address", (&*self.shared.address).into()),
            ("now", now().into()),
            ("metrics", metrics),
            ("executing", Value::Map(executing)),
            ("extensions", Value::map([])),
        ]);
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let call = shared.pool.call(&shared.scheduler, &request);
            let answer = tokio::time::timeout(HEARTBEAT_PATIENCE, call).await;
            let answer = answer.unwrap_or(Err(WireError::Closed));
            shared.mailbox.put(Mail::HeartbeatAnswered(number, answer));
        });
    }

    pub(super) fn heartbeat_answered(&mut self, number: u64, answer: Result<Value, WireError>) {
        let Some(line) = self.line(number) else {
            return;
        };
        match answer.and_then(|answer| Ok(Fields::unnamed("heartbeat_worker", answer)?)) {
            Ok(mut answer) => {
                if answer.optional("status") == Some("missing".into()) {
                    return self.forgotten(number);
                }
                line.heartbeat_interval = heartbeat_interval(&mut answer);
                if let Ok(time) = answer.float("time") {
                    line.clock_offset = time - now();
                }
            }
            // The stream tells whether the scheduler is gone.
            Err(error) => tracing::debug!(%error, "a heartbeat failed"),
        }
        self.schedule_heartbeat();
    }

    /// The scheduler does not know us. If it has removed us its order to close
    /// may be behind this answer, which came another way.
    fn forgotten(&self, number: u64) {
        let mailbox = self.shared.mailbox.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ORDER_PATIENCE).await;
            mailbox.put(Mail::Forgotten(number));
        });
    }
}
