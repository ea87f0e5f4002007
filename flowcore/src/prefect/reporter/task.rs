//! One task run as a server is told it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::names::task_key;
use super::states::{self, Sequence, truncated};
use crate::clock::Timestamp;
use crate::definition::{RetryDelay, TaskInfo, TaskOptions, jittered};
use crate::prefect::message::{ReportedTask, TaskInputs, TaskRunUpdate};
use crate::state::{StateName, StateType};

/// As many as Prefect takes in a list.
const DELAYS_AT_MOST: u32 = 50;

/// What the runs of one submission have in common.
#[derive(Debug, PartialEq)]
pub(super) struct Task {
    pub(super) told: Arc<ReportedTask>,
    /// What its runs' names begin with.
    pub(super) name: String,
    /// A template names its runs when they begin.
    pub(super) has_template: bool,
    delay: RetryDelay,
    jitter: f64,
}

impl Task {
    pub(super) fn new(info: &TaskInfo, options: &TaskOptions) -> Self {
        let delay = options.retry_delay_in_force().clone();
        let retries = options.retries_in_force();
        Self {
            told: Arc::new(ReportedTask {
                key: task_key(info),
                version: options.version_in_force().map(str::to_owned),
                tags: options.all_tags().map(str::to_owned).collect(),
                retries,
                retry_delays: delays(&delay, retries),
            }),
            name: options.name_in_force().to_owned(),
            has_template: options.task_run_name.is_some(),
            delay,
            jitter: options.retry_jitter,
        }
    }
}

/// In seconds, one per retry as far as they differ: the last one repeats.
fn delays(delay: &RetryDelay, retries: u32) -> Vec<f64> {
    let retries = 1..=retries.min(DELAYS_AT_MOST);
    let mut delays: Vec<_> = retries
        .map(|retry| delay.before(retry).as_secs_f64())
        .collect();
    let last = delays.last().copied();
    let repeats = |delay: &&f64| Some(**delay) == last;
    let repeated = delays.iter().rev().take_while(repeats).count();
    delays.truncate(delays.len() + 1 - repeated.max(1));
    delays
}

/// Where a task run stands.
#[derive(Debug, Default)]
pub(super) struct Run {
    sequence: Sequence,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    /// Since when its code runs.
    runs_since: Option<Timestamp>,
    run_time: Duration,
    /// That its template gave: one that is undone has it no more.
    name: Option<Box<str>>,
    /// That it runs, which is told with the name that its template is about to
    /// give it, or before its next state.
    held: Option<Box<TaskRunUpdate>>,
}

/// A state that a run enters.
pub(super) struct Entered {
    pub(super) name: StateName,
    pub(super) message: Option<String>,
    pub(super) attempt: u32,
    pub(super) at: Timestamp,
    /// A number in [0, 1) that the delay before a retry was drawn with.
    pub(super) random: f64,
    /// What the record says of itself that its value lies in.
    pub(super) record: Option<Value>,
}

/// Whose run it is.
pub(super) struct Identity {
    pub(super) id: Uuid,
    /// `None` outside of flows.
    pub(super) flow: Option<Uuid>,
    pub(super) flow_run_count: u32,
    pub(super) name: String,
    /// A template is about to give it another name.
    pub(super) awaits_name: bool,
    pub(super) inputs: Arc<TaskInputs>,
    pub(super) submitted: Timestamp,
}

impl Run {
    /// The name that its template gives it now, or gave it before.
    pub(super) fn name(&mut self, given: Option<String>) -> Option<String> {
        if let Some(given) = given
            && self.name.as_deref() != Some(&*given)
        {
            self.name = Some(given.into());
        }
        self.name.as_deref().map(str::to_owned)
    }

    /// Its template gives it this name; what was held until then.
    pub(super) fn named(&mut self, name: &str) -> Option<TaskRunUpdate> {
        self.name = Some(name.into());
        let mut held = self.held.take()?;
        name.clone_into(&mut held.name);
        Some(*held)
    }

    /// It ran at these times, and nobody was told before.
    pub(super) fn ran(&mut self, start: Timestamp, end: Timestamp) {
        if self.start.is_none() && start.is_some() {
            self.start = Some(start);
            self.run_time = end.duration_since(start);
        }
    }

    /// The run enters a state.
    pub(super) fn enters(
        &mut self,
        entered: Entered,
        task: &Task,
        identity: Identity,
        tell: &mut dyn FnMut(TaskRunUpdate),
    ) {
        if let Some(held) = self.held.take() {
            tell(*held);
        }
        let Entered {
            name,
            message,
            attempt,
            at,
            random,
            record,
        } = entered;
        let kind = name.state_type();
        if let Some(since) = self.runs_since.take() {
            self.run_time += at.duration_since(since);
        }
        if kind == StateType::Running {
            self.start.get_or_insert(at);
            self.runs_since = Some(at);
        }
        if kind.is_terminal() && name != StateName::RolledBack {
            self.end = Some(at);
        }
        let mut state = states::update(name, message, self.sequence.next(at));
        state.data = record;
        if name == StateName::AwaitingRetry {
            let delay = jittered(task.delay.before(attempt), task.jitter, random);
            states::scheduled(&mut state, delay);
        }
        let update = TaskRunUpdate {
            id: identity.id,
            flow: identity.flow,
            task: Arc::clone(&task.told),
            name: identity.name,
            dynamic_key: identity.id.to_string(),
            inputs: identity.inputs,
            state,
            run_count: attempt,
            flow_run_count: identity.flow_run_count,
            expected_start: truncated(identity.submitted),
            start: self.start.map(truncated),
            end: self.end.map(truncated),
            run_time: self.run_time.as_secs_f64(),
        };
        if kind == StateType::Running && identity.awaits_name {
            self.held = Some(Box::new(update));
        } else {
            tell(update);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::exponential_backoff;

    #[test]
    fn the_delays_of_all_retries_are_told() {
        let seconds = Duration::from_secs;
        assert_eq!(delays(&seconds(3).into(), 0), [0.0; 0]);
        assert_eq!(delays(&seconds(3).into(), 4), [3.0]);
        let listed = RetryDelay::from([1, 1, 5].map(seconds));
        assert_eq!(delays(&listed, 2), [1.0]);
        assert_eq!(delays(&listed, 3), [1.0, 1.0, 5.0]);
        assert_eq!(delays(&listed, 9), [1.0, 1.0, 5.0]);
        let doubling = exponential_backoff(Duration::from_millis(500));
        assert_eq!(delays(&doubling, 4), [0.5, 1.0, 2.0, 4.0]);
        assert!(delays(&doubling, 99).len() <= 50);
    }
}
