//! What a server says to a flow run whose attempt has failed, and to one whose
//! next attempt is to begin: it decides, and has made the state that it says.
//!
//! A flow run that no server is told of, or whose server does not answer in
//! time, decides by itself, unless it is `api = required`. Source: `api.md` 4.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::client::{ApiClient, ApiError};
use super::mark::Mark;
use super::outbox::Outbox;
use super::reporter;
use super::transition::{Answer, propose, propose_failure};
use crate::definition::Failure;
use crate::runtime;
use crate::state::{StateName, StateType};

/// How long a flow run waits for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on with another attempt.
    GoesOn,
    /// It ends as it is.
    Ends,
    /// Somebody has cancelled it.
    IsCancelled,
    /// No server has a say.
    Unasked,
}

/// May a flow run whose attempt has failed be tried again?
pub(crate) async fn after_failure(flow: Uuid, failure: &Failure) -> Verdict {
    let name = failure.0.name;
    let state = json!({
        "type": name.state_type().as_str(),
        "name": name.as_str(),
        "message": failure.0.message.as_deref(),
        "state_details": {},
    });
    let asked = in_time(Some(flow), async {
        let Some((client, outbox)) = server_of(flow)? else {
            return Ok(Verdict::Unasked);
        };
        let server = outbox.in_step(flow).await?;
        let transition = Mark::of_process().new_transition();
        let said = propose_failure(&client, server, state, transition).await?;
        Ok(heard(outbox, flow, said, StateType::Scheduled))
    });
    let verdict = asked.await;
    if verdict == Verdict::GoesOn {
        reporter::is_made(flow, StateName::AwaitingRetry);
    }
    verdict
}

/// May the next attempt begin?
pub(crate) async fn before_attempt(flow: Uuid) -> Verdict {
    let asked = in_time(Some(flow), async {
        let Some((client, outbox)) = server_of(flow)? else {
            return Ok(Verdict::Unasked);
        };
        let server = outbox.in_step(flow).await?;
        let said = begin(&client, server).await?;
        Ok(heard(outbox, flow, said, StateType::Running))
    });
    let verdict = asked.await;
    if verdict == Verdict::GoesOn {
        reporter::is_made(flow, StateName::Running);
    }
    verdict
}

/// May a run that the server has scheduled begin in this process?
pub(crate) async fn before_begin(client: &ApiClient, server: Uuid) -> Verdict {
    in_time(None, async {
        let said = begin(client, server).await?;
        Ok(meaning(said, StateType::Running).0)
    })
    .await
}

/// Proposes that a run begins, as often as the server says that it is early.
async fn begin(client: &ApiClient, server: Uuid) -> Result<Answer, ApiError> {
    let state = json!({"type": "RUNNING", "name": "Running", "message": null, "state_details": {}});
    loop {
        let transition = Mark::of_process().new_transition();
        let said = propose(client, server, state.clone(), transition, false).await?;
        let Answer::Wait { delay } = said else {
            return Ok(said);
        };
        runtime::sleep(delay.max(Duration::from_millis(50))).await;
    }
}

/// The server that the flow run is told to, if it is told to one.
fn server_of(flow: Uuid) -> Result<Option<(ApiClient, &'static Outbox)>, ApiError> {
    let outbox = Outbox::of_process()?.filter(|outbox| outbox.reports(flow));
    Ok(ApiClient::of_process()?.zip(outbox))
}

/// The server's word, as far as there is one within a set time.
async fn in_time(
    flow: Option<Uuid>,
    asked: impl Future<Output = Result<Verdict, ApiError>>,
) -> Verdict {
    let problem = match runtime::timeout(PATIENCE, asked).await {
        Some(Ok(verdict)) => return verdict,
        Some(Err(error)) => error.to_string(),
        None => format!(
            "the server has not answered within {} s",
            PATIENCE.as_secs()
        ),
    };
    if flow.is_some_and(reporter::is_required) {
        tracing::warn!(
            target: "flowcore::prefect",
            "{problem}; the flow run ends, as it is `api = required`"
        );
        return Verdict::Ends;
    }
    tracing::warn!(
        target: "flowcore::prefect",
        "{problem}; the flow run goes on without the server's word"
    );
    Verdict::Unasked
}

/// What an answer means for a flow run that is told to a server.
fn heard(outbox: &Outbox, flow: Uuid, said: Answer, goes_on: StateType) -> Verdict {
    let (verdict, is_decided) = meaning(said, goes_on);
    if is_decided {
        outbox.is_decided(flow);
    }
    verdict
}

/// What an answer means, and whether the server has the run's last state with
/// it; `goes_on`: a run in a state of this type does.
fn meaning(said: Answer, goes_on: StateType) -> (Verdict, bool) {
    let (kind, reason) = match said {
        Answer::Accept if goes_on == StateType::Running => return (Verdict::GoesOn, false),
        Answer::Accept => return (Verdict::Ends, true),
        Answer::Wait { .. } => return (Verdict::Unasked, false),
        Answer::Reject { kind, reason } => (kind, reason),
        Answer::Abort { reason } => (None, reason),
    };
    if kind == Some(goes_on) {
        return (Verdict::GoesOn, false);
    }
    tracing::info!(target: "flowcore::prefect", "the server lets the flow run not go on: {reason}");
    match kind {
        // It has yet to be said that it is.
        Some(StateType::Cancelling) => (Verdict::IsCancelled, false),
        Some(StateType::Cancelled) => (Verdict::IsCancelled, true),
        _ => (Verdict::Ends, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lets_a_run_go_on_or_ends_it() {
        let reject = |kind| Answer::Reject {
            kind: Some(kind),
            reason: String::new(),
        };
        let abort = Answer::Abort {
            reason: String::new(),
        };
        let after = |said| meaning(said, StateType::Scheduled);
        assert_eq!(
            after(reject(StateType::Scheduled)),
            (Verdict::GoesOn, false)
        );
        assert_eq!(after(Answer::Accept), (Verdict::Ends, true));
        assert_eq!(after(reject(StateType::Completed)), (Verdict::Ends, true));
        assert_eq!(after(abort), (Verdict::Ends, true));
        let before = |said| meaning(said, StateType::Running);
        assert_eq!(before(Answer::Accept), (Verdict::GoesOn, false));
        assert_eq!(before(reject(StateType::Running)), (Verdict::GoesOn, false));
        let cancelling = before(reject(StateType::Cancelling));
        assert_eq!(cancelling, (Verdict::IsCancelled, false));
        let cancelled = before(reject(StateType::Cancelled));
        assert_eq!(cancelled, (Verdict::IsCancelled, true));
    }
}
