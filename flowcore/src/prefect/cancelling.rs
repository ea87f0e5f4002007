//! How it is heard that flow runs shall be cancelled, or were suspended, in the
//! UI or by the API: by an event at once, and, where no socket gets through or
//! an event is missed, by asking. Source: `api.md` 10, 12, 13.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::adoption;
use super::client::{ApiClient, ApiError, EventSocket};
use super::on_server::TypeOnServer;
use crate::runtime;
use crate::state::StateType;

/// What others want of a flow run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It shall end as Cancelled.
    Cancel,
    /// It shall leave its process, until somebody resumes it.
    Suspend,
}

impl Wish {
    /// A flow run does what is wanted, by its id in this process.
    pub(super) fn obey(self, flow: Uuid) {
        match self {
            Self::Cancel => crate::flow::cancel(flow),
            Self::Suspend => crate::flow::suspend(flow),
        }
    }
}

/// The event of a flow run that shall be cancelled.
const CANCELLING: &str = "prefect.flow-run.Cancelling";

/// The event of one that was suspended.
const SUSPENDED: &str = "prefect.flow-run.Suspended";

/// How long after the filter the server surely listens to it.
const SETTLED: Duration = Duration::from_secs(2);

/// Until it is tried again after a socket was lost.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// The server takes no longer lists.
const MOST_RUNS: usize = 200;

/// Tells what is wanted of flow runs, by their ids on the server, until the
/// socket is lost; `open` gives those that are meant.
///
/// The server sends earlier events that it has written down, and later ones. It
/// writes them down seconds after they happened: one of just before would come
/// by neither way, so it is asked as well.
pub(super) async fn listen(
    client: &ApiClient,
    open: impl Fn() -> Vec<Uuid>,
    tell: impl Fn(Uuid, Wish),
) -> Result<(), ApiError> {
    let mut socket = EventSocket::connect(client, "/events/out").await?;
    let minute = Duration::from_secs(60);
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let now = Timestamp::now();
    let filter = json!({
        "type": "filter",
        "filter": {
            "occurred": {"since": now - minute, "until": now + year},
            "event": {"name": [CANCELLING, SUSPENDED]},
        },
    });
    socket.send(filter.to_string()).await?;
    let heard = pin!(hear(client, &mut socket, &tell));
    let asked = pin!(async {
        for pause in [Duration::ZERO, SETTLED] {
            runtime::sleep(pause).await;
            poll(client, &open(), &tell).await;
        }
    });
    match select(heard, asked).await {
        Either::Left((heard, _)) => heard,
        Either::Right(((), heard)) => heard.await,
    }
}

async fn hear(
    client: &ApiClient,
    socket: &mut EventSocket,
    tell: impl Fn(Uuid, Wish),
) -> Result<(), ApiError> {
    while let Some(message) = socket.next().await? {
        match meant(&message) {
            Some((run, Wish::Cancel)) => tell(run, Wish::Cancel),
            // It may have been resumed since, and be another process's.
            Some((run, Wish::Suspend)) => poll(client, &[run], &tell).await,
            None => {}
        }
    }
    Ok(())
}

/// The flow run that an event is about, and what it says.
fn meant(message: &Value) -> Option<(Uuid, Wish)> {
    let event = message.get("event")?;
    let wish = match event.get("event")?.as_str()? {
        CANCELLING => Wish::Cancel,
        SUSPENDED => Wish::Suspend,
        _ => return None,
    };
    let resource = event.get("resource")?;
    let id = resource.get("prefect.resource.id")?.as_str()?;
    let run = id.strip_prefix("prefect.flow-run.")?.parse().ok()?;
    Some((run, wish))
}

#[derive(Deserialize)]
struct Found {
    id: Uuid,
    state: FoundState,
}

#[derive(Deserialize)]
struct FoundState {
    #[serde(rename = "type")]
    kind: TypeOnServer,
    #[serde(default)]
    state_details: FoundDetails,
}

#[derive(Default, Deserialize)]
struct FoundDetails {
    pause_reschedule: Option<bool>,
}

impl FoundState {
    fn wish(&self) -> Option<Wish> {
        match self.kind.0 {
            StateType::Cancelling | StateType::Cancelled => Some(Wish::Cancel),
            StateType::Paused if self.state_details.pause_reschedule == Some(true) => {
                Some(Wish::Suspend)
            }
            // One that is paused waits in its process.
            _ => None,
        }
    }
}

/// Asks once, and tells what is wanted of these flow runs.
pub(super) async fn poll(client: &ApiClient, runs: &[Uuid], tell: impl Fn(Uuid, Wish)) {
    for some in runs.chunks(MOST_RUNS) {
        let filter = json!({
            "flow_runs": {
                "id": {"any_": some},
                "state": {"type": {"any_": ["CANCELLING", "CANCELLED", "PAUSED"]}},
            },
        });
        match client.ask::<Vec<Found>>("/flow_runs/filter", &filter).await {
            Ok(found) => {
                let wishes = found.iter();
                let wishes = wishes.filter_map(|run| Some((run.id, run.state.wish()?)));
                wishes.for_each(|(run, wish)| tell(run, wish));
            }
            Err(error) => tracing::debug!(target: "flowcore::prefect", "{error}"),
        }
    }
}

/// How long the end of a process waits for an answer.
const LAST_QUESTION: Duration = Duration::from_secs(2);

/// A worker of Prefect's ends the process of a run that was cancelled, and the
/// event of it may not have come yet: such a run is cancelled, and did not crash.
pub(crate) async fn ask_before_end() {
    let (Some(run), Ok(Some(client))) = (adoption::taken(), ApiClient::of_process()) else {
        return;
    };
    // It has one id, there and here.
    let asked = async {
        poll(&client, &[run], |run, wish| wish.obey(run)).await;
    };
    let _ = runtime::timeout(LAST_QUESTION, asked).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_paused_waits_where_it_is() {
        let wish = |state: Value| {
            let state: FoundState = serde_json::from_value(state).unwrap();
            state.wish()
        };
        let cancelling = json!({"type": "CANCELLING", "state_details": {}});
        assert_eq!(wish(cancelling), Some(Wish::Cancel));
        let paused =
            |later: bool| json!({"type": "PAUSED", "state_details": {"pause_reschedule": later}});
        assert_eq!(wish(paused(true)), Some(Wish::Suspend));
        assert_eq!(wish(paused(false)), None);
    }

    #[test]
    fn only_events_of_wishes_name_runs() {
        let run = Uuid::from_u128(7);
        let message = |event: &str, resource: &str| {
            json!({"type": "event", "event": {
                "event": event, "resource": {"prefect.resource.id": resource},
            }})
        };
        let resource = format!("prefect.flow-run.{run}");
        let cancelled = meant(&message(CANCELLING, &resource));
        assert_eq!(cancelled, Some((run, Wish::Cancel)));
        let suspended = meant(&message(SUSPENDED, &resource));
        assert_eq!(suspended, Some((run, Wish::Suspend)));
        for message in [
            message("prefect.flow-run.Running", &resource),
            message(CANCELLING, "prefect.flow-run.x"),
            message(CANCELLING, "prefect.task-run.7"),
            json!({"type": "auth_success"}),
        ] {
            assert_eq!(meant(&message), None);
        }
    }
}
