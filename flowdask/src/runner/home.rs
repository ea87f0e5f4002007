//! The way home from a worker: an event topic of the scheduler, named after
//! the flow's client.
//!
//! A message is bytes of our own. Each worker numbers its messages to one
//! topic, so that the flow's process sees gaps; it hears of ends a second time
//! from Dask itself, so that a gap loses log lines but no run.

use std::collections::HashMap;

use flowcore::bridge::{RunEvent, ToHome, ToWorker};
use serde::{Deserialize, Serialize};

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
    pub(crate) body: HomeBody,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum HomeBody {
    Event(RunEvent),
    Control(ToHome),
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

/// Whether messages of a worker are missing.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    next: HashMap<u64, u64>,
}

/// What a message's number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is the next.
    InOrder,
    /// It came before.
    Repeated,
    /// So many before it are missing.
    After(u64),
}

impl Gaps {
    pub(crate) fn arrived(&mut self, message: &HomeMessage) -> Arrival {
        let next = self.next.entry(message.source).or_default();
        let missing = match message.number.checked_sub(*next) {
            None => return Arrival::Repeated,
            Some(missing) => missing,
        };
        *next = message.number + 1;
        match missing {
            0 => Arrival::InOrder,
            missing => Arrival::After(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use flowcore::bridge::RunReference;

    use super::*;

    fn message(source: u64, number: u64) -> HomeMessage {
        let run = RunReference::Run(1);
        HomeMessage {
            source,
            number,
            flow_run: 3,
            body: HomeBody::Event(RunEvent::Completed { run }),
        }
    }

    #[test]
    fn gaps_and_repetitions_are_seen_for_each_source() {
        let mut gaps = Gaps::default();
        let mut arrived = |source, number| gaps.arrived(&message(source, number));
        assert_eq!(arrived(1, 0), Arrival::InOrder);
        assert_eq!(arrived(1, 1), Arrival::InOrder);
        assert_eq!(arrived(1, 1), Arrival::Repeated);
        assert_eq!(arrived(1, 4), Arrival::After(2));
        assert_eq!(arrived(2, 0), Arrival::InOrder);
    }

    #[test]
    fn messages_survive_and_foreign_events_are_nothing() {
        let Value::Map(mut event) = encode(&message(7, 9)).unwrap() else {
            panic!("the scheduler adds the worker to maps only");
        };
        assert!(decode(Value::Map(event.clone())).is_none());
        event.push(("worker".into(), "tcp://a:1".into()));
        let (worker, back) = decode(Value::Map(event)).unwrap();
        assert_eq!(worker, "tcp://a:1");
        assert_eq!(format!("{back:?}"), format!("{:?}", message(7, 9)));
        assert!(decode("a line that a user logged".into()).is_none());
    }
}
