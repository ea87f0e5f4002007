//! Slots of limits, as the shell asks for them: when something is ready, and
//! given back when it has settled. The limits are the real ones; who holds
//! slots is counted here.

use std::collections::HashMap;
use std::ops::Range;

use super::super::admission::Waiting;
use super::super::limits::{Answer, Limits, Refusal, Slots, Ticket};
use super::super::run::End;
use super::both::{Both, failure};
use super::model::Target;
use super::program::{LIMITS, Limited};
use crate::clock::Timestamp;
use crate::state::StateName;

pub(super) struct ModelSlots {
    limits: Limits,
    sizes: [u64; LIMITS.len()],
    held: HashMap<Target, Slots>,
    waiting_runs: HashMap<Ticket, usize>,
    waiting_rows: HashMap<Ticket, (usize, Range<u32>)>,
}

impl Default for ModelSlots {
    fn default() -> Self {
        let mut limits = Limits::default();
        for (name, size) in LIMITS {
            limits.set(name, size, None, Timestamp::NONE);
        }
        Self {
            limits,
            sizes: LIMITS.map(|(_, size)| size),
            held: HashMap::new(),
            waiting_runs: HashMap::new(),
            waiting_rows: HashMap::new(),
        }
    }
}

impl ModelSlots {
    fn wanted(&self, limited: Limited) -> Slots {
        let names = LIMITS.iter().zip(limited.by).filter(|(_, is_by)| *is_by);
        names
            .filter_map(|((name, _), _)| Some((self.limits.find(name)?, 1)))
            .collect()
    }

    /// How many hold a slot of this limit.
    fn holders(&self, limit: usize) -> u64 {
        let id = self.limits.find(LIMITS[limit].0);
        let holds = |slots: &&Slots| slots.iter().any(|(other, _)| Some(*other) == id);
        self.held.values().filter(holds).count() as u64
    }

    fn hold(&mut self, target: Target, limited: Limited, slots: Slots) {
        let before = self.held.insert(target, slots);
        assert!(before.is_none(), "{target:?} has its slots twice");
        for limit in (0..LIMITS.len()).filter(|limit| limited.by[*limit]) {
            assert!(
                self.holders(limit) <= self.sizes[limit],
                "{target:?} has a slot that limit {limit} does not have"
            );
        }
    }
}

impl Both {
    /// A ready run asks for its slots; `false`: it waits, or was refused.
    pub(super) fn run_is_admitted(&mut self, run: usize) -> bool {
        let target = Target::Run(run);
        let limited = self.model.node(target).limited;
        let slots = self.slots.wanted(limited);
        if slots.is_empty() || self.slots.held.contains_key(&target) {
            return true;
        }
        let now = self.now();
        match self.slots.limits.request(&slots, 1, limited.priority, now) {
            Err(refusal) => self.refuse(target, &refusal),
            Ok(received) => {
                let Some(ticket) = received.ticket else {
                    self.slots.hold(target, limited, slots);
                    return true;
                };
                self.slots.waiting_runs.insert(ticket, run);
                let waits = self.engine.run_awaits_slot(self.runs[run], Waiting::Told);
                assert_eq!(waits, self.must_wait(target), "{target:?}");
            }
        }
        false
    }

    /// Ready rows ask for their slots; gives those that have them.
    pub(super) fn admitted_rows(&mut self, map: usize, rows: Range<u32>) -> Range<u32> {
        let limited = self.model.maps[map].limited;
        let slots = self.slots.wanted(limited);
        let first = Target::Row(map, rows.start);
        if slots.is_empty() || self.slots.held.contains_key(&first) {
            return rows;
        }
        let (now, count) = (self.now(), rows.end - rows.start);
        let request = self
            .slots
            .limits
            .request(&slots, count, limited.priority, now);
        match request {
            Err(refusal) => {
                for row in rows.clone() {
                    self.refuse(Target::Row(map, row), &refusal);
                }
                rows.start..rows.start
            }
            Ok(received) => {
                let end = rows.start + received.granted;
                for row in rows.start..end {
                    let slots = slots.clone();
                    self.slots.hold(Target::Row(map, row), limited, slots);
                }
                if let Some(ticket) = received.ticket {
                    let waiting = (map, end..rows.end);
                    self.slots.waiting_rows.insert(ticket, waiting);
                    self.engine
                        .rows_await_slots(self.maps[map], end..rows.end, Waiting::Told);
                    for row in end..rows.end {
                        self.must_wait(Target::Row(map, row));
                    }
                }
                rows.start..end
            }
        }
    }

    /// In the model it waits from now on, unless it has settled.
    fn must_wait(&mut self, target: Target) -> bool {
        let node = self.model.node(target);
        let waits = node.state == StateName::Pending;
        if waits {
            node.state = StateName::AwaitingConcurrencySlot;
        }
        waits
    }

    fn refuse(&mut self, target: Target, refusal: &Refusal) {
        let now = self.now();
        let end = End::Ended(failure(StateName::Failed, &refusal.name));
        match target {
            Target::Run(run) => self.engine.run_settled(self.runs[run], end, now),
            Target::Row(map, row) => self.engine.row_settled(self.maps[map], row, end, now),
        }
        let node = self.model.node(target);
        if !node.state.is_settled() {
            node.state = StateName::Failed;
            node.roots = [refusal.name.to_string()].into();
        }
    }

    /// Tells one of those who wait for slots; `false` if nothing is to be told.
    pub(super) fn follow_answer(&mut self) -> bool {
        let Some((ticket, answer)) = self.slots.limits.next_answer() else {
            return false;
        };
        if let Some(run) = self.slots.waiting_runs.remove(&ticket) {
            match answer {
                Answer::Granted(_, slots) => self.run_has_slots(run, slots),
                Answer::Refused(refusal) => self.refuse(Target::Run(run), &refusal),
            }
        } else if let Some((map, rows)) = self.slots.waiting_rows.remove(&ticket) {
            match answer {
                Answer::Granted(units, slots) => {
                    self.rows_have_slots(map, rows, (ticket, units), &slots);
                }
                Answer::Refused(refusal) => {
                    for row in rows {
                        self.refuse(Target::Row(map, row), &refusal);
                    }
                }
            }
        } else if let Answer::Granted(units, slots) = answer {
            self.give_back(units as usize, &slots);
        }
        true
    }

    fn run_has_slots(&mut self, run: usize, slots: Slots) {
        let target = Target::Run(run);
        let node = self.model.node(target);
        let (waited, limited) = (
            node.state == StateName::AwaitingConcurrencySlot,
            node.limited,
        );
        assert_eq!(
            self.engine.run_admitted(self.runs[run], Waiting::Told),
            waited
        );
        if waited {
            self.model.node(target).state = StateName::Pending;
            self.slots.hold(target, limited, slots);
        } else {
            self.give_back(1, &slots);
        }
    }

    fn rows_have_slots(
        &mut self,
        map: usize,
        mut rows: Range<u32>,
        (ticket, units): (Ticket, u32),
        slots: &Slots,
    ) {
        let expected: Vec<u32> = rows
            .clone()
            .filter(|row| {
                self.model.node(Target::Row(map, *row)).state == StateName::AwaitingConcurrencySlot
            })
            .take(units as usize)
            .collect();
        let admitted =
            self.engine
                .rows_admitted(self.maps[map], &mut rows, units as usize, Waiting::Told);
        let admitted: Vec<u32> = admitted.into_iter().flatten().collect();
        assert_eq!(admitted, expected, "rows of map {map}");
        let limited = self.model.maps[map].limited;
        for row in &admitted {
            let target = Target::Row(map, *row);
            self.model.node(target).state = StateName::Pending;
            self.slots.hold(target, limited, slots.clone());
        }
        if !rows.is_empty() {
            self.slots.waiting_rows.insert(ticket, (map, rows));
        }
        self.give_back(units as usize - admitted.len(), slots);
    }

    pub(super) fn run_gives_back(&mut self, run: usize) {
        let waiting = &mut self.slots.waiting_runs;
        let ticket = waiting.extract_if(|_, waiting| *waiting == run).next();
        if let Some((ticket, _)) = ticket {
            self.slots.limits.forget(ticket);
        }
        self.settled(Target::Run(run));
    }

    pub(super) fn rows_give_back(&mut self, map: usize, rows: Range<u32>) {
        rows.for_each(|row| self.settled(Target::Row(map, row)));
    }

    pub(super) fn map_waits_no_longer(&mut self, map: usize) {
        let waiting = &mut self.slots.waiting_rows;
        let tickets = waiting.extract_if(|_, (waiting, _)| *waiting == map);
        for (ticket, _) in tickets {
            self.slots.limits.forget(ticket);
        }
    }

    fn settled(&mut self, target: Target) {
        if let Some(slots) = self.slots.held.remove(&target) {
            self.give_back(1, &slots);
        }
    }

    fn give_back(&mut self, units: usize, slots: &Slots) {
        for _ in 0..units {
            let now = self.now();
            self.slots.limits.release(slots, now);
        }
    }

    pub(super) fn set_limit(&mut self, number: u8, size: u64) {
        let limit = usize::from(number) % LIMITS.len();
        let now = self.now();
        self.slots.limits.set(LIMITS[limit].0, size, None, now);
        self.slots.sizes[limit] = size;
    }

    /// Nobody waits for slots that are free, and nobody holds any in vain.
    pub(super) fn compare_slots(&mut self) {
        let is_full: Vec<bool> = (0..LIMITS.len())
            .map(|limit| self.slots.holders(limit) >= self.slots.sizes[limit])
            .collect();
        for target in self.model.targets() {
            let node = self.model.node(target);
            let is_held = self.slots.held.contains_key(&target);
            assert!(
                !(is_held && node.state.is_settled()),
                "{target:?} has settled and keeps its slots"
            );
            if node.state == StateName::AwaitingConcurrencySlot {
                let mut by = node.limited.by.iter().zip(&is_full);
                assert!(
                    by.any(|(is_by, is_full)| *is_by && *is_full),
                    "{target:?} waits for slots that are free"
                );
            }
        }
    }
}
