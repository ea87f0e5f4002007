//! The messages of a client's stream, in both directions (protocol, sections
//! 6.2, 6.5 and 6.6).
//!
//! Knows how each is written and read, not when it is sent.

use std::time::Duration;

use super::state::Cancelled;
use crate::Release;
use crate::graph::RemoteException;
use crate::wire::{FieldError, Fields, Key, Value};

/// What the client tells the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ClientMessage {
    /// Tasks, written already, for they are large.
    UpdateGraph(Value),
    DesireKeys {
        keys: Vec<Key>,
    },
    ReleaseKeys {
        keys: Vec<Key>,
    },
    CancelKeys {
        keys: Vec<Key>,
        force: bool,
        reason: Option<String>,
        message: Option<String>,
    },
    ReportKey {
        key: Key,
    },
    SubscribeTopic {
        topic: String,
    },
    UnsubscribeTopic {
        topic: String,
    },
    /// Lets an RPC with this number go on, which waits until all that was sent
    /// before has arrived.
    FlushForPublish {
        uid: String,
    },
    Heartbeat,
    CloseClient,
    CloseStream,
}

impl ClientMessage {
    /// Asks for a key's state.
    pub(super) fn report(key: Key) -> Self {
        Self::ReportKey { key }
    }

    /// The message as it is written for this release.
    pub(super) fn into_value(self, client: &str, release: Release) -> Value {
        match self {
            Self::UpdateGraph(message) => message,
            Self::DesireKeys { keys } => Value::map([
                ("op", "client-desires-keys".into()),
                ("keys", keys.into()),
                ("client", client.into()),
            ]),
            Self::ReleaseKeys { keys } => Value::map([
                ("op", "client-releases-keys".into()),
                ("keys", keys.into()),
                ("client", client.into()),
            ]),
            Self::CancelKeys {
                keys,
                force,
                reason,
                message,
            } => {
                let op = ("op", "cancel-keys".into());
                let keys = ("keys", keys.into());
                let force = ("force", force.into());
                if release.cancel_gives_reason() {
                    let reason = ("reason", reason.into());
                    Value::map([op, keys, force, reason, ("msg", message.into())])
                } else {
                    Value::map([op, keys, force])
                }
            }
            Self::ReportKey { key } => {
                Value::map([("op", "report-key".into()), ("key", key.into())])
            }
            Self::SubscribeTopic { topic } => about_topic("subscribe-topic", topic, client),
            Self::UnsubscribeTopic { topic } => about_topic("unsubscribe-topic", topic, client),
            Self::FlushForPublish { uid } => Value::map([
                ("op", "publish_flush_batched_send".into()),
                ("uid", uid.into()),
            ]),
            Self::Heartbeat => Value::map([("op", "heartbeat-client".into())]),
            Self::CloseClient => Value::map([("op", "close-client".into())]),
            Self::CloseStream => Value::map([("op", "close-stream".into())]),
        }
    }
}

fn about_topic(op: &str, topic: String, client: &str) -> Value {
    Value::map([
        ("op", op.into()),
        ("topic", topic.into()),
        ("client", client.into()),
    ])
}

/// What the scheduler tells of keys.
#[derive(Debug)]
pub(super) enum SchedulerMessage {
    KeyInMemory {
        key: Key,
    },
    TaskErred {
        key: Key,
        exception: RemoteException,
    },
    LostData {
        key: Key,
    },
    TaskRetried {
        key: Key,
    },
    CancelledKeys {
        keys: Vec<Key>,
        cancelled: Cancelled,
    },
    Restart,
}

/// What came on the stream.
#[derive(Debug)]
pub(super) enum Incoming {
    Keys(SchedulerMessage),
    Event {
        topic: String,
        time: f64,
        message: Value,
    },
    HeartbeatInterval(Duration),
    /// The scheduler ends the stream.
    Closed,
    /// Something of a release that we do not know. Nothing depends on it.
    Unknown,
}

impl Incoming {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// A message that we know misses a member, or has one of another type.
    pub(super) fn read(mut message: Fields) -> Result<Self, FieldError> {
        let keys = match message.op() {
            "key-in-memory" => SchedulerMessage::KeyInMemory {
                key: message.key("key")?,
            },
            "task-erred" => SchedulerMessage::TaskErred {
                key: message.key("key")?,
                exception: RemoteException::read(&message.value("exception")?),
            },
            "lost-data" => SchedulerMessage::LostData {
                key: message.key("key")?,
            },
            "task-retried" => SchedulerMessage::TaskRetried {
                key: message.key("key")?,
            },
            "cancelled-keys" => {
                let keys = message.keys("keys")?;
                let reason = optional_text(&mut message, "reason")?;
                let explanation = optional_text(&mut message, "msg")?;
                SchedulerMessage::CancelledKeys {
                    keys,
                    cancelled: why(reason, explanation),
                }
            }
            "restart" => SchedulerMessage::Restart,
            "event" => return event(message),
            "adjust-heartbeat-interval" => {
                let seconds = message.float("interval")?;
                // Whatever is said, neither never nor all the time.
                let seconds = if seconds.is_finite() { seconds } else { 60.0 };
                let interval = Duration::from_secs_f64(seconds.clamp(0.1, 60.0));
                return Ok(Self::HeartbeatInterval(interval));
            }
            "stream-closed" | "close" => return Ok(Self::Closed),
            _ => return Ok(Self::Unknown),
        };
        Ok(Self::Keys(keys))
    }
}

fn event(mut message: Fields) -> Result<Incoming, FieldError> {
    let topic = message.string("topic")?;
    let mut pair = message.list("event")?.into_iter();
    let time = match pair.next() {
        Some(Value::Float(time)) => time,
        other => {
            let found = other.unwrap_or(Value::Nil);
            return Err(FieldError::kind(
                "event",
                "event",
                "a time and a message",
                &found,
            ));
        }
    };
    Ok(Incoming::Event {
        topic,
        time,
        message: pair.next().unwrap_or(Value::Nil),
    })
}

fn optional_text(message: &mut Fields, member: &str) -> Result<Option<String>, FieldError> {
    match message.optional(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(FieldError::kind(message.op(), member, "a string", &other)),
    }
}

/// The scheduler's own words for its reasons (protocol, sections 6.2 and 6.5).
fn why(reason: Option<String>, message: Option<String>) -> Cancelled {
    match (reason.as_deref(), &message) {
        (Some("lost dependencies"), _) => Cancelled::LostDependencies,
        (None, None) => Cancelled::Forgotten,
        _ => Cancelled::Requested { reason, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: Value) -> Incoming {
        Incoming::read(Fields::of(message).expect("a message")).expect("its members")
    }

    fn cancelled(reason: Value, message: Value) -> Cancelled {
        let keys = Value::Set(vec!["x".into()]);
        let message = Value::map([
            ("op", "cancelled-keys".into()),
            ("keys", keys),
            ("reason", reason),
            ("msg", message),
        ]);
        match read(message) {
            Incoming::Keys(SchedulerMessage::CancelledKeys { keys, cancelled }) => {
                assert_eq!(keys, [Key::from("x")]);
                cancelled
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reasons_of_cancellations_are_told_apart() {
        assert_eq!(
            cancelled("lost dependencies".into(), Value::Nil),
            Cancelled::LostDependencies
        );
        assert_eq!(cancelled(Value::Nil, Value::Nil), Cancelled::Forgotten);
        assert_eq!(
            cancelled("tired".into(), "too late for it".into()),
            Cancelled::Requested {
                reason: Some("tired".to_owned()),
                message: Some("too late for it".to_owned()),
            }
        );
    }

    #[test]
    fn reasons_are_given_to_releases_that_take_them() {
        let cancel = ClientMessage::CancelKeys {
            keys: vec![Key::from("x")],
            force: false,
            reason: None,
            message: None,
        };
        let members = |release: &str| {
            let release = release.parse().expect("a release");
            match cancel.clone().into_value("Client-1", release) {
                Value::Map(members) => members.len(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(members("2025.2.0"), 3);
        assert_eq!(members("2025.3.0"), 5);
    }

    #[test]
    fn heartbeats_neither_stop_nor_race() {
        for (said, heard) in [
            (Value::Float(2.5), Duration::from_millis(2500)),
            (Value::Float(-1.0), Duration::from_millis(100)),
            (Value::Float(f64::INFINITY), Duration::from_secs(60)),
            (Value::Integer(1_000_000), Duration::from_secs(60)),
        ] {
            let message = Value::map([
                ("op", "adjust-heartbeat-interval".into()),
                ("interval", said),
            ]);
            match read(message) {
                Incoming::HeartbeatInterval(interval) => assert_eq!(interval, heard),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn events_carry_time_and_message_and_others_are_passed_over() {
        let message = Value::map([
            ("op", "event".into()),
            ("topic", "news".into()),
            ("event", Value::List(vec![1.5.into(), "hello".into()])),
        ]);
        match read(message) {
            Incoming::Event {
                topic,
                time,
                message,
            } => assert_eq!(
                (topic.as_str(), time, message),
                ("news", 1.5, "hello".into())
            ),
            other => panic!("{other:?}"),
        }
        let unknown = read(Value::map([("op", "from-the-future".into())]));
        assert!(matches!(unknown, Incoming::Unknown));
        let broken = Fields::of(Value::map([("op", "lost-data".into())])).expect("a message");
        assert!(Incoming::read(broken).is_err());
    }
}
