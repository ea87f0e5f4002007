//! What a client knows of its keys: events in, commands out.
//!
//! Owns which keys the client wants, how many handles want each, what state each
//! is in, and in which order messages leave. No socket, no clock, no task: the
//! shell carries out what it says, in that order.
//!
//! A key that ended for good (cancelled, or the scheduler's memory is gone) is cut
//! off from its name: handles that still speak of it keep the end, and the same
//! key can be submitted anew. Whatever the scheduler says of names that nobody
//! wants is ignored; it may be older than our own last word (protocol, trap 18).
//!
//! Invariant: while a link is open, the scheduler holds a key for us as long as a
//! handle of it is alive that has not ended, and is told when the last one goes.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::message::{ClientMessage, SchedulerMessage};
use crate::graph::RemoteException;
use crate::wire::Key;

/// What a client knows of a key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeyState {
    /// It is not computed yet.
    Pending,
    /// The only copy was lost; the scheduler computes it again.
    Lost,
    /// It is in the memory of a worker.
    Memory,
    /// Its task failed, after all retries. `retry` makes it pending again.
    Erred(Arc<RemoteException>),
    /// It will not be computed; final.
    Cancelled(Cancelled),
}

/// Why a key was cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// Some client asked for it.
    Requested {
        /// The word that client gave for it.
        reason: Option<String>,
        /// The sentence that client gave for it.
        message: Option<String>,
    },
    /// The graph needed a key that the scheduler does not know.
    LostDependencies,
    /// The scheduler does not know the key: it was never submitted or is
    /// released, or it was scattered and its last copy is lost.
    Forgotten,
    /// Some client restarted the cluster.
    Restarted,
    /// The link to the scheduler broke; the scheduler has forgotten our keys.
    ConnectionLost,
    /// This client was closed.
    Closed,
}

impl KeyState {
    /// Whether waiting ends: in memory, erred or cancelled.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Memory | Self::Erred(_) | Self::Cancelled(_))
    }
}

/// A key's life from its first handle to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EntryId(u64);

/// Somebody who wants to hear of a key's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WatcherId(u64);

/// What the shell has to do, in this order.
#[derive(Debug)]
pub(super) enum Command<W> {
    /// Put the message on the stream.
    Send(ClientMessage),
    /// The key of this watcher has changed.
    Tell {
        watcher: W,
        key: Key,
        state: KeyState,
    },
    /// Call [`State::flush`] in a moment: keys wait to be released.
    FlushSoon,
}

struct Entry<W> {
    key: Key,
    handles: usize,
    state: KeyState,
    /// The scheduler may hold the key for us.
    held: bool,
    watchers: SmallVec<[(WatcherId, W); 1]>,
}

enum Link {
    Open,
    /// Messages wait for the next link.
    Waiting(Vec<ClientMessage>),
    Closed,
}

/// The client was closed, or has given up to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkClosed;

/// The state machine; `W` is what the shell wakes watchers by.
pub(super) struct State<W> {
    entries: HashMap<EntryId, Entry<W>>,
    current: HashMap<Key, EntryId>,
    link: Link,
    /// Released since the last flush.
    released: Vec<Key>,
    next: u64,
    commands: Vec<Command<W>>,
}

impl<W: Clone> State<W> {
    /// A client whose link is open.
    pub(super) fn new() -> Self {
        Self {
            entries: HashMap::new(),
            current: HashMap::new(),
            link: Link::Open,
            released: Vec::new(),
            next: 0,
            commands: Vec::new(),
        }
    }

    /// What has to be done since the last call.
    pub(super) fn commands(&mut self) -> Vec<Command<W>> {
        std::mem::take(&mut self.commands)
    }

    /// Adds a handle of each key, and sends the messages that bring them to the
    /// scheduler. Those name the `passing` keys too, which nobody wants once all
    /// messages have arrived.
    pub(super) fn submit(
        &mut self,
        keys: &[Key],
        messages: Vec<ClientMessage>,
        passing: Vec<Key>,
    ) -> Result<Vec<EntryId>, LinkClosed> {
        self.check_link()?;
        // A key that was released and comes back starts anew.
        self.flush();
        let ids = keys.iter().map(|key| self.hold(key)).collect();
        for message in messages {
            self.put(message);
        }
        self.released = passing;
        self.released.retain(|key| !self.current.contains_key(key));
        self.flush();
        Ok(ids)
    }

    /// Adds a handle of keys that exist at the scheduler already.
    pub(super) fn desire(&mut self, keys: &[Key]) -> Result<Vec<EntryId>, LinkClosed> {
        let unknown: Vec<Key> = keys
            .iter()
            .filter(|key| !self.current.contains_key(key))
            .cloned()
            .collect();
        if unknown.is_empty() {
            return self.submit(keys, Vec::new(), Vec::new());
        }
        // A key that the scheduler does not know gets no answer without a report.
        let reports: Vec<_> = unknown.iter().cloned().map(ClientMessage::report).collect();
        let mut messages = vec![ClientMessage::DesireKeys { keys: unknown }];
        messages.extend(reports);
        self.submit(keys, messages, Vec::new())
    }

    fn hold(&mut self, key: &Key) -> EntryId {
        if let Some(&id) = self.current.get(key) {
            self.entry(id).handles += 1;
            return id;
        }
        let id = EntryId(self.fresh());
        self.current.insert(key.clone(), id);
        let entry = Entry {
            key: key.clone(),
            handles: 1,
            state: KeyState::Pending,
            held: true,
            watchers: SmallVec::new(),
        };
        self.entries.insert(id, entry);
        id
    }

    /// Adds a handle of an entry that has one.
    pub(super) fn hold_again(&mut self, id: EntryId) {
        self.entry(id).handles += 1;
    }

    /// Takes a handle away; with the last one the scheduler may forget the key.
    pub(super) fn release(&mut self, id: EntryId) {
        let entry = self.entry(id);
        entry.handles -= 1;
        if entry.handles > 0 {
            return;
        }
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        if self.current.get(&entry.key) == Some(&id) {
            self.current.remove(&entry.key);
        }
        // A younger life of the key keeps it.
        if entry.held && !self.current.contains_key(&entry.key) {
            if self.released.is_empty() {
                self.commands.push(Command::FlushSoon);
            }
            self.released.push(entry.key);
        }
    }

    /// Tells the scheduler what was released since the last time.
    pub(super) fn flush(&mut self) {
        if !self.released.is_empty() {
            let keys = std::mem::take(&mut self.released);
            self.put(ClientMessage::ReleaseKeys { keys });
        }
    }

    /// Sends a message behind all that was said before.
    pub(super) fn send(&mut self, message: ClientMessage) -> Result<(), LinkClosed> {
        self.check_link()?;
        self.flush();
        self.put(message);
        Ok(())
    }

    /// Cancels keys here and at the scheduler.
    pub(super) fn cancel(
        &mut self,
        keys: Vec<Key>,
        force: bool,
        reason: Option<String>,
        message: Option<String>,
    ) -> Result<(), LinkClosed> {
        let cancelled = Cancelled::Requested {
            reason: reason.clone(),
            message: message.clone(),
        };
        let ended = keys.clone();
        self.send(ClientMessage::CancelKeys {
            keys,
            force,
            reason,
            message,
        })?;
        for key in ended {
            self.end(&key, &cancelled);
        }
        Ok(())
    }

    /// Keys that are said to be in memory could not be found there: asks what
    /// became of them.
    pub(super) fn missing(&mut self, keys: &[Key]) -> Result<(), LinkClosed> {
        for key in keys {
            self.send(ClientMessage::report(key.clone()))?;
            if let Some(id) = self.settled(key, |state| matches!(state, KeyState::Memory)) {
                self.change(id, KeyState::Lost);
            }
        }
        Ok(())
    }

    /// The scheduler has said something about keys.
    pub(super) fn receive(&mut self, message: SchedulerMessage) {
        match message {
            SchedulerMessage::KeyInMemory { key } => {
                let news = |state: &KeyState| !matches!(state, KeyState::Memory);
                if let Some(id) = self.settled(&key, news) {
                    self.change(id, KeyState::Memory);
                }
            }
            SchedulerMessage::TaskErred { key, exception } => {
                if let Some(&id) = self.current.get(&key) {
                    self.change(id, KeyState::Erred(Arc::new(exception)));
                }
            }
            SchedulerMessage::LostData { key } => {
                if let Some(id) = self.settled(&key, KeyState::is_settled) {
                    self.change(id, KeyState::Lost);
                }
            }
            SchedulerMessage::TaskRetried { key } => {
                if let Some(id) = self.settled(&key, KeyState::is_settled) {
                    self.change(id, KeyState::Pending);
                }
            }
            SchedulerMessage::CancelledKeys { keys, cancelled } => {
                for key in keys {
                    self.end(&key, &cancelled);
                }
            }
            SchedulerMessage::Restart => self.end_all(&Cancelled::Restarted),
        }
    }

    /// The link broke: the scheduler, if there is one, has forgotten all keys.
    /// What is sent from now on waits for the next link.
    pub(super) fn lost(&mut self) {
        self.forgotten(&Cancelled::ConnectionLost, Link::Waiting(Vec::new()));
    }

    /// There is a new link.
    pub(super) fn connected(&mut self) {
        if let Link::Waiting(messages) = &mut self.link {
            let messages = std::mem::take(messages);
            self.link = Link::Open;
            self.commands
                .extend(messages.into_iter().map(Command::Send));
        }
    }

    /// There will be no link any more, for this reason.
    pub(super) fn close(&mut self, cancelled: &Cancelled) {
        self.forgotten(cancelled, Link::Closed);
    }

    /// Whether the client is closed for good.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.link, Link::Closed)
    }

    /// What is known of a handle's key.
    pub(super) fn state_of(&self, id: EntryId) -> &KeyState {
        &self.entries[&id].state
    }

    /// Tells `watcher` of all changes of the entry from now on.
    pub(super) fn watch(&mut self, id: EntryId, watcher: W) -> WatcherId {
        let place = WatcherId(self.fresh());
        self.entry(id).watchers.push((place, watcher));
        place
    }

    /// Replaces a watcher.
    pub(super) fn watch_again(&mut self, id: EntryId, place: WatcherId, watcher: W) {
        let watchers = &mut self.entry(id).watchers;
        if let Some(place) = watchers.iter_mut().find(|(other, _)| *other == place) {
            place.1 = watcher;
        }
    }

    /// Tells a watcher no more.
    pub(super) fn unwatch(&mut self, id: EntryId, place: WatcherId) {
        self.entry(id).watchers.retain(|(other, _)| *other != place);
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The entry of a handle; handles keep their entries.
    fn entry(&mut self, id: EntryId) -> &mut Entry<W> {
        self.entries
            .get_mut(&id)
            .expect("an entry lives as long as its handles")
    }

    fn check_link(&self) -> Result<(), LinkClosed> {
        if self.is_closed() {
            Err(LinkClosed)
        } else {
            Ok(())
        }
    }

    fn put(&mut self, message: ClientMessage) {
        match &mut self.link {
            Link::Open => self.commands.push(Command::Send(message)),
            Link::Waiting(messages) => messages.push(message),
            Link::Closed => {}
        }
    }

    /// The current entry of a key, if its state is such.
    fn settled(&self, key: &Key, such: impl Fn(&KeyState) -> bool) -> Option<EntryId> {
        let id = *self.current.get(key)?;
        such(&self.entries.get(&id)?.state).then_some(id)
    }

    fn change(&mut self, id: EntryId, state: KeyState) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.state = state;
        for (_, watcher) in &entry.watchers {
            self.commands.push(Command::Tell {
                watcher: watcher.clone(),
                key: entry.key.clone(),
                state: entry.state.clone(),
            });
        }
    }

    /// Ends a key's present life.
    fn end(&mut self, key: &Key, cancelled: &Cancelled) {
        if let Some(id) = self.current.remove(key) {
            self.change(id, KeyState::Cancelled(cancelled.clone()));
        }
    }

    fn end_all(&mut self, cancelled: &Cancelled) {
        let mut ids: Vec<_> = self.current.drain().map(|(_, id)| id).collect();
        // In the order of their submission, so that a run can be repeated.
        ids.sort_unstable();
        for id in ids {
            self.change(id, KeyState::Cancelled(cancelled.clone()));
        }
    }

    fn forgotten(&mut self, cancelled: &Cancelled, link: Link) {
        if self.is_closed() {
            return;
        }
        self.link = link;
        self.end_all(cancelled);
        self.released.clear();
        for entry in self.entries.values_mut() {
            entry.held = false;
        }
    }
}

#[cfg(test)]
mod tests;
