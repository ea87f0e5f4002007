//! Which runs are claimed, started, asked to stop and told as ended: events
//! in, commands out. No clock, no process, no server.
//!
//! Invariants: a run is started only after the server has given it to us, and
//! at most once; there are never more than `limit` claims and processes; a run
//! that was started is told as ended before the runner is done.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::exit::Exit;

/// How the runner treats its runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// How many run at once.
    pub(super) limit: usize,
    /// How long a run that was asked to stop may take before it is killed.
    pub(super) grace: Duration,
    /// How long runs may go on when the runner shall leave.
    pub(super) patience: Duration,
    /// Whether schedules rest when the runner leaves.
    pub(super) pauses: bool,
}

#[derive(Debug)]
pub(super) enum Event {
    /// What the server has scheduled, all of it.
    Scheduled(Vec<(Timestamp, Uuid)>),
    /// The server has given a run to us, or not.
    Claimed(Uuid, bool),
    Started(Uuid),
    /// There is no process, and why.
    NotStarted(Uuid, String),
    Ended(Uuid, Exit),
    /// Somebody wants it cancelled.
    Cancel(Uuid),
    /// The server knows how it ended.
    Concluded(Uuid),
    /// Take no more runs, and end when the last has ended.
    Leave,
    /// And that at once.
    Insist,
    /// Time has passed.
    Woken,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Claim(Uuid),
    Start(Uuid),
    Order(Uuid, Order),
    Conclude(Uuid, Conclusion),
    /// Let the schedules rest.
    Pause,
    /// Nothing is left to do.
    Done,
}

/// What the process of a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Cancel the flow run, and end.
    Cancel,
    /// End as by SIGTERM.
    Terminate,
    /// It is ended, as by SIGKILL.
    Kill,
}

/// What the server is told of a run whose process has ended, or never was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// It was cancelled.
    Cancelled,
    /// It ended so; most runs have told their final state themselves.
    Ended(Exit),
    NotStarted(String),
    /// Others may have it.
    GivenBack,
}

#[derive(Debug)]
pub(super) struct Machine {
    rules: Rules,
    /// Runs that are not ours yet, the earliest first.
    waiting: BTreeMap<(Timestamp, Uuid), ()>,
    ours: HashMap<Uuid, Stage>,
    /// When the runner was asked to leave.
    leaving: Option<Timestamp>,
    is_done: bool,
}

#[derive(Debug)]
enum Stage {
    Claiming,
    Starting { is_cancelled: bool },
    Running(Option<Stop>),
    Concluding,
}

/// A run that was asked to stop.
#[derive(Clone, Copy, Debug)]
struct Stop {
    since: Timestamp,
    given: Order,
    is_cancelled: bool,
}

impl Stage {
    fn takes_a_place(&self) -> bool {
        !matches!(self, Self::Concluding)
    }
}

impl Machine {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            waiting: BTreeMap::new(),
            ours: HashMap::new(),
            leaving: None,
            is_done: false,
        }
    }

    pub(super) fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Scheduled(runs) if self.leaving.is_none() => {
                let new = runs
                    .into_iter()
                    .filter(|(_, run)| !self.ours.contains_key(run));
                self.waiting = new.map(|run| (run, ())).collect();
            }
            Event::Scheduled(_) | Event::Woken => {}
            Event::Claimed(run, is_ours) => self.claimed(run, is_ours, &mut commands),
            Event::Started(run) => self.started(now, run, &mut commands),
            Event::NotStarted(run, reason) => {
                self.conclude(run, Conclusion::NotStarted(reason), &mut commands);
            }
            Event::Ended(run, exit) => self.ended(run, exit, &mut commands),
            Event::Cancel(run) => self.cancel(now, run, &mut commands),
            Event::Concluded(run) => drop(self.ours.remove(&run)),
            Event::Leave => self.leave(now, &mut commands),
            Event::Insist => {
                self.leave(now, &mut commands);
                self.stop_all(now, &mut commands);
            }
        }
        self.look_at_time(now, &mut commands);
        self.claim_due(now, &mut commands);
        if self.leaving.is_some() && self.ours.is_empty() && !self.is_done {
            self.is_done = true;
            commands.push(Command::Done);
        }
        commands
    }

    /// When time alone changes something.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let due = self.waiting.first_key_value().map(|((time, _), ())| *time);
        let due = due.filter(|_| self.has_place());
        let left = self.leaving.map(|since| since + self.rules.patience);
        let left = left.filter(|_| {
            let mut stages = self.ours.values();
            stages.any(|stage| matches!(stage, Stage::Running(None)))
        });
        let stops = self.ours.values().filter_map(|stage| match stage {
            Stage::Running(Some(stop)) => self.next_order(stop).map(|(time, _)| time),
            _ => None,
        });
        stops.chain(due).chain(left).min()
    }

    fn has_place(&self) -> bool {
        let taken = self.ours.values().filter(|stage| stage.takes_a_place());
        taken.count() < self.rules.limit
    }

    fn claim_due(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        while self.has_place()
            && let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            let ((_, run), ()) = first.remove_entry();
            self.ours.insert(run, Stage::Claiming);
            commands.push(Command::Claim(run));
        }
    }

    fn claimed(&mut self, run: Uuid, is_ours: bool, commands: &mut Vec<Command>) {
        if !matches!(self.ours.get(&run), Some(Stage::Claiming)) {
            return;
        }
        if !is_ours {
            self.ours.remove(&run);
        } else if self.leaving.is_some() {
            self.conclude(run, Conclusion::GivenBack, commands);
        } else {
            let starting = Stage::Starting {
                is_cancelled: false,
            };
            self.ours.insert(run, starting);
            commands.push(Command::Start(run));
        }
    }

    fn started(&mut self, now: Timestamp, run: Uuid, commands: &mut Vec<Command>) {
        let Some(stage @ Stage::Starting { .. }) = self.ours.get_mut(&run) else {
            return;
        };
        let is_cancelled = matches!(stage, Stage::Starting { is_cancelled: true });
        *stage = Stage::Running(None);
        if is_cancelled {
            self.cancel(now, run, commands);
        }
    }

    fn ended(&mut self, run: Uuid, exit: Exit, commands: &mut Vec<Command>) {
        let Some(Stage::Running(stop)) = self.ours.get(&run) else {
            return;
        };
        let conclusion = match stop {
            Some(stop) if stop.is_cancelled => Conclusion::Cancelled,
            _ => Conclusion::Ended(exit),
        };
        self.conclude(run, conclusion, commands);
    }

    fn conclude(&mut self, run: Uuid, conclusion: Conclusion, commands: &mut Vec<Command>) {
        if let Some(stage) = self.ours.get_mut(&run) {
            *stage = Stage::Concluding;
            commands.push(Command::Conclude(run, conclusion));
        }
    }

    fn cancel(&mut self, now: Timestamp, run: Uuid, commands: &mut Vec<Command>) {
        match self.ours.get_mut(&run) {
            Some(Stage::Starting { is_cancelled }) => *is_cancelled = true,
            Some(Stage::Running(Some(stop))) => stop.is_cancelled = true,
            Some(stop @ Stage::Running(None)) => {
                *stop = Stage::Running(Some(Stop {
                    since: now,
                    given: Order::Cancel,
                    is_cancelled: true,
                }));
                commands.push(Command::Order(run, Order::Cancel));
            }
            // Not ours yet, then never; or over.
            Some(Stage::Claiming | Stage::Concluding) | None => {}
        }
    }

    fn leave(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        if self.leaving.is_some() {
            return;
        }
        self.leaving = Some(now);
        self.waiting.clear();
        if self.rules.pauses {
            commands.push(Command::Pause);
        }
    }

    /// All that run shall end now.
    fn stop_all(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        for (run, stage) in &mut self.ours {
            let stop = match stage {
                Stage::Running(stop) => stop,
                _ => continue,
            };
            if stop.is_some_and(|stop| stop.given >= Order::Terminate) {
                continue;
            }
            *stop = Some(Stop {
                since: now,
                given: Order::Terminate,
                is_cancelled: stop.is_some_and(|stop| stop.is_cancelled),
            });
            commands.push(Command::Order(*run, Order::Terminate));
        }
    }

    /// The next order for a run that was asked to stop, and its time.
    fn next_order(&self, stop: &Stop) -> Option<(Timestamp, Order)> {
        match stop.given {
            // A flow that cancels itself leaves its tasks as Cancelled; one that
            // does not is ended while there is time to say so.
            Order::Cancel => Some((stop.since + self.rules.grace / 3, Order::Terminate)),
            Order::Terminate => Some((stop.since + self.rules.grace, Order::Kill)),
            Order::Kill => None,
        }
    }

    fn look_at_time(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        if let Some(since) = self.leaving
            && now >= since + self.rules.patience
        {
            self.stop_all(now, commands);
        }
        let mut orders = Vec::new();
        for (run, stage) in &self.ours {
            if let Stage::Running(Some(stop)) = stage
                && let Some((time, order)) = self.next_order(stop)
                && now >= time
            {
                orders.push((*run, order));
            }
        }
        for (run, order) in orders {
            if let Some(Stage::Running(Some(stop))) = self.ours.get_mut(&run) {
                stop.given = order;
                commands.push(Command::Order(run, order));
            }
        }
    }
}

#[cfg(test)]
mod tests;
