//! Who hears that a run shall be cancelled: by an event, and, if one is missed,
//! by asking.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Shared;
use super::machine::Event;
use crate::prefect::{ApiError, EventSocket};
use crate::runtime;

/// After a socket was lost.
const AGAIN: Duration = Duration::from_secs(5);

/// The event of a run that shall be cancelled.
const CANCELLING: &str = "prefect.flow-run.Cancelling";

/// Listens for ever. Servers and proxies that let no socket through leave it
/// to [`poll`].
pub(super) async fn events(shared: &Shared) {
    loop {
        if let Err(error) = listen(shared).await {
            tracing::debug!(target: "flowcore::prefect", "{error}");
        }
        runtime::sleep(AGAIN).await;
    }
}

async fn listen(shared: &Shared) -> Result<(), ApiError> {
    let mut socket = EventSocket::connect(shared.server.client(), "/events/out").await?;
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
        if let Some(run) = cancelled(&message) {
            shared.tell(Event::Cancel(run));
        }
    }
    Ok(())
}

/// The run that an event says shall be cancelled.
fn cancelled(message: &Value) -> Option<Uuid> {
    let event = message.get("event")?;
    if event.get("event")?.as_str()? != CANCELLING {
        return None;
    }
    let resource = event
        .get("resource")?
        .get("prefect.resource.id")?
        .as_str()?;
    resource.strip_prefix("prefect.flow-run.")?.parse().ok()
}

/// Asks once.
pub(super) async fn poll(shared: &Shared) {
    let runs = shared.runs();
    // The server takes no longer lists.
    for some in runs.chunks(200) {
        match shared.server.cancelling(some).await {
            Ok(runs) => {
                for run in runs {
                    shared.tell(Event::Cancel(run));
                }
            }
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
        assert_eq!(cancelled(&message(CANCELLING, &resource)), Some(run));
        for message in [
            message("prefect.flow-run.Running", &resource),
            message(CANCELLING, "prefect.flow-run.x"),
            message(CANCELLING, "prefect.task-run.7"),
            json!({"type": "auth_success"}),
        ] {
            assert_eq!(cancelled(&message), None);
        }
    }
}
