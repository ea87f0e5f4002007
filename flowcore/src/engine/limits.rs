//! Who holds slots of limits, and who waits for some.
//!
//! Sans-I/O: requests, returned slots and the time go in, [`Answer`]s come
//! out. A request takes all of its slots at once or none. Knows nothing of
//! runs: a tag's limit, a named one and a runner's resource are the same here.
//!
//! Invariants: a request waits only while one of its limits lacks slots for
//! it, or an earlier request waits for slots of that limit; higher priorities
//! come first, equal ones in their order. What waits for one limit does not
//! hold up others at another one.

mod limit;

use self::limit::{Decay, Limit};
use crate::clock::Timestamp;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// Names a limit for as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LimitId(u64);

/// Names a request that waits; ordered as requests are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket {
    priority: Reverse<i32>,
    number: u64,
}

/// How many slots of which limits; each limit stands in it once.
pub(crate) type Slots = Arc<[(LimitId, u64)]>;

/// What became of a request that had to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// So many more units of it have these slots.
    Granted(u32, Slots),
    /// A limit was lowered below what it asks for.
    Refused(Refusal),
}

/// A limit that can never give what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) name: Arc<str>,
    pub(crate) limit: u64,
    pub(crate) slots: u64,
}

/// What became of a request at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// So many units have their slots.
    pub(crate) granted: u32,
    /// The others wait.
    pub(crate) ticket: Option<Ticket>,
}

/// A request that waits, unit by unit.
#[derive(Debug)]
struct Waiting {
    slots: Slots,
    units: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Limits {
    names: HashMap<Arc<str>, LimitId>,
    limits: HashMap<LimitId, Limit>,
    waiting: BTreeMap<Ticket, Waiting>,
    answers: VecDeque<(Ticket, Answer)>,
    next: u64,
}

impl Limits {
    /// Makes a limit, or changes the one of this name; who holds slots keeps
    /// them. `per_second` slots come back by themselves.
    pub(crate) fn set(&mut self, name: &str, limit: u64, per_second: Option<f64>, now: Timestamp) {
        let decay = per_second.map(|per_second| Decay {
            per_second,
            since: now,
        });
        let Some(&id) = self.names.get(name) else {
            let id = self.add(name, limit);
            self.limit_mut(id).decay = decay;
            self.names.insert(Arc::from(name), id);
            return;
        };
        let known = self.limit_mut(id);
        known.decay(now);
        known.limit = limit;
        known.decay = decay;
        let name = Arc::clone(&known.name);
        let mut touched = vec![id];
        let waiting: Vec<_> = known.waiting.iter().copied().collect();
        for ticket in waiting {
            let slots = self.slots_of(ticket, id);
            if slots > limit {
                touched.extend(self.take_out(ticket));
                let name = Arc::clone(&name);
                let refusal = Refusal { name, limit, slots };
                self.answers.push_back((ticket, Answer::Refused(refusal)));
            }
        }
        self.serve(&touched);
    }

    /// Makes a limit that is known by its id alone.
    pub(crate) fn add(&mut self, name: &str, limit: u64) -> LimitId {
        self.next += 1;
        let id = LimitId(self.next);
        self.limits.insert(id, Limit::new(name, limit));
        id
    }

    /// Whoever waits for the limit of this name waits no longer.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let Some(id) = self.names.remove(name) else {
            return false;
        };
        self.drop_limit(id);
        true
    }

    /// Like `remove`, for a limit without a public name.
    pub(crate) fn drop_limit(&mut self, id: LimitId) {
        let Some(limit) = self.limits.remove(&id) else {
            return;
        };
        let mut touched = Vec::new();
        for ticket in limit.waiting {
            let Some(waiting) = self.waiting.get_mut(&ticket) else {
                continue;
            };
            let rest: Slots = waiting
                .slots
                .iter()
                .copied()
                .filter(|(other, _)| *other != id)
                .collect();
            waiting.slots = Arc::clone(&rest);
            if rest.is_empty() {
                let units = waiting.units;
                self.grant(ticket, units);
            }
            touched.extend(rest.iter().map(|(other, _)| *other));
        }
        self.serve(&touched);
    }

    pub(crate) fn find(&self, name: &str) -> Option<LimitId> {
        self.names.get(name).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Whether slots come back by themselves.
    pub(crate) fn decays(&self, id: LimitId) -> bool {
        self.limits
            .get(&id)
            .is_some_and(|limit| limit.decay.is_some())
    }

    /// How many slots of a limit are taken.
    pub(crate) fn active(&mut self, name: &str, now: Timestamp) -> Option<u64> {
        let id = self.find(name)?;
        let limit = self.limit_mut(id);
        limit.decay(now);
        Some(limit.active)
    }

    /// Asks for these slots, for each of `units` the same.
    pub(crate) fn request(
        &mut self,
        slots: &Slots,
        units: u32,
        priority: i32,
        now: Timestamp,
    ) -> Result<Received, Refusal> {
        for (id, slots) in slots.iter() {
            if let Some(limit) = self.limits.get(id)
                && limit.limit < *slots
            {
                return Err(Refusal {
                    name: Arc::clone(&limit.name),
                    limit: limit.limit,
                    slots: *slots,
                });
            }
        }
        self.next += 1;
        let ticket = Ticket {
            priority: Reverse(priority),
            number: self.next,
        };
        // A limit that has gone meanwhile asks for nothing.
        let slots: Slots = match slots.iter().all(|(id, _)| self.limits.contains_key(id)) {
            true => Arc::clone(slots),
            false => slots
                .iter()
                .copied()
                .filter(|(id, _)| self.limits.contains_key(id))
                .collect(),
        };
        if slots.is_empty() {
            return Ok(Received {
                granted: units,
                ticket: None,
            });
        }
        for (id, _) in slots.iter() {
            self.limit_mut(*id).waiting.insert(ticket);
        }
        let ids: Vec<_> = slots.iter().map(|(id, _)| *id).collect();
        self.waiting.insert(ticket, Waiting { slots, units });
        for id in &ids {
            self.limit_mut(*id).decay(now);
        }
        self.serve(&ids);
        let mut granted = 0;
        self.answers.retain(|(other, answer)| match answer {
            Answer::Granted(units, _) if *other == ticket => {
                granted += units;
                false
            }
            _ => true,
        });
        Ok(Received {
            granted,
            ticket: self.waiting.contains_key(&ticket).then_some(ticket),
        })
    }

    /// Slots come back.
    pub(crate) fn release(&mut self, slots: &Slots, now: Timestamp) {
        for (id, slots) in slots.iter() {
            if let Some(limit) = self.limits.get_mut(id) {
                limit.decay(now);
                limit.active = limit.active.saturating_sub(*slots);
            }
        }
        let ids: Vec<_> = slots.iter().map(|(id, _)| *id).collect();
        self.serve(&ids);
    }

    /// Nobody waits for this request any more.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        let touched = self.take_out(ticket);
        self.serve(&touched);
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        let decaying: Vec<_> = self
            .limits
            .iter_mut()
            .filter(|(_, limit)| limit.decay.is_some())
            .map(|(id, limit)| {
                limit.decay(now);
                *id
            })
            .collect();
        self.serve(&decaying);
    }

    /// When time alone will free slots that somebody waits for.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.limits
            .iter()
            .filter(|(_, limit)| limit.decay.is_some())
            .filter_map(|(id, limit)| {
                let mut wanted = limit
                    .waiting
                    .iter()
                    .map(|ticket| self.slots_of(*ticket, *id));
                limit.free_at(wanted.find(|slots| *slots > limit.free())?)
            })
            .min()
    }

    pub(crate) fn next_answer(&mut self) -> Option<(Ticket, Answer)> {
        self.answers.pop_front()
    }

    pub(crate) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whether more is to be told of this request: it waits, or an answer does.
    pub(crate) fn is_open(&self, ticket: Ticket) -> bool {
        let mut answers = self.answers.iter();
        self.waiting.contains_key(&ticket) || answers.any(|(other, _)| *other == ticket)
    }

    /// Serves those who wait for slots of these limits, in their order.
    fn serve(&mut self, ids: &[LimitId]) {
        let mut open = ids.to_vec();
        let mut after = Bound::Unbounded;
        while let Some(ticket) = self.next_waiting(&open, after) {
            while let Some(units) = self.fitting(ticket) {
                self.grant(ticket, units);
            }
            if self.waiting.contains_key(&ticket) {
                // Those behind it wait too where it lacks slots.
                open.retain(|id| !self.lacks(*id, ticket));
            }
            after = Bound::Excluded(ticket);
        }
    }

    fn next_waiting(&self, ids: &[LimitId], after: Bound<Ticket>) -> Option<Ticket> {
        let limits = ids.iter().filter_map(|id| self.limits.get(id));
        let next = |limit: &Limit| {
            let mut behind = limit.waiting.range((after, Bound::Unbounded));
            behind.next().copied()
        };
        limits.filter_map(next).min()
    }

    /// How many units of a request can have their slots now.
    fn fitting(&self, ticket: Ticket) -> Option<u32> {
        let waiting = self.waiting.get(&ticket)?;
        let mut units = u64::from(waiting.units);
        for (id, slots) in waiting.slots.iter() {
            let limit = &self.limits[id];
            units = units.min(limit.free() / slots);
            if units == 0 {
                return None;
            }
            for earlier in limit.waiting.range(..ticket) {
                if self.lacks(*id, *earlier) {
                    return None;
                }
                // One more unit, and the earlier request may lack slots.
                units = 1;
            }
        }
        u32::try_from(units).ok()
    }

    /// Whether a request has to wait for slots of this limit.
    fn lacks(&self, id: LimitId, ticket: Ticket) -> bool {
        let free = self.limits.get(&id).map_or(u64::MAX, Limit::free);
        self.slots_of(ticket, id) > free
    }

    fn grant(&mut self, ticket: Ticket, units: u32) {
        let Some(waiting) = self.waiting.get_mut(&ticket) else {
            return;
        };
        waiting.units -= units;
        let is_done = waiting.units == 0;
        let slots = Arc::clone(&waiting.slots);
        for (id, slots) in slots.iter() {
            if let Some(limit) = self.limits.get_mut(id) {
                limit.active += slots * u64::from(units);
            }
        }
        if is_done {
            self.take_out(ticket);
        }
        self.answers
            .push_back((ticket, Answer::Granted(units, slots)));
    }

    /// Ends a request's wait; gives the limits that it waited at.
    fn take_out(&mut self, ticket: Ticket) -> Vec<LimitId> {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            return Vec::new();
        };
        let ids: Vec<_> = waiting.slots.iter().map(|(id, _)| *id).collect();
        for id in &ids {
            if let Some(limit) = self.limits.get_mut(id) {
                limit.waiting.remove(&ticket);
            }
        }
        ids
    }

    fn slots_of(&self, ticket: Ticket, id: LimitId) -> u64 {
        let waiting = self.waiting.get(&ticket);
        waiting
            .and_then(|waiting| waiting.slots.iter().find(|(other, _)| *other == id))
            .map_or(0, |(_, slots)| *slots)
    }

    fn limit_mut(&mut self, id: LimitId) -> &mut Limit {
        self.limits
            .get_mut(&id)
            .expect("the caller has looked it up")
    }
}

#[cfg(test)]
mod tests;
