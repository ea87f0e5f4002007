//! Artifacts of a server that loses things, fails at some, or sees a replay.

use super::*;

#[test]
fn artifacts_are_made_once_and_show_their_newest_data() {
    for seed in 1..60 {
        let (mut ledger, mut server, now) = begun(seed);
        for (number, data) in [(0, "same"), (1, "same"), (2, "other"), (1, "twice told")] {
            ledger.put(artifact(number, data), now);
        }
        for data in ["50", "70", "100"] {
            ledger.put(artifact_data(2, data), now);
        }
        // Of nothing that was made.
        ledger.put(artifact_data(9, "1"), now);
        let last = state(StateType::Completed, "Completed", now);
        ledger.finish(FLOW, last);
        until_ended(&mut ledger, &mut server, now, true);
        let shown: Vec<_> = server.artifacts.iter().map(|(_, data)| data).collect();
        assert_eq!(shown, ["same", "same", "100"], "seed {seed}");
        assert_eq!(server.said.len(), shown.len(), "seed {seed}");
    }
}

/// Whether a call is of this kind.
type Kind = fn(&ArtifactCall) -> bool;

/// Making, saying so, changing, saying so.
const KINDS: [Kind; 4] = [
    |call| matches!(call, ArtifactCall::Make { .. }),
    |call| matches!(call, ArtifactCall::Say { .. }),
    |call| matches!(call, ArtifactCall::Change { .. }),
    |call| matches!(call, ArtifactCall::SayChange { .. }),
];

/// Goes on until the flow run has ended, on a server that answers calls about
/// artifacts of one kind with this; how often it did, and the seconds.
fn until_ended_without(
    ledger: &mut Ledger,
    server: &mut Server,
    kind: Kind,
    mut answer: impl FnMut(usize) -> Option<Reply>,
) -> (usize, i64) {
    let mut failures = 0;
    until_ended_with(ledger, server, |call| {
        let fails = matches!(call, Call::Artifact(call) if kind(call));
        let reply = if fails { answer(failures) } else { None };
        failures += usize::from(reply.is_some());
        reply
    })
}

/// A flow run that has ended with three artifacts, the last of which changed.
fn ended_with_artifacts(ledger: &mut Ledger) {
    let now = start();
    for (number, data) in [(0, "one"), (1, "two"), (2, "0")] {
        ledger.put(artifact(number, data), now);
    }
    ledger.put(artifact_data(2, "100"), now);
    ledger.put(line("kept", now), now);
    ledger.finish(FLOW, state(StateType::Completed, "Completed", now));
}

#[test]
fn what_a_server_always_fails_at_is_given_up_and_nothing_else() {
    for (kind, (failures, made, said, shown, changes)) in KINDS.into_iter().zip([
        (10, 0, 0, None, 0),
        (10, 3, 0, Some("100"), 1),
        (8, 3, 3, Some("0"), 0),
        (8, 3, 3, Some("100"), 0),
    ]) {
        let (mut ledger, mut server, _) = begun(1);
        ended_with_artifacts(&mut ledger);
        let always = |_| Some(Reply::FailedAtThis(failing()));
        let (met, seconds) = until_ended_without(&mut ledger, &mut server, kind, always);
        assert_eq!(met, failures);
        assert!(seconds < 60, "{seconds} s");
        assert_eq!(server.states, ["Completed"]);
        assert_eq!(server.lines.len(), 1);
        assert_eq!(server.artifacts.len(), made);
        assert_eq!(server.said.len(), said);
        let last = server.artifacts.last().and_then(|(_, data)| data.as_str());
        assert_eq!(last, shown);
        assert_eq!(server.changes.len(), changes);
        assert!(ledger.is_idle());
        assert_eq!(ledger.held(), (0, 0));
    }
}

/// Whatever a server answers so often with a failure, in the end it knows all.
fn all_is_told_after(failures: usize, reply: fn(ApiError) -> Reply) {
    for kind in KINDS {
        let (mut ledger, mut server, _) = begun(1);
        ended_with_artifacts(&mut ledger);
        let answer = |met| (met < failures).then(|| reply(failing()));
        let (met, _) = until_ended_without(&mut ledger, &mut server, kind, answer);
        assert_eq!(met, failures);
        assert_eq!((server.said.len(), server.changes.len()), (3, 1));
    }
}

#[test]
fn what_a_server_fails_at_for_a_while_is_told() {
    all_is_told_after(7, Reply::FailedAtThis);
}

#[test]
fn a_server_that_fails_at_all_is_waited_for() {
    all_is_told_after(100, Reply::Failed);
}

#[test]
fn what_was_said_of_changes_is_said_by_the_same_events_in_a_replay() {
    let said = |rounds: [usize; 2]| {
        let (mut ledger, mut server, mut now) = begun(1);
        ledger.put(artifact(0, "0"), now);
        ledger.put(artifact(500, "0"), now);
        for (data, rounds) in [("50", rounds[0]), ("100", rounds[1])] {
            ledger.put(artifact_data(0, data), now);
            ledger.put(artifact_data(500, data), now);
            for _ in 0..rounds {
                now += SignedDuration::from_millis(100);
                go_on(&mut ledger, &mut server, now, false);
            }
        }
        server.changes
    };
    let all = said([20, 20]);
    let shown: Vec<_> = all.values().collect();
    assert_eq!(shown, ["50", "100", "50", "100"]);
    let melted = said([0, 20]);
    assert_eq!(melted.len(), 2);
    for (event, data) in melted {
        assert_eq!(all[&event], data);
    }
}

#[test]
fn an_artifact_is_weighed_until_an_event_says_that_it_is_there() {
    let (mut ledger, mut server, now) = begun(1);
    ledger.put(artifact(0, &"x".repeat(1_000_000)), now);
    let mut held = vec![ledger.held().0];
    for _ in 0..3 {
        go_on(&mut ledger, &mut server, now, false);
        held.push(ledger.held().0);
    }
    assert_eq!((server.artifacts.len(), server.said.len()), (1, 1));
    // It begins, is made, is said.
    assert!(held[0] > 1_000_000 && held[1] == held[0], "{held:?}");
    assert!((1..1_000).contains(&held[2]), "{held:?}");
    assert_eq!(held[3], 0);
}
