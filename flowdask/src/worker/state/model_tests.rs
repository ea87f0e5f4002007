//! The state machine under random interleavings of all that the scheduler,
//! peers, the executor and memory can say.
//!
//! The model keeps what the scheduler was told and what the shell was told to
//! do. After every step it checks what must always hold; at the end it lets
//! everything run out, and checks that each wanted run was reported.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const KEYS: usize = 8;
const PEERS: usize = 3;
const SLOTS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Compute {
        key: usize,
        dependencies: BTreeSet<usize>,
        gpu: bool,
        priority: u8,
    },
    Free(BTreeSet<usize>),
    RemoveReplicas(BTreeSet<usize>),
    Acquire(BTreeSet<usize>, usize),
    Refresh(BTreeSet<usize>, BTreeSet<usize>),
    Steal(usize),
    Status(Status),
    RemoveWorker(usize),
    Finish(usize),
    Err(usize),
    Reschedule(usize),
    InputsLost(usize),
    Lend(usize),
    /// Which flight, and which of its keys the peer has.
    Land(usize, u8),
    Busy(usize),
    Fail(usize),
    Rested(usize),
    Received(usize),
    Lost(usize),
    MemoryFull(bool),
    Tick,
    SchedulerLost,
}

fn keys() -> impl Strategy<Value = BTreeSet<usize>> {
    proptest::collection::btree_set(0..KEYS, 0..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let nth = 0..16_usize;
    let status = prop_oneof![
        3 => Just(Status::Running),
        1 => Just(Status::Paused),
        1 => Just(Status::ClosingGracefully),
    ];
    let step = prop_oneof![
        12 => (0..KEYS, keys(), any::<bool>(), any::<u8>()).prop_map(
            |(key, dependencies, gpu, priority)| Step::Compute { key, dependencies, gpu, priority },
        ),
        3 => keys().prop_map(Step::Free),
        2 => keys().prop_map(Step::RemoveReplicas),
        2 => (keys(), 0..PEERS).prop_map(|(keys, peer)| Step::Acquire(keys, peer)),
        4 => (keys(), proptest::collection::btree_set(0..PEERS, 0..PEERS))
            .prop_map(|(keys, peers)| Step::Refresh(keys, peers)),
        3 => (0..KEYS).prop_map(Step::Steal),
        1 => status.prop_map(Step::Status),
        1 => (0..PEERS).prop_map(Step::RemoveWorker),
        6 => nth.clone().prop_map(Step::Finish),
        2 => nth.clone().prop_map(Step::Err),
        1 => nth.clone().prop_map(Step::Reschedule),
        1 => nth.clone().prop_map(Step::InputsLost),
        2 => nth.clone().prop_map(Step::Lend),
        6 => (nth.clone(), any::<u8>()).prop_map(|(flight, has)| Step::Land(flight, has)),
        1 => nth.clone().prop_map(Step::Busy),
        1 => nth.clone().prop_map(Step::Fail),
        1 => (0..PEERS).prop_map(Step::Rested),
        1 => (0..KEYS).prop_map(Step::Received),
        1 => (0..KEYS).prop_map(Step::Lost),
        1 => any::<bool>().prop_map(Step::MemoryFull),
        2 => Just(Step::Tick),
        1 => Just(Step::SchedulerLost),
    ];
    proptest::collection::vec(step, 0..120)
}

fn key(index: usize) -> Key {
    Key::from(format!("k{index}"))
}

fn index(key: &Key) -> usize {
    key.as_str().unwrap()[1..].parse().unwrap()
}

fn peer(index: usize) -> Peer {
    format!("tcp://peer:{index}").into()
}

#[derive(Clone, Debug)]
struct Running {
    key: usize,
    gpu: bool,
    lent: bool,
    inputs: Vec<usize>,
}

struct Model {
    state: State<bool>,
    next_run_id: i64,
    /// What the scheduler waits for: the latest run id of each key.
    wanted: BTreeMap<usize, i64>,
    stored: BTreeSet<usize>,
    running: BTreeMap<Execution, Running>,
    flights: BTreeMap<Request, (Peer, Vec<usize>)>,
    resting: BTreeSet<Peer>,
    reported: BTreeSet<(usize, i64)>,
    /// Keys whose execution was cancelled and has not ended.
    cancelled: BTreeSet<usize>,
    /// What was asked for since the last tick.
    asked: BTreeSet<usize>,
    paused: bool,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            state: State::new(Settings {
                address: "tcp://own:1".into(),
                nthreads: SLOTS,
                resources: vec![("GPU".into(), 1.0)],
                incoming_limit: Some(100),
                seed,
            }),
            next_run_id: 0,
            wanted: BTreeMap::new(),
            stored: BTreeSet::new(),
            running: BTreeMap::new(),
            flights: BTreeMap::new(),
            resting: BTreeSet::new(),
            reported: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            asked: BTreeSet::new(),
            paused: false,
        }
    }

    fn remotes(keys: &BTreeSet<usize>, peers: &[Peer]) -> Vec<Remote> {
        keys.iter()
            .map(|&index| Remote {
                key: key(index),
                peers: peers.to_vec(),
                nbytes: 60,
            })
            .collect()
    }

    fn play(&mut self, step: Step) {
        let execution = |model: &Self, n: usize| {
            let nth = n % model.running.len().max(1);
            model.running.keys().nth(nth).copied()
        };
        let flight = |model: &Self, n: usize| {
            let nth = n % model.flights.len().max(1);
            model.flights.keys().nth(nth).copied()
        };
        match step {
            Step::Compute {
                key: index,
                mut dependencies,
                gpu,
                priority,
            } => {
                // The scheduler's graph has no cycles.
                dependencies.retain(|&dependency| dependency < index);
                self.next_run_id += 1;
                self.wanted.insert(index, self.next_run_id);
                let resources = if gpu {
                    vec![("GPU".into(), 1.0)]
                } else {
                    Vec::new()
                };
                let peers = [peer(priority as usize % PEERS), "tcp://own:1".into()];
                self.tell(Event::ComputeTask(ComputeTask {
                    key: key(index),
                    run_id: self.next_run_id,
                    priority: Priority::new([0.0, priority.into()]),
                    resources,
                    dependencies: Self::remotes(&dependencies, &peers),
                    work: gpu,
                }));
            }
            Step::Free(keys) => {
                for index in &keys {
                    self.wanted.remove(index);
                }
                self.tell(Event::FreeKeys(keys.iter().map(|&n| key(n)).collect()));
                for index in &keys {
                    assert!(!self.stored.contains(index), "a freed key is kept");
                }
            }
            Step::RemoveReplicas(keys) => {
                self.tell(Event::RemoveReplicas(
                    keys.iter().map(|&n| key(n)).collect(),
                ));
            }
            Step::Acquire(keys, at) => {
                self.tell(Event::AcquireReplicas(Self::remotes(&keys, &[peer(at)])));
            }
            Step::Refresh(keys, peers) => {
                let peers: Vec<Peer> = peers.into_iter().map(peer).collect();
                self.tell(Event::RefreshWhoHas(Self::remotes(&keys, &peers)));
            }
            Step::Steal(index) => self.tell(Event::StealRequest {
                key: key(index),
                stimulus_id: "steal-1".into(),
            }),
            Step::Status(status) => self.tell(Event::StatusChange(status)),
            Step::RemoveWorker(index) => self.tell(Event::RemoveWorker(peer(index))),
            Step::Finish(n) => self.end(execution(self, n), |execution| Event::Finished {
                execution,
                nbytes: 60,
            }),
            Step::Err(n) => self.end(execution(self, n), Event::Erred),
            Step::Reschedule(n) => self.end(execution(self, n), Event::Rescheduled),
            Step::InputsLost(n) => {
                let Some(execution) = execution(self, n) else {
                    return;
                };
                let inputs = self.running[&execution].inputs.clone();
                let keys = inputs.into_iter().map(key).take(1).collect();
                self.end(Some(execution), |execution| Event::InputsLost {
                    execution,
                    keys,
                });
            }
            Step::Lend(n) => {
                if let Some(execution) = execution(self, n) {
                    self.running.get_mut(&execution).unwrap().lent = true;
                    self.tell(Event::Lent(execution));
                }
            }
            Step::Land(n, has) => {
                if let Some(request) = flight(self, n) {
                    let (_, keys) = self.flights.remove(&request).unwrap();
                    let found = keys
                        .into_iter()
                        .filter(|index| has & (1 << index) != 0)
                        .map(|index| (key(index), 60))
                        .collect();
                    self.tell(Event::Fetched { request, found });
                }
            }
            Step::Busy(n) => {
                if let Some(request) = flight(self, n) {
                    self.flights.remove(&request);
                    self.tell(Event::PeerBusy(request));
                }
            }
            Step::Fail(n) => {
                if let Some(request) = flight(self, n) {
                    self.flights.remove(&request);
                    self.tell(Event::PeerFailed(request));
                }
            }
            Step::Rested(index) => {
                self.resting.remove(&peer(index));
                self.tell(Event::PeerRested(peer(index)));
            }
            Step::Received(index) => self.tell(Event::DataReceived(vec![(key(index), 60)])),
            Step::Lost(index) => self.tell(Event::DataLost(key(index))),
            Step::MemoryFull(full) => self.tell(Event::MemoryFull(full)),
            Step::Tick => {
                self.asked.clear();
                self.tell(Event::Tick);
            }
            Step::SchedulerLost => {
                self.wanted.clear();
                self.flights.clear();
                self.resting.clear();
                self.asked.clear();
                self.tell(Event::SchedulerLost);
                assert!(self.stored.is_empty());
            }
        }
    }

    fn end(&mut self, execution: Option<Execution>, event: impl FnOnce(Execution) -> Event<bool>) {
        if let Some(execution) = execution {
            let ended = self.running.remove(&execution).unwrap();
            self.cancelled.remove(&ended.key);
            self.tell(event(execution));
        }
    }

    fn tell(&mut self, event: Event<bool>) {
        for command in self.state.handle(event) {
            self.obey(command);
        }
        self.check();
    }

    fn obey(&mut self, command: Command<bool>) {
        match command {
            Command::Store(key) => assert!(self.stored.insert(index(&key)), "stored twice"),
            Command::Drop(key) => assert!(self.stored.remove(&index(&key)), "dropped twice"),
            Command::Execute {
                execution,
                key,
                work: gpu,
                inputs,
            } => {
                let key = index(&key);
                assert!(self.wanted.contains_key(&key), "an unwanted run starts");
                assert!(
                    self.running.values().all(|running| running.key != key),
                    "a key is executed twice at a time"
                );
                assert!(!self.paused, "a run starts while paused");
                let inputs: Vec<usize> = inputs.iter().map(index).collect();
                for input in &inputs {
                    assert!(self.stored.contains(input), "an input is not here");
                }
                let running = Running {
                    key,
                    gpu,
                    lent: false,
                    inputs,
                };
                self.running.insert(execution, running);
            }
            Command::Cancel(key) => {
                let key = index(&key);
                assert!(self.running.values().any(|running| running.key == key));
                assert!(self.cancelled.insert(key), "cancelled twice");
            }
            Command::Fetch {
                request,
                peer,
                keys,
            } => {
                assert!(!self.paused, "a fetch starts while paused");
                assert!(!self.resting.contains(&peer), "a busy peer is asked");
                assert!(
                    self.flights.values().all(|(other, _)| *other != peer),
                    "a peer is asked two things at a time"
                );
                let keys: Vec<usize> = keys.iter().map(index).collect();
                for key in &keys {
                    assert!(!self.stored.contains(key), "what is here is fetched");
                    assert!(
                        self.flights.values().all(|(_, keys)| !keys.contains(key)),
                        "fetched twice at a time"
                    );
                }
                self.flights.insert(request, (peer, keys));
            }
            Command::Rest(peer) => {
                self.resting.insert(peer);
            }
            Command::Send(message) => self.hear(message),
            Command::Leave => panic!("nobody said so"),
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::TaskFinished { key, run_id } => {
                assert!(
                    self.stored.contains(&index(&key)),
                    "finished without a value"
                );
                self.report(index(&key), run_id);
            }
            Message::TaskErred { key, run_id } => self.report(index(&key), run_id),
            Message::Reschedule { key } => {
                assert!(self.wanted.remove(&index(&key)).is_some());
            }
            Message::LongRunning { key, run_id, .. } => {
                assert_eq!(self.wanted.get(&index(&key)), Some(&run_id));
            }
            Message::AddKeys(keys) => {
                for key in keys {
                    assert!(self.stored.contains(&index(&key)));
                }
            }
            Message::ReleaseWorkerData(key) => assert!(!self.stored.contains(&index(&key))),
            Message::StealResponse { key, state, .. } => match state {
                Some("waiting" | "ready" | "constrained") => {
                    assert!(self.wanted.remove(&index(&key)).is_some());
                }
                Some("memory") => assert!(self.stored.contains(&index(&key))),
                Some("executing" | "long-running") => {
                    assert!(self.wanted.contains_key(&index(&key)));
                }
                None => assert!(!self.wanted.contains_key(&index(&key))),
                Some(other) => panic!("{other} is no answer"),
            },
            Message::RequestRefreshWhoHas(keys) => {
                for key in keys {
                    assert!(self.asked.insert(index(&key)), "asked again before a tick");
                }
            }
            Message::StatusChange(status) => self.paused = status != Status::Running,
        }
    }

    fn report(&mut self, key: usize, run_id: i64) {
        assert_eq!(
            self.wanted.remove(&key),
            Some(run_id),
            "not the latest run id"
        );
        assert!(self.reported.insert((key, run_id)), "reported twice");
    }

    fn check(&mut self) {
        self.paused = self.state.status() != Status::Running;
        let slots = self
            .running
            .values()
            .filter(|running| !running.lent)
            .count();
        assert!(slots <= SLOTS, "{slots} slots are used");
        let gpus = self.running.values().filter(|running| running.gpu).count();
        assert!(gpus <= 1, "{gpus} GPUs are used");
        for index in 0..KEYS {
            assert_eq!(self.state.holds(&key(index)), self.stored.contains(&index));
        }
        if !self.paused && slots < SLOTS {
            // Whoever is ready either runs or lacks the resource.
            let counts = self.state.task_counts();
            assert_eq!(counts.get("ready"), None, "a ready run does not start");
            if gpus == 0 {
                assert_eq!(counts.get("constrained"), None, "nobody holds the resource");
            }
        }
    }

    /// Everything goes well from now on: nothing wanted may be left.
    fn run_out(&mut self) {
        self.play(Step::MemoryFull(false));
        self.play(Step::Status(Status::Running));
        for index in 0..PEERS {
            self.play(Step::Rested(index));
        }
        for _ in 0..20 * KEYS {
            if self.wanted.is_empty() && self.running.is_empty() {
                return;
            }
            while !self.running.is_empty() {
                self.play(Step::Finish(0));
            }
            while !self.flights.is_empty() {
                self.play(Step::Land(0, u8::MAX));
            }
            self.play(Step::Tick);
            let missing = std::mem::take(&mut self.asked);
            self.play(Step::Refresh(missing, (0..PEERS).collect()));
        }
        panic!("lost: {:?}", self.wanted);
    }
}

/// How many programs: `FLOW_TEST_SCALE` makes the test longer.
fn cases() -> u32 {
    let scale = std::env::var("FLOW_TEST_SCALE").map_or(1, |text| {
        text.trim()
            .parse()
            .expect("FLOW_TEST_SCALE is a whole number")
    });
    300_u32.saturating_mul(scale)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn whatever_comes_in_whatever_order_the_rules_hold(steps in steps(), seed: u64) {
        let mut model = Model::new(seed);
        for step in steps {
            model.play(step);
        }
        model.run_out();
    }
}

fn execute_one(model: &mut Model) {
    model.play(Step::Compute {
        key: 0,
        dependencies: BTreeSet::new(),
        gpu: false,
        priority: 0,
    });
}

#[test]
fn a_run_sent_again_while_it_executes_is_reported_with_the_new_run_id() {
    let mut model = Model::new(0);
    execute_one(&mut model);
    execute_one(&mut model);
    model.play(Step::Finish(0));
    assert_eq!(model.reported, BTreeSet::from([(0, 2)]));
    // And again, with the value at hand.
    execute_one(&mut model);
    assert_eq!(model.reported, BTreeSet::from([(0, 2), (0, 3)]));
}

#[test]
fn a_run_taken_back_while_it_executes_reports_nothing_and_runs_anew_if_wanted_again() {
    let mut model = Model::new(0);
    execute_one(&mut model);
    model.play(Step::Free(BTreeSet::from([0])));
    execute_one(&mut model);
    assert_eq!(model.running.len(), 1, "not twice at a time");
    model.play(Step::Finish(0));
    assert!(model.reported.is_empty() && model.stored.is_empty());
    model.play(Step::Finish(0));
    assert_eq!(model.reported, BTreeSet::from([(0, 2)]));
}

#[test]
fn who_closes_says_so_and_hears_no_more() {
    let mut model = Model::new(0);
    execute_one(&mut model);
    let execution = *model.running.keys().next().unwrap();
    let commands = model.state.handle(Event::Close);
    let expected = [
        Command::Cancel(key(0)),
        Command::Send(Message::StatusChange(Status::Closing)),
        Command::Leave,
    ];
    assert_eq!(commands, expected);
    let finished = Event::Finished {
        execution,
        nbytes: 1,
    };
    assert_eq!(model.state.handle(finished), []);
    assert_eq!(model.state.handle(Event::FreeKeys(vec![key(0)])), []);
}
