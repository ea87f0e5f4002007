//! The last words of a run's process to who serves it: how the run ended.
//!
//! They count if the server does not know it: it was away, and what was left
//! to tell it died with the process.

use std::io::Write as _;

use serde::{Deserialize, Serialize};

use crate::state::{State, StateName};

/// No line of a program begins so.
const MARK: &str = "\u{1e}flow run ended ";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Farewell {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) message: Option<String>,
}

impl Farewell {
    pub(super) fn of<T: Send + Sync + 'static>(state: &State<T>) -> Self {
        Self {
            kind: state.state_type().as_str().to_owned(),
            name: state.name().as_str().to_owned(),
            message: state.message().map(str::to_owned),
        }
    }

    /// Whether the run goes on in another process, which may have begun.
    pub(super) fn is_of_suspended(&self) -> bool {
        self.name == StateName::Suspended.as_str()
    }

    /// Says it, in a line of its own on standard output.
    pub(super) fn say(&self) {
        if let Ok(text) = serde_json::to_string(self) {
            let line = format!("{MARK}{text}\n");
            // Nobody may listen any more.
            let _ = std::io::stdout().lock().write_all(line.as_bytes());
        }
    }

    /// What a line of output says, if it is one; and what stands before it,
    /// which the program has written without an end of its line.
    pub(super) fn heard(line: &str) -> Option<(&str, Self)> {
        let (before, text) = line.split_once(MARK)?;
        Some((before, serde_json::from_str(text.trim_end()).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_heard_also_behind_others() {
        let farewell = Farewell::of(&State::<()>::failed("no"));
        let text = serde_json::to_string(&farewell).unwrap();
        let line = format!("50 %{MARK}{text}\n");
        assert_eq!(Farewell::heard(&line), Some(("50 %", farewell)));
        assert_eq!(Farewell::heard("flow run ended {}"), None);
        assert_eq!(Farewell::heard(&format!("{MARK}?")), None);
    }
}
