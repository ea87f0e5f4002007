//! The way home from a worker: an event topic of the scheduler, named after
//! the flow's client.
//!
//! A message is bytes of our own. Each worker numbers its messages to one
//! topic, so that the flow's process sees gaps; it hears of ends a second time
//! from Dask itself, so that a gap loses log lines but no run.

use std::collections::HashMap;

use flowcore::Error;
use flowcore::bridge::{RunEvent, ToHome, ToWorker, shorten};
use serde::{Deserialize, Serialize};

use super::mailbag::LARGEST;
use crate::coded;
use crate::wire::{Fields, Value};

/// From a worker to a flow's process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HomeMessage {
    /// Names a numbering; no two are the same.
    pub(crate) source: u64,
    /// Counted from 0 for each source.
    pub(crate) number: u64,
    /// Which of the runs that this process may have.
    pub(crate) flow_run: u128,
    pub(crate) content: Content,
}

/// What a message carries: [`HomeBody`]s, each as bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Content {
    Things(Vec<Vec<u8>>),
    /// Of one that is too large for a message.
    Piece {
        is_first: bool,
        is_last: bool,
        bytes: Vec<u8>,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum HomeBody {
    Event(RunEvent),
    Control(ToHome),
}

/// What is left of a text that is too long to be told.
const LONGEST_TEXT: usize = 12 << 10;

impl HomeBody {
    /// The same with less text, if it has any.
    pub(crate) fn shortened(self) -> Option<Self> {
        let short = |text: &str| shorten(text, LONGEST_TEXT).into_owned();
        Some(match self {
            Self::Event(RunEvent::Ended {
                run,
                state,
                message,
                error,
            }) => Self::Event(RunEvent::Ended {
                run,
                state,
                message: message.as_deref().map(short),
                error: Error::msg(short(&error.to_string())),
            }),
            Self::Event(RunEvent::AwaitingRetry { run, message }) => {
                let message = short(&message);
                Self::Event(RunEvent::AwaitingRetry { run, message })
            }
            Self::Control(ToHome::Log(mut record)) => {
                record.message = short(&record.message);
                Self::Control(ToHome::Log(record))
            }
            _ => return None,
        })
    }
}

/// From a flow's process to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) flow_run: u128,
    pub(crate) messages: Vec<ToWorker>,
}

/// The event that carries a message. A map, because the scheduler adds the
/// worker's address to maps.
pub(crate) fn encode(message: &HomeMessage) -> Result<Value, bincode::error::EncodeError> {
    Ok(Value::map([(BODY, coded::to_bytes(message)?.into())]))
}

/// The message of an event, and the worker that sent it. Nothing if the event
/// is somebody else's.
pub(crate) fn decode(event: Value) -> Option<(String, HomeMessage)> {
    let mut event = Fields::unnamed("event", event).ok()?;
    let body = event.bytes(BODY).ok()?;
    let worker = event.string("worker").ok()?;
    Some((worker, coded::from_bytes(&body).ok()?))
}

const BODY: &str = "flow";

/// Messages as they come in: whether some are missing, and large things whose
/// pieces have not all come.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    next: HashMap<u64, u64>,
    begun: HashMap<u64, Vec<u8>>,
}

/// What a message brings.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// So many before it are missing.
    pub(crate) missing: u64,
    /// What is complete now; nothing if the message came before.
    pub(crate) bodies: Vec<HomeBody>,
}

impl Arrivals {
    pub(crate) fn arrived(&mut self, message: HomeMessage) -> Arrived {
        let source = message.source;
        let next = self.next.entry(source).or_default();
        let Some(missing) = message.number.checked_sub(*next) else {
            return Arrived::default();
        };
        *next = message.number.saturating_add(1);
        if missing > 0 {
            self.begun.remove(&source);
        }
        let bodies = match message.content {
            Content::Things(things) => things.iter().filter_map(|thing| read(thing)).collect(),
            Content::Piece {
                is_first,
                is_last,
                bytes,
            } => {
                let whole = self.piece(source, is_first, is_last, &bytes);
                whole.and_then(|whole| read(&whole)).into_iter().collect()
            }
        };
        Arrived { missing, bodies }
    }

    /// A piece without a beginning is of a thing that is lost.
    fn piece(&mut self, source: u64, first: bool, last: bool, bytes: &[u8]) -> Option<Vec<u8>> {
        if first {
            self.begun.insert(source, Vec::new());
        }
        let begun = self.begun.get_mut(&source)?;
        begun.extend(bytes);
        if last || begun.len() > LARGEST {
            let whole = self.begun.remove(&source)?;
            return last.then_some(whole);
        }
        None
    }
}

fn read(thing: &[u8]) -> Option<HomeBody> {
    coded::from_bytes(thing)
        .inspect_err(|error| tracing::warn!(%error, "a worker's message cannot be read"))
        .ok()
}

#[cfg(test)]
mod tests {
    use flowcore::StateName;
    use flowcore::bridge::RunReference;

    use super::*;

    fn body() -> HomeBody {
        let run = RunReference::Run(1);
        HomeBody::Event(RunEvent::Completed { run })
    }

    fn thing() -> Vec<u8> {
        coded::to_bytes(&body()).unwrap().into()
    }

    fn message(source: u64, number: u64, content: Content) -> HomeMessage {
        HomeMessage {
            source,
            number,
            flow_run: 3,
            content,
        }
    }

    #[test]
    fn gaps_and_repetitions_are_seen_for_each_source() {
        let mut arrivals = Arrivals::default();
        let mut arrived = |source, number| {
            let content = Content::Things(vec![thing(), thing()]);
            let arrived = arrivals.arrived(message(source, number, content));
            (arrived.missing, arrived.bodies.len())
        };
        assert_eq!(arrived(1, 0), (0, 2));
        assert_eq!(arrived(1, 1), (0, 2));
        assert_eq!(arrived(1, 1), (0, 0), "it came before");
        assert_eq!(arrived(1, 4), (2, 2));
        assert_eq!(arrived(2, 0), (0, 2));
    }

    #[test]
    fn pieces_make_a_whole_unless_one_is_missing() {
        let whole = thing();
        let (one, two) = whole.split_at(1);
        let mut arrivals = Arrivals::default();
        let mut arrived = |source, number, is_first, bytes: &[u8]| {
            let bytes = bytes.to_vec();
            let content = Content::Piece {
                is_first,
                is_last: !is_first,
                bytes,
            };
            let arrived = arrivals.arrived(message(source, number, content));
            arrived.bodies.len()
        };
        // Those of two workers come in turn.
        assert_eq!(arrived(1, 0, true, one), 0);
        assert_eq!(arrived(2, 0, true, one), 0);
        assert_eq!(arrived(1, 1, false, two), 1);
        assert_eq!(arrived(2, 2, false, two), 0, "number 1 is missing");
        assert_eq!(arrived(2, 3, false, two), 0, "it has no beginning");
        assert_eq!(arrived(2, 4, true, one), 0);
        assert_eq!(arrived(2, 5, false, two), 1);
    }

    #[test]
    fn messages_survive_and_foreign_events_are_nothing() {
        let sent = message(7, 9, Content::Things(vec![thing()]));
        let Value::Map(mut event) = encode(&sent).unwrap() else {
            panic!("the scheduler adds the worker to maps only");
        };
        assert!(decode(Value::Map(event.clone())).is_none());
        event.push(("worker".into(), "tcp://a:1".into()));
        let (worker, back) = decode(Value::Map(event)).unwrap();
        assert_eq!(worker, "tcp://a:1");
        assert_eq!(format!("{back:?}"), format!("{sent:?}"));
        assert!(decode("a line that a user logged".into()).is_none());
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let text = "x".repeat(LONGEST_TEXT + 5);
        let ended = HomeBody::Event(RunEvent::Ended {
            run: RunReference::Run(1),
            state: StateName::Failed,
            message: Some(text.clone()),
            error: Error::msg(text),
        });
        let Some(HomeBody::Event(RunEvent::Ended { message, error, .. })) = ended.shortened()
        else {
            panic!("an end stays one");
        };
        assert!(message.unwrap().ends_with("… (5 more bytes)"));
        assert!(error.to_string().ends_with("… (5 more bytes)"));
        assert!(body().shortened().is_none());
    }
}
