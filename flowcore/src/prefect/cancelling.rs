//! How it is heard that flow runs shall be cancelled, in the UI or by the API:
//! by an event at once, and, where no socket gets through or an event is
//! missed, by asking. Source: `api.md` 10, 13.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{ApiClient, ApiError, EventSocket};

/// The event of a flow run that shall be cancelled.
const CANCELLING: &str = "prefect.flow-run.Cancelling";

/// Until it is tried again after a socket was lost.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// The server takes no longer lists.
const MOST_RUNS: usize = 200;

/// Tells which flow runs shall be cancelled, by their ids on the server, until
/// the socket is lost.
pub(super) async fn listen(client: &ApiClient, tell: impl Fn(Uuid)) -> Result<(), ApiError> {
    let mut socket = EventSocket::connect(client, "/events/out").await?;
    let minute = Duration::from_secs(60);
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let now = Timestamp::now();
    let filter = json!({
        "type": "filter",
        "filter": {
            "occurred": {"since": now - minute, "until": now + year},
            "event": {"name": [CANCELLING]},
        },
    });
    socket.send(filter.to_string()).await?;
    while let Some(message) = socket.next().await? {
        if let Some(run) = meant(&message) {
            tell(run);
        }
    }
    Ok(())
}

/// The flow run that an event says shall be cancelled.
fn meant(message: &Value) -> Option<Uuid> {
    let event = message.get("event")?;
    if event.get("event")?.as_str()? != CANCELLING {
        return None;
    }
    let resource = event.get("resource")?;
    let id = resource.get("prefect.resource.id")?.as_str()?;
    id.strip_prefix("prefect.flow-run.")?.parse().ok()
}

#[derive(Deserialize)]
struct Found {
    id: Uuid,
}

/// Asks once, and tells which of these flow runs shall be cancelled.
pub(super) async fn poll(client: &ApiClient, runs: &[Uuid], tell: impl Fn(Uuid)) {
    for some in runs.chunks(MOST_RUNS) {
        let filter = json!({
            "flow_runs": {
                "id": {"any_": some},
                "state": {"type": {"any_": ["CANCELLING", "CANCELLED"]}},
            },
        });
        match client.ask::<Vec<Found>>("/flow_runs/filter", &filter).await {
            Ok(found) => found.iter().for_each(|run| tell(run.id)),
            Err(error) => tracing::debug!(target: "flowcore::prefect", "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cancelling_events_name_runs() {
        let run = Uuid::from_u128(7);
        let message = |event: &str, resource: &str| {
            json!({"type": "event", "event": {
                "event": event, "resource": {"prefect.resource.id": resource},
            }})
        };
        let resource = format!("prefect.flow-run.{run}");
        assert_eq!(meant(&message(CANCELLING, &resource)), Some(run));
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
