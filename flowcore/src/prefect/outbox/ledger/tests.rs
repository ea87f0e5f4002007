//! The ledger against a server that loses things.

mod artifacts;
mod away;
mod death;
mod failing;
mod recording;

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::prefect::client::ApiError;
use crate::prefect::message::NewArtifact;
use crate::prefect::outbox::test_messages::{self, state};

use crate::state::StateType;

const FLOW: Uuid = Uuid::from_u128(1);
const SERVER_FLOW: Uuid = Uuid::from_u128(1001);

fn start() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn begin(at: Timestamp) -> Message {
    test_messages::flow_run(FLOW, "flow", "run", at)
}

fn task_run(number: u128, kind: StateType, name: &str, at: Timestamp) -> Message {
    let id = Uuid::from_u128(10_000 + number);
    let state = state(kind, name, at);
    let update = test_messages::task_run(FLOW, id, number, number.to_string(), state);
    Message::TaskRun(Box::new(update))
}

fn completed(number: u128, at: Timestamp) -> Message {
    task_run(number, StateType::Completed, "Completed", at)
}

fn line(text: &str, at: Timestamp) -> Message {
    test_messages::line(text, at, FLOW, None)
}

fn known() -> ServerFlowRun {
    ServerFlowRun {
        id: SERVER_FLOW,
        name: "run".to_owned(),
        flow: Uuid::from_u128(1002),
        flow_name: "flow".to_owned(),
        deployment: None,
    }
}

fn away() -> ApiError {
    ApiError::Unreachable {
        url: "http://nowhere".to_owned(),
        cause: "refused".to_owned(),
    }
}

fn failing() -> ApiError {
    ApiError::Failing {
        request: "POST /things".to_owned(),
        status: 500,
        detail: "Internal Server Error".to_owned(),
    }
}

fn unanswered() -> ApiError {
    ApiError::NoAnswer {
        request: "POST /logs/".to_owned(),
        url: "http://nowhere".to_owned(),
        cause: "reset".to_owned(),
    }
}

/// A server in a few lines: it keeps what is told, and loses what it is told
/// to lose.
#[derive(Default)]
struct Server {
    states: Vec<String>,
    /// Newest state of each task run, with its time.
    runs: BTreeMap<Uuid, (String, String)>,
    histories: BTreeMap<Uuid, Vec<String>>,
    events: BTreeMap<String, u32>,
    lines: Vec<(Timestamp, String)>,
    artifacts: Vec<(Uuid, Value)>,
    /// Artifacts whose events came, by their ids in the process.
    said: HashSet<Uuid>,
    /// What artifacts show by the events that say so.
    changes: BTreeMap<Uuid, Value>,
    random: u64,
}

impl Server {
    fn chance(&mut self, percent: u64) -> bool {
        // Any sequence that is the same for a seed does.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 100 < percent
    }

    fn record(&mut self, event: &str) {
        let event: Value = serde_json::from_str(event).unwrap();
        let id = event["id"].as_str().unwrap().to_owned();
        *self.events.entry(id).or_default() += 1;
        let resource = event["resource"]["prefect.resource.id"].as_str().unwrap();
        let run: Uuid = resource
            .trim_start_matches("prefect.task-run.")
            .parse()
            .unwrap();
        let occurred = event["occurred"].as_str().unwrap().to_owned();
        let name = event["payload"]["validated_state"]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        self.histories.entry(run).or_default().push(name.clone());
        let newest = self
            .runs
            .entry(run)
            .or_insert((name.clone(), occurred.clone()));
        assert!(occurred >= newest.1, "times of a run increase");
        *newest = (name, occurred);
    }

    fn terminal(&self) -> u64 {
        let runs = self.runs.values();
        runs.filter(|(name, _)| matches!(name.as_str(), "Completed" | "Failed" | "RolledBack"))
            .count() as u64
    }

    fn reply(&mut self, call: &Call, loses: bool) -> Reply {
        let fails = loses && self.chance(20);
        if fails && self.chance(50) {
            return Reply::Failed(away());
        }
        let reply = match call {
            Call::Begin { .. } => Reply::Began(known()),
            Call::Rename { .. } => Reply::Done,
            Call::State { state, .. } => {
                if self.states.last() != Some(&state.name) {
                    self.states.push(state.name.clone());
                }
                Reply::Done
            }
            Call::Artifact(call) => self.artifact(call),
            Call::Lines(lines) => {
                let lines = lines.iter().map(|one| &one.line);
                self.lines
                    .extend(lines.map(|line| (line.at, line.message.clone())));
                Reply::Done
            }
            Call::FindLines(_) => Reply::Found(self.lines.clone()),
        };
        if fails {
            return Reply::Failed(unanswered());
        }
        reply
    }
}

impl Server {
    fn artifact(&mut self, call: &ArtifactCall) -> Reply {
        match call {
            ArtifactCall::Make {
                new,
                flow_run,
                unless_there,
            } => {
                assert_eq!(*flow_run, SERVER_FLOW);
                let there = unless_there.as_ref().and_then(|others| {
                    let mut all = self.artifacts.iter();
                    all.find(|(id, data)| *data == new.data && !others.contains(id))
                });
                if let Some((id, _)) = there {
                    return Reply::Made(*id);
                }
                let id = Uuid::from_u128(5000 + self.artifacts.len() as u128);
                self.artifacts.push((id, new.data.clone()));
                Reply::Made(id)
            }
            ArtifactCall::Say { new, server } => {
                let mut all = self.artifacts.iter();
                assert!(all.any(|(id, _)| id == server), "it was made");
                self.said.insert(new.id);
                Reply::Done
            }
            ArtifactCall::Change { server, data, .. } => {
                let mut all = self.artifacts.iter_mut();
                let (_, there) = all.find(|(id, _)| id == server).expect("it was made");
                *there = data.clone();
                Reply::Done
            }
            ArtifactCall::SayChange {
                server,
                data,
                event,
                ..
            } => {
                let mut all = self.artifacts.iter();
                assert!(all.any(|(id, there)| id == server && there == data));
                self.changes.insert(*event, data.clone());
                Reply::Done
            }
        }
    }
}

fn artifact(number: u128, data: &str) -> Message {
    Message::Artifact(Box::new(NewArtifact {
        id: Uuid::from_u128(30_000 + number),
        flow: FLOW,
        task_run: None,
        kind: "markdown".to_owned(),
        key: None,
        description: None,
        data: data.into(),
    }))
}

fn artifact_data(number: u128, data: &str) -> Message {
    Message::ArtifactData {
        flow: FLOW,
        artifact: Uuid::from_u128(30_000 + number),
        data: data.into(),
    }
}

/// A ledger with a flow run, and a server that loses what this seed says.
fn begun(seed: u64) -> (Ledger, Server, Timestamp) {
    let now = start();
    let mut ledger = Ledger::new(Uuid::now_v7);
    ledger.put(begin(now), now);
    let server = Server {
        random: seed,
        ..Server::default()
    };
    (ledger, server, now)
}

/// One round of everything that a ledger and a server do.
fn go_on(ledger: &mut Ledger, server: &mut Server, now: Timestamp, loses: bool) {
    if let Next::Call(call) = ledger.next_call(now) {
        let reply = server.reply(&call, loses);
        ledger.answered(*call, reply, now);
    }
    for event in ledger.next_events(10) {
        if !(loses && server.chance(30)) {
            server.record(&event);
        }
    }
    if let NextQuestion::Ask(question) = ledger.next_question(now) {
        match question {
            Question::Count { flow, sent, .. } => {
                ledger.counted(flow, sent, server.terminal(), now);
            }
            Question::Rows { flow, ids } => {
                let rows = server.runs.iter().filter(|(id, _)| ids.contains(id));
                let seen: Vec<_> = rows
                    .map(|(id, (state, at))| Seen {
                        id: *id,
                        state: state.clone(),
                        is_final: false,
                        at: at.parse().ok(),
                    })
                    .collect();
                ledger.seen(flow, &ids, &seen, now);
            }
        }
    }
}

/// Runs ledger and server until the flow run has ended.
fn until_ended(ledger: &mut Ledger, server: &mut Server, mut now: Timestamp, loses: bool) {
    for _ in 0..20_000 {
        now += SignedDuration::from_millis(100);
        go_on(ledger, server, now, loses);
        if let Some(finished) = ledger.finished(FLOW) {
            assert!(finished.refused.is_none());
            return;
        }
    }
    panic!("{} things are left", ledger.left(FLOW));
}

/// Goes on until the flow run has ended, with these answers instead of the
/// server's; how many there were, and the seconds.
fn until_ended_with(
    ledger: &mut Ledger,
    server: &mut Server,
    mut answer: impl FnMut(&Call) -> Option<Reply>,
) -> (usize, i64) {
    let mut now = start();
    let mut answers = 0;
    while now < start() + SignedDuration::from_mins(60) {
        now += SignedDuration::from_millis(10);
        if let Next::Call(call) = ledger.next_call(now) {
            let given = answer(&call);
            answers += usize::from(given.is_some());
            let reply = given.unwrap_or_else(|| server.reply(&call, false));
            ledger.answered(*call, reply, now);
        }
        if ledger.finished(FLOW).is_some() {
            return (answers, now.duration_since(start()).as_secs());
        }
    }
    panic!("{} things are left", ledger.left(FLOW));
}

fn run(loses: bool, seed: u64, count: u128) -> Server {
    let (mut ledger, mut server, now) = begun(seed);
    let running = Box::new(state(StateType::Running, "Running", now));
    ledger.put(Message::FlowState(FLOW, running), now);
    for number in 0..count {
        ledger.put(task_run(number, StateType::Pending, "Pending", now), now);
        if number % 7 == 3 {
            ledger.put(task_run(number, StateType::Pending, "NotReady", now), now);
            continue;
        }
        ledger.put(task_run(number, StateType::Running, "Running", now), now);
        let (kind, name) = match number % 5 {
            1 => (StateType::Failed, "Failed"),
            _ => (StateType::Completed, "Completed"),
        };
        ledger.put(task_run(number, kind, name, now), now);
        if number % 11 == 4 {
            let name = "RolledBack";
            ledger.put(task_run(number, StateType::Completed, name, now), now);
        }
        ledger.put(line(&format!("line {number}"), now), now);
    }
    ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
    until_ended(&mut ledger, &mut server, now, loses);
    server
}

fn expected(number: u128) -> &'static str {
    match number {
        _ if number % 7 == 3 => "NotReady",
        _ if number % 11 == 4 => "RolledBack",
        _ if number % 5 == 1 => "Failed",
        _ => "Completed",
    }
}

fn check(server: &Server, count: u128, seed: u64) {
    assert_eq!(server.states, ["Running", "Completed"], "seed {seed}");
    for number in 0..count {
        let id = Uuid::from_u128(10_000 + number);
        assert_eq!(
            server.runs[&id].0,
            expected(number),
            "run {number}, seed {seed}"
        );
    }
    let texts: Vec<_> = server.lines.iter().map(|(_, text)| text.clone()).collect();
    let wanted: Vec<_> = (0..count)
        .filter(|number| number % 7 != 3)
        .map(|number| format!("line {number}"))
        .collect();
    assert_eq!(texts, wanted, "seed {seed}");
    assert!(
        server
            .lines
            .is_sorted_by(|(one, _), (other, _)| one < other),
        "lines have times of their own"
    );
}

#[test]
fn a_good_server_is_told_every_state_in_order() {
    let server = run(false, 1, 50);
    check(&server, 50, 1);
    let first = &server.histories[&Uuid::from_u128(10_000)];
    assert_eq!(first, &["Pending", "Running", "Completed"]);
    assert!(server.events.values().all(|times| *times == 1));
}

#[test]
fn what_a_bad_server_loses_is_told_again() {
    for seed in 1..60 {
        let server = run(true, seed * 7919, 40);
        check(&server, 40, seed);
    }
}

#[test]
fn no_more_is_on_its_way_than_the_server_keeps() {
    let now = start();
    let mut ledger = Ledger::new(Uuid::now_v7);
    ledger.put(begin(now), now);
    let Next::Call(call) = ledger.next_call(now) else {
        panic!("a flow run begins with a call");
    };
    ledger.answered(*call, Reply::Began(known()), now);
    for number in 0..20_000 {
        ledger.put(completed(number, now), now);
    }
    let mut sent = 0;
    loop {
        let events = ledger.next_events(100);
        if events.is_empty() {
            break;
        }
        sent += events.len();
    }
    assert!((2_000..=4_000).contains(&sent), "{sent}");
    let NextQuestion::Ask(Question::Count { sent: finals, .. }) = ledger.next_question(now) else {
        panic!("with a full window it is asked what has been recorded");
    };
    assert_eq!(finals, sent as u64);
    ledger.counted(FLOW, finals, 1_000, now);
    assert_eq!(ledger.next_events(2_000).len(), 1_000);
}

#[test]
fn what_is_over_before_it_is_told_is_one_event_if_many_wait() {
    let (mut ledger, _, now) = begun(1);
    let Next::Call(call) = ledger.next_call(now) else {
        panic!("a flow run begins with a call");
    };
    ledger.answered(*call, Reply::Began(known()), now);
    for number in 0..1_000 {
        ledger.put(task_run(number, StateType::Running, "Running", now), now);
        ledger.put(completed(number, now), now);
    }
    let events = ledger.next_events(10_000);
    assert!((1_000..1_110).contains(&events.len()), "{}", events.len());
    let ends = events.iter().filter(|event| event.contains(".Completed\""));
    assert_eq!(ends.count(), 1_000);
}

#[test]
fn a_server_that_stood_still_and_goes_on_is_counted_on() {
    let (mut ledger, _, now) = begun(1);
    let Next::Call(call) = ledger.next_call(now) else {
        panic!("a flow run begins with a call");
    };
    ledger.answered(*call, Reply::Began(known()), now);
    for number in 0..10 {
        let name = "Completed";
        ledger.put(task_run(number, StateType::Completed, name, now), now);
    }
    assert_eq!(ledger.next_events(100).len(), 10);
    let later = now + SignedDuration::from_mins(1);
    for (recorded, at) in [(0, now), (0, later), (4, later), (10, later)] {
        ledger.counted(FLOW, 10, recorded, at);
        let left = 10 - usize::try_from(recorded).unwrap();
        assert_eq!(ledger.left_to_record(FLOW), left);
    }
    assert_eq!(ledger.left(FLOW), 0);
}

#[test]
fn a_flow_run_that_is_refused_ends_at_once_and_says_why() {
    let now = start();
    let mut ledger = Ledger::new(Uuid::now_v7);
    ledger.put(begin(now), now);
    ledger.put(task_run(1, StateType::Running, "Running", now), now);
    ledger.put(line("lost", now), now);
    let Next::Call(call) = ledger.next_call(now) else {
        panic!("a flow run begins with a call");
    };
    let refused = ApiError::Refused {
        request: "POST /flow_runs/".to_owned(),
        status: 401,
        detail: "Unauthorized".to_owned(),
        cure: "set PREFECT_API_KEY",
    };
    ledger.answered(*call, Reply::Failed(refused), now);
    assert!(ledger.next_events(10).is_empty());
    let finished = ledger.finished(FLOW).expect("it has ended");
    assert!(matches!(
        finished.refused,
        Some(ApiError::Refused { status: 401, .. })
    ));
}

#[test]
fn a_last_state_that_is_the_servers_is_not_told() {
    // What the server has decided, and a run that has left this process.
    for (is_decided, kind) in [(true, StateType::Failed), (false, StateType::Paused)] {
        let (mut ledger, _, now) = begun(1);
        let Next::Call(call) = ledger.next_call(now) else {
            panic!("a flow run begins with a call");
        };
        ledger.answered(*call, Reply::Began(known()), now);
        if is_decided {
            ledger.is_decided(FLOW);
        }
        ledger.finish(FLOW, state(kind, "Last", now));
        assert!(matches!(ledger.next_call(now), Next::Wait(_)));
        assert!(ledger.finished(FLOW).is_some(), "{kind}");
        assert!(ledger.is_idle());
    }
}

#[test]
fn a_server_that_does_not_know_us_is_told_nothing_more() {
    let refused = |status| {
        Reply::Failed(ApiError::Refused {
            request: "POST /flow_runs/".to_owned(),
            status,
            detail: "Unauthorized".to_owned(),
            cure: "set PREFECT_API_KEY",
        })
    };
    for status in [401, 403] {
        let (mut ledger, _, now) = begun(1);
        ledger.put(task_run(1, StateType::Running, "Running", now), now);
        let Next::Call(call) = ledger.next_call(now) else {
            panic!("a flow run begins with a call");
        };
        ledger.answered(*call, Reply::Began(known()), now);
        assert_eq!(ledger.next_events(10).len(), 1);
        ledger.put(line("kept", now), now);
        ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
        let later = now + SignedDuration::from_secs(60);
        let Next::Call(lines) = ledger.next_call(later) else {
            panic!("there is a line to tell");
        };
        if status == 403 {
            // Others may be allowed to write lines.
            ledger.answered(*lines, refused(403), now);
            assert!(ledger.finished(FLOW).is_none());
            ledger.shut(ApiError::Refused {
                request: "POST /task_runs/count".to_owned(),
                status,
                detail: "Forbidden".to_owned(),
                cure: "set PREFECT_API_KEY",
            });
        } else {
            ledger.answered(*lines, refused(401), now);
        }
        ledger.put(begin(now), now);
        assert!(matches!(ledger.next_call(later), Next::Wait(None)));
        assert_eq!(ledger.next_question(later), NextQuestion::Wait(None));
        assert!(ledger.next_events(10).is_empty());
        assert!(!ledger.is_idle(), "its file stays");
        let finished = ledger.finished(FLOW).expect("nobody waits");
        assert!(finished.refused.is_some_and(|error| error.is_refusal()));
    }
}

#[test]
fn an_absent_server_is_tried_less_and_less_often() {
    let mut now = start();
    let mut ledger = Ledger::new(Uuid::now_v7);
    ledger.put(begin(now), now);
    let mut tries = 0;
    for _ in 0..600 {
        now += SignedDuration::from_millis(100);
        if let Next::Call(call) = ledger.next_call(now) {
            tries += 1;
            ledger.answered(*call, Reply::Failed(away()), now);
        }
    }
    assert!((5..15).contains(&tries), "{tries} tries in a minute");
}
