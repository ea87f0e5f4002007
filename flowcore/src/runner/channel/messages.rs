//! What the two ends of the control channel say to each other.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::runner::{RunReference, WorkDescriptor};
use crate::state::StateName;
use crate::value::EncodedValue;

/// Names a request: the run whose code asks, which execution of it (a run may
/// be executed twice), and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId {
    /// The run whose code asks.
    pub run: RunReference,
    /// Which execution of it; no two have the same.
    pub execution: u64,
    /// Which request of this execution.
    pub number: u64,
}

/// From a process that executes to the flow's process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ToHome {
    /// A log line of a run.
    Log(LogRecord),
    /// The code of a run asks for something, and is answered once however
    /// often the message comes.
    Request(RequestId, Request),
    /// What was asked for is not needed any more: slots come back, a submitted
    /// run that has not settled is cancelled, the answer need not be kept.
    Dismiss(RequestId),
    /// A run's value lies in a record.
    Record {
        /// Which run.
        run: RunReference,
        /// What the record says of itself, as JSON.
        metadata: String,
    },
    /// What a run is called, which only its arguments say.
    Name {
        /// Which run.
        run: RunReference,
        /// The name that its template gave.
        name: String,
    },
    /// Nothing of this execution runs any more; only one that has asked for
    /// something says so.
    Ended {
        /// Which run.
        run: RunReference,
        /// Which execution of it.
        execution: u64,
    },
}

/// From the flow's process to one that executes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ToWorker {
    /// The answer to a request.
    Answer(RequestId, Answer),
    /// The run is to stop.
    Cancel(RunReference),
}

/// What code of a task asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request {
    /// Slots of limits, until the request is dismissed.
    Slots {
        /// The limits' names.
        names: Vec<String>,
        /// How many of each.
        occupy: u32,
        /// They come back by themselves.
        is_rate: bool,
        /// A limit that does not exist is an error.
        is_strict: bool,
        /// Nobody wants to hear of limits that do not exist.
        is_quiet: bool,
    },
    /// A run in the flow's task runner; all arguments are values.
    Submit(Box<WorkDescriptor>),
    /// The attempts that are under way, by what was told of earlier executions:
    /// of these rows of the run's map, or without them of the run alone.
    Attempts(Option<Range<u32>>),
    /// Something of a Prefect server, which only the flow's process knows: a
    /// question of this crate's, as JSON.
    Server(String),
}

/// What became of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer {
    /// The slots are taken, or cannot be.
    Slots(Result<(), Error>),
    /// The submitted run has settled.
    Settled {
        /// The run's state.
        state: StateName,
        /// The state's message.
        message: Option<String>,
        /// Its value or its error.
        value: Result<EncodedValue, Error>,
    },
    /// The numbers of the attempts, of those that are not the first.
    Attempts(Vec<(RunReference, u32)>),
    /// What the server says, as JSON.
    Server(Result<String, Error>),
}

/// A line that a task wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogRecord {
    /// How grave it is.
    pub level: LogLevel,
    /// Where in the program it was written, as `tracing` names it.
    pub target: String,
    /// Whose line it is: `Task run 'inc-9c2'`.
    pub who: String,
    /// The line.
    pub message: String,
    /// The run of the flow that is executed where it was written.
    pub run: Option<RunReference>,
}

impl LogRecord {
    pub(crate) fn new(level: LogLevel, target: String, who: String, message: String) -> Self {
        Self {
            level,
            target,
            who,
            message,
            run: None,
        }
    }
}

/// The levels of `tracing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LogLevel {
    /// Very fine.
    Trace,
    /// Fine.
    Debug,
    /// Of interest.
    Info,
    /// To be looked at.
    Warning,
    /// Something failed.
    Error,
}

impl From<tracing::Level> for LogLevel {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::TRACE => Self::Trace,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::INFO => Self::Info,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::ERROR => Self::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use std::fmt::Debug;

    use super::*;

    const ID: RequestId = RequestId {
        run: RunReference::Row(3, 4),
        execution: u64::MAX,
        number: 0,
    };

    /// Through a codec with names and one without.
    fn travels<M: Serialize + DeserializeOwned + Debug>(message: &M) {
        let bytes = rmp_serde::to_vec_named(message).unwrap();
        let back: M = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(format!("{back:?}"), format!("{message:?}"));
        let configuration = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(message, configuration).unwrap();
        let (back, _): (M, _) = bincode::serde::decode_from_slice(&bytes, configuration).unwrap();
        assert_eq!(format!("{back:?}"), format!("{message:?}"));
    }

    #[test]
    fn messages_travel_in_any_codec() {
        let error = Error::invalid("no such limit");
        travels(&ToHome::Request(
            ID,
            Request::Slots {
                names: vec!["database".into()],
                occupy: 2,
                is_rate: false,
                is_strict: true,
                is_quiet: false,
            },
        ));
        travels(&ToHome::Log(LogRecord {
            level: LogLevel::Warning,
            target: "mine".into(),
            who: "Task run 'inc-9c2'".into(),
            message: "late".into(),
            run: Some(ID.run),
        }));
        travels(&ToHome::Request(ID, Request::Server("{}".into())));
        travels(&ToWorker::Answer(ID, Answer::Server(Ok("[1]".into()))));
        travels(&ToHome::Dismiss(ID));
        travels(&ToHome::Record {
            run: ID.run,
            metadata: "{}".into(),
        });
        travels(&ToHome::Name {
            run: ID.run,
            name: "fetch /pages".into(),
        });
        travels(&ToHome::Ended {
            run: ID.run,
            execution: ID.execution,
        });
        travels(&ToWorker::Answer(ID, Answer::Slots(Err(error.clone()))));
        travels(&ToWorker::Answer(
            ID,
            Answer::Settled {
                state: StateName::Failed,
                message: None,
                value: Err(error),
            },
        ));
        travels(&ToWorker::Cancel(ID.run));
    }
}
