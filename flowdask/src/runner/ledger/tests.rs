use std::time::Duration;

use flowcore::bridge::{
    ArgumentDescriptor, BatchDescriptor, ColumnDescriptor, Released, RunFailure, WorkDescriptor,
};

use super::*;
use crate::runner::payload::Input;

pub(in crate::runner) fn work(run: u64, arguments: Vec<ArgumentDescriptor>) -> WorkDescriptor {
    WorkDescriptor {
        flow_run_id: 7,
        flow_run_name: "brave-otter".into(),
        run: RunReference::Run(run),
        task_key: "m::inc".into(),
        fingerprint: 42,
        version: None,
        name: "inc".into(),
        run_name: "inc-abc".into(),
        run_name_template: None,
        tells_name: false,
        priority: 0,
        batch: None,
        resources: Vec::new(),
        tags: Vec::new(),
        retries: 0,
        retry_delay: Duration::ZERO.into(),
        retry_jitter: 0.0,
        timeout: None,
        results: None,
        attempt: 1,
        arguments,
    }
}

fn result(run: u64) -> ArgumentDescriptor {
    ArgumentDescriptor::Result(RunReference::Run(run))
}

fn outcome(run: u64) -> ArgumentDescriptor {
    ArgumentDescriptor::Outcome(Box::new(result(run)))
}

fn failed(run: u64) -> RunEvent {
    RunEvent::Ended {
        run: RunReference::Run(run),
        state: StateName::Failed,
        message: None,
        error: Error::msg("boom"),
    }
}

#[test]
fn inputs_are_dependencies_each_once() {
    let mut ledger = Ledger::new("home".into());
    let first = ledger.submit(Job::Run(work(1, vec![]))).unwrap();
    let list = ArgumentDescriptor::List(vec![result(1), result(1)]);
    let second = ledger
        .submit(Job::Run(work(2, vec![result(1), list])))
        .unwrap();
    assert_eq!(second.dependencies, std::slice::from_ref(&first.key));
    let inputs = &second.payload.inputs;
    assert!(matches!(
        inputs[..],
        [(Runs::Run(RunReference::Run(1)), Input::Dependency)]
    ));
    let bytes = second.payload.to_bytes().unwrap();
    let back = Payload::from_bytes(&bytes).unwrap();
    assert_eq!(format!("{back:?}"), format!("{:?}", second.payload));
}

#[test]
fn an_end_is_told_once_when_the_value_is_there() {
    let mut ledger = Ledger::new("home".into());
    let key = ledger.submit(Job::Run(work(1, vec![]))).unwrap().key;
    let run = RunReference::Run(1);
    assert!(ledger.told(RunEvent::Cached { run }).events.is_empty());
    let events = ledger.in_memory(&key).events;
    assert!(
        matches!(events[..], [RunEvent::Cached { .. }]),
        "{events:?}"
    );
    assert!(ledger.in_memory(&key).events.is_empty());
    assert!(ledger.lost(&key, "late").events.is_empty());
}

#[test]
fn a_reader_that_allows_failure_waits_for_the_outcome() {
    let mut ledger = Ledger::new("home".into());
    let good = ledger.submit(Job::Run(work(1, vec![]))).unwrap().key;
    ledger.submit(Job::Run(work(2, vec![]))).unwrap();
    assert!(
        ledger
            .submit(Job::Run(work(3, vec![outcome(1), outcome(2)])))
            .is_none()
    );
    assert!(ledger.told(failed(2)).ready.is_empty());
    let ready = ledger.in_memory(&good).ready;
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0].dependencies, [good]);
    let inputs = &ready[0].payload.inputs;
    assert!(matches!(
        inputs[..],
        [(_, Input::Dependency), (_, Input::Failed(_))]
    ));
    // An outcome that is known already holds nothing back.
    assert!(ledger.submit(Job::Run(work(4, vec![outcome(2)]))).is_some());
}

#[test]
fn a_key_that_dask_gives_up_crashes_its_run() {
    let mut ledger = Ledger::new("home".into());
    let key = ledger.submit(Job::Run(work(1, vec![]))).unwrap().key;
    let events = ledger.lost(&key, "the worker died 4 times").events;
    assert!(matches!(
        events[..],
        [RunEvent::Ended {
            state: StateName::Crashed,
            ..
        }]
    ));
    assert!(ledger.told(failed(1)).events.is_empty());
}

#[test]
fn a_cancelled_run_is_released_and_may_still_tell_its_end() {
    let mut ledger = Ledger::new("home".into());
    let key = ledger.submit(Job::Run(work(1, vec![]))).unwrap().key;
    let run = RunReference::Run(1);
    assert_eq!(ledger.cancel(run).0, Cancelling::Release(key));
    assert_eq!(ledger.cancel(run).0, Cancelling::Nothing);
    assert_eq!(ledger.told(failed(1)).events.len(), 1);
}

#[test]
fn a_failure_that_dask_hands_on_is_the_inputs() {
    let mut ledger = Ledger::new("home".into());
    let first = ledger.submit(Job::Run(work(1, vec![]))).unwrap().key;
    let second = ledger
        .submit(Job::Run(work(2, vec![result(1)])))
        .unwrap()
        .key;
    assert!(ledger.lost(&second, "killed").events.is_empty());
    assert_eq!(ledger.lost(&first, "killed").events.len(), 1);
}

#[test]
fn a_cancelled_run_that_completes_is_cancelled() {
    let mut ledger = Ledger::new("home".into());
    let run = RunReference::Run(1);
    let key = ledger.submit(Job::Run(work(1, vec![]))).unwrap().key;
    ledger.cancel(run);
    let events = ledger.told(RunEvent::Completed { run }).events;
    assert!(matches!(
        events[..],
        [RunEvent::Ended {
            state: StateName::Cancelled,
            ..
        }]
    ));
    assert!(ledger.cancelled(&key).events.is_empty());
}

fn batch(map: u64, rows: std::ops::Range<u32>, columns: Vec<ColumnDescriptor>) -> Job {
    let mut work = work(0, Vec::new());
    work.run = RunReference::Row(map, rows.start);
    Job::Batch(BatchDescriptor::new(work, 0, rows, columns).unwrap())
}

fn reads(map: u64, first: u32) -> Vec<ColumnDescriptor> {
    vec![ColumnDescriptor::Rows { map, first }]
}

fn completed(first: u32, rows: usize) -> RunEvent {
    RunEvent::RowsCompleted {
        map: 1,
        first,
        took: vec![5; rows],
    }
}

fn row_failed(row: u32) -> RunEvent {
    RunEvent::Ended {
        run: RunReference::Row(1, row),
        state: StateName::Failed,
        message: None,
        error: Error::msg("odd"),
    }
}

#[test]
fn batches_depend_on_the_batches_that_they_read() {
    let mut ledger = Ledger::new("home".into());
    let first = ledger.submit(batch(1, 0..4, Vec::new())).unwrap().key;
    let second = ledger.submit(batch(1, 4..8, Vec::new())).unwrap().key;
    let aligned = ledger.submit(batch(2, 4..8, reads(1, 4))).unwrap();
    assert_eq!(aligned.dependencies, std::slice::from_ref(&second));
    let shifted = ledger.submit(batch(3, 0..4, reads(1, 2))).unwrap();
    assert_eq!(shifted.dependencies, [first.clone(), second.clone()]);
    let whole = ArgumentDescriptor::Rows(1, 0..8);
    let whole = ledger.submit(Job::Run(work(9, vec![whole]))).unwrap();
    assert_eq!(whole.dependencies, [first.clone(), second.clone()]);
    // A row's outcome is in its batch: nothing is held back for it.
    let row = ArgumentDescriptor::Result(RunReference::Row(1, 5));
    let row = ArgumentDescriptor::Outcome(Box::new(row));
    let row = ledger.submit(Job::Run(work(10, vec![row]))).unwrap();
    assert_eq!(row.dependencies, std::slice::from_ref(&second));
    assert_eq!(
        ledger.place(RunReference::Row(1, 6)),
        Some((&second, Some(2)))
    );
    assert_eq!(ledger.place(RunReference::Row(1, 8)), None);
}

#[test]
fn rows_complete_with_their_batch_and_fail_at_once() {
    let mut ledger = Ledger::new("home".into());
    let key = ledger.submit(batch(1, 0..4, Vec::new())).unwrap().key;
    assert!(ledger.told(completed(0, 2)).events.is_empty());
    assert_eq!(ledger.told(row_failed(2)).events.len(), 1);
    // The worker died, another one executes all of it again.
    assert!(ledger.told(completed(0, 2)).events.is_empty());
    assert!(ledger.told(row_failed(2)).events.is_empty());
    assert!(ledger.told(completed(3, 1)).events.is_empty());
    let consequences = ledger.in_memory(&key);
    assert_eq!(consequences.incomplete, None);
    assert!(matches!(
        consequences.events[..],
        [
            RunEvent::RowsCompleted { first: 0, .. },
            RunEvent::RowsCompleted { first: 3, .. }
        ]
    ));
    assert!(ledger.in_memory(&key).events.is_empty());
}

#[test]
fn a_row_that_completed_and_fails_where_it_is_executed_again_has_failed() {
    let mut ledger = Ledger::new("home".into());
    let key = ledger.submit(batch(1, 0..4, Vec::new())).unwrap().key;
    assert!(ledger.told(completed(0, 3)).events.is_empty());
    // The worker died, another one executes all of it again.
    assert_eq!(ledger.told(row_failed(1)).events.len(), 1);
    assert!(ledger.told(row_failed(1)).events.is_empty());
    assert!(ledger.told(completed(3, 1)).events.is_empty());
    let ranges: Vec<_> = ledger
        .in_memory(&key)
        .events
        .into_iter()
        .map(|event| match event {
            RunEvent::RowsCompleted { first, took, .. } => (first, took.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ranges, [(0, 1), (2, 1), (3, 1)]);
}

#[test]
fn what_was_not_told_is_looked_up() {
    let mut ledger = Ledger::new("home".into());
    let key = ledger.submit(batch(1, 10..13, Vec::new())).unwrap().key;
    ledger.told(completed(10, 1));
    let consequences = ledger.in_memory(&key);
    assert_eq!(consequences.incomplete, Some(key.clone()));
    assert!(consequences.events.is_empty());
    let failure = RunFailure {
        state: StateName::Failed,
        message: None,
        error: Error::msg("odd"),
    };
    let events = ledger.looked_up(&key, &[(2, failure)]).events;
    assert!(matches!(
        events[..],
        [
            RunEvent::Ended {
                run: RunReference::Row(1, 12),
                ..
            },
            RunEvent::RowsCompleted { first: 10, .. },
            RunEvent::RowsCompleted { first: 11, .. }
        ]
    ));
}

#[test]
fn a_batch_is_released_with_its_last_row() {
    let mut ledger = Ledger::new("home".into());
    let key = ledger.submit(batch(1, 0..2, Vec::new())).unwrap().key;
    let row = |row| RunReference::Row(1, row);
    assert_eq!(ledger.cancel(row(1)).0, Cancelling::Order(key.clone()));
    assert_eq!(ledger.cancelled_rows(&key), [row(1)]);
    assert_eq!(ledger.cancel(row(0)).0, Cancelling::Release(key.clone()));
    // One completed all the same, of the other nothing is heard any more.
    let events = ledger.told(completed(0, 1)).events;
    assert!(matches!(
        events[..],
        [RunEvent::Ended {
            state: StateName::Cancelled,
            ..
        }]
    ));
    assert_eq!(ledger.cancelled(&key).events.len(), 1);
    assert!(!ledger.is_cancelled(&key));
}

#[test]
fn a_batch_that_dask_gives_up_crashes_all_its_rows() {
    let mut ledger = Ledger::new("home".into());
    let key = ledger.submit(batch(1, 0..3, Vec::new())).unwrap().key;
    ledger.told(completed(0, 2));
    assert_eq!(ledger.lost(&key, "killed").events.len(), 3);
}

#[test]
fn what_completed_without_its_value_is_cancelled_at_once() {
    let mut ledger = Ledger::new("home".into());
    let key = ledger.submit(batch(1, 0..3, Vec::new())).unwrap().key;
    ledger.told(completed(0, 2));
    let row = |row| RunReference::Row(1, row);
    ledger.cancel(row(0));
    ledger.cancel(row(1));
    let (cancelling, consequences) = ledger.cancel(row(2));
    assert_eq!(cancelling, Cancelling::Release(key.clone()));
    assert_eq!(consequences.events.len(), 2);
    assert!(ledger.is_cancelled(&key));
    assert_eq!(ledger.told(row_failed(2)).events.len(), 1);
    assert!(!ledger.is_cancelled(&key));

    let run = RunReference::Run(1);
    let key = ledger.submit(Job::Run(work(1, vec![]))).unwrap().key;
    ledger.told(RunEvent::Completed { run });
    assert_eq!(ledger.cancel(run).1.events.len(), 1);
    assert!(!ledger.is_cancelled(&key));
}

#[test]
fn what_has_ended_and_nobody_needs_is_forgotten() {
    let mut ledger = Ledger::new("home".into());
    let first = ledger.submit(Job::Run(work(1, vec![]))).unwrap().key;
    let run = RunReference::Run(1);
    // Its end is to be told yet.
    let release = Released::Run(run);
    assert!(ledger.release_results(release).unneeded.is_empty());
    let consequences = ledger.in_memory(&first);
    assert_eq!(consequences.events.len(), 1);
    assert_eq!(consequences.unneeded, std::slice::from_ref(&first));
    assert_eq!(ledger.place(run), None);
    assert!(ledger.release_results(release).unneeded.is_empty());
    // A worker's death makes it again: nobody is told.
    assert!(ledger.told(RunEvent::Completed { run }).events.is_empty());
    assert!(ledger.in_memory(&first).events.is_empty());
    assert!(ledger.lost(&first, "killed").events.is_empty());
}

#[test]
fn what_a_held_reader_needs_is_kept_until_it_is_submitted() {
    let mut ledger = Ledger::new("home".into());
    let value = ledger.submit(Job::Run(work(1, vec![]))).unwrap().key;
    ledger.submit(Job::Run(work(2, vec![]))).unwrap();
    assert!(
        ledger
            .submit(Job::Run(work(3, vec![result(1), outcome(2)])))
            .is_none()
    );
    ledger.in_memory(&value);
    let release =
        |ledger: &mut Ledger, run| ledger.release_results(Released::Run(RunReference::Run(run)));
    assert!(release(&mut ledger, 1).unneeded.is_empty());
    assert!(release(&mut ledger, 2).unneeded.is_empty());
    let consequences = ledger.told(failed(2));
    assert_eq!(consequences.ready.len(), 1);
    assert_eq!(
        consequences.ready[0].dependencies,
        std::slice::from_ref(&value)
    );
    assert_eq!(consequences.unneeded.len(), 2);
}

#[test]
fn a_cancelled_reader_lets_its_inputs_go_and_its_own_readers_on() {
    let mut ledger = Ledger::new("home".into());
    let value = ledger.submit(Job::Run(work(1, vec![]))).unwrap().key;
    ledger.submit(Job::Run(work(2, vec![]))).unwrap();
    let held = work(3, vec![result(1), outcome(2)]);
    assert!(ledger.submit(Job::Run(held)).is_none());
    assert!(ledger.submit(Job::Run(work(4, vec![outcome(3)]))).is_none());
    ledger.in_memory(&value);
    let release = Released::Run(RunReference::Run(1));
    assert!(ledger.release_results(release).unneeded.is_empty());
    let (cancelling, consequences) = ledger.cancel(RunReference::Run(3));
    assert_eq!(cancelling, Cancelling::Nothing);
    assert_eq!(consequences.unneeded, [value]);
    assert!(matches!(
        consequences.ready[0].payload.inputs[..],
        [(Runs::Run(RunReference::Run(3)), Input::Failed(_))]
    ));
}

#[test]
fn a_map_is_released_with_all_its_keys() {
    let mut ledger = Ledger::new("home".into());
    let first = ledger.submit(batch(1, 0..2, Vec::new())).unwrap().key;
    let mut alone = work(0, Vec::new());
    alone.run = RunReference::Row(1, 2);
    let second = ledger.submit(Job::Run(alone)).unwrap().key;
    let other = ledger.submit(batch(2, 0..2, reads(1, 0))).unwrap().key;
    ledger.told(completed(0, 2));
    ledger.in_memory(&first);
    ledger.in_memory(&second);
    let unneeded = ledger.release_results(Released::Map(1)).unneeded;
    assert_eq!(unneeded, [first, second]);
    assert_eq!(ledger.place(RunReference::Row(1, 1)), None);
    assert_eq!(ledger.open_keys(), [other]);
}

/// Which values' keys go when one comes that leaves no place for others that
/// nobody needs.
fn crowd_out(ledger: &mut Ledger) -> Vec<Key> {
    ledger.hold_value(99, usize::MAX / 2);
    ledger.let_value_go(99).unneeded
}

#[test]
fn a_value_has_one_key_while_somebody_reads_it() {
    let mut ledger = Ledger::new("home".into());
    let reads = || vec![ColumnDescriptor::Repeat(ArgumentDescriptor::Shared(5))];
    let value = ledger.hold_value(5, 1).unwrap();
    let first = ledger.submit(batch(1, 0..2, reads())).unwrap();
    assert_eq!(first.dependencies, std::slice::from_ref(&value));
    assert_eq!(first.payload.values, [5]);
    // A run that reads it twice, and the result of another beside it.
    assert_eq!(ledger.hold_value(5, 1), None);
    let row = ArgumentDescriptor::Result(RunReference::Row(1, 0));
    let twice = vec![
        ArgumentDescriptor::Shared(5),
        row,
        ArgumentDescriptor::List(vec![ArgumentDescriptor::Shared(5)]),
    ];
    let second = ledger.submit(Job::Run(work(2, twice))).unwrap();
    assert_eq!(second.dependencies, [first.key.clone(), value.clone()]);
    for _ in 0..2 {
        assert!(ledger.let_value_go(5).unneeded.is_empty());
    }
    ledger.told(completed(0, 2));
    ledger.in_memory(&first.key);
    // A worker's death makes the first again, which ends nothing twice.
    ledger.in_memory(&first.key);
    assert_eq!(crowd_out(&mut ledger), [], "the second reads it");
    ledger.told(failed(2));
    assert_eq!(crowd_out(&mut ledger), [value]);
}

#[test]
fn what_is_held_keeps_its_value_and_what_is_cancelled_does_not() {
    let mut ledger = Ledger::new("home".into());
    let value = ledger.hold_value(5, 1).unwrap();
    let reads = || ArgumentDescriptor::Shared(5);
    ledger.submit(Job::Run(work(1, vec![]))).unwrap();
    let held = work(2, vec![reads(), outcome(1)]);
    assert!(ledger.submit(Job::Run(held)).is_none());
    let cancelled = work(3, vec![reads()]);
    ledger.submit(Job::Run(cancelled)).unwrap();
    ledger.let_value_go(5);
    let ready = ledger.told(failed(1)).ready;
    assert_eq!(ready[0].dependencies, std::slice::from_ref(&value));
    ledger.lost(&ready[0].key, "killed");
    assert_eq!(crowd_out(&mut ledger), [], "the third reads it");
    // Nothing need be heard of it: its worker may never have begun.
    ledger.cancel(RunReference::Run(3));
    assert_eq!(crowd_out(&mut ledger), [value]);
}

#[test]
fn who_reads_a_value_that_was_lost_gets_it_under_another_key() {
    let mut ledger = Ledger::new("home".into());
    let value = ledger.hold_value(5, 1).unwrap();
    let reads = || vec![ArgumentDescriptor::Shared(5)];
    let first = ledger.submit(Job::Run(work(1, reads()))).unwrap();
    let unneeded = ledger.lost(&value, "killed").unneeded;
    assert_eq!(unneeded, std::slice::from_ref(&value));
    let events = ledger.lost(&first.key, "killed").events;
    assert_eq!(events.len(), 1, "the run ends with it");
    let another = ledger.hold_value(5, 1).unwrap();
    assert_ne!(another, value);
    let second = ledger.submit(Job::Run(work(2, reads()))).unwrap();
    assert_eq!(second.dependencies, [another]);
}
