//! What waits in the process's file only, because memory holds enough.
//!
//! Task runs, lines and artifacts that come while there is no room are not
//! taken in: the file has them, and they come back in their order as what is
//! before them is told. While one is away, all that come after it go away too.
//! Who the flow runs are and what they go through is always here: it is little,
//! and others wait for it.

use jiff::Timestamp;
use uuid::Uuid;

use super::weight::Scale;
use super::{Ledger, Note};
use crate::prefect::message::Message;

#[derive(Debug)]
pub(super) struct Away {
    /// Of what is here and can be told.
    pub(super) scale: Scale,
    bound: usize,
    messages: usize,
    /// Of these: outside of flow runs.
    pub(super) alone: usize,
}

impl Default for Away {
    fn default() -> Self {
        Self {
            scale: Scale::default(),
            bound: usize::MAX,
            messages: 0,
            alone: 0,
        }
    }
}

impl Ledger {
    /// Holds about so many bytes in memory.
    pub(crate) fn bounded(mut self, bytes: usize) -> Self {
        self.away.bound = bytes;
        self
    }

    /// Whether there is no room for more.
    pub(super) fn is_full(&self) -> bool {
        self.away.scale.total() >= self.away.bound
    }

    /// Whether something is away, and may come back.
    pub(crate) fn is_behind(&self) -> bool {
        self.away.messages > 0 && !self.is_shut()
    }

    /// Whether the next message that is away shall come back.
    pub(crate) fn has_room(&self) -> bool {
        self.is_behind() && !self.is_full()
    }

    /// Whether a message shall go away, if there is a file that has it.
    pub(crate) fn goes_away(&self, message: &Message) -> bool {
        of(message).is_some() && (self.away.messages > 0 || self.is_full())
    }

    /// The file has this message, and it is not put in.
    pub(crate) fn is_away(&mut self, message: &Message) {
        if let Message::Log(line) = message {
            self.lines.passes(line.at);
        }
        self.count_away(message, |count| *count += 1);
    }

    /// The first message that was away comes back.
    pub(crate) fn is_back(&mut self, message: Message, now: Timestamp) {
        self.count_away(&message, |count| *count = count.saturating_sub(1));
        self.note(Note::Back(1));
        match message {
            // It has had its time since it went.
            Message::Log(line) => self.line(line, now),
            message => self.put(message, now),
        }
    }

    /// Nothing that is away can come back.
    pub(crate) fn away_is_lost(&mut self) {
        self.away.messages = 0;
        self.away.alone = 0;
        for entry in self.flows.values_mut() {
            entry.away = 0;
        }
    }

    fn count_away(&mut self, message: &Message, count: impl Fn(&mut usize)) {
        count(&mut self.away.messages);
        match of(message).flatten() {
            Some(flow) => {
                if let Some(entry) = self.flows.get_mut(&flow) {
                    count(&mut entry.away);
                }
            }
            None => count(&mut self.away.alone),
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.away.scale.total(), self.away.messages)
    }
}

/// The flow run of a message that may go away.
fn of(message: &Message) -> Option<Option<Uuid>> {
    match message {
        Message::TaskRun(update) => Some(update.flow),
        Message::Log(line) => Some(line.flow),
        Message::Artifact(new) => Some(Some(new.flow)),
        Message::ArtifactData { flow, .. } => Some(Some(*flow)),
        Message::FlowRun(_) | Message::FlowRunName(..) | Message::FlowState(..) => None,
    }
}
