//! A server that is well and always fails at lines, states or names.

use super::*;

const OTHER: Uuid = Uuid::from_u128(2);

/// A flow run that has ended and wrote lines, on a server that answers so to
/// batches with a guilty one; what it did, and what the server has.
fn lines_told(
    count: u128,
    is_guilty: fn(&str) -> bool,
    reply: fn() -> Reply,
) -> ((usize, i64), Vec<String>) {
    let (mut ledger, mut server, now) = begun(1);
    for number in 0..count {
        ledger.put(line(&number.to_string(), now), now);
    }
    ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
    let done = until_ended_with(&mut ledger, &mut server, |call| match call {
        Call::Lines(lines) if lines.iter().any(|line| is_guilty(&line.line.message)) => {
            Some(reply())
        }
        _ => None,
    });
    assert_eq!(server.states, ["Completed"]);
    assert!(ledger.is_idle());
    (
        done,
        server.lines.into_iter().map(|(_, text)| text).collect(),
    )
}

fn numbers(numbers: impl Iterator<Item = u128>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[test]
fn only_lines_at_which_a_server_fails_are_given_up() {
    let fails = || Reply::FailedAtThis(failing());
    let ((answers, seconds), told) = lines_told(1_000, |text| text == "277", fails);
    assert_eq!(told, numbers((0..1_000).filter(|number| *number != 277)));
    // Eight tries, and the way to the line.
    assert!(answers <= 8 + 8, "{answers}");
    assert!(seconds < 60, "{seconds} s");
    let of_many = |text: &str| text.ends_with("77");
    let ((_, seconds), told) = lines_told(1_000, of_many, fails);
    assert_eq!(
        told,
        numbers((0..1_000).filter(|number| number % 100 != 77))
    );
    assert!(seconds < 60, "{seconds} s");
}

#[test]
fn only_lines_that_a_server_does_not_take_are_given_up() {
    let refuses = || {
        Reply::Failed(ApiError::Invalid {
            request: "POST /logs/".to_owned(),
            status: 422,
            detail: "too long".to_owned(),
        })
    };
    let ((answers, seconds), told) = lines_told(1_000, |text| text == "277", refuses);
    assert_eq!(told, numbers((0..1_000).filter(|number| *number != 277)));
    assert!(answers <= 10 && seconds < 10, "{answers} in {seconds} s");
}

#[test]
fn a_server_that_takes_no_lines_is_not_asked_for_each() {
    let fails = || Reply::FailedAtThis(failing());
    let ((answers, seconds), told) = lines_told(10_000, |_| true, fails);
    assert_eq!(told, [""; 0]);
    assert!(answers < 150 && seconds < 60, "{answers} in {seconds} s");
}

#[test]
fn lines_at_which_a_server_fails_for_a_while_are_told_once() {
    let (mut ledger, mut server, now) = begun(1);
    for number in 0..400 {
        ledger.put(line(&number.to_string(), now), now);
    }
    ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
    let mut failures = 0;
    until_ended_with(&mut ledger, &mut server, |call| match call {
        Call::Lines(_) if failures < 14 => {
            failures += 1;
            Some(Reply::FailedAtThis(failing()))
        }
        _ => None,
    });
    let told: Vec<_> = server.lines.into_iter().map(|(_, text)| text).collect();
    assert_eq!(told, numbers(0..400));
}

#[test]
fn lines_that_a_server_never_finds_are_sent_once_more() {
    let (mut ledger, mut server, now) = begun(1);
    ledger.put(line("doubtful", now), now);
    ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
    let mut is_lost = true;
    until_ended_with(&mut ledger, &mut server, |call| match call {
        Call::Lines(_) if std::mem::take(&mut is_lost) => Some(Reply::Failed(unanswered())),
        Call::FindLines(_) => Some(Reply::FailedAtThis(failing())),
        _ => None,
    });
    assert_eq!(server.lines.len(), 1);
}

#[test]
fn a_name_at_which_a_server_always_fails_is_given_up() {
    let (mut ledger, mut server, now) = begun(1);
    ledger.put(Message::FlowRunName(FLOW, "new".to_owned()), now);
    ledger.put(Message::FlowRunName(FLOW, "newer".to_owned()), now);
    ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
    let (answers, seconds) = until_ended_with(&mut ledger, &mut server, |call| {
        matches!(call, Call::Rename { .. }).then(|| Reply::FailedAtThis(failing()))
    });
    assert_eq!(answers, 8 + 1);
    assert!(seconds < 60, "{seconds} s");
    assert_eq!(server.states, ["Completed"]);
}

/// Whether a call is about the state Running of the flow run with the lower id.
fn is_running_of_first(call: &Call) -> bool {
    matches!(call, Call::State { server, state, .. }
        if *server == SERVER_FLOW && state.name == "Running")
}

#[test]
fn a_state_at_which_a_server_fails_holds_up_its_own_flow_run_only() {
    let (mut ledger, mut server, now) = begun(1);
    ledger.put(test_messages::flow_run(OTHER, "flow", "other", now), now);
    for flow in [FLOW, OTHER] {
        let running = Box::new(state(StateType::Running, "Running", now));
        ledger.put(Message::FlowState(flow, running), now);
        ledger.put(test_messages::line("line", now, flow, None), now);
        ledger.finish(flow, state(StateType::Completed, "Completed", now));
    }
    let mut now = now;
    let mut tries = 0;
    let minutes = start() + SignedDuration::from_mins(5);
    while now < minutes {
        now += SignedDuration::from_millis(10);
        let Next::Call(call) = ledger.next_call(now) else {
            continue;
        };
        let reply = match &*call {
            Call::Begin { new, .. } if new.id == OTHER => Reply::Began(ServerFlowRun {
                id: Uuid::from_u128(1003),
                ..known()
            }),
            call if is_running_of_first(call) => {
                tries += 1;
                Reply::FailedAtThis(failing())
            }
            call => server.reply(call, false),
        };
        ledger.answered(*call, reply, now);
    }
    assert!((20..60).contains(&tries), "{tries} tries in five minutes");
    assert_eq!(server.states, ["Running", "Completed"], "of the other one");
    assert_eq!(server.lines.len(), 2);
    assert!(ledger.finished(OTHER).is_some());
    assert!(ledger.finished(FLOW).is_none(), "it is not given up");
    server.states.clear();
    until_ended(&mut ledger, &mut server, now, false);
    assert_eq!(server.states, ["Running", "Completed"]);
}
