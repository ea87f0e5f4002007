//! What the state machine asks for, done.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::graph;
use crate::wire::{Key, Value};
use crate::worker::executor::{Assignment, Outcome, Slot, Stored};
use crate::worker::mail::Mail;
use crate::worker::messages::{self, Ran, StartStop, now};
use crate::worker::peers::{self, Answer};
use crate::worker::run_spec::Work;
use crate::worker::shared::Shared;
use crate::worker::state::{Command, Event, Execution, Message, Peer, Request};
use crate::worker::store::Held;

use super::{RunLoop, Started};

/// What came with an event, beside what the state machine needs to know.
#[derive(Debug, Default)]
pub(super) struct Hand {
    values: HashMap<Key, Stored>,
    pub(super) result: Option<Stored>,
    pub(super) transfer: Option<StartStop>,
    pub(super) error: String,
    ran: Ran,
}

impl Hand {
    pub(super) fn of(values: Vec<(Key, Stored)>) -> Self {
        Self {
            values: values.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(super) fn after(ran: Ran) -> Self {
        Self {
            ran,
            ..Self::default()
        }
    }
}

impl RunLoop {
    pub(super) fn obey(&mut self, command: Command<Work>, hand: &mut Hand) {
        match command {
            Command::Store(key) => {
                if let Some(value) = hand.values.remove(&key).or_else(|| hand.result.take()) {
                    if let Some(transfer) = &hand.transfer {
                        self.transfers.insert(key.clone(), transfer.clone());
                    }
                    self.shared.store.insert(&key, value);
                    self.spill_if_due();
                }
            }
            Command::Drop(key) => {
                self.shared.store.remove(&key);
                self.transfers.remove(&key);
            }
            Command::Execute {
                execution,
                key,
                work,
                ..
            } => self.execute(execution, key, work),
            Command::Cancel(key) => self.cancel(&key),
            Command::Fetch {
                request,
                peer,
                keys,
            } => self.fetch(request, peer, keys),
            Command::Rest(peer) => {
                let mailbox = self.shared.mailbox.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(peers::BUSY_PAUSE).await;
                    mailbox.put(Mail::Event(Event::PeerRested(peer)));
                });
            }
            Command::Send(message) => self.say(&message, hand),
            Command::Leave => self.leave(),
        }
    }

    fn say(&mut self, message: &Message, hand: &Hand) {
        let Some(line) = &self.line else {
            return;
        };
        let message = match message {
            Message::TaskFinished { key, run_id } => {
                let Some(value) = self.shared.store.describe(key) else {
                    return;
                };
                messages::task_finished(key, *run_id, value, &hand.ran, line.clock_offset)
            }
            Message::TaskErred { key, run_id } => messages::task_erred(
                key,
                *run_id,
                graph::exception(&hand.error),
                &hand.error,
                &hand.ran,
                line.clock_offset,
            ),
            Message::LongRunning {
                key,
                run_id,
                execution,
            } => {
                let run_id = line.release.long_running_names_run().then_some(*run_id);
                let started = self.started.get(execution);
                let lasts = started.map_or(0.0, |started| now() - started.at);
                messages::long_running(key, run_id, lasts)
            }
            other => match messages::plain(other) {
                Some(message) => message,
                None => return,
            },
        };
        self.send(message);
    }

    /// Takes the inputs now, and runs the task on a thread.
    fn execute(&mut self, execution: Execution, key: Key, work: Work) {
        let mut inputs = Vec::with_capacity(work.inputs.len());
        let mut startstops = Vec::new();
        for input in &work.inputs {
            startstops.extend(self.transfers.remove(input));
            if let Some(held) = self.shared.store.get(input) {
                inputs.push((input.clone(), held));
            }
        }
        let is_unwanted = Arc::default();
        let started = Started {
            key: key.clone(),
            at: now(),
            is_unwanted: Arc::clone(&is_unwanted),
        };
        self.started.insert(execution, started);
        let job = Job {
            execution,
            key,
            work,
            inputs,
            startstops,
            is_unwanted,
        };
        let shared = Arc::clone(&self.shared);
        if let Err(error) = self
            .threads
            .run(Box::new(move |thread| job.run(&shared, thread)))
        {
            let text = format!("the operating system starts no thread for a task: {error}");
            self.shared.mailbox.put(Mail::Executed {
                execution,
                outcome: Outcome::Erred { text },
                ran: Ran::default(),
            });
        }
    }

    /// Its thread may not have come to the executor yet, which then sees it there.
    fn cancel(&self, key: &Key) {
        for started in self.started.values().filter(|started| started.key == *key) {
            started.is_unwanted.store(true, Ordering::Release);
        }
        self.shared.executor.cancel(key);
    }

    fn fetch(&mut self, request: Request, peer: Peer, keys: Vec<Key>) {
        let shared = Arc::clone(&self.shared);
        let from = peer.clone();
        let fetch = tokio::spawn(async move {
            let letter = match peers::get_data(&shared, &from, &keys).await {
                Ok(Answer::Values { values, transfer }) => Mail::Fetched {
                    request,
                    values,
                    transfer,
                },
                Ok(Answer::Busy) => Mail::NotFetched {
                    request,
                    busy: true,
                },
                Err(error) => {
                    tracing::debug!(%error, peer = %from, "a peer cannot be asked");
                    Mail::NotFetched {
                        request,
                        busy: false,
                    }
                }
            };
            shared.mailbox.put(letter);
        });
        self.fetches.insert(request, (peer, fetch.abort_handle()));
    }
}

/// One execution, on its thread.
struct Job {
    execution: Execution,
    key: Key,
    work: Work,
    inputs: Vec<(Key, Held)>,
    startstops: Vec<StartStop>,
    is_unwanted: Arc<AtomicBool>,
}

impl Job {
    fn run(self, shared: &Shared, thread: u64) {
        let Self {
            execution,
            key,
            work,
            inputs,
            mut startstops,
            is_unwanted,
        } = self;
        let mut loaded = Vec::with_capacity(inputs.len());
        let mut lost = Vec::new();
        for (input, held) in inputs {
            match shared.store.load(&input, held) {
                Ok(value) => loaded.push((input, value)),
                Err(error) => {
                    tracing::error!(key = %input, %error, "a value cannot be read back");
                    lost.push(input);
                }
            }
        }
        if !lost.is_empty() {
            shared.mailbox.put(Mail::NotExecuted {
                execution,
                keys: lost,
            });
            return;
        }
        let assignment = Assignment {
            key,
            payload: work.payload.clone(),
            inputs: loaded,
            annotations: work.annotations.clone(),
        };
        let slot = Slot {
            execution,
            mailbox: shared.mailbox.clone(),
            stream: shared.stream.clone(),
            is_unwanted,
        };
        let start = now();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            let outcome = shared.executor.execute(&assignment, &slot);
            // The inputs may be the last of their kind, and their end may
            // panic as well.
            drop(assignment);
            outcome
        }));
        startstops.push(StartStop::compute(start));
        let outcome = outcome.unwrap_or_else(|payload| Outcome::Erred {
            text: format!("the executor panicked: {}", panic_text(&*payload)),
        });
        shared.mailbox.put(Mail::Executed {
            execution,
            outcome,
            ran: Ran { startstops, thread },
        });
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("with something that is no text")
}

/// A message that ends the stream.
pub(super) fn close_stream() -> Value {
    Value::map([("op", "close-stream".into())])
}
