//! States of the engine as a server is told them.

use jiff::SignedDuration;
use serde_json::Value;

use crate::clock;
use crate::flow::Changes;
use crate::prefect::message::StateUpdate;
use crate::runner::RunReference;
use crate::state::StateName;

/// The times at which one run is told to be in its states: the server keeps
/// one state per microsecond of a run (`api.md` 5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sequence(Option<jiff::Timestamp>);

impl Sequence {
    /// This time, or one microsecond after the last.
    pub(super) fn next(&mut self, at: clock::Timestamp) -> jiff::Timestamp {
        let micro = SignedDuration::from_micros(1);
        let at = truncated(at);
        let at = match self.0 {
            Some(last) if at <= last => last.checked_add(micro).unwrap_or(last),
            _ => at,
        };
        self.0 = Some(at);
        at
    }
}

/// The time as the server has it, in microseconds.
pub(super) fn truncated(at: clock::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(at.to_jiff().as_microsecond())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

pub(super) fn update(name: StateName, message: Option<String>, at: jiff::Timestamp) -> StateUpdate {
    StateUpdate {
        kind: name.state_type(),
        name: name.as_str().to_owned(),
        message,
        at,
        details: serde_json::Map::new(),
        data: None,
    }
}

/// What the record says of itself that the value of a run in this state lies
/// in.
pub(super) fn record(name: StateName, run: RunReference, changes: &Changes<'_>) -> Option<Value> {
    let has_value = matches!(name, StateName::Completed | StateName::Cached);
    has_value.then(|| changes.record(run).cloned()).flatten()
}

/// Notes when the run goes on.
pub(super) fn scheduled(state: &mut StateUpdate, delay: std::time::Duration) {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::ZERO);
    let at = state.at.checked_add(delay).unwrap_or(state.at);
    let text = format!("{at:.6}");
    state
        .details
        .insert("scheduled_time".to_owned(), text.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_run_differ_by_a_microsecond_at_least() {
        let mut sequence = Sequence::default();
        let at = clock::Timestamp::from_nanoseconds(5_000_900);
        let times: Vec<_> = [at, at, at.before(std::time::Duration::from_micros(90))]
            .into_iter()
            .map(|at| sequence.next(at).as_microsecond())
            .collect();
        assert_eq!(times, [5000, 5001, 5002]);
    }
}
