//! Lines of logs: in batches, in order, each once.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::Ledger;
use super::hunt::{Hunt, Verdict};
use super::outage::Outage;
use super::patience::Patience;
use super::weight::{self, Scale, Weight};
use crate::prefect::client::ApiError;
use crate::prefect::message::LogLine;

/// More in one request would hold up the whole server.
const MOST_LINES: usize = 150;
const MOST_BYTES: usize = 500_000;
/// Prefect's default of `PREFECT_LOGGING_TO_API_BATCH_INTERVAL`.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Lines {
    queue: VecDeque<Queued>,
    bytes: usize,
    /// In the queue or on their way.
    left: usize,
    last: Option<Timestamp>,
    /// A batch of which nobody knows whether it has arrived.
    doubtful: Option<Vec<SentLine>>,
    hunt: Hunt,
    with_finding: Patience,
    /// The server fails at lines, and does others.
    outage: Outage,
}

#[derive(Debug)]
struct Queued {
    since: Timestamp,
    line: Box<LogLine>,
    _weight: Weight,
    /// Nobody knows whether it was sent before.
    is_doubtful: bool,
}

/// A line with the flow run's id on the server.
#[derive(Clone, Debug)]
pub(crate) struct SentLine {
    pub(crate) line: LogLine,
    pub(crate) flow_run: Option<Uuid>,
}

impl Lines {
    /// The order of lines is that of their times.
    pub(super) fn settle(&self, line: &mut LogLine) {
        let earliest = self
            .last
            .and_then(|last| last.checked_add(SignedDuration::from_micros(1)).ok());
        line.at = earliest.map_or(line.at, |earliest| earliest.max(line.at));
    }

    /// Later lines have later times than this.
    pub(super) fn passes(&mut self, at: Timestamp) {
        self.last = self.last.max(Some(at));
    }

    /// How many are not known to be sent.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// The time of the newest.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// All in the queue may have been sent before.
    pub(super) fn doubt_all(&mut self) {
        for queued in &mut self.queue {
            queued.is_doubtful = true;
        }
    }

    /// Drops lines up to a time, and names the flow run of each.
    pub(super) fn drop_until(&mut self, until: Timestamp) -> Vec<Option<Uuid>> {
        let end = self.queue.partition_point(|queued| queued.line.at <= until);
        let gone = self.queue.drain(..end);
        let gone = gone.inspect(|queued| self.bytes -= queued.line.message.len());
        gone.map(|queued| queued.line.flow).collect()
    }

    /// Drops all lines.
    pub(super) fn drop_all(&mut self) {
        self.hunt.say_lost();
        *self = Self {
            last: self.last,
            ..Self::default()
        };
    }

    /// Drops the lines of a flow run.
    pub(super) fn drop_of(&mut self, flow: Uuid) {
        self.queue.retain(|queued| {
            let stays = queued.line.flow != Some(flow);
            if !stays {
                self.left = self.left.saturating_sub(1);
                self.bytes -= queued.line.message.len();
            }
            stays
        });
    }

    /// Until when no lines are sent.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.outage.until(now)
    }

    /// So many lines were taken.
    pub(super) fn go_well(&mut self, lines: usize) {
        self.outage.is_over();
        self.hunt.go_well(lines, MOST_LINES);
    }

    /// It was looked which lines are there.
    pub(super) fn are_found(&mut self) {
        self.outage.is_over();
        self.with_finding.succeeded();
    }

    /// So many lines are given up.
    pub(super) fn lose(&mut self, lines: usize, error: ApiError) {
        self.outage.is_over();
        self.hunt.lose(lines, error);
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.queue.len() >= self.hunt.most(MOST_LINES)
            || self.bytes >= MOST_BYTES
            || self.due_at().is_some_and(|at| at <= now)
    }

    pub(super) fn due_at(&self) -> Option<Timestamp> {
        let first = self.queue.front()?;
        first.since.checked_add(LONGEST_WAIT).ok()
    }

    pub(super) fn take_doubtful(&mut self) -> Option<Vec<SentLine>> {
        self.doubtful.take()
    }

    pub(super) fn doubt(&mut self, lines: Vec<SentLine>) {
        self.doubtful = Some(lines);
    }

    /// These were not sent after all.
    pub(super) fn put_back(&mut self, lines: Vec<SentLine>, now: Timestamp, scale: &Scale) {
        for line in lines.into_iter().rev() {
            let queued = Queued::new(Box::new(line.line), now, scale);
            self.bytes += queued.line.message.len();
            self.queue.push_front(queued);
        }
    }
}

impl Queued {
    fn new(line: Box<LogLine>, now: Timestamp, scale: &Scale) -> Self {
        Self {
            since: now,
            _weight: scale.weigh(weight::of_line(&line)),
            line,
            is_doubtful: false,
        }
    }
}

impl Ledger {
    /// Takes in a line that has its time.
    pub(super) fn line(&mut self, line: Box<LogLine>, now: Timestamp) {
        if let Some(entry) = line.flow.and_then(|flow| self.flows.get_mut(&flow)) {
            entry.lines += 1;
        }
        self.lines.passes(line.at);
        self.lines.bytes += line.message.len();
        self.lines.left += 1;
        let queued = Queued::new(line, now, &self.away.scale);
        self.lines.queue.push_back(queued);
    }

    /// The next batch, if it is time for one.
    pub(super) fn next_lines(&mut self, now: Timestamp) -> Option<Vec<SentLine>> {
        if !self.lines.is_due(now) && self.ending().is_empty() {
            return None;
        }
        let mut batch: Vec<SentLine> = Vec::new();
        let mut bytes = 0;
        let mut is_doubtful = None;
        let most = self.lines.hunt.most(MOST_LINES);
        while batch.len() < most
            && bytes < MOST_BYTES
            && let Some(queued) = self.lines.queue.front()
        {
            let line = &queued.line;
            if *is_doubtful.get_or_insert(queued.is_doubtful) != queued.is_doubtful {
                break;
            }
            let entry = line.flow.map(|flow| self.flows.get(&flow));
            let place = match entry {
                // A flow run that is over, or none.
                None | Some(None) => Some(None),
                Some(Some(entry)) if entry.is_refused() => None,
                Some(Some(entry)) => match entry.known() {
                    Some(known) => Some(Some(known.id)),
                    // It is about to be known.
                    None => break,
                },
            };
            let Some(Queued { line, .. }) = self.lines.queue.pop_front() else {
                break;
            };
            bytes += line.message.len();
            match place {
                Some(flow_run) => batch.push(SentLine {
                    line: *line,
                    flow_run,
                }),
                None => self.line_done(line.flow),
            }
        }
        self.lines.bytes = self.lines.bytes.saturating_sub(bytes);
        if is_doubtful == Some(true) {
            self.lines.doubtful = Some(batch).filter(|batch| !batch.is_empty());
            return None;
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// The server fails at a batch, and does others, or does not take it, which
    /// `is_final`.
    pub(super) fn lines_fail(
        &mut self,
        lines: Vec<SentLine>,
        error: ApiError,
        is_final: bool,
        now: Timestamp,
    ) {
        match self.lines.hunt.fails(lines.len(), is_final) {
            Verdict::Halves => self.lines.put_back(lines, now, &self.away.scale),
            Verdict::Waits => {
                self.lines.outage.fails(now);
                self.lines.put_back(lines, now, &self.away.scale);
            }
            Verdict::IsLost => {
                self.lines.lose(lines.len(), error);
                self.lines_are_lost(&lines);
            }
        }
    }

    /// The server always fails when it is asked which lines it has: then they
    /// are sent once more rather than lost.
    pub(super) fn finding_fails(&mut self, lines: Vec<SentLine>, error: &ApiError, now: Timestamp) {
        self.reached();
        if !self.lines.with_finding.ends() {
            self.lines.outage.fails(now);
            self.lines.doubt(lines);
            return;
        }
        self.lines.outage.is_over();
        if self.lines.with_finding.lost() {
            tracing::warn!(
                target: "flowcore::prefect",
                "{error}: lines of the log that may have arrived are sent once more, and may be \
                 there twice"
            );
        }
        self.lines.put_back(lines, now, &self.away.scale);
    }

    pub(super) fn lines_are_lost(&mut self, lines: &[SentLine]) {
        self.lines_done(lines);
        self.note_lines(lines);
        if self.lines.left == 0 {
            self.lines.hunt.say_lost();
        }
    }

    pub(super) fn lines_done(&mut self, lines: &[SentLine]) {
        for line in lines {
            self.line_done(line.line.flow);
        }
    }

    pub(super) fn line_done(&mut self, flow: Option<Uuid>) {
        self.lines.left = self.lines.left.saturating_sub(1);
        if let Some(entry) = flow.and_then(|flow| self.flows.get_mut(&flow)) {
            entry.lines = entry.lines.saturating_sub(1);
        }
    }
}
