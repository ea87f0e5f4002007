//! The thin shell around the state machine: one stream, its tasks, and a lock.
//!
//! Owns the order of what is sent: commands are carried out under the lock under
//! which they came about; tasks are woken after it.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, mpsc, watch};

use super::greeting::{self, Greeted};
use super::message::{ClientMessage, Incoming};
use super::state::{Cancelled, Command, KeyState, State};
use super::topics::Topics;
use super::{ClientBuilder, ClientError};
use crate::Release;
use crate::wire::{Address, Connection, Key, RpcPool, Security, StreamReader, StreamSender, Value};

/// How long messages are collected, as by Dask's own client.
const SEND_INTERVAL: Duration = Duration::from_millis(10);

/// How often the scheduler hears that we live, until it says otherwise.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How many questions for values are asked at a time: each takes a link.
const GATHERS: usize = 8;

/// The pause between two attempts to find a lost scheduler, as Dask's.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// What a watcher of a key is told by.
#[derive(Clone)]
pub(super) enum Watcher {
    /// A task that waits.
    Task(Waker),
    /// A channel that takes every change.
    Changes(mpsc::UnboundedSender<(Key, KeyState)>),
}

/// What changes under the lock.
pub(super) struct Core {
    pub(super) state: State<Watcher>,
    pub(super) topics: Topics,
    sender: Option<StreamSender>,
    release: Release,
    versions: Value,
}

/// What a client's handles and its driver share.
pub(super) struct Shared {
    pub(super) id: String,
    pub(super) address: Address,
    pub(super) timeout: Duration,
    pub(super) direct_to_workers: bool,
    pub(super) pool: RpcPool,
    security: Security,
    core: Mutex<Core>,
    /// Releases wait to be sent.
    flush: Notify,
    heartbeat: watch::Sender<Duration>,
    gathers: Semaphore,
}

impl Shared {
    /// Connects and registers. The stream's reader is for [`drive`].
    pub(super) async fn connect(
        address: Address,
        options: ClientBuilder,
    ) -> Result<(Arc<Self>, StreamReader), ClientError> {
        let ClientBuilder {
            security, timeout, ..
        } = &options;
        let id = format!("Client-{}", uuid::Uuid::now_v7());
        let greeted = greeting::greet(&address, security, *timeout).await?;
        let Greeted {
            release,
            versions,
            connection,
        } = greeted;
        if release.is_untested() {
            let newest = Release::NEWEST;
            tracing::warn!(%address, %release, %newest, "this release of Dask is newer than all that were tested");
        }
        let stream = greeting::register(&address, security, *timeout, &id, &versions).await?;
        let pool = RpcPool::with_timeout(security.clone(), *timeout);
        pool.give_back(&address, connection);
        let (reader, sender) = open(stream);
        let shared = Self {
            id,
            address,
            timeout: options.timeout,
            direct_to_workers: options.direct_to_workers,
            pool,
            security: options.security,
            core: Mutex::new(Core {
                state: State::new(),
                topics: Topics::default(),
                sender: Some(sender),
                release,
                versions,
            }),
            flush: Notify::new(),
            heartbeat: watch::Sender::new(HEARTBEAT),
            gathers: Semaphore::new(GATHERS),
        };
        Ok((Arc::new(shared), reader))
    }

    /// The release of the scheduler that the client is, or was last, linked to.
    pub(super) fn release(&self) -> Release {
        self.core.lock().release
    }

    /// What the scheduler said of its packages.
    pub(super) fn versions(&self) -> Value {
        self.core.lock().versions.clone()
    }

    /// Waits for its turn to ask for values.
    pub(super) async fn turn_to_gather(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed, so there is always a permit in the end.
        self.gathers.acquire().await.ok()
    }

    /// Changes what is known, and carries out what follows from it.
    pub(super) fn apply<T>(&self, act: impl FnOnce(&mut Core) -> T) -> T {
        let mut wakers = Vec::new();
        let result = {
            let mut core = self.core.lock();
            let result = act(&mut core);
            self.carry_out(&mut core, &mut wakers);
            result
        };
        for waker in wakers {
            waker.wake();
        }
        result
    }

    fn carry_out(&self, core: &mut Core, wakers: &mut Vec<Waker>) {
        for command in core.state.commands() {
            match command {
                Command::Send(message) => {
                    if let Some(sender) = &core.sender {
                        let message = message.into_value(&self.id, core.release);
                        // If the link is gone the driver hears of it, and all
                        // keys are told.
                        let _ = sender.send(message);
                    }
                }
                Command::Tell {
                    watcher: Watcher::Task(waker),
                    ..
                } => wakers.push(waker),
                Command::Tell {
                    watcher: Watcher::Changes(changes),
                    key,
                    state,
                } => {
                    // Nobody may listen any more.
                    let _ = changes.send((key, state));
                }
                Command::FlushSoon => self.flush.notify_one(),
            }
        }
    }

    /// Ends the client: all that wait are told, and the stream ends politely.
    pub(super) fn close(&self, cancelled: &Cancelled) {
        self.apply(|core| {
            if core.state.is_closed() {
                return;
            }
            // Without a link there is nobody to tell.
            for message in [ClientMessage::CloseClient, ClientMessage::CloseStream] {
                let _ = core.state.send(message);
            }
            self.carry_out(core, &mut Vec::new());
            core.state.close(cancelled);
            core.topics.close();
            core.sender = None;
        });
    }

    fn receive(&self, messages: Vec<crate::wire::Fields>) -> Result<(), Ended> {
        self.apply(|core| {
            for message in messages {
                let op = message.op().to_owned();
                match Incoming::read(message) {
                    Ok(Incoming::Keys(message)) => core.state.receive(message),
                    Ok(Incoming::Event {
                        topic,
                        time,
                        message,
                    }) => core.topics.deliver(&topic, time, &message),
                    Ok(Incoming::HeartbeatInterval(interval)) => {
                        self.heartbeat.send_replace(interval);
                    }
                    Ok(Incoming::Closed) => return Err(Ended),
                    Ok(Incoming::Unknown) => tracing::debug!(op, "a message of an unknown kind"),
                    Err(error) => tracing::warn!(%error, "a message that cannot be read"),
                }
            }
            Ok(())
        })
    }

    /// Makes the stream of a new link the client's.
    fn install(&self, greeted: Greeted, stream: Connection) -> StreamReader {
        self.pool.give_back(&self.address, greeted.connection);
        let (reader, sender) = open(stream);
        self.apply(|core| {
            core.sender = Some(sender);
            core.release = greeted.release;
            core.versions = greeted.versions;
            core.state.connected();
            for topic in core.topics.names() {
                // The link is open: this cannot fail.
                let _ = core.state.send(ClientMessage::SubscribeTopic { topic });
            }
        });
        reader
    }

    /// Finds a lost scheduler again, or another one at its address.
    async fn reconnect(&self) -> Result<StreamReader, ClientError> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        loop {
            let attempt = async {
                let greeted = greeting::greet(&self.address, &self.security, self.timeout).await?;
                let stream = greeting::register(
                    &self.address,
                    &self.security,
                    self.timeout,
                    &self.id,
                    &greeted.versions,
                )
                .await?;
                Ok((greeted, stream))
            };
            let error = match attempt.await {
                Ok((greeted, stream)) => return Ok(self.install(greeted, stream)),
                Err(error) => error,
            };
            // A scheduler that starts or ends may do anything; only what it says
            // itself is final.
            let is_final = matches!(error, ClientError::Release(_) | ClientError::Refused { .. });
            if is_final || tokio::time::Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn beat(&self) {
        let mut interval = self.heartbeat.subscribe();
        loop {
            let pause = *interval.borrow_and_update();
            tokio::time::sleep(pause).await;
            // A client that waits for its next link sends nothing.
            let _ = self.apply(|core| core.state.send(ClientMessage::Heartbeat));
        }
    }

    /// Releases what was dropped, many keys in one message.
    async fn flush_releases(&self) {
        loop {
            self.flush.notified().await;
            tokio::time::sleep(SEND_INTERVAL).await;
            self.apply(|core| core.state.flush());
        }
    }
}

/// The scheduler has ended the stream.
struct Ended;

fn open(stream: Connection) -> (StreamReader, StreamSender) {
    let (reader, writer) = stream.split();
    (
        StreamReader::new(reader),
        StreamSender::start(writer, SEND_INTERVAL),
    )
}

/// Reads the stream until the client is closed, or gives up to find a lost
/// scheduler again.
pub(super) async fn drive(shared: Arc<Shared>, mut reader: StreamReader) {
    let address = &shared.address;
    loop {
        let reading = async {
            loop {
                match reader.read().await {
                    Ok(messages) => {
                        if shared.receive(messages).is_err() {
                            return "the scheduler closed the stream".to_owned();
                        }
                    }
                    Err(error) => return error.to_string(),
                }
            }
        };
        let why = tokio::select! {
            why = reading => why,
            () = shared.beat() => return,
            () = shared.flush_releases() => return,
        };
        let closed = shared.apply(|core| {
            core.sender = None;
            core.state.lost();
            core.state.is_closed()
        });
        if closed {
            return;
        }
        tracing::warn!(%address, why, "the link to the scheduler is lost; connecting again");
        reader = match shared.reconnect().await {
            Ok(reader) => reader,
            Err(error) => {
                tracing::error!(%address, %error, "the scheduler is gone");
                shared.close(&Cancelled::ConnectionLost);
                return;
            }
        };
    }
}
