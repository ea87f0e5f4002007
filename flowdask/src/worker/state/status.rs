//! Whether the worker takes part (protocol, sections 7.4 and 7.7).

use std::fmt;

/// What the worker is at the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It runs tasks.
    Running,
    /// It finishes what runs, and starts and fetches nothing.
    Paused,
    /// Others fetch its data, then it will be closed.
    ClosingGracefully,
    /// It is about to end the stream.
    Closing,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::ClosingGracefully => "closing_gracefully",
            Self::Closing => "closing",
        }
    }

    /// The status of this name; others (`init`, `closed`) are nothing that the
    /// scheduler asks for.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [
            Self::Running,
            Self::Paused,
            Self::ClosingGracefully,
            Self::Closing,
        ]
        .into_iter()
        .find(|status| status.as_str() == name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
