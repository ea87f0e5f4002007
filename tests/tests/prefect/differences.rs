//! All intended differences: what Prefect does, what is done here, and the row
//! of the guide's page "Differences from Prefect" that says why.

use std::collections::BTreeMap;

use crate::flows::table;
use crate::record::Record;

const PAGE: &str = include_str!("../../../docs/guide/differences.md");

/// Texts of one label in one row that are meant to differ.
pub(crate) struct Difference {
    row: &'static str,
    label: &'static str,
    prefect: &'static [&'static str],
    ours: &'static [&'static str],
    /// The first cell of the guide's row.
    because: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        row: "values_of_transactions",
        label: "gives",
        prefect: &[r#"["inner 1", "outer 1", "place 1", "place 1"]"#],
        ours: &[r#"["inner 1", "outer 1", "place 2", "place 1"]"#],
        because: "`txn.get(..)` in a hook",
    },
    Difference {
        row: "returned_completed_by_hand",
        label: "gives",
        prefect: &["3"],
        ours: &[r#"Completed("done")"#],
        because: "a flow that returns a state made by hand",
    },
    Difference {
        row: "task_completed_by_hand",
        label: "Task run completed_by_hand-… of task-completed-by-hand",
        prefect: &[r#"Pending() → Running() → Completed("early")"#],
        ours: &["Pending() → Running() → Completed()"],
        because: "a task that returns a completed state made by hand",
    },
    Difference {
        row: "panicked_task",
        label: "Task run broken-… of panicked-task",
        prefect: &[
            r#"Pending() → Running() → Failed("Task run encountered an exception RuntimeError: boom")"#,
        ],
        ours: &[
            r#"Pending() → Running() → Failed("Task run encountered an exception panic at …: boom")"#,
        ],
        because: "panics and exceptions of the interpreter",
    },
    Difference {
        row: "panicked_task",
        label: "gives",
        prefect: &[
            r#"[Failed("Task run encountered an exception RuntimeError: boom"), Completed()]"#,
        ],
        ours: &[r#"[Failed("Task run encountered an exception panic at …: boom"), Completed()]"#],
        because: "panics and exceptions of the interpreter",
    },
    Difference {
        row: "panicked_flow",
        label: "Flow run … of panicked-flow",
        prefect: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: RuntimeError: boom")"#,
        ],
        ours: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: panic at …: boom")"#,
        ],
        because: "panics and exceptions of the interpreter",
    },
    Difference {
        row: "panicked_flow",
        label: "gives",
        prefect: &["raises RuntimeError: boom"],
        ours: &["raises FailedRun: panic at …: boom"],
        because: "panics and exceptions of the interpreter",
    },
    Difference {
        row: "dependents_of_a_failure",
        label: "Task run add-… of dependents-of-a-failure",
        prefect: &[
            r#"Pending() → NotReady("Upstream task run 'inc-…' did not reach a 'COMPLETED' state.", type=PENDING)"#,
        ],
        ours: &[
            r#"Pending() → NotReady("Upstream task run 'bad-…' did not reach a 'COMPLETED' state.", type=PENDING)"#,
        ],
        because: "the message of NotReady",
    },
    Difference {
        row: "dependents_of_a_failure",
        label: "gives",
        prefect: &[
            r#"[Failed("Task run encountered an exception ValueError: bad 1"), NotReady("Upstream task run 'bad-…' did not reach a 'COMPLETED' state.", type=PENDING), NotReady("Upstream task run 'inc-…' did not reach a 'COMPLETED' state.", type=PENDING)]"#,
        ],
        ours: &[
            r#"[Failed("Task run encountered an exception ValueError: bad 1"), NotReady("Upstream task run 'bad-…' did not reach a 'COMPLETED' state.", type=PENDING), NotReady("Upstream task run 'bad-…' did not reach a 'COMPLETED' state.", type=PENDING)]"#,
        ],
        because: "the message of NotReady",
    },
    Difference {
        row: "value_of_a_run_that_never_started",
        label: "gives",
        prefect: &["raises UnfinishedRun: Run is in PENDING state, its result is not available."],
        ours: &[
            "raises UnfinishedRun: upstream task run 'bad-…' did not reach a 'COMPLETED' state",
        ],
        because: "the value of a run that never started",
    },
    Difference {
        row: "value_of_a_run_that_never_started",
        label: "Flow run … of value-of-a-run-that-never-started",
        prefect: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: Error: Run is in PENDING state, its result is not available.")"#,
        ],
        ours: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: Error: upstream task run 'bad-…' did not reach a 'COMPLETED' state")"#,
        ],
        because: "the value of a run that never started",
    },
    Difference {
        row: "allowed_failure_of_a_run_that_never_started",
        label: "gives",
        prefect: &[r#""None""#],
        ours: &[r#""UnfinishedRun: upstream task run 'bad-…' did not reach a 'COMPLETED' state""#],
        because: "`allow_failure` of a run that never started",
    },
    Difference {
        row: "mapped_lists_of_different_lengths",
        label: "gives",
        prefect: &[
            "raises MappingLengthMismatch: Received iterable parameters with different lengths. Parameters for map must all be the same length. Got lengths: {'x': 2, 'y': 3}",
        ],
        ours: &[
            "raises Error: `add.map` received sequences of different lengths (`x`: 2, `y`: 3); all must be the same length, or wrap a single value for all rows: `unmapped(..)`",
        ],
        because: "mistakes in a call of `map`",
    },
    Difference {
        row: "mapped_lists_of_different_lengths",
        label: "Flow run … of mapped-lists-of-different-lengths",
        prefect: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: MappingLengthMismatch: Received iterable parameters with different lengths. Parameters for map must all be the same length. Got lengths: {'x': 2, 'y': 3}")"#,
        ],
        ours: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: Error: `add.map` received sequences of different lengths (`x`: 2, `y`: 3); all must be the same length, or wrap a single value for all rows: `unmapped(..)`")"#,
        ],
        because: "mistakes in a call of `map`",
    },
    Difference {
        row: "mapped_nothing_to_iterate",
        label: "gives",
        prefect: &[
            "raises MappingMissingIterable: No iterable parameters were received. Parameters for map must include at least one iterable. Parameters: {'x': unmapped(1), 'y': unmapped(2)}",
        ],
        ours: &[
            "raises Error: `add.map` received no sequence: at least one argument must be one, all others may be `unmapped(..)`",
        ],
        because: "mistakes in a call of `map`",
    },
    Difference {
        row: "mapped_nothing_to_iterate",
        label: "Flow run … of mapped-nothing-to-iterate",
        prefect: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: MappingMissingIterable: No iterable parameters were received. Parameters for map must include at least one iterable. Parameters: {'x': unmapped(1), 'y': unmapped(2)}")"#,
        ],
        ours: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: Error: `add.map` received no sequence: at least one argument must be one, all others may be `unmapped(..)`")"#,
        ],
        because: "mistakes in a call of `map`",
    },
    Difference {
        row: "mapped_future_of_a_list_that_fails",
        label: "gives",
        prefect: &[
            "raises UpstreamTaskError: Upstream task run 'bad-…' did not reach a 'COMPLETED' state.",
        ],
        ours: &[
            "raises UnfinishedRun: upstream task run 'bad-…' did not reach a 'COMPLETED' state",
        ],
        because: "`map` over a future of a list",
    },
    Difference {
        row: "mapped_future_of_a_list_that_fails",
        label: "Flow run … of mapped-future-of-a-list-that-fails",
        prefect: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: UpstreamTaskError: Upstream task run 'bad-…' did not reach a 'COMPLETED' state.")"#,
        ],
        ours: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: Error: upstream task run 'bad-…' did not reach a 'COMPLETED' state")"#,
        ],
        because: "`map` over a future of a list",
    },
    Difference {
        row: "asked_for_rows_of_which_one_fails",
        label: "gives",
        prefect: &["raises ValueError: 3 is odd"],
        ours: &["raises ValueError: row 1: 3 is odd"],
        because: "the value of a map of which rows failed",
    },
    Difference {
        row: "asked_for_rows_of_which_one_fails",
        label: "Flow run … of asked-for-rows-of-which-one-fails",
        prefect: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: ValueError: 3 is odd")"#,
        ],
        ours: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: ValueError: row 1: 3 is odd")"#,
        ],
        because: "the value of a map of which rows failed",
    },
    Difference {
        row: "timed_out_call",
        label: "gives",
        prefect: &["raises TaskRunTimeoutError: Scope timed out after 0.1 second(s)."],
        ours: &["raises TimeoutError: Task run exceeded timeout of 0.1 second(s)"],
        because: "the error of a run that took too long",
    },
    Difference {
        row: "timed_out_call",
        label: "Flow run … of timed-out-call",
        prefect: &[
            r#"Pending() → Running() → TimedOut("Flow run failed due to timeout: TaskRunTimeoutError('Scope timed out after 0.1 second(s).')", type=FAILED)"#,
        ],
        ours: &[
            r#"Pending() → Running() → TimedOut("Flow run failed due to timeout: Error(\"Task run exceeded timeout of 0.1 second(s)\")", type=FAILED)"#,
        ],
        because: "the error of a run that took too long",
    },
    Difference {
        row: "timed_out_flow",
        label: "gives",
        prefect: &["raises FlowRunTimeoutError: Scope timed out after 0.2 second(s)."],
        ours: &["raises TimeoutError: Flow run exceeded timeout of 0.2 second(s)"],
        because: "the error of a run that took too long",
    },
    Difference {
        row: "left_behind_in_the_queue",
        label: "Task run double-… of left-behind-in-the-queue",
        prefect: &[],
        ours: &["Pending() → Running() → Completed()"],
        because: "end of a flow",
    },
    Difference {
        row: "left_behind_by_an_exception",
        label: "Task run double-… of left-behind-by-an-exception",
        prefect: &[],
        ours: &[r#"Pending() → Cancelled("Flow run ended before this task run did.")"#],
        because: "end of a flow",
    },
    Difference {
        row: "retried_until_it_completes",
        label: "Task run good_at-… of retried-until-it-completes",
        prefect: &[
            "Pending() → Running() → Retrying(type=RUNNING) → Retrying(type=RUNNING) → Completed()",
        ],
        ours: &[
            "Pending() → Running() → AwaitingRetry(type=SCHEDULED) → Retrying(type=RUNNING) → AwaitingRetry(type=SCHEDULED) → Retrying(type=RUNNING) → Completed()",
        ],
        because: "a retry without a delay",
    },
    Difference {
        row: "retried_in_vain",
        label: "Task run good_at-… of retried-in-vain",
        prefect: &[
            r#"Pending() → Running() → Retrying(type=RUNNING) → Retrying(type=RUNNING) → Failed("Task run encountered an exception ValueError: attempt 3")"#,
        ],
        ours: &[
            r#"Pending() → Running() → AwaitingRetry(type=SCHEDULED) → Retrying(type=RUNNING) → AwaitingRetry(type=SCHEDULED) → Retrying(type=RUNNING) → Failed("Task run encountered an exception ValueError: attempt 3")"#,
        ],
        because: "a retry without a delay",
    },
    Difference {
        row: "retried_call",
        label: "Task run good_at-… of retried-call",
        prefect: &["Pending() → Running() → Retrying(type=RUNNING) → Completed()"],
        ours: &[
            "Pending() → Running() → AwaitingRetry(type=SCHEDULED) → Retrying(type=RUNNING) → Completed()",
        ],
        because: "a retry without a delay",
    },
    Difference {
        row: "retried_rows",
        label: "Task run even_in_the_end-… of retried-rows",
        prefect: &[
            "Pending() → Running() → Completed()",
            "Pending() → Running() → Retrying(type=RUNNING) → Completed()",
        ],
        ours: &[
            "Pending() → Running() → AwaitingRetry(type=SCHEDULED) → Retrying(type=RUNNING) → Completed()",
            "Pending() → Running() → Completed()",
        ],
        because: "a retry without a delay",
    },
    Difference {
        row: "retried_state_made_by_hand",
        label: "Task run failed_by_hand_at_first-… of retried-state-made-by-hand",
        prefect: &["Pending() → Running() → Retrying(type=RUNNING) → Completed()"],
        ours: &[
            "Pending() → Running() → AwaitingRetry(type=SCHEDULED) → Retrying(type=RUNNING) → Completed()",
        ],
        because: "a retry without a delay",
    },
    Difference {
        row: "timed_out_and_retried",
        label: "Task run slow_at_first-… of timed-out-and-retried",
        prefect: &["Pending() → Running() → Retrying(type=RUNNING) → Completed()"],
        ours: &[
            "Pending() → Running() → AwaitingRetry(type=SCHEDULED) → Retrying(type=RUNNING) → Completed()",
        ],
        because: "a retry without a delay",
    },
    Difference {
        row: "call_dropped_halfway",
        label: "Task run forever-… of call-dropped-halfway",
        prefect: &[
            r#"Pending() → Running() → Crashed("Execution was cancelled by the runtime environment.")"#,
        ],
        ours: &[r#"Pending() → Running() → Cancelled("Task run was dropped before it ended.")"#],
        because: "a call that is dropped half-way",
    },
    Difference {
        row: "subflow_dropped_halfway",
        label: "Flow run … of waits-forever",
        prefect: &[
            r#"Pending() → Running() → Crashed("Execution was cancelled by the runtime environment.")"#,
        ],
        ours: &[
            r#"Pending() → Running() → Cancelling() → Cancelled("Flow run was dropped before it ended.")"#,
        ],
        because: "a call that is dropped half-way",
    },
    Difference {
        row: "subflow_dropped_halfway",
        label: "Task run forever-… of waits-forever",
        prefect: &[
            r#"Pending() → Running() → Crashed("Execution was cancelled by the runtime environment.")"#,
        ],
        ours: &[r#"Pending() → Running() → Cancelled("Task run was dropped before it ended.")"#],
        because: "a call that is dropped half-way",
    },
    Difference {
        row: "subflow_cancelled_from_outside",
        label: "Flow run … of cancelled-from-outside",
        prefect: &["Pending() → Running() → Cancelling()"],
        ours: &[
            r#"Pending() → Running() → Cancelling() → Cancelled("Flow run was cancelled successfully.")"#,
        ],
        because: "cancelling a flow run that was started by hand",
    },
    Difference {
        row: "subflow_cancelled_from_outside",
        label: "Task run double-… of cancelled-from-outside",
        prefect: &["Pending() → Running() → Completed()"],
        ours: &[r#"Pending() → Cancelled("Flow run was cancelled.")"#],
        because: "cancelling a flow run that was started by hand",
    },
    Difference {
        row: "subflow_cancelled_from_outside",
        label: "Task run held-… of cancelled-from-outside",
        prefect: &["Pending() → Running() → Completed()"],
        ours: &[r#"Pending() → Running() → Cancelled("Task run was cancelled.")"#],
        because: "cancelling a flow run that was started by hand",
    },
    Difference {
        row: "subflow_cancelled_from_outside",
        label: "gives",
        prefect: &[r#""Cancelling""#],
        ours: &[r#""Cancelled""#],
        because: "cancelling a flow run that was started by hand",
    },
    Difference {
        row: "limited_by_tag",
        label: "Task run tagged-… of limited-by-tag",
        prefect: &[
            "Pending() → Running() → Completed()",
            "Pending() → Running() → Completed()",
        ],
        ours: &[
            "Pending() → AwaitingConcurrencySlot(type=SCHEDULED) → Pending() → Running() → Completed()",
            "Pending() → Running() → Completed()",
        ],
        because: "a run that waits for a slot of its tag",
    },
    Difference {
        row: "limited_to_nothing",
        label: "Flow run … of limited-to-nothing",
        prefect: &[
            r#"Pending() → Running() → Failed("Flow run encountered an exception: ConcurrencySlotAcquisitionError: Unable to acquire concurrency slots on ['tag:closed']: 422 Unprocessable Entity: Slots requested is greater than the limit")"#,
        ],
        ours: &[r#"Pending() → Running() → Failed("1/1 states failed.")"#],
        because: "a limit of 0 for a tag",
    },
    Difference {
        row: "limited_to_nothing",
        label: "Task run locked_out-… of limited-to-nothing",
        prefect: &["Pending()"],
        ours: &[
            r#"Pending() → Failed("`prefect::flows::limits::locked_out`: concurrency limit 'tag:closed' has 0 slots, so nothing can ever take one: raise it with `flowcore::limits().set(\"tag:closed\", ..)`, or remove it")"#,
        ],
        because: "a limit of 0 for a tag",
    },
    Difference {
        row: "limited_to_nothing",
        label: "gives",
        prefect: &[
            "raises ConcurrencySlotAcquisitionError: Unable to acquire concurrency slots on ['tag:closed']: 422 Unprocessable Entity: Slots requested is greater than the limit",
        ],
        ours: &[
            r#"[Failed("`prefect::flows::limits::locked_out`: concurrency limit 'tag:closed' has 0 slots, so nothing can ever take one: raise it with `flowcore::limits().set(\"tag:closed\", ..)`, or remove it")]"#,
        ],
        because: "a limit of 0 for a tag",
    },
    Difference {
        row: "flow_retried_whose_task_is_retried",
        label: "Task run good_the_fourth_time-… of flow-retried-whose-task-is-retried",
        prefect: &[
            "Pending() → Running() → Retrying(type=RUNNING) → Completed()",
            r#"Pending() → Running() → Retrying(type=RUNNING) → Failed("Task run encountered an exception ValueError: time 2")"#,
        ],
        ours: &[
            "Pending() → Running() → AwaitingRetry(type=SCHEDULED) → Retrying(type=RUNNING) → Completed()",
            r#"Pending() → Running() → AwaitingRetry(type=SCHEDULED) → Retrying(type=RUNNING) → Failed("Task run encountered an exception ValueError: time 2")"#,
        ],
        because: "a retry without a delay",
    },
    Difference {
        row: "flow_retried_when_returned_runs_failed",
        label: "Flow run … of flow-retried-when-returned-runs-failed",
        prefect: &[
            r#"Pending() → Running() → AwaitingRetry("1/1 states failed.", type=SCHEDULED)"#,
        ],
        ours: &[
            r#"Pending() → Running() → AwaitingRetry("1/1 states failed.", type=SCHEDULED) → Running() → Completed("All states completed.")"#,
        ],
        because: "a flow with retries whose returned runs failed",
    },
    Difference {
        row: "flow_retried_when_returned_runs_failed",
        label: "Task run even-… of flow-retried-when-returned-runs-failed",
        prefect: &[
            r#"Pending() → Running() → Failed("Task run encountered an exception ValueError: 1 is odd")"#,
        ],
        ours: &[
            "Pending() → Running() → Completed()",
            r#"Pending() → Running() → Failed("Task run encountered an exception ValueError: 1 is odd")"#,
        ],
        because: "a flow with retries whose returned runs failed",
    },
    Difference {
        row: "flow_retried_when_returned_runs_failed",
        label: "gives",
        prefect: &[r#"[Failed("Task run encountered an exception ValueError: 1 is odd")]"#],
        ours: &["[Completed()]"],
        because: "a flow with retries whose returned runs failed",
    },
];

/// Everything in which two records of a row differ although it is not meant to,
/// or do not differ although they are.
pub(crate) fn unintended(row: &str, prefect: &Record, ours: &Record) -> Vec<String> {
    let mut intended: BTreeMap<&str, &Difference> = DIFFERENCES
        .iter()
        .filter(|difference| difference.row == row)
        .map(|difference| (difference.label, difference))
        .collect();
    let mut wrong = Vec::new();
    let labels: std::collections::BTreeSet<_> = prefect.keys().chain(ours.keys()).collect();
    let nothing = Vec::new();
    for label in labels {
        let prefect = prefect.get(label).unwrap_or(&nothing);
        let ours = ours.get(label).unwrap_or(&nothing);
        let intended = intended.remove(label.as_str());
        match intended {
            None if prefect == ours => {}
            Some(intended) if prefect == intended.prefect && ours == intended.ours => {}
            _ => wrong.push(shown(label, prefect, ours, intended)),
        }
    }
    for (label, difference) in intended {
        wrong.push(shown(label, &nothing, &nothing, Some(difference)));
    }
    wrong
}

fn shown(
    label: &str,
    prefect: &[String],
    ours: &[String],
    intended: Option<&Difference>,
) -> String {
    let list = |texts: &[String]| match texts {
        [] => "nothing".to_owned(),
        texts => texts.join("\n               "),
    };
    let owned = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    let mut text = format!(
        "  {label}\n      Prefect: {}\n         ours: {}",
        list(prefect),
        list(ours)
    );
    if let Some(intended) = intended {
        text += &format!(
            "\n    which are meant to differ ({}):\n      Prefect: {}\n         ours: {}",
            intended.because,
            list(&owned(intended.prefect)),
            list(&owned(intended.ours)),
        );
    }
    text
}

#[test]
fn the_guide_says_why() {
    for difference in DIFFERENCES {
        let cell = format!("\n| {} |", difference.because);
        assert!(
            PAGE.contains(&cell),
            "no row `{}` on the page",
            difference.because
        );
        assert_ne!(difference.prefect, difference.ours, "{}", difference.row);
        let is_a_row = table().any(|row| row.name == difference.row);
        assert!(is_a_row, "no row {}", difference.row);
    }
}
