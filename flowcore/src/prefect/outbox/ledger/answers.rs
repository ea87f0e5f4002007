//! What the server says about what was recorded: some of it is told again.
//!
//! Told again is what is lost for sure: something that was sent later is
//! recorded. And one [probe](super::verify::Asked::probe), when nothing gets on.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::runs::RecordedBy;
use super::{Ledger, Seen};

impl Ledger {
    /// The answer to a count.
    pub(crate) fn counted(&mut self, flow: Uuid, sent: u64, recorded: u64, now: Timestamp) {
        let Some(entry) = self.flows.get_mut(&flow) else {
            return;
        };
        if recorded > entry.asked.recorded || entry.asked.still_since.is_none() {
            entry.asked.recorded = recorded;
            entry.asked.still_since = Some(now);
        }
        let consumed = entry.sent.count(recorded);
        self.window.out = self.window.out.saturating_sub(consumed);
        if recorded < sent {
            return;
        }
        let halves = entry.sent.halves;
        for id in entry.runs.clone() {
            let Some(run) = self.runs.get_mut(&id) else {
                continue;
            };
            match run.recorded_by {
                RecordedBy::Count(number) if number > sent => {}
                RecordedBy::Count(_) if run.number() <= halves => run.recorded_by = RecordedBy::Row,
                RecordedBy::Count(_) => self.recorded(id),
                RecordedBy::Nothing | RecordedBy::Row => {}
            }
        }
    }

    /// The answer to a question for rows; `asked` were asked for.
    pub(crate) fn seen(
        &mut self,
        flow: Option<Uuid>,
        asked: &[Uuid],
        rows: &[Seen],
        now: Timestamp,
    ) {
        let rows: HashMap<Uuid, &Seen> = rows.iter().map(|row| (row.id, row)).collect();
        let (mut recorded, mut missing, mut passed) = (Vec::new(), Vec::new(), 0);
        for id in asked {
            let Some(run) = self.runs.get(id).filter(|run| !run.is_queued()) else {
                continue;
            };
            let (row, number) = (rows.get(id), run.number());
            if row.is_some_and(|row| run.is_told_by(row)) {
                passed = passed.max(number);
            }
            if !row.is_some_and(|row| run.is_shown_by(row)) {
                missing.push((number, *id));
            } else if run.is_settled() {
                recorded.push((number, *id));
            }
        }
        recorded.iter().for_each(|(_, id)| self.recorded(*id));
        match flow {
            Some(flow) => self.seen_of(flow, &recorded, passed, missing, now),
            None => self.seen_alone(&missing, now),
        }
    }

    /// Tells again what is lost; or one thing, if that is not known and nothing
    /// gets on.
    fn seen_of(
        &mut self,
        flow: Uuid,
        recorded: &[(u64, Uuid)],
        passed: u64,
        missing: Vec<(u64, Uuid)>,
        now: Timestamp,
    ) {
        let Some(entry) = self.flows.get_mut(&flow) else {
            return;
        };
        // Of one batch some are recorded before others: what is seen to be
        // recorded now decides of the next answer.
        let decided = entry.sent.consumed;
        let passed = entry.sent.pass(passed);
        self.window.out = self.window.out.saturating_sub(passed);
        let asked = &mut entry.asked;
        let is_news = passed > 0 || recorded.iter().any(|(number, _)| *number > decided);
        if is_news || asked.still_since.is_none() {
            asked.still_since = Some(now);
        }
        let all_is_there = missing.is_empty() && !recorded.is_empty();
        let (lost, waiting): (Vec<_>, Vec<_>) = missing
            .into_iter()
            .partition(|(number, _)| *number <= decided);
        if all_is_there || !lost.is_empty() {
            // There may be more of them.
            asked.next = None;
        }
        let others = waiting.iter().filter(|(_, id)| Some(*id) != asked.probe);
        let probe = others.chain(&waiting).next().map(|(_, id)| *id);
        if let Some(probe) = probe.filter(|_| lost.is_empty() && asked.is_still(now)) {
            asked.probe = Some(probe);
            asked.still_since = Some(now);
            self.probe(probe);
        }
        for (_, id) in lost {
            self.repair(id);
        }
    }

    /// There is no order in which these are recorded.
    fn seen_alone(&mut self, missing: &[(u64, Uuid)], now: Timestamp) {
        if self.alone.is_still(now) {
            missing.iter().for_each(|(_, id)| self.repair(*id));
            self.alone.still_since = Some(now);
        }
        self.alone.still_since.get_or_insert(now);
    }

    /// The server cannot be reached, or its socket broke. Should it have died,
    /// it may have recorded a state in the row of a task run only, and not the
    /// state itself: a count does not tell.
    pub(crate) fn may_have_died(&mut self) {
        for entry in self.flows.values_mut() {
            entry.sent.doubt_all();
            entry.asked.still_since = None;
        }
        self.alone.still_since = None;
    }
}
