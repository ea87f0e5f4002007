//! A flow's final state from what its function returned.
//!
//! Facts: Prefect 3.8.8, `return_value_to_state` (the reference's section
//! 24): one future or state, or a list or tuple of nothing else, decides the
//! state; any other value completes.

use crate::definition::Failure;
use crate::error::{Error, ErrorKind};
use crate::future::TaskFuture;
use crate::mapped::Mapped;
use crate::state::{State, StateName};

/// The runs that a flow's value stands for.
#[doc(hidden)]
#[derive(Debug)]
pub enum Returned {
    /// One run.
    One(ReturnedState),
    /// A list of runs.
    Many(Vec<ReturnedState>),
    /// A state that was made by hand: it is the flow's.
    State(ReturnedState),
}

/// The state of one returned run.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct ReturnedState {
    name: StateName,
    message: Option<String>,
    error: Option<Error>,
}

impl ReturnedState {
    fn of<T>(state: &State<T>) -> Self {
        Self {
            name: state.name(),
            message: state.message().map(str::to_owned),
            error: state.error().cloned(),
        }
    }
}

/// How a flow's value is looked at; `None` for values that hold no runs.
#[doc(hidden)]
pub type FlowOutcome<T> = Option<fn(&T) -> Returned>;

/// Values that stand for runs.
#[doc(hidden)]
pub trait ReturnedRuns {
    /// The runs, once everything that the flow submitted has settled.
    fn returned(&self) -> Returned;
}

impl<T> ReturnedRuns for TaskFuture<T> {
    fn returned(&self) -> Returned {
        Returned::One(ReturnedState::of(&self.state()))
    }
}

impl<T> ReturnedRuns for State<T> {
    fn returned(&self) -> Returned {
        let state = ReturnedState::of(self);
        if self.is_made_by_hand() {
            Returned::State(state)
        } else {
            Returned::One(state)
        }
    }
}

impl<T> ReturnedRuns for Mapped<T> {
    fn returned(&self) -> Returned {
        match self.iter() {
            Ok(rows) => Returned::Many(rows.map(|row| ReturnedState::of(&row.state())).collect()),
            // Refused, or ended before its length was known.
            Err(_) => Returned::One(ReturnedState::of(&self.get(0).state())),
        }
    }
}

impl<R: ReturnedRuns> ReturnedRuns for [R] {
    fn returned(&self) -> Returned {
        Returned::Many(
            self.iter()
                .flat_map(|runs| runs.returned().flat())
                .collect(),
        )
    }
}

impl<R: ReturnedRuns> ReturnedRuns for Vec<R> {
    fn returned(&self) -> Returned {
        self.as_slice().returned()
    }
}

macro_rules! tuples {
    ($($name:ident $index:tt),+) => {
        impl<$($name: ReturnedRuns),+> ReturnedRuns for ($($name,)+) {
            fn returned(&self) -> Returned {
                let mut states = Vec::new();
                $(states.extend(self.$index.returned().flat());)+
                Returned::Many(states)
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);

/// The state of a flow run.
#[derive(Debug)]
pub(super) struct Aggregate {
    pub(super) message: Option<String>,
    /// `None`: completed.
    pub(super) failure: Option<Failure>,
    /// Whether the call gives the error (one run) or the value all the same
    /// (a list).
    pub(super) is_raised: bool,
}

impl Returned {
    fn flat(self) -> Vec<ReturnedState> {
        match self {
            Self::One(state) | Self::State(state) => vec![state],
            Self::Many(states) => states,
        }
    }

    /// The flow's state by Prefect's rules.
    pub(super) fn aggregate(self) -> Aggregate {
        match self {
            Self::State(state) => {
                let failure = (!state.name.is_completed()).then(|| {
                    let error = state.error.clone().unwrap_or_else(|| {
                        Error::build(ErrorKind::Failed, state.name.as_str()).finish()
                    });
                    Failure::new(state.name, state.message.clone(), error)
                });
                Aggregate {
                    message: state.message,
                    failure,
                    is_raised: true,
                }
            }
            Self::One(state) => sum(&[state], true),
            // An empty list is a value like any other.
            Self::Many(states) if states.is_empty() => Aggregate {
                message: None,
                failure: None,
                is_raised: false,
            },
            Self::Many(states) => sum(&states, false),
        }
    }
}

fn sum(states: &[ReturnedState], is_raised: bool) -> Aggregate {
    let count =
        |wanted: fn(&StateName) -> bool| states.iter().filter(|state| wanted(&state.name)).count();
    let total = states.len();
    let completed = count(|name| name.is_completed());
    let cancelled = count(|name| *name == StateName::Cancelled);
    let (name, message) = if completed == total {
        (StateName::Completed, "All states completed.".to_owned())
    } else if cancelled > 0 {
        (
            StateName::Cancelled,
            format!("{cancelled}/{total} states cancelled."),
        )
    } else {
        let failed = count(|name| {
            matches!(
                name,
                StateName::Failed | StateName::TimedOut | StateName::Crashed
            )
        });
        let message = if failed > 0 {
            format!("{failed}/{total} states failed.")
        } else {
            format!("{}/{total} states are not final.", total - completed)
        };
        (StateName::Failed, message)
    };
    let failure = (!name.is_completed()).then(|| {
        // The worst first: what ended, before what merely never started.
        let error = states
            .iter()
            .filter(|state| state.name != StateName::NotReady)
            .chain(states)
            .find_map(|state| state.error.clone())
            .unwrap_or_else(|| Error::build(ErrorKind::NotReady, message.clone()).finish());
        Failure::new(name, Some(message.clone()), error)
    });
    Aggregate {
        message: Some(message),
        failure,
        is_raised,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: StateName) -> ReturnedState {
        ReturnedState {
            name,
            message: None,
            error: (!name.is_completed())
                .then(|| Error::build(name.error_kind(), name.as_str()).finish()),
        }
    }

    fn many(names: &[StateName]) -> Aggregate {
        Returned::Many(names.iter().copied().map(state).collect()).aggregate()
    }

    #[test]
    fn lists_are_summed_up_in_prefects_words() {
        use StateName::{Cancelled, Completed, Failed, NotReady};
        let good = many(&[Completed, Completed]);
        assert!(good.failure.is_none());
        assert_eq!(good.message.as_deref(), Some("All states completed."));

        let bad = many(&[Completed, Failed, NotReady]);
        assert_eq!(bad.message.as_deref(), Some("1/3 states failed."));
        assert_eq!(bad.failure.unwrap().0.error.to_string(), "Failed");
        assert!(!bad.is_raised);

        let cancelled = many(&[Failed, Cancelled]);
        assert_eq!(cancelled.message.as_deref(), Some("1/2 states cancelled."));
        assert_eq!(cancelled.failure.unwrap().0.name, Cancelled);

        let waiting = many(&[Completed, NotReady]);
        assert_eq!(
            waiting.message.as_deref(),
            Some("1/2 states are not final.")
        );
        assert!(many(&[]).failure.is_none());
    }

    #[test]
    fn one_run_gives_its_error() {
        let one = Returned::One(state(StateName::Failed)).aggregate();
        assert!(one.is_raised);
        assert_eq!(one.message.as_deref(), Some("1/1 states failed."));
    }
}
