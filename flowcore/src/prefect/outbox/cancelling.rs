//! Flow runs of this process that others want something of, on the server: that
//! they are cancelled, or leave.
//!
//! Only flow runs that are reported can be meant. Each is told once; what it
//! then does is up to the engine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;
use parking_lot::Mutex;
use uuid::Uuid;

use super::Shared;
use crate::prefect::cancelling::{self, Wish};

/// Most flow runs are over before; they need no socket.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Between two questions, as often as Prefect's runner asks.
const PAUSE: Duration = Duration::from_secs(10);

/// Watches for ever.
pub(super) async fn watch(shared: Arc<Shared>) {
    let told = Told {
        shared: &shared,
        runs: Mutex::default(),
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

    fn tell(&self, server: Uuid, wish: Wish) {
        let open = self.open();
        let mut runs = self.runs.lock();
        runs.retain(|run, _| open.contains_key(run));
        if let Some(flow) = open.get(&server)
            && runs.insert(server, *flow).is_none()
        {
            wish.obey(*flow);
        }
    }

    async fn events(&self) {
        loop {
            self.open_for_a_while().await;
            let open = || self.open().into_keys().collect();
            let listened =
                cancelling::listen(&self.shared.client, open, |run, wish| self.tell(run, wish));
            if let Err(error) = listened.await {
                tracing::debug!(target: "flowcore::prefect", "{error}");
            }
            tokio::time::sleep(cancelling::AGAIN).await;
        }
    }

    async fn questions(&self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let runs: Vec<_> = self.open().into_keys().collect();
            cancelling::poll(&self.shared.client, &runs, |run, wish| self.tell(run, wish)).await;
        }
    }
}
