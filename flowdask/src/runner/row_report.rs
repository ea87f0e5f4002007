//! What a worker tells home while it executes a batch: few messages, however
//! many rows there are.
//!
//! Sans-I/O: events and times go in, fewer events come out. Invariant: every
//! row's end is told once, in the order in which rows ended. Rows that are told
//! together ran one after the other; one that ran beside others goes alone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use flowcore::bridge::{RunEvent, RunReference};

/// Rows that complete are told at least so often, and that a row begins at
/// most so often.
const INTERVAL: Duration = Duration::from_millis(50);

/// So many rows are told at once: a message stays below 16 kB.
const MOST: usize = 2048;

pub(super) struct RowReport<F> {
    map: u64,
    tell: F,
    /// When the rows that run began, and whether that was told.
    began: HashMap<u32, (Instant, bool)>,
    told: Option<Instant>,
    /// When the last of the rows that are not told yet ended.
    ended: Option<Instant>,
    first: u32,
    took: Vec<u64>,
}

impl<F: FnMut(RunEvent)> RowReport<F> {
    pub(super) fn new(map: u64, tell: F) -> Self {
        Self {
            map,
            tell,
            began: HashMap::new(),
            told: None,
            ended: None,
            first: 0,
            took: Vec::new(),
        }
    }

    pub(super) fn event(&mut self, event: RunEvent, now: Instant) {
        match event {
            RunEvent::Started { run, attempt } => {
                let is_told = attempt > 1 || self.is_due(now);
                if let RunReference::Row(_, row) = run {
                    self.began.insert(row, (now, is_told));
                }
                if is_told {
                    self.pass(event, now);
                }
            }
            RunEvent::AwaitingRetry {
                run: run @ RunReference::Row(_, row),
                ..
            } => {
                // Home counts attempts, by those that began.
                if let Some((_, false)) = self.began.get(&row) {
                    self.pass(RunEvent::Started { run, attempt: 1 }, now);
                }
                self.pass(event, now);
            }
            RunEvent::Completed {
                run: RunReference::Row(_, row),
            } => self.completed(row, now),
            other => self.pass(other, now),
        }
    }

    fn completed(&mut self, row: u32, now: Instant) {
        let (began, _) = self.began.remove(&row).unwrap_or((now, true));
        let follows = (self.first..).nth(self.took.len()) == Some(row);
        let is_beside = self.ended.is_some_and(|ended| began < ended);
        if !follows || is_beside {
            self.flush();
        }
        if self.took.is_empty() {
            self.first = row;
        }
        let took = (now - began).as_nanos();
        self.took.push(u64::try_from(took).unwrap_or(u64::MAX));
        self.ended = Some(now);
        if self.took.len() >= MOST || self.is_due(now) {
            self.flush();
            self.told = Some(now);
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.told.is_none_or(|told| now - told >= INTERVAL)
    }

    fn pass(&mut self, event: RunEvent, now: Instant) {
        self.flush();
        (self.tell)(event);
        self.told = Some(now);
    }

    /// Tells what is not told yet.
    pub(super) fn flush(&mut self) {
        self.ended = None;
        if self.took.is_empty() {
            return;
        }
        (self.tell)(RunEvent::RowsCompleted {
            map: self.map,
            first: self.first,
            took: std::mem::take(&mut self.took),
        });
    }
}

#[cfg(test)]
mod tests {
    use flowcore::{Error, StateName};

    use super::*;

    fn row(row: u32) -> RunReference {
        RunReference::Row(7, row)
    }

    #[test]
    fn quick_rows_are_told_together_and_slow_ones_as_they_begin() {
        let mut events = Vec::new();
        let mut report = RowReport::new(7, |event| events.push(event));
        let mut now = Instant::now();
        let mut run = |report: &mut RowReport<_>, run, takes| {
            report.event(RunEvent::Started { run, attempt: 1 }, now);
            now += takes;
            report.event(RunEvent::Completed { run }, now);
        };
        for index in 0..3 {
            run(&mut report, row(index), Duration::from_micros(5));
        }
        run(&mut report, row(3), Duration::from_millis(80));
        run(&mut report, row(4), Duration::from_millis(80));
        report.flush();
        let told: Vec<_> = events.iter().map(|event| format!("{event:?}")).collect();
        assert_eq!(
            told,
            [
                "Started { run: Row(7, 0), attempt: 1 }",
                "RowsCompleted { map: 7, first: 0, took: [5000, 5000, 5000, 80000000] }",
                "RowsCompleted { map: 7, first: 4, took: [80000000] }",
            ]
        );
    }

    #[test]
    fn rows_beside_each_other_are_told_one_by_one() {
        let mut events = Vec::new();
        let mut report = RowReport::new(7, |event| events.push(event));
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        for (index, micros) in [(0, 0), (1, 1), (2, 2)] {
            let run = row(index);
            report.event(RunEvent::Started { run, attempt: 1 }, at(micros));
        }
        for (index, micros) in [(0, 10), (1, 20), (2, 22)] {
            report.event(RunEvent::Completed { run: row(index) }, at(micros));
        }
        let run = row(3);
        report.event(RunEvent::Started { run, attempt: 1 }, at(23));
        report.event(RunEvent::Completed { run }, at(24));
        report.flush();
        let told: Vec<_> = events.iter().map(|event| format!("{event:?}")).collect();
        assert_eq!(
            told,
            [
                "Started { run: Row(7, 0), attempt: 1 }",
                "RowsCompleted { map: 7, first: 0, took: [10000] }",
                "RowsCompleted { map: 7, first: 1, took: [19000] }",
                "RowsCompleted { map: 7, first: 2, took: [20000, 1000] }",
            ]
        );
    }

    #[test]
    fn a_failure_keeps_its_place() {
        let mut events = Vec::new();
        let mut report = RowReport::new(7, |event| events.push(event));
        let now = Instant::now();
        for index in [0, 1, 3] {
            let run = row(index);
            report.event(RunEvent::Started { run, attempt: 1 }, now);
            report.event(RunEvent::Completed { run }, now);
            if index == 1 {
                let ended = RunEvent::Ended {
                    run: row(2),
                    state: StateName::Failed,
                    message: None,
                    error: Error::msg("odd"),
                };
                report.event(ended, now);
            }
        }
        report.flush();
        let rows: Vec<_> = events
            .iter()
            .map(|event| match event {
                RunEvent::RowsCompleted { first, took, .. } => (*first, took.len()),
                RunEvent::Ended { .. } => (2, 0),
                _ => (99, 0),
            })
            .collect();
        assert_eq!(rows, [(99, 0), (0, 2), (2, 0), (3, 1)]);
    }

    #[test]
    fn that_a_row_began_is_told_before_it_awaits_its_retry() {
        let mut told = Vec::new();
        let mut report = RowReport::new(7, |event| told.push(format!("{event:?}")));
        let now = Instant::now();
        for row in 0..2 {
            let run = RunReference::Row(7, row);
            report.event(RunEvent::Started { run, attempt: 1 }, now);
            let message = String::new();
            report.event(RunEvent::AwaitingRetry { run, message }, now);
        }
        let began = |row| format!("Started {{ run: Row(7, {row}), attempt: 1 }}");
        let waits = |row| format!("AwaitingRetry {{ run: Row(7, {row}), message: \"\" }}");
        assert_eq!(told, [began(0), waits(0), began(1), waits(1)]);
    }
}
