//! Handles of keys.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use super::link::Watcher;
use super::state::{EntryId, KeyState, WatcherId};
use super::{Client, ClientError};
use crate::wire::{Key, Serialized};

/// A handle of a key: as long as one is there, the scheduler keeps the key.
///
/// Clones are handles too. With the last handle the key is released: its task is
/// not run any more if nothing else needs it, and its value is freed.
pub struct Future {
    client: Client,
    key: Key,
    entry: EntryId,
}

impl Future {
    /// The handle of an entry that counts it already.
    pub(super) fn new(client: &Client, key: Key, entry: EntryId) -> Self {
        Self {
            client: client.clone(),
            key,
            entry,
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The client that the handle is of.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What is known of the key now.
    #[must_use]
    pub fn state(&self) -> KeyState {
        self.client
            .shared()
            .apply(|core| core.state.state_of(self.entry).clone())
    }

    /// Waits until the key is in memory, erred or cancelled; a key whose value
    /// gets lost may become pending again later. Cancel-safe.
    pub async fn wait(&self) -> KeyState {
        Settled {
            future: self,
            place: None,
        }
        .await
    }

    /// Waits for the value and fetches it. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The task failed ([`ClientError::Erred`]), the key was cancelled
    /// ([`ClientError::Cancelled`]), also because the scheduler is gone, or the
    /// value cannot be fetched.
    pub async fn result(&self) -> Result<Serialized, ClientError> {
        self.client.gather_one(self).await
    }
}

impl Clone for Future {
    fn clone(&self) -> Self {
        self.client
            .shared()
            .apply(|core| core.state.hold_again(self.entry));
        Self::new(&self.client, self.key.clone(), self.entry)
    }
}

impl Drop for Future {
    fn drop(&mut self) {
        self.client
            .shared()
            .apply(|core| core.state.release(self.entry));
    }
}

impl fmt::Debug for Future {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Future")
            .field("key", &self.key)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Waits for one key, as one watcher of it.
struct Settled<'a> {
    future: &'a Future,
    place: Option<WatcherId>,
}

impl std::future::Future for Settled<'_> {
    type Output = KeyState;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<KeyState> {
        let this = self.get_mut();
        let entry = this.future.entry;
        this.future.client.shared().apply(|core| {
            let state = core.state.state_of(entry);
            if state.is_settled() {
                return Poll::Ready(state.clone());
            }
            let watcher = Watcher::Task(context.waker().clone());
            match this.place {
                Some(place) => core.state.watch_again(entry, place, watcher),
                None => this.place = Some(core.state.watch(entry, watcher)),
            }
            Poll::Pending
        })
    }
}

impl Drop for Settled<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let entry = self.future.entry;
            self.future
                .client
                .shared()
                .apply(|core| core.state.unwatch(entry, place));
        }
    }
}

/// The changes of many keys, in one queue; see [`Client::changes`].
#[derive(Debug)]
pub struct Changes {
    sender: mpsc::UnboundedSender<(Key, KeyState)>,
    receiver: mpsc::UnboundedReceiver<(Key, KeyState)>,
}

impl Changes {
    /// Follows more keys. Unless a key is pending still, its present state comes
    /// first. A key whose last handle is dropped changes no more.
    pub fn watch<'a>(&self, futures: impl IntoIterator<Item = &'a Future>) {
        for future in futures {
            future.client.shared().apply(|core| {
                let state = core.state.state_of(future.entry);
                if !matches!(state, KeyState::Pending) {
                    // The receiver is ours.
                    let _ = self.sender.send((future.key.clone(), state.clone()));
                }
                let watcher = Watcher::Changes(self.sender.clone());
                core.state.watch(future.entry, watcher);
            });
        }
    }

    /// The next change; changes wait here without a limit. Never ends by itself: a
    /// client that is closed cancels its keys, which are changes. Cancel-safe.
    pub async fn next(&mut self) -> (Key, KeyState) {
        match self.receiver.recv().await {
            Some(change) => change,
            // Not reached: a sender is kept here.
            None => std::future::pending().await,
        }
    }
}

impl Client {
    /// A queue for the changes of keys.
    ///
    /// ```no_run
    /// use flowdask::client::{Future, KeyState};
    ///
    /// # async fn example(client: flowdask::Client, futures: Vec<Future>) {
    /// let mut changes = client.changes();
    /// changes.watch(&futures);
    /// let mut left = futures.len();
    /// while left > 0 {
    ///     let (key, state) = changes.next().await;
    ///     if matches!(state, KeyState::Memory) {
    ///         println!("{key} is there");
    ///         left -= 1;
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn changes(&self) -> Changes {
        let (sender, receiver) = mpsc::unbounded_channel();
        Changes { sender, receiver }
    }

    /// Handles of keys that the scheduler knows already: of another client, or
    /// named by a published dataset. A key that it does not know is cancelled.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`].
    pub fn futures(&self, keys: &[Key]) -> Result<Vec<Future>, ClientError> {
        let entries = self.shared().apply(|core| core.state.desire(keys))?;
        Ok(self.handles(keys, entries))
    }

    /// A handle of a key that the scheduler knows already; as
    /// [`futures`](Self::futures).
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`].
    pub fn future(&self, key: impl Into<Key>) -> Result<Future, ClientError> {
        let key = key.into();
        let entries = self
            .shared()
            .apply(|core| core.state.desire(std::slice::from_ref(&key)))?;
        Ok(Future::new(self, key, entries[0]))
    }

    pub(super) fn handles(&self, keys: &[Key], entries: Vec<EntryId>) -> Vec<Future> {
        keys.iter()
            .zip(entries)
            .map(|(key, entry)| Future::new(self, key.clone(), entry))
            .collect()
    }
}
