//! Task runs: which events go out, and how many at once.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::flows::is_final;
use super::weight::{self, Scale, Weight};
use super::{Ledger, Note, Seen};
use crate::prefect::message::TaskRunUpdate;
use crate::prefect::outbox::event::{self, EventFacts};
use crate::state::StateType;

/// With more runs than this to tell of, only their newest states are told, as
/// when the server is behind: it records about so many states a second.
const MANY: usize = 100;

/// One task run that is not known to be recorded as it is.
#[derive(Debug)]
pub(super) struct RunEntry {
    pub(super) newest: Arc<TaskRunUpdate>,
    unsent: VecDeque<Arc<TaskRunUpdate>>,
    is_queued: bool,
    pub(super) last: Option<LastEvent>,
    pub(super) recorded_by: RecordedBy,
    weight: Option<Weight>,
}

impl RunEntry {
    /// Nothing of it is sent before somebody looks what the server has.
    pub(super) fn park(&mut self) {
        self.unsent.clear();
        self.is_queued = false;
        self.recorded_by = RecordedBy::Nothing;
    }

    /// One that is told, and has not ended, weighs nothing: it can only wait
    /// for what comes, and the engine holds more of it.
    fn weigh(&mut self, scale: &Scale) {
        let ended = usize::from(self.recorded_by != RecordedBy::Nothing);
        let states = match self.unsent.len() {
            0 => ended,
            unsent => unsent + 1,
        };
        self.weight = (states > 0).then(|| scale.weigh(states * weight::of_run(&self.newest)));
    }

    /// Whether it ended, and all of it was sent.
    pub(super) fn is_settled(&self) -> bool {
        self.unsent.is_empty() && self.recorded_by != RecordedBy::Nothing
    }

    /// Whether it is told, but has not ended.
    pub(super) fn is_under_way(&self) -> bool {
        self.unsent.is_empty() && self.recorded_by == RecordedBy::Nothing
    }

    /// Whether something of it is to be sent.
    pub(super) fn is_queued(&self) -> bool {
        self.is_queued
    }

    /// Of the events of its flow run the last that was sent of it.
    pub(super) fn number(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.number)
    }

    /// Whether a row shows the last event that was sent.
    pub(super) fn is_told_by(&self, row: &Seen) -> bool {
        let is_told = |last: &LastEvent| {
            let micros = Timestamp::as_microsecond;
            let is_of_then = |at| micros(at) >= micros(last.occurred);
            last.state.1 == row.state && row.at.is_none_or(is_of_then)
        };
        self.last.as_ref().is_some_and(is_told)
    }

    /// Whether a row shows the run as it is, or as somebody else made it since.
    pub(super) fn is_shown_by(&self, row: &Seen) -> bool {
        let sent = self.last.as_ref().map(|last| last.occurred);
        let is_newer = row.at.zip(sent).is_some_and(|(at, sent)| at > sent);
        row.state == self.newest.state.name || is_newer
    }

    pub(super) fn is_parked(&self) -> bool {
        self.unsent.is_empty() && self.recorded_by == RecordedBy::Nothing
    }

    pub(super) fn send_newest(&mut self) {
        self.unsent.push_back(Arc::clone(&self.newest));
        self.is_queued = true;
    }
}

#[derive(Debug)]
pub(super) struct LastEvent {
    id: Uuid,
    occurred: Timestamp,
    state: (StateType, String),
    /// So many events of its flow run were sent then.
    number: u64,
}

/// How it shows that a run's final state is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordedBy {
    /// Not yet in a final state, or that was not sent.
    Nothing,
    /// There are so many runs in terminal states of its flow run.
    Count(u64),
    /// Only by its own row.
    Row,
}

impl Ledger {
    pub(super) fn task_run(&mut self, update: Box<TaskRunUpdate>) {
        let melts = self.dirty.len() > MANY || self.window.is_behind();
        if let Some(flow) = update.flow {
            match self.flows.get_mut(&flow) {
                Some(entry) if !entry.is_refused() => {
                    entry.runs.insert(update.id);
                }
                // Its flow run has ended, or is not reported.
                _ => return,
            }
        } else {
            self.alone_runs.insert(update.id);
        }
        let id = update.id;
        let newest: Arc<TaskRunUpdate> = Arc::from(update);
        let entry = match self.runs.entry(id) {
            Entry::Occupied(known) => {
                let entry = known.into_mut();
                entry.newest = Arc::clone(&newest);
                entry
            }
            Entry::Vacant(vacant) => vacant.insert(RunEntry {
                newest: Arc::clone(&newest),
                // Of most runs one state waits, and there may be many of them.
                unsent: VecDeque::with_capacity(1),
                is_queued: false,
                last: None,
                recorded_by: RecordedBy::Nothing,
                weight: None,
            }),
        };
        if melts {
            entry.unsent.clear();
        }
        entry.unsent.push_back(newest);
        entry.weigh(&self.away.scale);
        if !entry.is_queued {
            entry.is_queued = true;
            self.dirty.push_back(id);
        }
    }

    /// Whether there is anything to send, if the window has room.
    pub(crate) fn has_events(&self) -> bool {
        !self.window.probes.is_empty() || !self.dirty.is_empty()
    }

    /// Events to send now, at most so many.
    pub(crate) fn next_events(&mut self, most: usize) -> Vec<String> {
        let mut events = Vec::new();
        for id in std::mem::take(&mut self.window.probes) {
            self.events_of(id, &mut events);
        }
        while events.len() < most && !self.window.is_full() {
            let Some(id) = self.dirty.pop_front() else {
                break;
            };
            self.events_of(id, &mut events);
        }
        events
    }

    /// All of one run: a run's states are few.
    fn events_of(&mut self, id: Uuid, events: &mut Vec<String>) {
        let Some(mut entry) = self.runs.remove(&id) else {
            return;
        };
        if let Some(flow) = entry.newest.flow
            && let Some(flow) = self.flows.get_mut(&flow)
            && flow.known().is_none()
        {
            flow.waiting.push(id);
            self.runs.insert(id, entry);
            return;
        }
        entry.is_queued = false;
        for update in std::mem::take(&mut entry.unsent) {
            events.push(self.event(&mut entry, &update));
        }
        entry.weigh(&self.away.scale);
        self.runs.insert(id, entry);
    }

    fn event(&mut self, entry: &mut RunEntry, update: &TaskRunUpdate) -> String {
        let flow = update.flow.and_then(|flow| self.flows.get(&flow));
        let id = (self.new_id)();
        // Two states of one run may not have one time.
        let earliest = entry.last.as_ref().and_then(|last| {
            last.occurred
                .checked_add(SignedDuration::from_micros(1))
                .ok()
        });
        let occurred = earliest.map_or(update.state.at, |earliest| earliest.max(update.state.at));
        let event = event::event(
            update,
            &EventFacts {
                id,
                follows: entry.last.as_ref().map(|last| last.id),
                occurred,
                before: entry.last.as_ref().map(|last| &last.state),
                flow_run: flow.and_then(|flow| flow.known()),
                has_fractional_delays: self.has_fractional_delays,
            },
            |flow| self.server_id(flow),
        );
        let state = (update.state.kind, update.state.name.clone());
        entry.last = Some(LastEvent {
            id,
            occurred,
            state,
            number: self.sent(entry, update),
        });
        event
    }

    /// Counts an event that goes out; its number in its flow run.
    fn sent(&mut self, entry: &mut RunEntry, update: &TaskRunUpdate) -> u64 {
        let flow = update.flow.and_then(|flow| self.flows.get_mut(&flow));
        let kind = update.state.kind;
        let ends = is_final(kind, &update.state.name);
        // A run that was counted, or is none to count, shows by its row.
        let was_final = entry.recorded_by != RecordedBy::Nothing;
        let is_again = was_final || update.state.name == "RolledBack";
        let Some(flow) = flow else {
            if ends {
                entry.recorded_by = RecordedBy::Row;
            }
            return 0;
        };
        let number = flow.sent.event();
        self.window.out += 1;
        if ends && kind.is_terminal() && !is_again {
            entry.recorded_by = RecordedBy::Count(flow.sent.ends());
        } else if ends {
            entry.recorded_by = RecordedBy::Row;
        }
        number
    }

    /// The flow run is known to the server: its runs can be told.
    pub(super) fn wake_runs(&mut self, flow: Uuid) {
        let waiting = self.flows.get_mut(&flow);
        let waiting = waiting.map(|entry| std::mem::take(&mut entry.waiting));
        for run in waiting.into_iter().flatten().rev() {
            self.dirty.push_front(run);
        }
    }

    /// A run's newest state was lost on the way: it is told once more, as
    /// something new, since the server drops what it has seen; but not as
    /// newer than what others may have said of it since.
    pub(super) fn repair(&mut self, id: Uuid) {
        if self.tells_again(id) {
            self.dirty.push_back(id);
        }
    }

    /// The same, at once.
    pub(super) fn probe(&mut self, id: Uuid) {
        if self.tells_again(id) {
            self.window.probes.push(id);
        }
    }

    /// Whether it is to be queued for that.
    fn tells_again(&mut self, id: Uuid) -> bool {
        let Some(entry) = self.runs.get_mut(&id) else {
            return false;
        };
        if !entry.unsent.is_empty() {
            return false;
        }
        entry.unsent.push_back(Arc::clone(&entry.newest));
        !std::mem::replace(&mut entry.is_queued, true)
    }

    /// The run's newest state is recorded.
    pub(super) fn recorded(&mut self, id: Uuid) {
        let Some(entry) = self.runs.get(&id) else {
            return;
        };
        if !entry.is_settled() {
            return;
        }
        let flow = entry.newest.flow;
        self.runs.remove(&id);
        self.note(Note::Recorded(vec![id]));
        if let Some(flow) = flow.and_then(|flow| self.flows.get_mut(&flow)) {
            flow.runs.remove(&id);
            flow.sent.gone += 1;
        }
    }

    /// Whether a task run outside of flow runs is told and recorded.
    pub(crate) fn is_recorded(&self, id: Uuid) -> bool {
        !self.runs.contains_key(&id) && self.away.alone == 0
    }
}
