//! Who listens to which topic of events.

use std::collections::HashMap;

use tokio::sync::mpsc;

use super::message::ClientMessage;
use super::{Client, ClientError};
use crate::wire::Value;

/// Something that was logged under a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicEvent {
    /// When, by the scheduler's clock, in seconds since 1970.
    pub time: f64,
    /// What.
    pub message: Value,
}

/// The events of a topic, from the subscription on.
///
/// Dropping it ends the subscription.
#[derive(Debug)]
pub struct TopicEvents {
    events: mpsc::UnboundedReceiver<TopicEvent>,
    subscription: Subscription,
}

#[derive(Debug)]
struct Subscription {
    client: Client,
    topic: String,
    listener: u64,
}

/// The listeners of a client.
#[derive(Default)]
pub(super) struct Topics {
    listeners: HashMap<String, Vec<(u64, mpsc::UnboundedSender<TopicEvent>)>>,
    next: u64,
}

impl Topics {
    /// Adds a listener; whether it is the topic's first.
    fn add(&mut self, topic: &str, events: mpsc::UnboundedSender<TopicEvent>) -> (u64, bool) {
        self.next += 1;
        let listeners = self.listeners.entry(topic.to_owned()).or_default();
        listeners.push((self.next, events));
        (self.next, listeners.len() == 1)
    }

    /// Removes a listener; whether it was the topic's last.
    fn remove(&mut self, topic: &str, listener: u64) -> bool {
        let Some(listeners) = self.listeners.get_mut(topic) else {
            return false;
        };
        listeners.retain(|(other, _)| *other != listener);
        let is_last = listeners.is_empty();
        if is_last {
            self.listeners.remove(topic);
        }
        is_last
    }

    pub(super) fn deliver(&self, topic: &str, time: f64, message: &Value) {
        for (_, listener) in self.listeners.get(topic).into_iter().flatten() {
            let message = message.clone();
            // A listener that is about to be removed hears no more.
            let _ = listener.send(TopicEvent { time, message });
        }
    }

    /// All that somebody listens to, for a new link.
    pub(super) fn names(&self) -> Vec<String> {
        self.listeners.keys().cloned().collect()
    }

    /// Nothing comes any more.
    pub(super) fn close(&mut self) {
        self.listeners.clear();
    }
}

impl TopicEvents {
    /// The next event; `None` once the client is closed. Events wait here without
    /// a limit. Cancel-safe.
    pub async fn next(&mut self) -> Option<TopicEvent> {
        self.events.recv().await
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.subscription.topic
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let topic = self.topic.clone();
        self.client.shared().apply(|core| {
            if core.topics.remove(&topic, self.listener) {
                // A closed client has no subscription to end.
                let _ = core.state.send(ClientMessage::UnsubscribeTopic { topic });
            }
        });
    }
}

impl Client {
    /// Listens to a topic: to what workers and clients log under this name, and
    /// to the scheduler's own, such as `all` and each client's and worker's name.
    ///
    /// The subscription outlives a lost link. Events of the time between, and
    /// events while the scheduler's own queue of 1,000 is full, are lost.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`].
    ///
    /// ```no_run
    /// # async fn listen(client: flowdask::Client) -> Result<(), flowdask::client::ClientError> {
    /// let mut news = client.subscribe_topic("news")?;
    /// while let Some(event) = news.next().await {
    ///     println!("{}: {:?}", event.time, event.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe_topic(&self, topic: impl Into<String>) -> Result<TopicEvents, ClientError> {
        let topic = topic.into();
        let (sender, events) = mpsc::unbounded_channel();
        let listener = self.shared().apply(|core| {
            if core.state.is_closed() {
                return Err(ClientError::Closed);
            }
            let (listener, is_first) = core.topics.add(&topic, sender);
            if is_first {
                let topic = topic.clone();
                core.state.send(ClientMessage::SubscribeTopic { topic })?;
            }
            Ok(listener)
        })?;
        Ok(TopicEvents {
            events,
            subscription: Subscription {
                client: self.clone(),
                topic,
                listener,
            },
        })
    }
}
