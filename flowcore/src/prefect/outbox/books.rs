//! A ledger and the file that has all that the ledger knows.
//!
//! A message is in the file before anything of it is sent. What the ledger
//! has no room for is in the file only, and read back when there is.

use jiff::Timestamp;

use super::file::WriteAhead;
use super::ledger::Ledger;
use crate::prefect::message::Message;

/// So many messages are read back at once; others wait for the ledger then.
const AT_ONCE: usize = 1_000;

pub(super) struct Books {
    pub(super) ledger: Ledger,
    pub(super) ahead: WriteAhead,
}

impl Books {
    /// Takes in what was read back, then these. Whether something was read
    /// back, so that there may be more to send.
    pub(super) fn take_in(&mut self, messages: Vec<Message>, now: Timestamp) -> bool {
        let was_behind = self.read_back(now);
        let Self { ledger, ahead } = self;
        for mut message in messages {
            ledger.settle(&mut message);
            if ledger.goes_away(&message) && ahead.later(&message) {
                ledger.is_away(&message);
            } else {
                ahead.message(&message);
                ledger.put(message, now);
            }
        }
        was_behind
    }

    /// Writes down what the ledger has learnt.
    pub(super) fn write_down(&mut self, has_news: bool) {
        let has_learnt = self.note() || has_news;
        self.ahead.flush();
        if has_learnt && self.ledger.is_idle() {
            self.ahead.clear();
        }
    }

    fn note(&mut self) -> bool {
        let notes = self.ledger.take_notes();
        notes.iter().for_each(|note| self.ahead.note(note));
        !notes.is_empty()
    }

    fn read_back(&mut self, now: Timestamp) -> bool {
        let Self { ledger, ahead } = self;
        // Behind what a broken file has nothing can wait in order.
        let is_all = ahead.is_broken();
        let may_come = |ledger: &Ledger| ledger.has_room() || (is_all && ledger.is_behind());
        if !may_come(ledger) {
            return false;
        }
        let mut count = 0;
        let read = ahead.read_back(|message| {
            ledger.is_back(message, now);
            count += 1;
            may_come(ledger) && (is_all || count < AT_ONCE)
        });
        if let Err(error) = read {
            ahead.cannot_be_read(&error);
            ledger.away_is_lost();
        }
        // Before what comes next is written: a replay takes it in before.
        self.note();
        true
    }
}
