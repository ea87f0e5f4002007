//! More than memory has room for: a server is told the same.

use super::*;
use crate::prefect::outbox::books::Books;
use crate::prefect::outbox::file::{Head, WriteAhead};

const RUNS: u64 = 24;
/// About four states of task runs.
const BOUND: usize = 4_000;
/// The weight of a message of these programs is less.
const HEAVIEST: usize = 2_500;

/// What happens in a process.
enum Act {
    Put(Message),
    /// The server takes so many steps.
    Rounds(u64),
}

fn path_of(run: u64) -> &'static [(StateType, &'static str)] {
    use StateType::{Completed, Failed, Pending, Running};
    match run % 5 {
        0 => &[(Pending, "Pending"), (Pending, "NotReady")],
        1 => &[
            (Pending, "Pending"),
            (Running, "Running"),
            (Completed, "Completed"),
            (Completed, "RolledBack"),
        ],
        2 => &[(Running, "Running"), (Failed, "Failed")],
        _ => &[
            (Pending, "Pending"),
            (Running, "Running"),
            (Completed, "Completed"),
        ],
    }
}

/// A program by chance: runs, lines and artifacts in any order.
fn program(seed: u64, start: Timestamp) -> Vec<Act> {
    let mut chance = Server {
        random: seed * 7919,
        ..Server::default()
    };
    let mut below = |count: u64| {
        chance.chance(0);
        chance.random / 7 % count
    };
    let mut acts = vec![Act::Put(begin(start))];
    let mut steps = vec![0; usize::try_from(RUNS).unwrap()];
    let (mut lines, mut artifacts) = (0, 0);
    let mut now = start;
    while (0..RUNS).any(|run| steps[run as usize] < path_of(run).len()) {
        now += SignedDuration::from_millis(1);
        let act = match below(10) {
            0 => Act::Rounds(below(8)),
            1 => {
                artifacts += 1;
                let data = format!("data {artifacts} {}", "x".repeat(below(500) as usize));
                Act::Put(artifact(artifacts, &data))
            }
            2..4 => {
                lines += 1;
                Act::Put(line(&format!("line {lines}"), now))
            }
            _ => {
                let run = below(RUNS);
                let step = &mut steps[run as usize];
                let Some((kind, name)) = path_of(run).get(*step) else {
                    continue;
                };
                *step += 1;
                Act::Put(task_run(run.into(), *kind, name, now))
            }
        };
        acts.push(act);
    }
    acts
}

fn books(directory: &std::path::Path, bound: usize) -> Books {
    let head = Head::new("http://server/api".to_owned());
    Books {
        ledger: Ledger::new(Uuid::now_v7).bounded(bound),
        ahead: WriteAhead::within(directory.to_owned(), head),
    }
}

/// What a server knows in the end. `breaks`: the disk is full after so many
/// acts.
fn told(seed: u64, bound: usize, loses: bool, breaks: Option<usize>) -> (Server, usize) {
    let directory = tempfile::tempdir().unwrap();
    let mut books = books(directory.path(), bound);
    let mut server = Server {
        random: seed * 31 + 1,
        ..Server::default()
    };
    let mut now = start();
    let mut most_away = 0;
    let round = |books: &mut Books, server: &mut Server, now: &mut Timestamp| {
        *now += SignedDuration::from_millis(100);
        books.take_in(Vec::new(), *now);
        go_on(&mut books.ledger, server, *now, loses);
        books.write_down(false);
    };
    for (number, act) in program(seed, now).into_iter().enumerate() {
        if Some(number) == breaks {
            books.ahead.fill_disk();
        }
        match act {
            Act::Put(message) => {
                books.take_in(vec![message], now);
                books.write_down(false);
            }
            Act::Rounds(count) => (0..count).for_each(|_| round(&mut books, &mut server, &mut now)),
        }
        let (held, away) = books.ledger.held();
        most_away = most_away.max(away);
        let has_room = bound.saturating_add(HEAVIEST);
        assert!(
            held < has_room || breaks.is_some(),
            "{held} bytes, seed {seed}"
        );
    }
    let last = state(StateType::Completed, "Completed", now);
    books.ledger.finish(FLOW, last);
    for _ in 0..20_000 {
        if books.ledger.finished(FLOW).is_some() {
            assert_eq!(books.ledger.held(), (0, 0), "seed {seed}");
            assert!(books.ahead.path().is_none(), "seed {seed}");
            return (server, most_away);
        }
        round(&mut books, &mut server, &mut now);
    }
    panic!(
        "{} things are left, seed {seed}, {:?} held and away",
        books.ledger.left(FLOW),
        books.ledger.held()
    );
}

/// Lines and artifacts; and the newest state of each task run.
fn outcome(server: &Server) -> (Vec<&str>, Vec<&Value>, Vec<&str>) {
    (
        server.lines.iter().map(|(_, text)| text.as_str()).collect(),
        server.artifacts.iter().map(|(_, data)| data).collect(),
        server
            .runs
            .values()
            .map(|(name, _)| name.as_str())
            .collect(),
    )
}

#[test]
fn with_little_memory_a_server_is_told_the_same() {
    let mut away = 0;
    for seed in 1..60 {
        let (all, none) = told(seed, usize::MAX, false, None);
        assert_eq!(none, 0);
        let (server, most) = told(seed, BOUND, false, None);
        assert_eq!(server.histories, all.histories, "seed {seed}");
        assert_eq!(outcome(&server), outcome(&all), "seed {seed}");
        assert_eq!(server.states, all.states, "seed {seed}");
        assert!(server.events.values().all(|times| *times == 1));
        away += most;
        for breaks in [20, 60] {
            let (server, _) = told(seed, BOUND, false, Some(breaks));
            assert_eq!(server.histories, all.histories, "seed {seed}, full disk");
            assert_eq!(outcome(&server), outcome(&all), "seed {seed}, full disk");
        }
        let (server, _) = told(seed, BOUND, true, None);
        assert_eq!(outcome(&server), outcome(&all), "seed {seed}, losses");
        assert_eq!(server.states, all.states, "seed {seed}, losses");
    }
    assert!(away > 1_000, "{away} messages were away");
}

#[test]
fn a_flow_run_need_not_end_for_what_is_away_to_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut books = books(directory.path(), BOUND);
    let mut server = Server::default();
    let mut now = start();
    let mut all = vec![begin(now)];
    // All begin before one ends.
    all.extend((0..40).map(|run| task_run(run, StateType::Running, "Running", now)));
    all.extend((0..40).map(|run| completed(run, now)));
    books.take_in(all, now);
    assert!(books.ledger.held().1 > 70);
    for _ in 0..300 {
        now += SignedDuration::from_millis(100);
        books.take_in(Vec::new(), now);
        go_on(&mut books.ledger, &mut server, now, false);
        books.write_down(false);
    }
    assert_eq!(server.terminal(), 40);
    assert_eq!(books.ledger.held().1, 0);
}

#[test]
fn a_flow_run_does_not_end_before_what_is_away_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut books = books(directory.path(), BOUND);
    let now = start();
    let other = Uuid::from_u128(2);
    let mut all = vec![
        begin(now),
        test_messages::flow_run(other, "other", "other", now),
    ];
    all.extend((0..40).map(|run| completed(run, now)));
    all.push(test_messages::line("of the other", now, other, None));
    books.take_in(all, now);
    let ledger = &mut books.ledger;
    ledger.finish(other, state(StateType::Completed, "Completed", now));
    for _ in 0..2 {
        let Next::Call(call) = ledger.next_call(now) else {
            panic!("both begin");
        };
        ledger.answered(*call, Reply::Began(known()), now);
    }
    assert!(matches!(ledger.next_call(now), Next::Wait(_)));
    assert_eq!(ledger.left(other), 1);
    assert!(ledger.finished(other).is_none());
}

#[test]
fn what_is_away_of_a_flow_run_that_is_refused_is_no_ones() {
    let directory = tempfile::tempdir().unwrap();
    let mut books = books(directory.path(), BOUND);
    let now = start();
    let mut all = vec![begin(now)];
    for number in 0..40 {
        let data = format!("{number} {}", "x".repeat(1000));
        all.push(artifact(number, &data));
        all.push(line(&format!("line {number}"), now));
        all.push(completed(number, now));
    }
    books.take_in(all, now);
    assert!(books.ledger.held().1 > 100);
    books
        .ledger
        .finish(FLOW, state(StateType::Completed, "Completed", now));
    let Next::Call(call) = books.ledger.next_call(now) else {
        panic!("it begins");
    };
    let refused = ApiError::Invalid {
        request: "POST /flow_runs/".to_owned(),
        status: 422,
        detail: "no such field".to_owned(),
    };
    books.ledger.answered(*call, Reply::Failed(refused), now);
    let later = now + SignedDuration::from_secs(60);
    for _ in 0..100 {
        books.take_in(Vec::new(), later);
        assert!(matches!(books.ledger.next_call(later), Next::Wait(_)));
        assert!(books.ledger.next_events(10).is_empty());
        books.write_down(false);
        if books.ledger.finished(FLOW).is_some() {
            assert_eq!(books.ledger.held(), (0, 0));
            return;
        }
    }
    panic!("{:?} are held and away", books.ledger.held());
}

#[test]
fn a_file_that_cannot_be_read_back_hangs_nothing_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let mut books = books(directory.path(), BOUND);
    let mut server = Server::default();
    let mut now = start();
    let mut all = vec![begin(now)];
    all.extend((0..40).map(|run| completed(run, now)));
    books.take_in(all, now);
    books.write_down(false);
    let path = books.ahead.path().unwrap().to_owned();
    let content = std::fs::read(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    books
        .ledger
        .finish(FLOW, state(StateType::Completed, "Completed", now));
    while books.ledger.finished(FLOW).is_none() {
        now += SignedDuration::from_millis(100);
        books.take_in(Vec::new(), now);
        go_on(&mut books.ledger, &mut server, now, false);
        books.write_down(false);
    }
    assert_eq!(server.states, ["Completed"]);
    assert!(server.runs.len() < 40);
    let file = std::fs::File::open(&path).unwrap();
    assert!(file.try_lock().is_err(), "its process lives");
    drop(books);
    std::fs::write(&path, content).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    let (_, ledger) = crate::prefect::outbox::replay::read(&file)
        .unwrap()
        .unwrap();
    assert_eq!(ledger.left(FLOW), 41, "a replay has all, and the beginning");
}
