//! One line of the file: JSON that another version of ours can read, and that
//! says of itself what it is.

use serde::{Deserialize, Serialize};

use crate::prefect::mark::Mark;
use crate::prefect::message::Message;
use crate::prefect::outbox::ledger::Note;

/// Of files that another version of ours may read.
const FORMAT: u32 = 1;

/// As it is written …
#[derive(Serialize)]
pub(super) enum Line<'a> {
    Head(&'a Head),
    Message(&'a Message),
    /// It was taken in later, see [`Note::Back`].
    Later(&'a Message),
    Note(&'a Note),
}

/// … and as it is read.
#[derive(Deserialize)]
pub(crate) enum Record {
    Head(Head),
    Message(Message),
    Later(Message),
    Note(Note),
}

/// How a [`Line::Later`] begins.
pub(super) const LATER: &[u8] = br#"{"Later":"#;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) format: u32,
    /// The server's address, without credentials.
    pub(crate) server: String,
    /// Of the process.
    pub(crate) process: u32,
    /// What the ids of its transitions begin with; older ones had none.
    #[serde(default)]
    pub(crate) mark: Option<Mark>,
}

impl Head {
    pub(in crate::prefect::outbox) fn new(server: String) -> Self {
        Self {
            format: FORMAT,
            server,
            process: std::process::id(),
            mark: Some(Mark::of_process()),
        }
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.format == FORMAT
    }
}
