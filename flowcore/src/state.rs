//! States of runs, with Prefect's types and names.
//!
//! Owns [`StateType`], [`StateName`] and [`State`]. Facts: Prefect 3.8.8,
//! `prefect.states` (the reference's sections 23 and 24).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::error::{Error, ErrorKind, Result};
use crate::value::StoredValue;

/// Prefect's state types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StateType {
    /// Will start at a later time.
    Scheduled,
    /// Submitted, has not started.
    Pending,
    /// The code runs.
    Running,
    /// Ended well.
    Completed,
    /// Ended with an error, a panic or a timeout.
    Failed,
    /// Ended because someone asked for it.
    Cancelled,
    /// Ended for a reason outside its code.
    Crashed,
    /// Waits until someone resumes it.
    Paused,
    /// Was asked to end and has not ended.
    Cancelling,
}

impl StateType {
    /// The type's name on Prefect's wire, such as `COMPLETED`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Crashed => "CRASHED",
            Self::Paused => "PAUSED",
            Self::Cancelling => "CANCELLING",
        }
    }

    /// The type of this name on Prefect's wire.
    #[cfg(feature = "prefect")]
    pub(crate) fn from_wire(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// All there are.
    #[cfg(feature = "prefect")]
    pub(crate) const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Crashed,
        Self::Paused,
        Self::Cancelling,
    ];

    /// Whether a run in a state of this type changes no more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Crashed
        )
    }
}

impl fmt::Display for StateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The names that states have here; each belongs to one [`StateType`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
#[repr(u8)]
pub enum StateName {
    /// Submitted, has not started.
    #[default]
    Pending,
    /// Ready, and waits for a slot of a [concurrency limit](crate::limits).
    AwaitingConcurrencySlot,
    /// An upstream run did not complete, so this one never starts. Its type
    /// is Pending, as in Prefect, yet nothing more happens to it.
    NotReady,
    /// The first attempt runs.
    Running,
    /// A later attempt runs.
    Retrying,
    /// An attempt failed; the next waits for its time.
    AwaitingRetry,
    /// Ended well.
    Completed,
    /// Ended well without running its code: an earlier run had the same key.
    Cached,
    /// Ended well, and was undone because its [transaction](crate::transaction())
    /// was rolled back.
    RolledBack,
    /// Ended with an error or a panic.
    Failed,
    /// Took longer than its timeout.
    TimedOut,
    /// Ended for a reason outside its code.
    Crashed,
    /// Was asked to end and has not ended.
    Cancelling,
    /// Ended because someone asked for it.
    Cancelled,
    /// The flow run of a deployment has left its process, and goes on in
    /// another one when someone resumes it. Its type is Paused.
    Suspended,
}

impl StateName {
    /// The name as Prefect shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::AwaitingConcurrencySlot => "AwaitingConcurrencySlot",
            Self::NotReady => "NotReady",
            Self::Running => "Running",
            Self::Retrying => "Retrying",
            Self::AwaitingRetry => "AwaitingRetry",
            Self::Completed => "Completed",
            Self::Cached => "Cached",
            Self::RolledBack => "RolledBack",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Crashed => "Crashed",
            Self::Cancelling => "Cancelling",
            Self::Cancelled => "Cancelled",
            Self::Suspended => "Suspended",
        }
    }

    /// The type that states of this name have.
    #[must_use]
    pub const fn state_type(self) -> StateType {
        match self {
            Self::Pending | Self::NotReady => StateType::Pending,
            Self::Running | Self::Retrying => StateType::Running,
            Self::AwaitingConcurrencySlot | Self::AwaitingRetry => StateType::Scheduled,
            Self::Completed | Self::Cached | Self::RolledBack => StateType::Completed,
            Self::Failed | Self::TimedOut => StateType::Failed,
            Self::Crashed => StateType::Crashed,
            Self::Cancelling => StateType::Cancelling,
            Self::Cancelled => StateType::Cancelled,
            Self::Suspended => StateType::Paused,
        }
    }

    /// Whether a run in this state has a value.
    #[must_use]
    pub const fn is_completed(self) -> bool {
        matches!(self.state_type(), StateType::Completed)
    }

    /// Whether nothing more happens to a run in this state, here: the terminal
    /// types, NotReady and Suspended.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        self.state_type().is_terminal() || matches!(self, Self::NotReady | Self::Suspended)
    }

    /// What every state of this name says of itself.
    pub(crate) const fn own_message(self) -> Option<&'static str> {
        match self {
            Self::RolledBack => Some("Task rolled back as part of transaction"),
            _ => None,
        }
    }

    pub(crate) const fn error_kind(self) -> ErrorKind {
        match self {
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Cancelled | Self::Suspended => ErrorKind::Cancelled,
            Self::Crashed => ErrorKind::Crashed,
            Self::NotReady => ErrorKind::NotReady,
            _ => ErrorKind::Failed,
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of one run, with its value where it completed.
///
/// Prints as in Prefect: `Completed()`, `TimedOut("…", type=FAILED)`.
///
/// ```
/// use flowcore::{State, StateType};
///
/// let state = State::failed("no such table");
/// assert_eq!(state.state_type(), StateType::Failed);
/// assert_eq!(state.to_string(), r#"Failed("no such table")"#);
/// let _: State<i64> = state;
/// ```
pub struct State<T = ()> {
    name: StateName,
    message: Option<Arc<str>>,
    timestamp: Timestamp,
    outcome: StateOutcome<T>,
    by_hand: bool,
}

pub(crate) enum StateOutcome<T> {
    /// Not settled.
    Open,
    Value(StoredValue<T>),
    Error(Error),
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            message: self.message.clone(),
            timestamp: self.timestamp,
            outcome: match &self.outcome {
                StateOutcome::Open => StateOutcome::Open,
                StateOutcome::Value(value) => StateOutcome::Value(value.clone()),
                StateOutcome::Error(error) => StateOutcome::Error(error.clone()),
            },
            by_hand: self.by_hand,
        }
    }
}

impl<T> State<T> {
    pub(crate) fn new(
        name: StateName,
        message: Option<Arc<str>>,
        timestamp: Timestamp,
        outcome: StateOutcome<T>,
    ) -> Self {
        Self {
            name,
            message,
            timestamp,
            outcome,
            by_hand: false,
        }
    }

    fn made_by_hand(name: StateName, message: String, outcome: StateOutcome<T>) -> Self {
        let message = (!message.is_empty()).then(|| Arc::from(message));
        Self {
            by_hand: true,
            ..Self::new(name, message, crate::runtime::now(), outcome)
        }
    }

    /// A Failed state made by hand: a task or flow that returns it fails with
    /// this message.
    pub fn failed(message: impl Into<String>) -> Self {
        let message = message.into();
        let error = Error::build(ErrorKind::Failed, message.clone()).finish();
        Self::made_by_hand(StateName::Failed, message, StateOutcome::Error(error))
    }

    /// A Cancelled state made by hand.
    pub fn cancelled(message: impl Into<String>) -> Self {
        let message = message.into();
        let error = Error::build(ErrorKind::Cancelled, message.clone()).finish();
        Self::made_by_hand(StateName::Cancelled, message, StateOutcome::Error(error))
    }

    /// A Completed state made by hand, with a value and a message (empty for
    /// none).
    pub fn completed(value: T, message: impl Into<String>) -> Self {
        Self::made_by_hand(
            StateName::Completed,
            message.into(),
            StateOutcome::Value(StoredValue::shared(Arc::new(value))),
        )
    }

    /// Prefect's type of this state.
    #[must_use]
    pub fn state_type(&self) -> StateType {
        self.name.state_type()
    }

    /// The state's name, which is finer than its type.
    #[must_use]
    pub fn name(&self) -> StateName {
        self.name
    }

    /// What the state says of itself.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// When the run entered the state.
    #[must_use]
    pub fn timestamp(&self) -> jiff::Timestamp {
        self.timestamp.to_jiff()
    }

    /// Whether the run completed.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.state_type() == StateType::Completed
    }

    /// Whether the run failed or timed out.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.state_type() == StateType::Failed
    }

    /// Whether nothing more happens to the run.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.name.is_settled()
    }

    /// Why the run did not complete; `None` if it did or has not ended.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.outcome {
            StateOutcome::Error(error) => Some(error),
            _ => None,
        }
    }

    /// An end other than Completed.
    pub(crate) fn of_failure(failure: &Failure, at: Timestamp) -> Self {
        let Failure(failure) = failure;
        let outcome = StateOutcome::Error(failure.error.clone());
        Self::new(failure.name, failure.message.clone(), at, outcome)
    }

    /// The end of a call that was refused.
    pub(crate) fn refused(error: Error) -> Self {
        Self::new(
            StateName::Failed,
            Some(Arc::from(error.to_string())),
            crate::runtime::now(),
            StateOutcome::Error(error),
        )
    }

    pub(crate) fn at(&self) -> Timestamp {
        self.timestamp
    }

    /// The state for those who do not know the value's type.
    pub(crate) fn without_value(&self) -> State {
        State {
            name: self.name,
            message: self.message.clone(),
            timestamp: self.timestamp,
            outcome: match &self.outcome {
                StateOutcome::Open => StateOutcome::Open,
                StateOutcome::Value(_) => StateOutcome::Value(StoredValue::shared(Arc::new(()))),
                StateOutcome::Error(error) => StateOutcome::Error(error.clone()),
            },
            by_hand: self.by_hand,
        }
    }

    /// The state of a run whose value is another one by now.
    pub(crate) fn of_other_value<U>(self) -> State<U> {
        State {
            name: self.name,
            message: self.message,
            timestamp: self.timestamp,
            outcome: match self.outcome {
                StateOutcome::Open | StateOutcome::Value(_) => StateOutcome::Open,
                StateOutcome::Error(error) => StateOutcome::Error(error),
            },
            by_hand: self.by_hand,
        }
    }

    /// The same completed state with its value.
    pub(crate) fn with_value(mut self, value: Arc<T>) -> Self {
        self.outcome = StateOutcome::Value(StoredValue::shared(value));
        self
    }

    /// Whether user code made the state, not a run.
    pub(crate) fn is_made_by_hand(&self) -> bool {
        self.by_hand
    }

    pub(crate) fn into_outcome(self) -> StateOutcome<T> {
        self.outcome
    }

    pub(crate) fn outcome(&self) -> &StateOutcome<T> {
        &self.outcome
    }
}

impl<T: Send + Sync + 'static> State<T> {
    /// The run's value, shared with everyone else who reads it.
    ///
    /// # Errors
    ///
    /// The run's error if it did not complete; an error of kind
    /// [`ErrorKind::NotReady`] if it has not ended, or if the value stayed
    /// with a remote worker (await the future instead).
    pub fn result(&self) -> Result<Arc<T>> {
        match &self.outcome {
            StateOutcome::Value(value) => value.share(),
            StateOutcome::Error(error) => Err(error.clone()),
            StateOutcome::Open => Err(Error::build(
                ErrorKind::NotReady,
                format!(
                    "run is in {} state, its result is not available",
                    self.state_type()
                ),
            )
            .finish()),
        }
    }
}

/// `Name("message", type=TYPE)`: the message only if there is one, the type
/// only if it differs from the name.
pub(crate) fn describe_state(name: StateName, message: Option<&str>) -> String {
    let kind = name.state_type().as_str();
    let shows_type = !name.as_str().eq_ignore_ascii_case(kind);
    let mut parts = Vec::with_capacity(2);
    if let Some(message) = message {
        parts.push(format!("{:?}", shorten(message, SHOWN_MESSAGE)));
    }
    if shows_type {
        parts.push(format!("type={kind}"));
    }
    format!("{name}({})", parts.join(", "))
}

/// How much of a message a console line or a `Display` shows. The whole text
/// stays in the state and in the error.
const SHOWN_MESSAGE: usize = 4096;

/// The start of `text`, at most `limit` bytes, with a note of how much is
/// missing.
pub fn shorten(text: &str, limit: usize) -> std::borrow::Cow<'_, str> {
    if text.len() <= limit {
        return text.into();
    }
    let end = (0..=limit)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    format!("{}… ({} more bytes)", &text[..end], text.len() - end).into()
}

impl<T> fmt::Display for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe_state(self.name, self.message()))
    }
}

impl<T> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_print_as_in_prefect() {
        assert_eq!(describe_state(StateName::Completed, None), "Completed()");
        assert_eq!(
            describe_state(StateName::NotReady, Some("x")),
            r#"NotReady("x", type=PENDING)"#
        );
        assert_eq!(
            describe_state(StateName::Completed, Some("All states completed.")),
            r#"Completed("All states completed.")"#
        );
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let text = "ä".repeat(3000);
        let shown = shorten(&text, 4095);
        assert!(shown.ends_with("… (1906 more bytes)"), "{shown}");
    }
}
