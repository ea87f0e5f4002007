//! Types of states in what a server says.

use serde::Deserialize;

use crate::state::StateType;

/// A type by its name on the wire, such as `COMPLETED`; any other text is
/// refused.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct TypeOnServer(pub(super) StateType);

impl TryFrom<String> for TypeOnServer {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let kind = StateType::from_wire(&name);
        kind.map(Self)
            .ok_or_else(|| format!("`{name}` is no type of a state"))
    }
}

/// Whether a run in a state of this type has ended. Of a type that nobody knows
/// it goes on.
pub(super) fn is_terminal(name: &str) -> bool {
    StateType::from_wire(name).is_some_and(StateType::is_terminal)
}

/// The types in which runs have ended.
pub(super) fn terminal_types() -> Vec<&'static str> {
    let all = StateType::ALL.into_iter();
    all.filter(|kind| kind.is_terminal())
        .map(StateType::as_str)
        .collect()
}
