//! What is recorded late, by halves, or not at all.

use std::collections::VecDeque;
use std::ops::Range;

use super::*;

/// A flow run that the server knows.
fn begun_there() -> Ledger {
    let (mut ledger, _, now) = begun(1);
    let Next::Call(call) = ledger.next_call(now) else {
        panic!("a flow run begins with a call");
    };
    ledger.answered(*call, Reply::Began(known()), now);
    ledger
}

/// So many runs have completed.
fn complete(ledger: &mut Ledger, numbers: Range<u128>, now: Timestamp) {
    for number in numbers {
        ledger.put(completed(number, now), now);
    }
}

/// A server with a queue.
#[derive(Default)]
struct Queue {
    server: Server,
    events: VecDeque<String>,
    /// Task runs whose row names a state that is not there.
    halves: Vec<Uuid>,
    questions: usize,
}

impl Queue {
    /// A tenth of a second, in which so many events are recorded.
    fn round(&mut self, ledger: &mut Ledger, now: Timestamp, records: usize) {
        if let Next::Call(call) = ledger.next_call(now) {
            let reply = self.server.reply(&call, false);
            ledger.answered(*call, reply, now);
        }
        self.events.extend(ledger.next_events(100));
        for event in self.events.drain(..records.min(self.events.len())) {
            self.server.record(&event);
        }
        let NextQuestion::Ask(question) = ledger.next_question(now) else {
            return;
        };
        self.questions += 1;
        match question {
            Question::Count { flow, sent, .. } => {
                ledger.counted(flow, sent, self.server.terminal(), now);
            }
            Question::Rows { flow, ids } => {
                assert!(ids.len() <= 200);
                let rows = self.server.runs.iter().filter(|(id, _)| ids.contains(id));
                let seen: Vec<_> = rows
                    .map(|(id, (state, at))| {
                        let is_half = self.halves.contains(id);
                        Seen {
                            id: *id,
                            state: if is_half {
                                String::new()
                            } else {
                                state.clone()
                            },
                            is_final: !is_half,
                            at: at.parse().ok().filter(|_| !is_half),
                        }
                    })
                    .collect();
                ledger.seen(flow, &ids, &seen, now);
            }
        }
    }

    /// So many rounds, in each of which so many events are recorded.
    fn rounds(&mut self, ledger: &mut Ledger, now: &mut Timestamp, count: usize, records: usize) {
        for _ in 0..count {
            *now += SignedDuration::from_millis(100);
            self.round(ledger, *now, records);
        }
    }

    /// States that are there more than once.
    fn twice(&self) -> usize {
        let histories = self.server.histories.values();
        let twice = |history: &Vec<String>| {
            let names: std::collections::HashSet<_> = history.iter().collect();
            history.len() - names.len()
        };
        histories.map(twice).sum()
    }

    /// How many rounds it takes until the flow run has ended.
    fn until_ended(&mut self, ledger: &mut Ledger, mut now: Timestamp) -> u32 {
        ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
        for round in 0..20_000 {
            now += SignedDuration::from_millis(100);
            self.round(ledger, now, 10);
            if ledger.finished(FLOW).is_some() {
                assert_eq!(self.server.states, ["Completed"]);
                return round;
            }
        }
        panic!("{} things are left", ledger.left(FLOW));
    }
}

#[test]
fn more_runs_than_the_window_holds_may_begin_before_one_ends() {
    let mut ledger = begun_there();
    let mut queue = Queue::default();
    let mut now = start();
    for batch in 0..8 {
        for number in batch * 600..(batch + 1) * 600 {
            ledger.put(task_run(number, StateType::Running, "Running", now), now);
        }
        queue.rounds(&mut ledger, &mut now, 70, 10);
    }
    assert!(
        queue.server.runs.len() > 4_000,
        "{}",
        queue.server.runs.len()
    );
    complete(&mut ledger, 0..4_800, now);
    queue.until_ended(&mut ledger, now);
    assert_eq!(queue.server.terminal(), 4_800);
    assert_eq!(queue.twice(), 0);
}

#[test]
fn runs_that_end_in_no_terminal_state_fill_the_window_for_a_while_only() {
    let mut ledger = begun_there();
    let mut queue = Queue::default();
    let now = start();
    for number in 0..4_000 {
        ledger.put(task_run(number, StateType::Pending, "NotReady", now), now);
    }
    queue.until_ended(&mut ledger, now);
    assert_eq!(queue.server.runs.len(), 4_000);
    assert_eq!(queue.twice(), 0);
}

#[test]
fn a_replay_tells_more_than_the_window_holds() {
    let mut ledger = begun_there();
    let mut queue = Queue::default();
    let now = start();
    complete(&mut ledger, 0..4_000, now);
    ledger.bury();
    ledger.unpark();
    queue.until_ended(&mut ledger, now);
    assert_eq!(queue.server.terminal(), 4_000);
}

#[test]
fn one_state_that_is_lost_among_many_is_found_soon() {
    for lost in [1, 1_500, 2_900] {
        let mut ledger = begun_there();
        let mut queue = Queue::default();
        let mut now = start();
        complete(&mut ledger, 0..2_900, now);
        queue.rounds(&mut ledger, &mut now, 30, 0);
        assert_eq!(queue.events.len(), 2_900);
        queue.events.remove(lost - 1);
        let rounds = queue.until_ended(&mut ledger, now);
        assert_eq!(queue.server.terminal(), 2_900);
        assert!(rounds < 290 + 100, "{rounds} tenths of a second");
        assert!(queue.questions < 150, "{} questions", queue.questions);
        assert!(queue.twice() <= 1, "{}", queue.twice());
    }
}

#[test]
fn what_a_server_forgot_is_told_again_soon() {
    let mut ledger = begun_there();
    let mut queue = Queue::default();
    let mut now = start();
    complete(&mut ledger, 0..2_900, now);
    for round in 0..60 {
        now += SignedDuration::from_millis(100);
        queue.round(&mut ledger, now, 10);
        if round == 50 {
            queue.events.clear();
            ledger.may_have_died();
        }
    }
    let rounds = queue.until_ended(&mut ledger, now);
    assert_eq!(queue.server.terminal(), 2_900);
    assert!(rounds < 290 + 150, "{rounds} tenths of a second");
    assert!(queue.twice() <= 1, "{}", queue.twice());
}

#[test]
fn what_a_slow_server_has_in_its_queue_is_not_told_again() {
    let mut ledger = begun_there();
    let mut queue = Queue::default();
    let mut now = start();
    complete(&mut ledger, 0..500, now);
    ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
    queue.rounds(&mut ledger, &mut now, 300, 0);
    queue.until_ended(&mut ledger, now);
    assert_eq!(queue.server.terminal(), 500);
    // One for each five seconds.
    assert!((1..=6).contains(&queue.twice()), "{}", queue.twice());
}

#[test]
fn what_nobody_asked_about_for_a_while_does_not_stand_still() {
    let mut ledger = begun_there();
    let mut queue = Queue::default();
    let mut now = start();
    for (numbers, records) in [(0..20, 10), (100..120, 0)] {
        complete(&mut ledger, numbers, now);
        // Nothing is asked before the flow run ends.
        queue.rounds(&mut ledger, &mut now, 600, records);
    }
    ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
    queue.rounds(&mut ledger, &mut now, 30, 0);
    queue.until_ended(&mut ledger, now);
    assert_eq!(queue.twice(), 0);
}

#[test]
fn a_state_of_which_a_killed_server_has_the_name_only_is_told_again() {
    let mut ledger = begun_there();
    let mut queue = Queue::default();
    let mut now = start();
    complete(&mut ledger, 0..500, now);
    queue.rounds(&mut ledger, &mut now, 60, 10);
    assert_eq!(queue.server.runs.len(), 500);
    let halves = [3, 77, 450].map(|number| Uuid::from_u128(10_000 + number));
    queue.halves = halves.to_vec();
    ledger.may_have_died();
    ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
    for _ in 0..600 {
        now += SignedDuration::from_millis(100);
        let before: Vec<_> = halves.map(|id| queue.server.histories[&id].len()).into();
        queue.round(&mut ledger, now, 10);
        for (id, before) in halves.iter().zip(before) {
            if queue.server.histories[id].len() > before {
                queue.halves.retain(|half| half != id);
            }
        }
    }
    assert!(ledger.finished(FLOW).is_some());
    assert!(queue.halves.is_empty());
    assert_eq!(queue.twice(), 3);
}

#[test]
fn a_run_of_no_flow_run_is_not_told_again_at_the_first_look() {
    let mut now = start();
    let mut ledger = Ledger::new(Uuid::now_v7);
    let mut queue = Queue::default();
    for number in 0..3 {
        let Message::TaskRun(mut run) = completed(number, now) else {
            unreachable!();
        };
        run.flow = None;
        ledger.put(Message::TaskRun(run), now);
        // It is recorded after two seconds.
        for round in 0..200 {
            now += SignedDuration::from_millis(100);
            queue.round(&mut ledger, now, if round < 20 { 0 } else { 10 });
        }
        assert!(ledger.is_recorded(Uuid::from_u128(10_000 + number)));
    }
    assert_eq!(queue.twice(), 0);
}
