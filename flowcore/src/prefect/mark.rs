//! Which process has made a state of a flow run.
//!
//! Invariant: the ids of all transitions that one process proposes for its
//! flow runs begin with its mark, so a state on the server says whether that
//! process made it, whoever reads its file later.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::transition::transition_of;

/// What tells the states of one process from those of all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Mark(u64);

/// Numbers below this are those of states in their order.
const UNNUMBERED: u64 = 1 << 63;

impl Mark {
    pub(crate) fn of_process() -> Self {
        static MARK: OnceLock<Mark> = OnceLock::new();
        *MARK.get_or_init(|| Self(Uuid::new_v4().as_u64_pair().0))
    }

    /// The id of a transition that is the same when it is proposed again; the
    /// server compares it with others of its flow run only.
    pub(crate) fn numbered(self, number: u64) -> Uuid {
        Uuid::from_u64_pair(self.0, number)
    }

    /// The id of a transition that nobody proposes again.
    pub(crate) fn new_transition(self) -> Uuid {
        let random = Uuid::new_v4().as_u64_pair().1;
        self.numbered(random | UNNUMBERED)
    }

    /// Whether the process of this mark has made the state with these details;
    /// `None`: they do not say who.
    pub(crate) fn has_made(self, details: &Map<String, Value>) -> Option<bool> {
        let transition = transition_of(details)?;
        Some(transition.as_u64_pair().0 == self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_say_whose_they_are() {
        let (ours, other) = (Mark(1), Mark(2));
        let details = |id: Value| Map::from_iter([("transition_id".to_owned(), id)]);
        for id in [ours.numbered(1), ours.numbered(2), ours.new_transition()] {
            let details = details(json!(id));
            assert_eq!(ours.has_made(&details), Some(true));
            assert_eq!(other.has_made(&details), Some(false));
        }
        assert_eq!(ours.has_made(&details(Value::Null)), None);
        assert_eq!(ours.has_made(&Map::new()), None);
        assert_ne!(ours.numbered(1), ours.new_transition());
    }
}
