//! What a worker tells one flow's process, on its way into messages: several
//! things in one, or a large one in pieces.
//!
//! Sans-I/O: things and times go in, messages come out. Invariants: things
//! arrive in the order in which they were told; a message is no larger than
//! schedulers are glad to keep a thousand of; nothing waits longer than
//! [`INTERVAL`] here, and what somebody waits for does not wait at all.

use std::time::{Duration, Instant};

use flowcore::bridge::{RunEvent, ToHome};

use super::home::{Content, HomeBody, HomeMessage};
use crate::coded;

/// How long a thing may wait for others to travel with.
const INTERVAL: Duration = Duration::from_millis(50);

/// So many bytes of things a message carries; with what is around them it stays
/// below 16 kB.
const MOST_BYTES: usize = 15 << 10;

/// What the length of a thing takes in a message.
const LENGTH: usize = 5;

/// The largest thing, in as many pieces as a scheduler keeps messages.
pub(super) const LARGEST: usize = 1000 * MOST_BYTES;

pub(super) struct Mailbag {
    /// Names the numbering of messages.
    source: u64,
    next: u64,
    flow_run: u128,
    waiting: Vec<Vec<u8>>,
    bytes: usize,
    due: Option<Instant>,
}

/// A thing cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsent {
    #[error(
        "it takes {0} bytes on its way to the flow's process, and {LARGEST} are the most; what is \
         larger should be submitted by the flow, or lie in a file or a store"
    )]
    TooLarge(usize),
    #[error("it cannot be encoded")]
    Encoding(#[from] bincode::error::EncodeError),
}

impl Mailbag {
    pub(super) fn new(source: u64, flow_run: u128) -> Self {
        Self {
            source,
            next: 0,
            flow_run,
            waiting: Vec::new(),
            bytes: 0,
            due: None,
        }
    }

    /// Takes a thing; gives the messages that are to be sent now.
    ///
    /// # Errors
    ///
    /// It is too large, or cannot be encoded. Everything else stays as it was.
    pub(super) fn put(
        &mut self,
        body: &HomeBody,
        now: Instant,
    ) -> Result<Vec<HomeMessage>, Unsent> {
        let thing = Vec::from(coded::to_bytes(body)?);
        if thing.len() > LARGEST {
            return Err(Unsent::TooLarge(thing.len()));
        }
        let size = thing.len() + LENGTH;
        let mut messages = Vec::new();
        if self.bytes + size > MOST_BYTES {
            messages.extend(self.take());
        }
        if size > MOST_BYTES {
            let last = thing.len().div_ceil(MOST_BYTES) - 1;
            let pieces = thing.chunks(MOST_BYTES).enumerate();
            messages.extend(pieces.map(|(index, bytes)| {
                self.message(Content::Piece {
                    is_first: index == 0,
                    is_last: index == last,
                    bytes: bytes.to_vec(),
                })
            }));
            return Ok(messages);
        }
        self.bytes += size;
        self.waiting.push(thing);
        if is_urgent(body) {
            messages.extend(self.take());
        } else {
            self.due.get_or_insert(now + INTERVAL);
        }
        Ok(messages)
    }

    /// When what waits is to be sent, if anything does.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// All that waits.
    pub(super) fn take(&mut self) -> Option<HomeMessage> {
        if self.waiting.is_empty() {
            return None;
        }
        self.bytes = 0;
        self.due = None;
        let things = std::mem::take(&mut self.waiting);
        Some(self.message(Content::Things(things)))
    }

    fn message(&mut self, content: Content) -> HomeMessage {
        let number = self.next;
        self.next += 1;
        HomeMessage {
            source: self.source,
            number,
            flow_run: self.flow_run,
            content,
        }
    }
}

/// Somebody waits for it, here or at home, or the time at which it comes counts.
/// The end of a run that completes is known at home when its value is.
fn is_urgent(body: &HomeBody) -> bool {
    match body {
        HomeBody::Event(event) => {
            !matches!(event, RunEvent::Completed { .. } | RunEvent::Cached { .. })
        }
        HomeBody::Control(message) => !matches!(
            message,
            ToHome::Log(_) | ToHome::Record { .. } | ToHome::Name { .. } | ToHome::Ended { .. }
        ),
    }
}

#[cfg(test)]
mod tests {
    use flowcore::bridge::{LogLevel, Request, RequestId, RunReference};
    use proptest::prelude::*;

    use super::*;
    use crate::runner::home::{self, Arrivals};

    const RUN: RunReference = RunReference::Run(1);

    fn line(length: usize) -> HomeBody {
        let none: Option<RunReference> = None;
        let record = (LogLevel::Info, "here", "a task", "x".repeat(length), none);
        let record = coded::to_bytes(&record).unwrap();
        HomeBody::Control(ToHome::Log(coded::from_bytes(&record).unwrap()))
    }

    fn question(length: usize) -> HomeBody {
        let id = RequestId {
            run: RUN,
            execution: 1,
            number: 0,
        };
        HomeBody::Control(ToHome::Request(id, Request::Server("x".repeat(length))))
    }

    /// What arrives of messages, as it is printed.
    fn arrived(messages: impl IntoIterator<Item = HomeMessage>) -> Vec<String> {
        let mut arrivals = Arrivals::default();
        let arrived = messages.into_iter().flat_map(|message| {
            let arrived = arrivals.arrived(message);
            assert_eq!(arrived.missing, 0);
            arrived.bodies
        });
        arrived.map(|body| format!("{body:?}")).collect()
    }

    fn printed(bodies: &[HomeBody]) -> Vec<String> {
        bodies.iter().map(|body| format!("{body:?}")).collect()
    }

    #[test]
    fn small_things_wait_together_and_nobody_waits_for_an_answer() {
        let mut bag = Mailbag::new(3, 4);
        let now = Instant::now();
        assert!(bag.put(&line(1), now).unwrap().is_empty());
        let later = now + INTERVAL / 2;
        assert!(bag.put(&line(5), later).unwrap().is_empty());
        assert_eq!(bag.due(), Some(now + INTERVAL), "since the first");
        let messages = bag.put(&question(5), later).unwrap();
        assert_eq!(messages.len(), 1);
        let told = [line(1), line(5), question(5)];
        assert_eq!(arrived(messages), printed(&told));
        assert_eq!(bag.due(), None);
        assert!(bag.take().is_none());
        assert!(bag.put(&line(2), later).unwrap().is_empty());
        assert_eq!(bag.due(), Some(later + INTERVAL));
        assert!(bag.take().is_some());
        assert_eq!(bag.due(), None);
    }

    #[test]
    fn what_is_too_large_is_an_error_and_changes_nothing() {
        let mut bag = Mailbag::new(3, 4);
        let now = Instant::now();
        assert!(bag.put(&line(1), now).unwrap().is_empty());
        let error = bag.put(&question(LARGEST), now).unwrap_err();
        assert!(matches!(error, Unsent::TooLarge(size) if size > LARGEST));
        let messages = bag.put(&question(LARGEST - 100), now).unwrap();
        assert_eq!(messages.len(), 1001, "what waited, and the pieces");
        let told = [line(1), question(LARGEST - 100)];
        assert_eq!(arrived(messages), printed(&told));
    }

    proptest! {
        /// Whatever is told arrives, in order, in messages of a bounded size.
        #[test]
        fn all_arrives_in_order(things in prop::collection::vec(
            (any::<bool>(), prop_oneof![0..200_usize, 0..20_000_usize, 15_000..50_000_usize], 0..40_u64),
            0..30,
        )) {
            let mut bag = Mailbag::new(3, 4);
            let mut now = Instant::now();
            let (mut told, mut messages) = (Vec::new(), Vec::new());
            for (asks, length, pause) in things {
                now += Duration::from_millis(pause);
                if bag.due().is_some_and(|due| due <= now) {
                    messages.extend(bag.take());
                }
                let body = if asks { question(length) } else { line(length) };
                messages.extend(bag.put(&body, now).unwrap());
                prop_assert!(!asks || bag.due().is_none(), "an answer is waited for");
                told.push(body);
            }
            messages.extend(bag.take());
            for message in &messages {
                let size = coded::to_bytes(message).unwrap().len();
                prop_assert!(size <= 16_000, "{size}");
                prop_assert!(home::encode(message).is_ok());
            }
            prop_assert_eq!(arrived(messages), printed(&told));
        }
    }
}
