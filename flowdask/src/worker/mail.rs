//! What reaches the worker's loop, from whichever thread or task.

use tokio::sync::{mpsc, oneshot};

use super::WorkerError;
use super::executor::{Outcome, Stored};
use super::hand_back::HandedBack;
use super::messages::{Ran, StartStop};
use super::registration::Link;
use super::run_spec::Work;
use super::state::{Event, Execution, Request};
use crate::wire::{Fields, Key, Value, WireError};

/// One letter to the loop.
#[derive(Debug)]
pub(super) enum Mail {
    /// The scheduler's answer to a registration.
    Registered(Result<Link, WorkerError>),
    /// Messages of the stream with this number.
    Stream(u64, Vec<Fields>),
    /// The stream with this number ended.
    StreamEnded(u64, WireError),
    /// Something that needs no value.
    Event(Event<Work>),
    /// An execution ended.
    Executed {
        execution: Execution,
        outcome: Outcome,
        ran: Ran,
    },
    /// An execution did not begin: these inputs cannot be read back.
    NotExecuted {
        execution: Execution,
        keys: Vec<Key>,
    },
    /// A peer answered with its copies.
    Fetched {
        request: Request,
        values: Vec<(Key, Stored)>,
        transfer: StartStop,
    },
    /// A request for copies failed.
    NotFetched {
        request: Request,
        busy: bool,
    },
    /// Values that somebody puts here, and who is told when they are.
    Received {
        values: Vec<(Key, Stored)>,
        done: oneshot::Sender<()>,
    },
    /// A task that is not ours has been placed elsewhere, or cannot be.
    HandedBack(HandedBack),
    /// Time for a heartbeat of the stream with this number.
    HeartbeatDue(u64),
    HeartbeatAnswered(u64, Result<Value, WireError>),
    /// The scheduler has not known us for a while, and the stream with this
    /// number has not said why.
    Forgotten(u64),
    /// Time to look at the memory.
    MemoryDue,
    /// No more values go to disk for now.
    Spilled,
    /// Leave: with all data moved elsewhere first, or at once.
    Close {
        gracefully: bool,
    },
    /// The scheduler moved our data elsewhere, or could not.
    Retired,
    /// Whoever has not ended by now is left behind.
    Deadline,
}

/// Where mail goes. Nobody minds if the worker has ended meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Mailbox(mpsc::UnboundedSender<Mail>);

impl Mailbox {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Mail>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(super) fn put(&self, mail: Mail) {
        // The loop's end is the worker's: all that is left is of no use.
        let _ = self.0.send(mail);
    }
}
