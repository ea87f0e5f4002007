//! The worker's loop: everything that happens reaches it as mail, one letter
//! after the other, and it alone has the state.
//!
//! It never waits for anything but mail. What takes time runs in tasks and
//! threads beside it, which write when they are done.

mod commands;
mod leaving;
mod memory;
mod stream;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::commands::Hand;
use self::leaving::Leaving;
use self::memory::Memory;
use super::WorkerError;
use super::executor::{Outcome, Stored};
use super::hand_back::{self, Stray};
use super::mail::Mail;
use super::messages::{Ran, StartStop, now};
use super::metrics::{Counts, Metrics};
use super::registration::{Link, heartbeat_interval, register_patiently};
use super::run_spec::Work;
use super::shared::Shared;
use super::state::{Event, Execution, Peer, Request, Settings, State, Status};
use super::threads::Threads;
use crate::Release;
use crate::wire::{Fields, Key, StreamSender, Value, WireError};

/// How often something is sent if nothing else is, as stock workers do.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How long the scheduler may take to answer a heartbeat.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(30);

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
    /// When executions began.
    started: HashMap<Execution, f64>,
    fetches: HashMap<Request, (Peer, AbortHandle)>,
    /// How values came here, until who needed them says so.
    transfers: HashMap<Key, StartStop>,
    /// Strays on their way to others, with their latest run ids.
    handing_back: HashMap<Key, i64>,
    leaving: Leaving,
}

/// The stream to the scheduler.
struct Line {
    number: u64,
    stream: StreamSender,
    reader: AbortHandle,
    clock_offset: f64,
    heartbeat_interval: Duration,
    kept_alive: Instant,
    release: Release,
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

    fn registered(&mut self, link: Link) {
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
    fn line(&mut self, number: u64) -> Option<&mut Line> {
        self.line.as_mut().filter(|line| line.number == number)
    }

    fn send(&self, message: Value) {
        if let Some(line) = &self.line {
            // A stream that is gone is heard of from its reader.
            let _ = line.stream.send(message);
        }
    }

    fn stream_ended(&mut self, number: u64, error: &WireError) {
        if self.leaving.stream_ended(number) || self.line(number).is_none() {
            return;
        }
        self.hang_up();
        if self.leaving.is_under_way() {
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
    fn hang_up(&mut self) -> Option<u64> {
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

    fn heartbeat(&mut self, number: u64) {
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
                Some((key.into(), (now() - self.started.get(&execution)?).into()))
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

    fn heartbeat_answered(&mut self, number: u64, answer: Result<Value, WireError>) {
        let Some(line) = self.line(number) else {
            return;
        };
        match answer.and_then(|answer| Ok(Fields::unnamed("heartbeat_worker", answer)?)) {
            Ok(mut answer) => {
                if answer.optional("status") == Some("missing".into()) {
                    line.reader.abort();
                    self.stream_ended(number, &WireError::Closed);
                    return;
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
