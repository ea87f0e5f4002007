//! What happens to runs and rows: attempts begin and end, somebody cancels.

use super::super::ending::Stop;
use super::super::run::End;
use super::both::{Both, failure, pick};
use super::model::{Target, has_not_begun, passes};
use crate::state::StateName;

impl Both {
    /// As whoever executes the run anew, and counts from 1.
    pub(super) fn start(&mut self, target: Target) {
        let now = self.now();
        let begins = match target {
            Target::Run(run) => self.engine.run_started(self.runs[run], 1, now),
            Target::Row(map, row) => self.engine.row_started(self.maps[map], row, 1, now),
        };
        let node = self.model.node(target);
        assert_eq!(begins, !node.state.is_settled(), "{target:?}");
        if begins {
            node.state = match node.retries {
                0 => StateName::Running,
                _ => StateName::Retrying,
            };
        }
    }

    pub(super) fn retry(&mut self, target: Target) {
        match target {
            Target::Run(run) => self.engine.run_awaits_retry(self.runs[run]),
            Target::Row(map, row) => self.engine.row_awaits_retry(self.maps[map], row),
        };
        let node = self.model.node(target);
        if !node.state.is_settled() {
            node.state = StateName::AwaitingRetry;
            node.retries += 1;
        }
    }

    pub(super) fn end(&mut self, target: Target, name: StateName) {
        let now = self.now();
        let label = format!("{target:?} {}", self.clock);
        let end = match name {
            StateName::Completed => End::Completed,
            StateName::Cached => End::Cached,
            name => End::Ended(failure(name, &label)),
        };
        match target {
            Target::Run(run) => self.engine.run_settled(self.runs[run], end, now),
            Target::Row(map, row) => self.engine.row_settled(self.maps[map], row, end, now),
        }
        let node = self.model.node(target);
        // At least once: what has settled does not change.
        if !node.state.is_settled() {
            node.state = name;
            if !passes(name, false) {
                node.roots = [label].into();
            }
        }
    }

    /// Rows complete in one block, as a thread reports them.
    pub(super) fn block(&mut self, map: usize, first: u32, count: u32) {
        let rows: Vec<u32> = (first..first + count)
            .take_while(|&row| self.may_run(Target::Row(map, row)))
            .collect();
        let times: Vec<_> = (0..=rows.len()).map(|_| self.now()).collect();
        self.engine.rows_completed(self.maps[map], first, &times);
        for row in rows {
            let node = self.model.node(Target::Row(map, row));
            if !node.state.is_settled() {
                node.state = StateName::Completed;
            }
        }
    }

    pub(super) fn cancel(&mut self, target: Target) {
        let now = self.now();
        let label = format!("cancelled {}", self.clock);
        let cancelled = failure(StateName::Cancelled, &label);
        match target {
            Target::Run(run) => self.engine.cancel_run(self.runs[run], &cancelled, now),
            Target::Row(map, row) => {
                self.engine.cancel_row(self.maps[map], row, &cancelled, now);
            }
        }
        self.cancel_in_model(target, &label);
    }

    pub(super) fn cancel_row(&mut self, map: usize, row: u32) {
        let entry = &self.model.maps[map];
        match &entry.rows {
            Some(rows) if (row as usize) < rows.len() => self.cancel(Target::Row(map, row)),
            _ => {
                let now = self.now();
                let label = format!("cancelled {}", self.clock);
                let cancelled = failure(StateName::Cancelled, &label);
                self.engine.cancel_row(self.maps[map], row, &cancelled, now);
                self.model.maps[map].cancelled.push((row, label));
            }
        }
    }

    pub(super) fn cancel_in_model(&mut self, target: Target, label: &str) {
        let node = self.model.node(target);
        if has_not_begun(node.state) || node.state == StateName::AwaitingRetry {
            node.state = StateName::Cancelled;
            node.roots = [label.to_owned()].into();
        }
    }

    pub(super) fn cancel_map(&mut self, map: usize) {
        let now = self.now();
        let label = format!("cancelled {}", self.clock);
        let cancelled = failure(StateName::Cancelled, &label);
        self.engine.cancel_map(self.maps[map], &cancelled, now);
        self.cancel_map_in_model(map, &label);
    }

    pub(super) fn cancel_map_in_model(&mut self, map: usize, label: &str) {
        let entry = &mut self.model.maps[map];
        match &entry.rows {
            None if entry.ended.is_none() => {
                entry.ended = Some((StateName::Cancelled, [label.to_owned()].into()));
            }
            None => {}
            Some(rows) => {
                for row in 0..rows.len() as u32 {
                    self.cancel_in_model(Target::Row(map, row), label);
                }
            }
        }
    }

    pub(super) fn stop(&mut self, force: bool) {
        let now = self.now();
        let label = format!("stopped {}", self.clock);
        let stopped = failure(StateName::Cancelled, &label);
        let how = if force { Stop::Force } else { Stop::Ask };
        self.engine.stop(&stopped, how, now);
        self.model.stopped = Some(label.clone());
        if force {
            for target in self.model.targets() {
                let node = self.model.node(target);
                if !node.state.is_settled() {
                    node.state = StateName::Pending;
                }
            }
        }
        for run in 0..self.runs.len() {
            self.cancel_in_model(Target::Run(run), &label);
        }
        for map in 0..self.maps.len() {
            self.cancel_map_in_model(map, &label);
        }
    }

    /// As the flow does for another attempt: what was stopped ends first.
    pub(super) fn reopen(&mut self) {
        if self.model.stopped.is_none() {
            return;
        }
        self.follow();
        self.end_all(StateName::Cancelled);
        self.engine.reopen();
        self.model.stopped = None;
    }

    /// A run that had completed is undone.
    pub(super) fn roll_back(&mut self, number: u8) {
        let targets = self.model.targets().into_iter();
        let completed: Vec<_> = targets
            .filter(|target| self.model.node(*target).state == StateName::Completed)
            .collect();
        let Some(index) = pick(number, completed.len()) else {
            return;
        };
        match completed[index] {
            Target::Run(run) => self.engine.run_rolled_back(self.runs[run], 1),
            Target::Row(map, row) => self.engine.row_rolled_back(self.maps[map], row, 1),
        }
        self.model.node(completed[index]).state = StateName::RolledBack;
    }

    pub(super) fn release(&mut self, index: usize) {
        let handle = if index < self.runs.len() {
            (true, index)
        } else {
            (false, index - self.runs.len())
        };
        if !self.model.needs(handle) && self.released.insert(handle) {
            let _ = match handle {
                (true, run) => self.engine.release_run(self.runs[run]),
                (false, map) => self.engine.release_map(self.maps[map]),
            };
        }
    }
}
