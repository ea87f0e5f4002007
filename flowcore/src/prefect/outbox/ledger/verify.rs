//! Whether what was sent has been recorded: the server drops events silently
//! when it has too many, so it is asked.
//!
//! A server records events in the order in which they come. So one that is not
//! recorded is lost if a later one is; before that it may wait in the server's
//! queue, and nothing is told twice that only waits. When a server records
//! nothing for a while, one task run is told again, as a probe: with it all
//! that was sent before it is decided.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::Ledger;
use super::flows::FlowEntry;
use super::runs::{RecordedBy, RunEntry};

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
    /// In which state are these task runs, of one flow run or of none?
    Rows { flow: Option<Uuid>, ids: Vec<Uuid> },
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
    pub(super) next: Option<Timestamp>,
    pub(super) recorded: u64,
    /// Since when nothing more is recorded, although it is asked.
    pub(super) still_since: Option<Timestamp>,
    /// The count does not get on: rows are looked at instead.
    by_rows: bool,
    /// The run that was told again to find out what is lost.
    pub(super) probe: Option<Uuid>,
}

const BETWEEN_COUNTS: Duration = Duration::from_millis(500);
/// While much is on its way: counting takes the server as long as recording.
const LONGEST_BETWEEN_COUNTS: Duration = Duration::from_millis(2_500);
/// A server that records nothing for so long, though it is asked to, may have
/// lost it: it records about 95 events a second.
const STILL: Duration = Duration::from_secs(5);
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
        let asked_about = self.asked_about();
        for (flow, entry) in &mut self.flows {
            if !asked_about.contains(flow) {
                // What nobody is asked about does not stand still.
                entry.asked.still_since = None;
            }
        }
        for flow in asked_about {
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
            let between = entry.between_questions();
            entry.asked.next = now.checked_add(between).ok();
            if let Some(question) = self.question(flow, server, now) {
                return NextQuestion::Ask(question);
            }
            later(now.checked_add(between).unwrap_or(now));
        }
        if self.alone_runs.is_empty() {
            self.alone.still_since = None;
        } else if let Some(next) = self.alone.next.filter(|next| *next > now) {
            later(next);
        } else {
            self.alone.next = now.checked_add(BETWEEN_COUNTS).ok();
            let runs = &self.runs;
            self.alone_runs.retain(|id| runs.contains_key(id));
            let is_told =
                |id: &&Uuid| (runs.get(*id)).is_some_and(|run| run.recorded_by == RecordedBy::Row);
            let alone = self.alone_runs.iter().filter(is_told);
            let ids: Vec<Uuid> = alone.take(PAGE).copied().collect();
            if !ids.is_empty() {
                return NextQuestion::Ask(Question::Rows { flow: None, ids });
            }
            self.alone.still_since = None;
        }
        NextQuestion::Wait(wait)
    }

    /// Flow runs whose recording matters now: they end, or others have ended
    /// them and what they made is told all the same, or the window or the memory
    /// is full of what they sent.
    fn asked_about(&self) -> HashSet<Uuid> {
        let has_runs = |flow: &Uuid| {
            let entry = self.flows.get(flow);
            entry.is_some_and(|entry| !entry.runs.is_empty())
        };
        let flows: Vec<Uuid> = if self.window.is_half_full() || self.is_full() {
            self.flows.keys().copied().collect()
        } else {
            let ending = self.no_longer_open();
            ending.flat_map(|flow| self.family(flow)).collect()
        };
        flows.into_iter().filter(has_runs).collect()
    }

    fn question(&mut self, flow: Uuid, server: Uuid, now: Timestamp) -> Option<Question> {
        let entry = self.flows.get_mut(&flow)?;
        entry.asked.by_rows |= entry.asked.is_still(now);
        let entry = self.flows.get(&flow)?;
        let rows = |ids: Vec<Uuid>| {
            let flow = Some(flow);
            (!ids.is_empty()).then_some(Question::Rows { flow, ids })
        };
        let is_counted = |id: &Uuid| {
            let recorded_by = self.runs.get(id).map(|run| run.recorded_by);
            matches!(recorded_by, Some(RecordedBy::Count(_)))
        };
        if entry.asked.by_rows {
            let (ids, is_decided) = self.rows_of(entry);
            if is_decided || entry.asked.is_still(now) || self.probe_of(entry).is_some() {
                return rows(ids);
            }
        }
        // Found at once where many are: this is asked twice a second.
        let question = if entry.runs.iter().any(is_counted) {
            Some(Question::Count {
                flow,
                server,
                sent: entry.sent.finals,
                since: entry.since,
            })
        } else {
            rows(self.rows_of(entry).0)
        };
        if let Some(entry) = self.flows.get_mut(&flow) {
            entry.asked.by_rows = false;
        }
        question
    }

    /// Of which runs to look at the rows, what was sent first before others;
    /// and whether the first of them is recorded or lost.
    fn rows_of(&self, entry: &FlowEntry) -> (Vec<Uuid>, bool) {
        let all = |is_one: fn(&RunEntry) -> bool| {
            let runs = entry.runs.iter();
            let runs = runs.filter_map(|id| Some((self.runs.get(id)?, *id)));
            let runs = runs.filter(|(run, _)| is_one(run));
            let mut runs: Vec<_> = runs.map(|(run, id)| (run.number(), id)).collect();
            runs.sort_unstable();
            runs
        };
        let ids = |runs: Vec<(u64, Uuid)>, step| {
            let ids = runs.into_iter().step_by(step).take(PAGE);
            ids.map(|(_, id)| id).collect::<Vec<_>>()
        };
        let ended = all(RunEntry::is_settled);
        if let Some((first, _)) = ended.first() {
            let is_decided = *first <= entry.sent.consumed;
            let mut ids = ids(ended, 1);
            if let Some(probe) = self.probe_of(entry).filter(|probe| !ids.contains(probe)) {
                ids.truncate(PAGE - 1);
                ids.push(probe);
            }
            return (ids, is_decided);
        }
        if !self.window.is_half_full() {
            return (Vec::new(), false);
        }
        // Nothing has ended; how far the server is shows by any of them.
        let mut told = all(RunEntry::is_under_way);
        told.retain(|(number, _)| *number > entry.sent.consumed);
        let step = told.len().div_ceil(PAGE).max(1);
        (ids(told, step), false)
    }

    /// The run that was told again, as long as that is not recorded.
    fn probe_of(&self, entry: &FlowEntry) -> Option<Uuid> {
        let probe = entry.asked.probe?;
        let run = self.runs.get(&probe)?;
        let is_open = run.is_queued() || run.number() > entry.sent.consumed;
        is_open.then_some(probe)
    }
}

impl FlowEntry {
    /// A quarter of the time that a stock server needs for what is on its way.
    fn between_questions(&self) -> Duration {
        const EVENTS_A_SECOND: u64 = 100;
        let needed = Duration::from_millis(self.sent.out() * 1000 / EVENTS_A_SECOND);
        (needed / 4).clamp(BETWEEN_COUNTS, LONGEST_BETWEEN_COUNTS)
    }
}

impl Asked {
    pub(super) fn is_still(&self, now: Timestamp) -> bool {
        self.still_since.is_some_and(|at| is_past(at, STILL, now))
    }
}

fn is_past(since: Timestamp, limit: Duration, now: Timestamp) -> bool {
    since.checked_add(limit).is_ok_and(|end| end <= now)
}
