//! The machine under random interleavings: with a model of a scheduler on the other
//! side of two slow lines, and with anything that a scheduler could say.

use std::collections::{HashMap, HashSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::wire::Value;

/// Watchers are numbers here.
type Machine = State<u64>;

fn key(index: usize) -> Key {
    Key::from(format!("key-{index}"))
}

fn exception() -> RemoteException {
    let text = Value::from("not a pickle");
    RemoteException::read(&text)
}

/// Graphs are of no interest here but for their keys.
fn graph(keys: &[Key]) -> ClientMessage {
    ClientMessage::UpdateGraph(keys.iter().collect())
}

fn sent(machine: &mut Machine) -> Vec<ClientMessage> {
    let commands = machine.commands().into_iter();
    commands
        .filter_map(|command| match command {
            Command::Send(message) => Some(message),
            _ => None,
        })
        .collect()
}

fn name(state: &KeyState) -> &'static str {
    match state {
        KeyState::Pending => "pending",
        KeyState::Lost => "lost",
        KeyState::Memory => "memory",
        KeyState::Erred(_) => "erred",
        KeyState::Cancelled(_) => "cancelled",
    }
}

fn submit(machine: &mut Machine, indices: &[usize]) -> Vec<EntryId> {
    let keys: Vec<Key> = indices.iter().copied().map(key).collect();
    machine
        .submit(&keys, vec![graph(&keys)], Vec::new())
        .expect("an open client")
}

fn in_memory(index: usize) -> SchedulerMessage {
    SchedulerMessage::KeyInMemory { key: key(index) }
}

#[test]
fn the_last_handle_releases_and_releases_travel_together() {
    let mut machine = Machine::new();
    let ids = submit(&mut machine, &[0, 1]);
    machine.hold_again(ids[0]);
    sent(&mut machine);

    machine.release(ids[0]);
    machine.release(ids[1]);
    machine.flush();
    let keys = vec![key(1)];
    assert_eq!(sent(&mut machine), [ClientMessage::ReleaseKeys { keys }]);

    machine.release(ids[0]);
    machine.flush();
    let keys = vec![key(0)];
    assert_eq!(sent(&mut machine), [ClientMessage::ReleaseKeys { keys }]);
    machine.flush();
    assert!(sent(&mut machine).is_empty());
}

#[test]
fn a_key_that_comes_back_is_released_before() {
    let mut machine = Machine::new();
    let old = submit(&mut machine, &[0]);
    machine.receive(in_memory(0));
    machine.release(old[0]);
    sent(&mut machine);
    let new = submit(&mut machine, &[0]);
    assert_eq!(name(machine.state_of(new[0])), "pending");
    let keys = vec![key(0)];
    assert_eq!(
        sent(&mut machine),
        [ClientMessage::ReleaseKeys { keys }, graph(&[key(0)])]
    );
}

#[test]
fn a_lost_link_ends_all_that_wait_and_what_comes_later_waits_for_the_next() {
    let mut machine = Machine::new();
    let ids = submit(&mut machine, &[0, 1, 2]);
    machine.watch(ids[0], 7);
    machine.watch(ids[1], 8);
    machine.receive(in_memory(1));
    machine.commands();

    machine.lost();
    let told: Vec<u64> = machine
        .commands()
        .into_iter()
        .filter_map(|command| match command {
            Command::Tell { watcher, state, .. } => {
                assert!(matches!(
                    state,
                    KeyState::Cancelled(Cancelled::ConnectionLost)
                ));
                Some(watcher)
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [7, 8]);

    // The scheduler has forgotten these: there is nothing to release.
    for id in ids {
        machine.release(id);
    }
    let again = submit(&mut machine, &[0]);
    assert!(sent(&mut machine).is_empty());
    machine.connected();
    assert_eq!(sent(&mut machine), [graph(&[key(0)])]);
    assert_eq!(name(machine.state_of(again[0])), "pending");

    machine.lost();
    let last = submit(&mut machine, &[3]);
    machine.close(&Cancelled::ConnectionLost);
    assert_eq!(name(machine.state_of(last[0])), "cancelled");
    machine.connected();
    assert!(machine.is_closed() && sent(&mut machine).is_empty());
    assert_eq!(machine.desire(&[key(4)]), Err(LinkClosed));
}

#[test]
fn keys_that_only_pass_are_released_unless_somebody_has_them() {
    let mut machine = Machine::new();
    submit(&mut machine, &[1]);
    sent(&mut machine);
    let passing = vec![key(1), key(2)];
    let message = graph(&[key(0)]);
    machine
        .submit(&[key(0)], vec![message.clone()], passing)
        .expect("an open client");
    let keys = vec![key(2)];
    assert_eq!(
        sent(&mut machine),
        [message, ClientMessage::ReleaseKeys { keys }]
    );
}

#[test]
fn a_cancelled_key_stays_so_for_its_handles_and_can_be_submitted_anew() {
    let mut machine = Machine::new();
    let old = submit(&mut machine, &[0]);
    machine
        .cancel(vec![key(0)], false, None, None)
        .expect("an open client");
    let new = submit(&mut machine, &[0]);
    machine.receive(in_memory(0));
    assert_eq!(name(machine.state_of(old[0])), "cancelled");
    assert_eq!(name(machine.state_of(new[0])), "memory");
    sent(&mut machine);
    machine.release(old[0]);
    machine.flush();
    assert!(
        sent(&mut machine).is_empty(),
        "the new handle keeps the key"
    );
}

/// What the test does, and when the lines bring their next message.
#[derive(Clone, Debug)]
enum Step {
    Submit(usize),
    Desire(usize),
    HoldAgain(prop::sample::Index),
    Release(prop::sample::Index),
    Cancel(usize, bool),
    Missing(usize),
    Watch(prop::sample::Index),
    Flush,
    /// The scheduler changes a task.
    Turn(usize, u8),
    Restart,
    /// The oldest message on its way arrives.
    ToScheduler,
    ToClient,
    Lost,
    Connected,
}

const KEYS: usize = 4;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..KEYS).prop_map(Step::Submit),
        2 => (0..KEYS).prop_map(Step::Desire),
        2 => any::<prop::sample::Index>().prop_map(Step::HoldAgain),
        5 => any::<prop::sample::Index>().prop_map(Step::Release),
        1 => (0..KEYS, any::<bool>()).prop_map(|(key, force)| Step::Cancel(key, force)),
        1 => (0..KEYS).prop_map(Step::Missing),
        3 => any::<prop::sample::Index>().prop_map(Step::Watch),
        3 => Just(Step::Flush),
        10 => (0..KEYS, 0_u8..5).prop_map(|(key, turn)| Step::Turn(key, turn)),
        1 => Just(Step::Restart),
        12 => Just(Step::ToScheduler),
        12 => Just(Step::ToClient),
        1 => Just(Step::Lost),
        1 => Just(Step::Connected),
    ];
    prop::collection::vec(step, 1..120)
}

/// A task at the scheduler.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    Running,
    Memory,
    Erred,
}

/// A scheduler with one client of ours and, for every key, maybe another one.
#[derive(Default)]
struct Scheduler {
    tasks: HashMap<Key, Task>,
    wanted: HashSet<Key>,
    /// What is on its way to our client.
    line: VecDeque<SchedulerMessage>,
}

impl Scheduler {
    fn report(&mut self, key: &Key) {
        let key = key.clone();
        let message = match self.tasks.get(&key) {
            Some(Task::Running) => return,
            Some(Task::Memory) => SchedulerMessage::KeyInMemory { key },
            Some(Task::Erred) => SchedulerMessage::TaskErred {
                key,
                exception: exception(),
            },
            None => SchedulerMessage::CancelledKeys {
                keys: vec![key],
                cancelled: Cancelled::Forgotten,
            },
        };
        self.line.push_back(message);
    }

    fn hear(&mut self, message: ClientMessage) {
        match message {
            ClientMessage::UpdateGraph(Value::List(keys)) => {
                for key in keys {
                    let key = Key::try_from(key).expect("a key");
                    self.tasks.entry(key.clone()).or_insert(Task::Running);
                    self.wanted.insert(key.clone());
                    self.report(&key);
                }
            }
            ClientMessage::DesireKeys { keys } => {
                for key in keys {
                    if self.tasks.contains_key(&key) {
                        self.wanted.insert(key.clone());
                        self.report(&key);
                    }
                }
            }
            ClientMessage::ReportKey { key } => self.report(&key),
            ClientMessage::ReleaseKeys { keys } => {
                for key in keys {
                    self.wanted.remove(&key);
                    self.tasks.remove(&key);
                }
            }
            ClientMessage::CancelKeys { keys, .. } => {
                for key in keys {
                    if self.tasks.remove(&key).is_some() {
                        self.wanted.remove(&key);
                        self.line.push_back(SchedulerMessage::CancelledKeys {
                            keys: vec![key],
                            cancelled: Cancelled::Requested {
                                reason: None,
                                message: None,
                            },
                        });
                    }
                }
            }
            other => panic!("{other:?} is not said here"),
        }
    }

    /// Something happens to a task, as a scheduler would tell it.
    fn turn(&mut self, key: Key, turn: u8) {
        let Some(task) = self.tasks.get_mut(&key) else {
            return;
        };
        let message = match (*task, turn) {
            (Task::Running, 0 | 1) => {
                *task = Task::Memory;
                SchedulerMessage::KeyInMemory { key }
            }
            (Task::Running, 2) => {
                *task = Task::Erred;
                let exception = exception();
                SchedulerMessage::TaskErred { key, exception }
            }
            (Task::Memory, 3) => {
                *task = Task::Running;
                SchedulerMessage::LostData { key }
            }
            (Task::Erred, 3) => {
                *task = Task::Running;
                SchedulerMessage::TaskRetried { key }
            }
            // Said once more.
            (Task::Memory, 4) => SchedulerMessage::KeyInMemory { key },
            _ => return,
        };
        self.line.push_back(message);
    }

    fn restart(&mut self) {
        self.tasks.clear();
        self.wanted.clear();
        self.line.push_back(SchedulerMessage::Restart);
    }
}

/// Both sides, the lines between them, and what the watchers were told.
struct World {
    machine: Machine,
    scheduler: Scheduler,
    to_scheduler: VecDeque<ClientMessage>,
    is_linked: bool,
    handles: Vec<EntryId>,
    watched: HashMap<u64, EntryId>,
    told: HashMap<u64, &'static str>,
}

impl World {
    fn new() -> Self {
        Self {
            machine: Machine::new(),
            scheduler: Scheduler::default(),
            to_scheduler: VecDeque::new(),
            is_linked: true,
            handles: Vec::new(),
            watched: HashMap::new(),
            told: HashMap::new(),
        }
    }

    fn handle(&self, index: &prop::sample::Index) -> Option<EntryId> {
        (!self.handles.is_empty()).then(|| *index.get(&self.handles))
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Submit(index) => {
                let ids = submit(&mut self.machine, &[*index]);
                self.handles.extend(ids);
            }
            Step::Desire(index) => {
                let ids = self.machine.desire(&[key(*index)]);
                self.handles.extend(ids.expect("an open client"));
            }
            Step::HoldAgain(index) => {
                if let Some(id) = self.handle(index) {
                    self.machine.hold_again(id);
                    self.handles.push(id);
                }
            }
            Step::Release(index) => {
                if !self.handles.is_empty() {
                    let id = self.handles.swap_remove(index.index(self.handles.len()));
                    self.machine.release(id);
                    if !self.handles.contains(&id) {
                        self.watched.retain(|_, watched| *watched != id);
                    }
                }
            }
            Step::Cancel(index, force) => {
                let cancelled = self.machine.cancel(vec![key(*index)], *force, None, None);
                cancelled.expect("an open client");
            }
            Step::Missing(index) => {
                let reported = self.machine.missing(&[key(*index)]);
                reported.expect("an open client");
            }
            Step::Watch(index) => {
                if let Some(id) = self.handle(index) {
                    let watcher = self.watched.len() as u64 + 1000 * self.told.len() as u64;
                    self.machine.watch(id, watcher);
                    self.told.insert(watcher, name(self.machine.state_of(id)));
                    self.watched.insert(watcher, id);
                }
            }
            Step::Flush => self.machine.flush(),
            Step::Turn(index, turn) => self.scheduler.turn(key(*index), *turn),
            Step::Restart => self.scheduler.restart(),
            Step::ToScheduler => {
                if let Some(message) = self.to_scheduler.pop_front() {
                    self.scheduler.hear(message);
                }
            }
            Step::ToClient => {
                if let Some(message) = self.scheduler.line.pop_front() {
                    self.machine.receive(message);
                }
            }
            Step::Lost => {
                self.machine.lost();
                self.is_linked = false;
                self.to_scheduler.clear();
                // Another client keeps the tasks.
                self.scheduler.wanted.clear();
                self.scheduler.line.clear();
            }
            Step::Connected => {
                self.machine.connected();
                self.is_linked = true;
            }
        }
        self.carry_out();
    }

    fn carry_out(&mut self) {
        for command in self.machine.commands() {
            match command {
                Command::Send(message) => {
                    assert!(self.is_linked, "{message:?} is sent without a link");
                    self.to_scheduler.push_back(message);
                }
                Command::Tell { watcher, state, .. } => {
                    assert!(self.watched.contains_key(&watcher));
                    self.told.insert(watcher, name(&state));
                }
                Command::FlushSoon => {}
            }
        }
    }

    /// All that is on its way arrives, and all that runs ends. Until then a key
    /// that was released and submitted anew may show what was said of its first
    /// life.
    fn settle(&mut self) {
        self.step(&Step::Connected);
        self.step(&Step::Flush);
        self.deliver();
        for index in 0..KEYS {
            self.step(&Step::Turn(index, 0));
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        while !self.to_scheduler.is_empty() || !self.scheduler.line.is_empty() {
            self.step(&Step::ToScheduler);
            self.step(&Step::ToClient);
        }
    }
}

proptest! {
    /// Whatever happens in whatever order: once all messages have arrived, both
    /// sides agree, watchers were told, and nothing is held for nobody.
    #[test]
    fn both_sides_agree_in_the_end(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();

        for (watcher, id) in &world.watched {
            let state = name(world.machine.state_of(*id));
            prop_assert_eq!(world.told[watcher], state);
        }
        for (key, id) in &world.machine.current {
            let state = name(world.machine.state_of(*id));
            match world.scheduler.tasks.get(key) {
                Some(Task::Running) => prop_assert!(false, "{} still runs", key),
                Some(Task::Memory) => prop_assert_eq!(state, "memory"),
                Some(Task::Erred) => prop_assert_eq!(state, "erred"),
                None => prop_assert!(false, "{} is {}, but unknown", key, state),
            }
            prop_assert!(world.scheduler.wanted.contains(key));
        }

        for id in std::mem::take(&mut world.handles) {
            world.machine.release(id);
        }
        world.watched.clear();
        world.settle();
        prop_assert!(world.machine.entries.is_empty());
        prop_assert!(world.machine.current.is_empty());
        prop_assert!(world.scheduler.wanted.is_empty());
    }

    /// A scheduler may say anything at any time: ended handles stay ended, the
    /// others show what was said last.
    #[test]
    fn anything_may_be_said(
        said in prop::collection::vec((0_u8..7, 0..KEYS, any::<bool>()), 0..60),
    ) {
        let mut machine = Machine::new();
        let ids = submit(&mut machine, &[0, 1, 2, 3]);
        let mut model = ["pending"; KEYS];
        for (what, index, again) in said {
            let key = key(index);
            let old = model[index];
            let ended = old == "cancelled";
            let (message, new) = match what {
                0 | 1 => (SchedulerMessage::KeyInMemory { key }, "memory"),
                2 => {
                    let exception = exception();
                    (SchedulerMessage::TaskErred { key, exception }, "erred")
                }
                3 => {
                    let new = if old == "pending" { old } else { "lost" };
                    (SchedulerMessage::LostData { key }, new)
                }
                4 => {
                    let new = if old == "lost" { old } else { "pending" };
                    (SchedulerMessage::TaskRetried { key }, new)
                }
                5 => {
                    let message = SchedulerMessage::CancelledKeys {
                        keys: vec![key],
                        cancelled: Cancelled::LostDependencies,
                    };
                    (message, "cancelled")
                }
                _ => {
                    if again {
                        machine.receive(SchedulerMessage::Restart);
                        model = ["cancelled"; KEYS];
                    }
                    continue;
                }
            };
            machine.receive(message);
            if !ended {
                model[index] = new;
            }
            for (id, wanted) in ids.iter().zip(model) {
                prop_assert_eq!(name(machine.state_of(*id)), wanted);
            }
        }
        prop_assert!(sent(&mut machine).len() <= 1, "nothing is answered");
    }
}
