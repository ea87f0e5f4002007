//! The runner's decisions, in single steps and in random orders of events.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    limit: 2,
    grace: Duration::from_secs(30),
    patience: Duration::from_secs(60),
    pauses: true,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).expect("a time")
}

fn run(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

const EXIT: Exit = Exit {
    status: 0,
    memory_ran_out: false,
};

/// A machine with this run in a process.
fn running(number: u128) -> Machine {
    let mut machine = Machine::new(RULES);
    let due = vec![(at(0), run(number))];
    let claims = machine.handle(at(0), Event::Scheduled(due));
    assert_eq!(claims, [Command::Claim(run(number))]);
    let started = machine.handle(at(0), Event::Claimed(run(number), true));
    assert_eq!(started, [Command::Start(run(number))]);
    assert_eq!(machine.handle(at(0), Event::Started(run(number))), []);
    machine
}

#[test]
fn runs_are_claimed_at_their_time_and_no_more_than_the_limit() {
    let mut machine = Machine::new(RULES);
    let due = vec![
        (at(5), run(3)),
        (at(0), run(1)),
        (at(0), run(2)),
        (at(0), run(4)),
    ];
    let claims = machine.handle(at(0), Event::Scheduled(due));
    assert_eq!(claims, [Command::Claim(run(1)), Command::Claim(run(2))]);
    assert_eq!(machine.wake_at(), None);
    // Another runner was quicker: its place is for the next.
    let next = machine.handle(at(1), Event::Claimed(run(1), false));
    assert_eq!(next, [Command::Claim(run(4))]);
    assert_eq!(machine.handle(at(1), Event::Claimed(run(2), false)), []);
    assert_eq!(machine.wake_at(), Some(at(5)));
    assert_eq!(
        machine.handle(at(5), Event::Woken),
        [Command::Claim(run(3))]
    );
}

#[test]
fn a_run_that_the_server_names_again_is_not_claimed_again() {
    let mut machine = running(1);
    assert_eq!(
        machine.handle(at(3), Event::Scheduled(vec![(at(0), run(1))])),
        []
    );
}

#[test]
fn cancelling_goes_from_asking_to_killing() {
    let mut machine = running(1);
    let orders = machine.handle(at(0), Event::Cancel(run(1)));
    assert_eq!(orders, [Command::Order(run(1), Order::Cancel)]);
    assert_eq!(machine.handle(at(1), Event::Cancel(run(1))), []);
    assert_eq!(machine.wake_at(), Some(at(10)));
    let orders = machine.handle(at(10), Event::Woken);
    assert_eq!(orders, [Command::Order(run(1), Order::Terminate)]);
    let orders = machine.handle(at(30), Event::Woken);
    assert_eq!(orders, [Command::Order(run(1), Order::Kill)]);
    assert_eq!(machine.wake_at(), None);
    let told = machine.handle(at(31), Event::Ended(run(1), EXIT));
    assert_eq!(told, [Command::Conclude(run(1), Conclusion::Cancelled)]);
}

#[test]
fn a_run_that_is_cancelled_while_it_starts_is_asked_as_soon_as_it_can_hear() {
    let mut machine = Machine::new(RULES);
    machine.handle(at(0), Event::Scheduled(vec![(at(0), run(1))]));
    machine.handle(at(0), Event::Claimed(run(1), true));
    assert_eq!(machine.handle(at(0), Event::Cancel(run(1))), []);
    let orders = machine.handle(at(0), Event::Started(run(1)));
    assert_eq!(orders, [Command::Order(run(1), Order::Cancel)]);
}

#[test]
fn who_leaves_takes_nothing_new_and_waits_for_what_runs() {
    let mut machine = running(1);
    assert_eq!(machine.handle(at(0), Event::Leave), [Command::Pause]);
    assert_eq!(
        machine.handle(at(1), Event::Scheduled(vec![(at(0), run(2))])),
        []
    );
    assert_eq!(machine.wake_at(), Some(at(60)));
    let told = machine.handle(at(9), Event::Ended(run(1), EXIT));
    assert_eq!(told, [Command::Conclude(run(1), Conclusion::Ended(EXIT))]);
    assert_eq!(
        machine.handle(at(9), Event::Concluded(run(1))),
        [Command::Done]
    );
}

#[test]
fn who_leaves_does_not_wait_for_ever() {
    let mut machine = running(1);
    machine.handle(at(0), Event::Leave);
    let orders = machine.handle(at(60), Event::Woken);
    assert_eq!(orders, [Command::Order(run(1), Order::Terminate)]);
    assert_eq!(machine.wake_at(), Some(at(90)));
    let orders = machine.handle(at(90), Event::Woken);
    assert_eq!(orders, [Command::Order(run(1), Order::Kill)]);
}

#[test]
fn who_insists_does_not_wait() {
    let mut machine = running(1);
    let orders = machine.handle(at(0), Event::Insist);
    let expected = [Command::Pause, Command::Order(run(1), Order::Terminate)];
    assert_eq!(orders, expected);
}

#[test]
fn a_claim_that_comes_too_late_is_given_back() {
    let mut machine = Machine::new(RULES);
    machine.handle(at(0), Event::Scheduled(vec![(at(0), run(1))]));
    machine.handle(at(0), Event::Leave);
    let told = machine.handle(at(0), Event::Claimed(run(1), true));
    assert_eq!(told, [Command::Conclude(run(1), Conclusion::GivenBack)]);
    assert_eq!(
        machine.handle(at(0), Event::Concluded(run(1))),
        [Command::Done]
    );
}

#[test]
fn a_run_without_a_process_is_told_and_frees_its_place() {
    let mut machine = Machine::new(Rules { limit: 1, ..RULES });
    machine.handle(
        at(0),
        Event::Scheduled(vec![(at(0), run(1)), (at(0), run(2))]),
    );
    machine.handle(at(0), Event::Claimed(run(1), true));
    let commands = machine.handle(at(0), Event::NotStarted(run(1), "no".to_owned()));
    let told = Command::Conclude(run(1), Conclusion::NotStarted("no".to_owned()));
    assert_eq!(commands, [told, Command::Claim(run(2))]);
}

/// What happens next, as far as it is possible then.
#[derive(Clone, Copy, Debug)]
enum Step {
    Schedule(u8),
    Poll,
    Answer(bool),
    Start(bool),
    End,
    Cancel(u8),
    Tell,
    Time(u8),
    Leave(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u8..20).prop_map(Step::Schedule),
        Just(Step::Poll),
        any::<bool>().prop_map(Step::Answer),
        any::<bool>().prop_map(Step::Start),
        Just(Step::End),
        (0_u8..30).prop_map(Step::Cancel),
        Just(Step::Tell),
        (0_u8..20).prop_map(Step::Time),
        prop::bool::weighted(0.1).prop_map(Step::Leave),
    ]
}

/// A server and two runners that share its deployments.
#[derive(Default)]
struct World {
    now: i64,
    made: u128,
    /// Runs that nobody has, and their times.
    scheduled: BTreeMap<Uuid, i64>,
    /// How often each run was started.
    started: BTreeMap<Uuid, u32>,
    concluded: BTreeSet<Uuid>,
    sides: [Side; 2],
}

#[derive(Default)]
struct Side {
    machine: Option<Machine>,
    claims: Vec<Uuid>,
    starts: Vec<Uuid>,
    processes: BTreeMap<Uuid, Option<Order>>,
    conclusions: Vec<Uuid>,
    is_done: bool,
}

impl World {
    fn event(&mut self, side: usize, event: Event) {
        let now = at(self.now);
        let one = &mut self.sides[side];
        let machine = one.machine.get_or_insert_with(|| Machine::new(RULES));
        for command in machine.handle(now, event) {
            assert!(!one.is_done, "{command:?} after the end");
            match command {
                Command::Claim(run) => one.claims.push(run),
                Command::Start(run) => one.starts.push(run),
                Command::Order(run, order) => {
                    let last = one.processes.get_mut(&run).expect("it runs");
                    assert!(*last < Some(order), "{last:?} before {order:?}");
                    *last = Some(order);
                }
                Command::Conclude(run, conclusion) => {
                    assert!(self.concluded.insert(run) || conclusion == Conclusion::GivenBack);
                    if conclusion == Conclusion::GivenBack {
                        self.concluded.remove(&run);
                        self.scheduled.insert(run, self.now);
                    }
                    one.conclusions.push(run);
                }
                Command::Pause => {}
                Command::Done => one.is_done = true,
            }
        }
        let places = one.claims.len() + one.starts.len() + one.processes.len();
        assert!(places <= RULES.limit, "{places} at once");
    }

    fn take(&mut self, step: Step, side: usize) {
        match step {
            Step::Schedule(after) => {
                self.made += 1;
                self.scheduled
                    .insert(run(self.made), self.now + i64::from(after));
            }
            Step::Poll => {
                let soon = self.scheduled.iter();
                let soon = soon.map(|(run, time)| (at(*time), *run)).collect();
                self.event(side, Event::Scheduled(soon));
            }
            Step::Answer(first) => {
                let claims = &mut self.sides[side].claims;
                if claims.is_empty() {
                    return;
                }
                let claim = claims.remove(if first { 0 } else { claims.len() - 1 });
                let is_ours = self.scheduled.remove(&claim).is_some();
                self.event(side, Event::Claimed(claim, is_ours));
            }
            Step::Start(works) => {
                let Some(run) = self.sides[side].starts.pop() else {
                    return;
                };
                *self.started.entry(run).or_default() += 1;
                if works {
                    self.sides[side].processes.insert(run, None);
                    self.event(side, Event::Started(run));
                } else {
                    self.event(side, Event::NotStarted(run, "no".to_owned()));
                }
            }
            Step::End => {
                if let Some((run, _)) = self.sides[side].processes.pop_first() {
                    self.event(side, Event::Ended(run, EXIT));
                }
            }
            Step::Cancel(number) => {
                self.event(side, Event::Cancel(run(u128::from(number))));
            }
            Step::Tell => {
                if let Some(run) = self.sides[side].conclusions.pop() {
                    self.event(side, Event::Concluded(run));
                }
            }
            Step::Time(seconds) => {
                self.now += i64::from(seconds);
                self.event(0, Event::Woken);
                self.event(1, Event::Woken);
            }
            Step::Leave(insists) => {
                let event = if insists { Event::Insist } else { Event::Leave };
                self.event(side, event);
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            for side in 0..2 {
                for step in [
                    Step::Poll,
                    Step::Answer(true),
                    Step::Start(true),
                    Step::End,
                    Step::Tell,
                    Step::Time(20),
                ] {
                    self.take(step, side);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn two_runners_execute_every_run_once(
        steps in prop::collection::vec((step(), 0_usize..2), 0..200),
    ) {
        let mut world = World::default();
        for (step, side) in steps {
            world.take(step, side);
        }
        world.settle();
        prop_assert!(world.started.values().all(|times| *times == 1));
        let left: Vec<_> = world.started.keys().filter(|run| !world.concluded.contains(run)).collect();
        prop_assert!(left.is_empty(), "{left:?} were not told as ended");
        let all_left = world.sides.iter().all(|side| {
            side.machine.as_ref().is_some_and(|machine| machine.leaving.is_some())
        });
        if !all_left {
            prop_assert!(world.scheduled.is_empty(), "{:?} were left out", world.scheduled);
        }
        for side in &world.sides {
            let is_leaving = side.machine.as_ref().is_some_and(|machine| machine.leaving.is_some());
            prop_assert_eq!(side.is_done, is_leaving);
        }
    }
}
