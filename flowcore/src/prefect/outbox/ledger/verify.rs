//! Whether what was sent has been recorded: the server drops events silently
//! when it has too many, so it is asked.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::Ledger;
use super::runs::RecordedBy;

/// A question to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// How many task runs of the flow run are in a terminal state? Of `sent`
    /// ones it shall know. `since`: those before were told by another process.
    Count {
        flow: Uuid,
        server: Uuid,
        sent: u64,
        since: Option<Timestamp>,
    },
    /// In which state are these task runs?
    Rows(Vec<Uuid>),
}

/// A task run as the server shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: Uuid,
    pub(crate) state: String,
    pub(crate) is_final: bool,
    pub(crate) at: Option<Timestamp>,
}

/// What to do next about recording.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextQuestion {
    Ask(Question),
    Wait(Option<Timestamp>),
}

/// Of one flow run.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Not before then.
    next: Option<Timestamp>,
    recorded: u64,
    /// Since when the count stands still.
    still_since: Option<Timestamp>,
}

const BETWEEN_COUNTS: Duration = Duration::from_millis(500);
/// A server that records nothing for so long, though it is asked to, has lost
/// it: it records about 95 events a second, in the order in which they come.
const STILL: Duration = Duration::from_secs(5);
/// After this the window is opened again.
const CONSUMED: Duration = Duration::from_secs(40);
/// The most rows that a server shows at once.
const PAGE: usize = 200;

impl Ledger {
    /// The next question, if it is time for one.
    pub(crate) fn next_question(&mut self, now: Timestamp) -> NextQuestion {
        if self.is_shut() {
            return NextQuestion::Wait(None);
        }
        let mut wait: Option<Timestamp> = None;
        let mut later = |at: Timestamp| wait = Some(wait.map_or(at, |other| other.min(at)));
        for flow in self.asked_about() {
            let Some(entry) = self.flows.get_mut(&flow) else {
                continue;
            };
            let Some(server) = entry.known().map(|known| known.id) else {
                continue;
            };
            if let Some(next) = entry.asked.next.filter(|next| *next > now) {
                later(next);
                continue;
            }
            entry.asked.next = now.checked_add(BETWEEN_COUNTS).ok();
            if let Some(question) = self.question(flow, server, now) {
                return NextQuestion::Ask(question);
            }
            later(now.checked_add(BETWEEN_COUNTS).unwrap_or(now));
        }
        if let Some(next) = self.alone.next.filter(|next| *next > now) {
            // Whether there are any is not looked at each time: that takes as
            // long as there are task runs.
            later(next);
        } else {
            self.alone.next = now.checked_add(BETWEEN_COUNTS).ok();
            let alone = self
                .runs
                .iter()
                .filter(|(_, run)| run.newest.flow.is_none() && run.recorded_by == RecordedBy::Row);
            let ids: Vec<Uuid> = alone.map(|(id, _)| *id).take(PAGE).collect();
            if !ids.is_empty() {
                return NextQuestion::Ask(Question::Rows(ids));
            }
        }
        NextQuestion::Wait(wait)
    }

    /// Flow runs whose recording matters now: they end, or the window or the
    /// memory is full of what they sent.
    fn asked_about(&self) -> Vec<Uuid> {
        let has_runs = |flow: &Uuid| {
            let entry = self.flows.get(flow);
            entry.is_some_and(|entry| !entry.runs.is_empty())
        };
        let flows: Vec<Uuid> = if self.window.is_half_full() || self.is_full() {
            self.flows.keys().copied().collect()
        } else {
            let ending = self.ending();
            ending.iter().flat_map(|flow| self.family(*flow)).collect()
        };
        flows.into_iter().filter(has_runs).collect()
    }

    fn question(&self, flow: Uuid, server: Uuid, now: Timestamp) -> Option<Question> {
        let entry = self.flows.get(&flow)?;
        let still = entry
            .asked
            .still_since
            .is_some_and(|since| is_past(since, STILL, now));
        let recorded_by = |id: &Uuid| self.runs.get(id).map(|run| run.recorded_by);
        let is_counted = |id: &Uuid| matches!(recorded_by(id), Some(RecordedBy::Count(_)));
        // Found at once where many are: this is asked twice a second.
        if !still && entry.runs.iter().any(is_counted) {
            return Some(Question::Count {
                flow,
                server,
                sent: entry.sent.finals,
                since: entry.since,
            });
        }
        let counted = entry.runs.iter().filter(|id| is_counted(id));
        let by_row = entry
            .runs
            .iter()
            .filter(|id| recorded_by(id) == Some(RecordedBy::Row));
        let rows: Vec<Uuid> = counted.chain(by_row).copied().take(PAGE).collect();
        (!rows.is_empty()).then_some(Question::Rows(rows))
    }

    /// The answer to a count.
    pub(crate) fn counted(&mut self, flow: Uuid, sent: u64, recorded: u64, now: Timestamp) {
        let Some(entry) = self.flows.get_mut(&flow) else {
            return;
        };
        if recorded > entry.asked.recorded || entry.asked.still_since.is_none() {
            entry.asked.recorded = recorded;
            entry.asked.still_since = Some(now);
        }
        let mut consumed = entry.sent.count(recorded);
        let is_stuck = entry
            .asked
            .still_since
            .is_some_and(|since| is_past(since, CONSUMED, now));
        if is_stuck {
            consumed += entry.sent.give_up_waiting();
            entry.asked.still_since = Some(now);
        }
        self.window.out = self.window.out.saturating_sub(consumed);
        if recorded < sent {
            return;
        }
        let runs = self.flows.get(&flow).map(|entry| entry.runs.clone());
        for id in runs.into_iter().flatten() {
            let by = self.runs.get(&id).map(|run| run.recorded_by);
            if matches!(by, Some(RecordedBy::Count(number)) if number <= sent) {
                self.recorded(id);
            }
        }
    }

    /// The answer to a question for rows; `asked` were asked for.
    pub(crate) fn seen(&mut self, asked: &[Uuid], seen: &[Seen], now: Timestamp) {
        for id in asked {
            let Some(entry) = self.runs.get(id) else {
                continue;
            };
            let sent = entry.last.as_ref().map(|last| last.occurred);
            let is_there = seen.iter().any(|row| {
                // Somebody else may have said something newer.
                let is_newer = row.at.zip(sent).is_some_and(|(at, sent)| at > sent);
                row.id == *id && (row.state == entry.newest.state.name || is_newer)
            });
            let flow = entry.newest.flow;
            if is_there {
                self.recorded(*id);
                continue;
            }
            // What was just sent may be in the server's queue.
            let since = flow
                .and_then(|flow| self.flows.get(&flow))
                .map_or(self.alone.still_since, |entry| entry.asked.still_since);
            if since.is_some_and(|since| is_past(since, STILL, now)) {
                self.repair(*id);
            }
        }
        let flows = asked
            .iter()
            .filter_map(|id| self.runs.get(id)?.newest.flow)
            .collect::<std::collections::HashSet<_>>();
        for flow in flows {
            if let Some(entry) = self.flows.get_mut(&flow) {
                entry.asked.look_again(now);
            }
        }
        self.alone.look_again(now);
    }
}

impl Asked {
    /// Rows were looked at: it takes a while until that makes sense again.
    fn look_again(&mut self, now: Timestamp) {
        let over = |since: Timestamp| is_past(since, STILL, now);
        if self.still_since.is_none_or(over) {
            self.still_since = Some(now);
        }
    }
}

fn is_past(since: Timestamp, limit: Duration, now: Timestamp) -> bool {
    since.checked_add(limit).is_ok_and(|end| end <= now)
}
