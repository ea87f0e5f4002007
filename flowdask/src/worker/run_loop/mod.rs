//! The worker's loop: everything that happens reaches it as mail, one letter
//! after the other, and it alone has the state.
//!
//! It never waits for anything but mail. What takes time runs in tasks and
//! threads beside it, which write when they are done.

mod commands;
mod leaving;
mod line;
mod memory;
mod stream;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;

use self::commands::Hand;
use self::leaving::Leaving;
use self::line::Line;
use self::memory::Memory;
use super::WorkerError;
use super::executor::{Outcome, Stored};
use super::hand_back::{self, Stray};
use super::mail::Mail;
use super::messages::{Ran, StartStop};
use super::metrics::Metrics;
use super::registration::Link;
use super::run_spec::Work;
use super::shared::Shared;
use super::state::{Event, Execution, Peer, Request, Settings, State, Status};
use super::threads::Threads;
use crate::wire::{Key, WireError};

pub(super) struct RunLoop {
    shared: Arc<Shared>,
    state: State<Work>,
    threads: Threads,
    metrics: Metrics,
    memory: Memory,
    strays: UnboundedSender<Stray>,
    /// None while there is no scheduler.
    line: Option<Line>,
    lines: u64,
    /// The executions that have not ended.
    started: HashMap<Execution, Started>,
    fetches: HashMap<Request, (Peer, AbortHandle)>,
    /// How values came here, until who needed them says so.
    transfers: HashMap<Key, StartStop>,
    /// Strays on their way to others, with their latest run ids.
    handing_back: HashMap<Key, i64>,
    leaving: Leaving,
}

/// An execution that was given to a thread.
struct Started {
    key: Key,
    /// Seconds since 1970.
    at: f64,
    is_unwanted: Arc<AtomicBool>,
}

impl RunLoop {
    /// Must be called on the runtime.
    pub(super) fn new(shared: Arc<Shared>, threads: Threads, metrics: Metrics) -> Self {
        let seed = shared.id.bytes().fold(0_u64, |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(byte.into())
        });
        let state = State::new(Settings {
            address: shared.address.clone(),
            nthreads: shared.nthreads,
            resources: shared.resources.clone(),
            incoming_limit: shared.memory_limit.map(memory::incoming_limit),
            seed,
        });
        Self {
            state,
            threads,
            metrics,
            memory: Memory::start(&shared),
            strays: hand_back::start(Arc::clone(&shared)),
            line: None,
            lines: 0,
            started: HashMap::new(),
            fetches: HashMap::new(),
            transfers: HashMap::new(),
            handing_back: HashMap::new(),
            leaving: Leaving::No,
            shared,
        }
    }

    /// Works until the worker has left.
    pub(super) async fn run(
        mut self,
        link: Link,
        mut mail: UnboundedReceiver<Mail>,
    ) -> Result<(), WorkerError> {
        self.registered(link);
        loop {
            // The mailbox lives as long as we do: we have one end of it.
            let Some(letter) = mail.recv().await else {
                return Ok(());
            };
            if let ControlFlow::Break(end) = self.take(letter) {
                self.threads.close();
                return end;
            }
        }
    }

    fn take(&mut self, letter: Mail) -> ControlFlow<Result<(), WorkerError>> {
        match letter {
            Mail::Registered(Ok(link)) => self.registered(link),
            Mail::Registered(Err(error)) => {
                return ControlFlow::Break(Err(WorkerError::SchedulerLost {
                    scheduler: self.shared.scheduler.clone(),
                    source: Box::new(error),
                }));
            }
            Mail::Stream(number, messages) => self.stream(number, messages),
            Mail::StreamEnded(number, error) => self.stream_ended(number, &error),
            Mail::Event(event) => self.tell(event),
            Mail::Executed {
                execution,
                outcome,
                ran,
            } => self.executed(execution, outcome, ran),
            Mail::NotExecuted { execution, keys } => {
                self.started.remove(&execution);
                self.tell(Event::InputsLost { execution, keys });
            }
            Mail::Fetched {
                request,
                values,
                transfer,
            } => self.fetched(request, values, &transfer),
            Mail::NotFetched { request, busy } => {
                self.fetches.remove(&request);
                self.tell(if busy {
                    Event::PeerBusy(request)
                } else {
                    Event::PeerFailed(request)
                });
            }
            Mail::Received { values, done } => {
                let keys = sizes(&values);
                self.tell_with(Event::DataReceived(keys), Hand::of(values));
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            Mail::HandedBack(handed_back) => self.handed_back(handed_back),
            Mail::HeartbeatDue(number) => self.heartbeat(number),
            Mail::HeartbeatAnswered(number, answer) => self.heartbeat_answered(number, answer),
            Mail::Forgotten(number) => self.stream_ended(number, &WireError::Closed),
            Mail::MemoryDue => self.look_at_memory(),
            Mail::Spilled => self.memory.spilled(),
            Mail::Close { gracefully } => self.close(gracefully),
            Mail::Retired => self.tell(Event::Close),
            Mail::Deadline => return ControlFlow::Break(Ok(())),
        }
        if self.has_left() {
            return ControlFlow::Break(Ok(()));
        }
        ControlFlow::Continue(())
    }

    fn tell(&mut self, event: Event<Work>) {
        self.tell_with(event, Hand::default());
    }

    fn tell_with(&mut self, event: Event<Work>, mut hand: Hand) {
        for command in self.state.handle(event) {
            self.obey(command, &mut hand);
        }
        let paused = self.state.status() == Status::Paused;
        self.shared.is_paused.store(paused, Relaxed);
    }

    fn executed(&mut self, execution: Execution, outcome: Outcome, ran: Ran) {
        self.started.remove(&execution);
        let mut hand = Hand::after(ran);
        let event = match outcome {
            Outcome::Finished(value) => {
                let nbytes = value.nbytes();
                hand.result = Some(value);
                Event::Finished { execution, nbytes }
            }
            Outcome::Erred { text } => {
                hand.error = text;
                Event::Erred(execution)
            }
            Outcome::Reschedule => Event::Rescheduled(execution),
        };
        self.tell_with(event, hand);
    }

    fn fetched(&mut self, request: Request, values: Vec<(Key, Stored)>, transfer: &StartStop) {
        self.fetches.remove(&request);
        let found = sizes(&values);
        let mut hand = Hand::of(values);
        hand.transfer = Some(transfer.clone());
        self.tell_with(Event::Fetched { request, found }, hand);
    }
}

fn sizes(values: &[(Key, Stored)]) -> Vec<(Key, u64)> {
    values
        .iter()
        .map(|(key, value)| (key.clone(), value.nbytes()))
        .collect()
}
