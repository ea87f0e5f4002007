//! A process that dies at any moment, and another one that reads its file.

use std::collections::HashSet;
use std::fs::File;

use super::*;
use crate::prefect::mark::Mark;
use crate::prefect::outbox::books::Books;
use crate::prefect::outbox::file::{Head, WriteAhead};
use crate::prefect::outbox::replay::{self, MadeState};

/// A process with a file.
struct Process {
    books: Books,
    now: Timestamp,
}

impl Process {
    fn put(&mut self, message: Message) {
        self.books.take_in(vec![message], self.now);
        self.books.write_down(false);
    }

    /// Goes on for so many rounds.
    fn live(&mut self, server: &mut Server, rounds: usize, loses: bool) {
        for _ in 0..rounds {
            self.now += SignedDuration::from_millis(100);
            self.books.take_in(Vec::new(), self.now);
            let ledger = &mut self.books.ledger;
            if let Next::Call(call) = ledger.next_call(self.now) {
                let reply = server.reply(&call, loses);
                ledger.answered(*call, reply, self.now);
            }
            for event in ledger.next_events(3) {
                if !(loses && server.chance(30)) {
                    server.record(&event);
                }
            }
            self.books.write_down(false);
        }
    }
}

/// The ledger that a replay makes of the file, after it has asked the server.
fn replayed(path: &std::path::Path, server: &Server) -> Ledger {
    let (_, mut ledger) = replay::read(&File::open(path).unwrap()).unwrap().unwrap();
    ledger.bury();
    let rows = server.runs.iter().map(|(id, (state, at))| Seen {
        id: *id,
        state: state.clone(),
        is_final: matches!(state.as_str(), "Completed" | "Failed"),
        at: at.parse().ok(),
    });
    let there: HashSet<Uuid> = rows
        .filter(|row| replay::has(&ledger, row))
        .map(|row| row.id)
        .collect();
    ledger.has_recorded(&there);
    ledger.unpark();
    ledger
}

fn die_and_replay(seed: u64, loses: bool, ends: bool, bound: usize) {
    const RUNS: u128 = 12;
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process {
        books: Books {
            ledger: Ledger::new(Uuid::now_v7).bounded(bound),
            ahead: WriteAhead::within(
                directory.path().to_owned(),
                Head::new("http://server/api".to_owned()),
            ),
        },
        now: start(),
    };
    let mut server = Server {
        random: seed * 7919,
        ..Server::default()
    };
    let rounds = usize::try_from(seed % 7).unwrap();
    let now = process.now;
    process.put(begin(now));
    let running = Box::new(state(StateType::Running, "Running", now));
    process.put(Message::FlowState(FLOW, running));
    for number in 0..RUNS {
        let now = process.now;
        process.put(task_run(number, StateType::Pending, "Pending", now));
        process.put(task_run(number, StateType::Running, "Running", now));
        process.put(line(&format!("line {number}"), now));
        if number % 4 == 1 {
            process.put(artifact(number, &format!("data {number}")));
        }
        process.live(&mut server, rounds / 2, loses);
        if ends || number % 3 != 0 {
            let now = process.now;
            process.put(completed(number, now));
        }
    }
    if ends {
        let last = state(StateType::Completed, "Completed", process.now);
        process.books.ledger.finish(FLOW, last);
        process.books.write_down(false);
    }
    process.live(&mut server, rounds * 3, loses);
    let path = process.books.ahead.path().unwrap().to_owned();
    let now = process.now;
    drop(process);

    let mut ledger = replayed(&path, &server);
    until_ended(&mut ledger, &mut server, now, loses);
    assert!(ledger.is_idle(), "seed {seed}");

    let last = if ends { "Completed" } else { "Crashed" };
    assert_eq!(server.states, ["Running", last], "seed {seed}");
    let made: Vec<_> = server.artifacts.iter().map(|(_, data)| data).collect();
    assert_eq!(made, ["data 1", "data 5", "data 9"], "seed {seed}");
    assert_eq!(server.said.len(), made.len(), "seed {seed}");
    for number in 0..RUNS {
        let id = Uuid::from_u128(10_000 + number);
        let is_open = !ends && number % 3 == 0;
        let wanted = if is_open { "Crashed" } else { "Completed" };
        assert_eq!(server.runs[&id].0, wanted, "run {number}, seed {seed}");
        let history = &server.histories[&id];
        let names: HashSet<&String> = history.iter().collect();
        assert!(
            loses || names.len() == history.len(),
            "run {number} told twice, seed {seed}: {history:?}"
        );
    }
    let texts: Vec<_> = server.lines.iter().map(|(_, text)| text.clone()).collect();
    let wanted: Vec<_> = (0..RUNS).map(|number| format!("line {number}")).collect();
    assert_eq!(texts, wanted, "seed {seed}");
}

#[test]
fn what_a_dead_process_left_is_told_once() {
    for seed in 1..40 {
        for bound in [usize::MAX, 3_000] {
            die_and_replay(seed, false, true, bound);
            die_and_replay(seed, false, false, bound);
            die_and_replay(seed, true, true, bound);
            die_and_replay(seed, true, false, bound);
        }
    }
}

#[test]
fn what_others_said_since_stays() {
    let now = start();
    let mut ledger = Ledger::new(Uuid::now_v7);
    ledger.put(begin(now), now);
    ledger.put(task_run(1, StateType::Running, "Running", now), now);
    ledger.put(completed(2, now), now);
    assert_eq!(ledger.bury(), 1);
    let row = |number: u128, state: &str, is_final, seconds: i64| Seen {
        id: Uuid::from_u128(10_000 + number),
        state: state.to_owned(),
        is_final,
        at: now.checked_add(SignedDuration::from_secs(seconds)).ok(),
    };
    assert!(!replay::has(&ledger, &row(1, "Running", false, 0)));
    assert!(replay::has(&ledger, &row(1, "Cancelled", true, 0)));
    assert!(replay::has(&ledger, &row(2, "Failed", true, 60)));
    assert!(!replay::has(&ledger, &row(2, "Running", false, 0)));
    ledger.leave_alone(FLOW);
    ledger.has_recorded(&[1, 2].map(|number| Uuid::from_u128(10_000 + number)).into());
    let Next::Call(call) = ledger.next_call(now) else {
        panic!("a flow run that the server may not know is begun");
    };
    ledger.answered(*call, Reply::Began(known()), now);
    assert!(matches!(ledger.next_call(now), Next::Wait(_)));
    assert!(ledger.is_idle());
}

#[test]
fn what_is_told_of_a_run_that_others_have_ended_is_asked_about() {
    let mut now = start();
    let mut ledger = Ledger::new(Uuid::now_v7);
    ledger.put(begin(now), now);
    ledger.put(completed(1, now), now);
    ledger.learn(Note::Began(FLOW, known()));
    ledger.bury();
    ledger.leave_alone(FLOW);
    assert_eq!(ledger.unpark(), 1);
    assert!(!ledger.next_events(100).is_empty());
    let run = Uuid::from_u128(10_001);
    let asked = loop {
        match ledger.next_question(now) {
            NextQuestion::Ask(question) => break question,
            NextQuestion::Wait(until) => {
                now = until.expect("nobody waits for ever").max(now);
                now = now.checked_add(SignedDuration::from_millis(1)).unwrap();
            }
        }
    };
    let ids = vec![run];
    let flow = Some(FLOW);
    assert_eq!(asked, Question::Rows { flow, ids });
    let seen = Seen {
        id: run,
        state: "Completed".to_owned(),
        is_final: true,
        at: Some(start()),
    };
    ledger.seen(flow, &[run], &[seen], now);
    assert!(ledger.is_idle());
}

#[test]
fn a_run_that_another_process_has_taken_since_is_its_own() {
    let now = start();
    let (ours, other) = (Mark::of_process(), Uuid::new_v4);
    let made = |kind: &str, seconds: i64, by: Option<Uuid>| -> MadeState {
        let at = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let made = serde_json::json!({
            "type": kind, "timestamp": at, "state_details": {"transition_id": by},
        });
        serde_json::from_value(made).unwrap()
    };
    let is_with_others = |states: &[MadeState]| replay::is_with_others(states, ours, Some(now));
    let mut states = vec![
        made("SCHEDULED", -9, None),
        made("PENDING", -2, Some(other())),
    ];
    assert!(!is_with_others(&states), "it was taken for our process");
    states.push(made("RUNNING", 1, Some(ours.numbered(1))));
    assert!(!is_with_others(&states));
    // Paused and resumed.
    states.push(made("PAUSED", 2, Some(ours.new_transition())));
    states.push(made("RUNNING", 3, None));
    assert!(!is_with_others(&states));
    states.push(made("SCHEDULED", 4, None));
    states.push(made("PENDING", 5, Some(other())));
    assert!(is_with_others(&states));
    states.push(made("RUNNING", 6, Some(other())));
    states.push(made("CANCELLING", 7, None));
    assert!(is_with_others(&states));
    let early = [
        made("PENDING", -2, Some(other())),
        made("SCHEDULED", 1, None),
        made("PENDING", 2, Some(other())),
    ];
    assert!(is_with_others(&early), "it died before it said anything");
}
