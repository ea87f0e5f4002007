//! A state that a flow run shall have, and what the server says to it
//! (`api.md` 4).

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::client::{ApiClient, ApiError};
use super::on_server::TypeOnServer;
use crate::state::StateType;

/// What the server says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Accept,
    /// It has a state of this type instead, and why.
    Reject {
        kind: Option<StateType>,
        reason: String,
    },
    Wait {
        delay: Duration,
    },
    Abort {
        reason: String,
    },
}

/// Proposes a state, as a request has it. Said twice with one id of the
/// transition, it is made once. `force`: rules do not count.
pub(crate) async fn propose(
    client: &ApiClient,
    run: Uuid,
    mut state: Value,
    transition: Uuid,
    force: bool,
) -> Result<Answer, ApiError> {
    identify(&mut state, run, transition);
    let body = json!({"state": state, "force": force});
    let said: Said = client.post(&path(run), &body).await?;
    Ok(said.answer(transition))
}

/// Proposes the state in which an attempt has failed. The server may make
/// AwaitingRetry of it, and would not if the same were said once more: so it
/// is looked what became of a proposal whose answer got lost.
pub(crate) async fn propose_failure(
    client: &ApiClient,
    run: Uuid,
    mut state: Value,
    transition: Uuid,
) -> Result<Answer, ApiError> {
    identify(&mut state, run, transition);
    let body = json!({"state": state, "force": false});
    loop {
        match client.post_once::<Said>(&path(run), &body).await {
            Ok(said) => return Ok(said.answer(transition)),
            Err(error) if error.is_doubtful() => {}
            Err(error) => return Err(error),
        }
        let seen: Seen = client.get(&format!("/flow_runs/{run}")).await?;
        let said = Said {
            status: "REJECT".to_owned(),
            state: seen.state,
            details: Details::default(),
        };
        match said.answer(transition) {
            Answer::Reject {
                kind: None | Some(StateType::Running),
                ..
            } => {}
            answer => return Ok(answer),
        }
    }
}

fn path(run: Uuid) -> String {
    format!("/flow_runs/{run}/set_state")
}

/// Whether a state with these details is what this transition made.
pub(crate) fn is_by(details: &Map<String, Value>, transition: Uuid) -> bool {
    transition_of(details) == Some(transition)
}

/// The transition that made a state with these details, if they say so.
pub(crate) fn transition_of(details: &Map<String, Value>) -> Option<Uuid> {
    details.get("transition_id")?.as_str()?.parse().ok()
}

fn identify(state: &mut Value, run: Uuid, transition: Uuid) {
    let details = &mut state["state_details"];
    details["flow_run_id"] = json!(run);
    details["transition_id"] = json!(transition);
}

#[derive(Deserialize)]
struct Seen {
    state: Option<GivenState>,
}

#[derive(Deserialize)]
struct Said {
    status: String,
    state: Option<GivenState>,
    #[serde(default)]
    details: Details,
}

#[derive(Deserialize)]
struct GivenState {
    #[serde(rename = "type")]
    kind: Option<TypeOnServer>,
    #[serde(default)]
    state_details: Map<String, Value>,
}

#[derive(Default, Deserialize)]
struct Details {
    reason: Option<String>,
    delay_seconds: Option<f64>,
}

impl Said {
    fn answer(self, transition: Uuid) -> Answer {
        let is_ours = |state: &GivenState| is_by(&state.state_details, transition);
        let status = self.status.as_str();
        let reason = || self.details.reason.unwrap_or_else(|| status.to_owned());
        match status {
            "ACCEPT" => Answer::Accept,
            "WAIT" => {
                let seconds = self.details.delay_seconds.unwrap_or(1.0);
                let delay = Duration::try_from_secs_f64(seconds);
                Answer::Wait {
                    delay: delay.unwrap_or(Duration::from_secs(1)),
                }
            }
            // The answer to the same proposal was lost.
            "REJECT" if self.state.as_ref().is_some_and(is_ours) => Answer::Accept,
            "REJECT" => Answer::Reject {
                kind: self.state.and_then(|state| state.kind).map(|kind| kind.0),
                reason: reason(),
            },
            _ => Answer::Abort { reason: reason() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_whose_answer_was_lost_is_accepted() {
        let (ours, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let said = |transition: Uuid| -> Said {
            serde_json::from_value(json!({
                "status": "REJECT",
                "details": {"type": "reject_details", "reason": "This run has already made this state transition."},
                "state": {"type": "PENDING", "name": "Pending", "message": null,
                          "state_details": {"transition_id": transition}},
            }))
            .unwrap()
        };
        assert_eq!(said(ours).answer(ours), Answer::Accept);
        let refused = said(other).answer(ours);
        assert!(matches!(refused, Answer::Reject { kind, .. } if kind == Some(StateType::Pending)));
    }

    #[test]
    fn a_run_that_is_early_waits() {
        let said: Said = serde_json::from_value(json!({
            "status": "WAIT", "state": null,
            "details": {"type": "wait_details", "delay_seconds": 2, "reason": "early"},
        }))
        .unwrap();
        let delay = Duration::from_secs(2);
        assert_eq!(said.answer(Uuid::nil()), Answer::Wait { delay });
    }
}
