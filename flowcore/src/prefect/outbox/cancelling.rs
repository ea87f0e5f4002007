//! Who hears that a flow run of this process shall be cancelled, in the UI or
//! by the API: by an event at once, and, where no socket gets through or an
//! event is missed, by asking every few seconds.
//!
//! Only flow runs that are reported can be meant. Each is told once; what it
//! then does is up to the engine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Shared;
use crate::prefect::client::{ApiError, EventSocket};

/// The event of a flow run that shall be cancelled.
const CANCELLING: &str = "prefect.flow-run.Cancelling";

/// Most flow runs are over before; they need no socket.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Between two questions, as often as Prefect's runner asks.
const PAUSE: Duration = Duration::from_secs(10);

/// After a socket was lost.
const AGAIN: Duration = Duration::from_secs(5);

/// The server takes no longer lists.
const MOST_RUNS: usize = 200;

/// What is told of a flow run that shall be cancelled, by its id in this
/// process.
pub(super) type Cancel = fn(Uuid);

/// Watches for ever.
pub(super) async fn watch(shared: Arc<Shared>, cancel: Cancel) {
    let told = Told {
        shared: &shared,
        runs: Mutex::default(),
        cancel,
    };
    let events = std::pin::pin!(told.events());
    let questions = std::pin::pin!(told.questions());
    // Neither ends.
    select(events, questions).await;
}

struct Told<'a> {
    shared: &'a Shared,
    /// Those that were told, by their ids on the server.
    runs: Mutex<HashMap<Uuid, Uuid>>,
    cancel: Cancel,
}

impl Told<'_> {
    /// The open flow runs, by their ids on the server.
    fn open(&self) -> HashMap<Uuid, Uuid> {
        self.shared.with(|ledger, _| ledger.open_on_server())
    }

    /// Ends when there is an open flow run that has been there for a while.
    async fn open_for_a_while(&self) {
        loop {
            let before = self.open();
            tokio::time::sleep(FIRST_WAIT).await;
            let now = self.open();
            if before.keys().any(|run| now.contains_key(run)) {
                return;
            }
        }
    }

    fn tell(&self, server: Uuid) {
        let open = self.open();
        let mut runs = self.runs.lock();
        runs.retain(|run, _| open.contains_key(run));
        if let Some(flow) = open.get(&server)
            && runs.insert(server, *flow).is_none()
        {
            (self.cancel)(*flow);
        }
    }

    async fn events(&self) {
        loop {
            self.open_for_a_while().await;
            if let Err(error) = self.listen().await {
                tracing::debug!(target: "flowcore::prefect", "{error}");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn listen(&self) -> Result<(), ApiError> {
        let mut socket = EventSocket::connect(&self.shared.client, "/events/out").await?;
        let now = Timestamp::now();
        let since = now - SignedDuration::from_mins(1);
        let until = now + SignedDuration::from_hours(24 * 365);
        let filter = json!({
            "type": "filter",
            "filter": {
                "occurred": {"since": since, "until": until},
                "event": {"name": [CANCELLING]},
            },
        });
        socket.send(filter.to_string()).await?;
        while let Some(message) = socket.next().await? {
            if let Some(run) = meant(&message) {
                self.tell(run);
            }
        }
        Ok(())
    }

    async fn questions(&self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let runs: Vec<Uuid> = self.open().into_keys().collect();
            for some in runs.chunks(MOST_RUNS) {
                match self.cancelling(some).await {
                    Ok(runs) => runs.iter().for_each(|run| self.tell(run.id)),
                    Err(error) => tracing::debug!(target: "flowcore::prefect", "{error}"),
                }
            }
        }
    }

    async fn cancelling(&self, runs: &[Uuid]) -> Result<Vec<Found>, ApiError> {
        let filter = json!({
            "flow_runs": {
                "id": {"any_": runs},
                "state": {"type": {"any_": ["CANCELLING", "CANCELLED"]}},
            },
        });
        self.shared.client.ask("/flow_runs/filter", &filter).await
    }
}

#[derive(Deserialize)]
struct Found {
    id: Uuid,
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
