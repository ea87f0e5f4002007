//! Where messages for a Prefect server wait until they are told.
//!
//! Owns one [`Ledger`](ledger::Ledger), which decides what is told when, and
//! two tasks on the service runtime that do it: one makes requests, one sends
//! events. Whoever puts a message in never waits for either.

mod artifacts;
mod bodies;
mod books;
mod by_requests;
mod calls;
mod cancelling;
mod caught;
mod event;
mod events;
mod file;
mod ledger;
pub(super) mod replay;
#[cfg(test)]
mod replay_tests;
mod shared;
#[cfg(test)]
mod test_messages;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::json;
use uuid::Uuid;

use super::client::{ApiClient, ApiError};
use super::mark::Mark;
use super::message::{Message, StateUpdate};
use super::on_server::terminal_types;
use super::transition::{Answer, propose};
use crate::{runtime, settings};
pub(crate) use artifacts::{change_now as change_artifact, make_now as make_artifact};
pub(crate) use bodies::{PlainEvent, related_to};
use books::Books;
use caught::or_shut;
use file::{Head, WriteAhead};
use ledger::Ledger;
pub(crate) use ledger::{Finished, ServerFlowRun};
use shared::{Shared, keep, news};

/// The setting of the memory for what is to be told, in bytes; what is more
/// waits on disk.
const MEMORY_SETTING: &str = "PREFECT_REPORTING_MEMORY_LIMIT";
/// All of reporting shall not need more than twice as much.
const MEMORY: u32 = 32 << 20;

/// The way to one server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Shared>);

impl Outbox {
    /// The way to the server that this process's settings name; `None` if they
    /// name none.
    ///
    /// # Errors
    ///
    /// If the settings are wrong.
    pub(crate) fn of_process() -> Result<Option<&'static Self>, ApiError> {
        static OUTBOX: OnceLock<Result<Option<Outbox>, ApiError>> = OnceLock::new();
        let outbox = OUTBOX.get_or_init(|| {
            let client = ApiClient::of_process()?;
            Ok(client.map(|client| {
                let head = Head::new(client.settings().shown_url());
                let ledger = Ledger::new(Uuid::now_v7).marked(head.mark);
                let ledger = ledger.bounded(memory());
                let ahead = WriteAhead::within(directory(), head);
                Self::with(client, ledger, ahead)
            }))
        });
        match outbox {
            Ok(outbox) => Ok(outbox.as_ref()),
            Err(error) => Err(error.clone()),
        }
    }

    fn with(client: ApiClient, ledger: Ledger, ahead: WriteAhead) -> Self {
        Self(Arc::new(Shared::new(client, Books { ledger, ahead })))
    }

    /// Tells something, soon. Never waits for the server, and never fails.
    pub(crate) fn put(&self, message: Message) {
        // Others wait for what the server says to these.
        let is_urgent = matches!(
            message,
            Message::FlowRun(_) | Message::FlowRunName(..) | Message::FlowState(..)
        );
        let was_empty = self.0.push(message) == 1;
        if is_urgent {
            self.wake();
        } else if was_empty {
            self.start();
            self.0.for_file.notify_one();
        }
    }

    fn wake(&self) {
        self.start();
        self.0.for_calls.notify_one();
        self.0.for_events.notify_one();
        self.0.for_file.notify_one();
    }

    fn start(&self) {
        self.0.is_started.get_or_init(|| {
            let service = runtime::process_service();
            let shared = || Arc::clone(&self.0);
            service.spawn(or_shut(shared(), calls::make(shared())));
            service.spawn(or_shut(shared(), events::send(shared())));
            service.spawn(or_shut(shared(), keep(shared())));
            service.spawn(or_shut(shared(), cancelling::watch(shared())));
        });
    }

    /// Whether the flow run is told of here, and has not ended.
    pub(crate) fn reports(&self, flow: Uuid) -> bool {
        self.0.with(|ledger, _| ledger.has(flow))
    }

    /// Whether the flow run is known to be one of a deployment.
    pub(crate) fn has_deployment(&self, flow: Uuid) -> bool {
        self.0.with(|ledger, _| {
            let place = ledger.place(flow).and_then(Result::ok);
            place.is_some_and(|known| known.deployment.is_some())
        })
    }

    /// The number of the next pause in this attempt of a flow run, from 1.
    pub(crate) fn next_pause(&self, flow: Uuid, attempt: u32) -> u32 {
        self.0.with(|ledger, _| ledger.next_pause(flow, attempt))
    }

    /// The server's id of a flow run, as soon as it has one.
    ///
    /// # Errors
    ///
    /// If the server refused the flow run.
    pub(crate) async fn server_id(&self, flow: Uuid) -> Result<Uuid, ApiError> {
        let known = self.until(|ledger| Some(ledger.place(flow)?.map(|known| known.id)));
        known.await
    }

    /// The flow run as the server knows it, as soon as it does; `None` if it
    /// is not reported.
    pub(crate) async fn reported(&self, flow: Uuid) -> Option<ServerFlowRun> {
        let known = self.until(|ledger| {
            if !ledger.has(flow) {
                return Some(None);
            }
            Some(ledger.place(flow)?.ok().cloned())
        });
        known.await
    }

    /// The server's id of a flow run, when all requests about it that were put
    /// in before are made.
    ///
    /// # Errors
    ///
    /// If the server refused the flow run.
    pub(crate) async fn in_step(&self, flow: Uuid) -> Result<Uuid, ApiError> {
        let server = self.server_id(flow).await?;
        self.until(|ledger| ledger.is_in_step(flow).then_some(()))
            .await;
        Ok(server)
    }

    /// The server has the state in which a flow run stays: its end here is not
    /// told as another one.
    pub(crate) fn is_decided(&self, flow: Uuid) {
        self.0.with(|ledger, _| ledger.is_decided(flow));
    }

    /// Asks for a state of a flow run, after all that was put in about it
    /// before, and gives the server's answer.
    ///
    /// # Errors
    ///
    /// If the server refused the flow run, or cannot be asked.
    pub(crate) async fn propose(
        &self,
        flow: Uuid,
        state: &StateUpdate,
    ) -> Result<Answer, ApiError> {
        let server = self.in_step(flow).await?;
        let transition = Mark::of_process().new_transition();
        propose(
            &self.0.client,
            server,
            bodies::state(state),
            transition,
            false,
        )
        .await
    }

    /// The flow run has ended: when all of it, and of those in it, is told and
    /// known to be recorded, this is its final state.
    pub(crate) fn ends(&self, flow: Uuid, last: StateUpdate) {
        self.0.with(|ledger, _| ledger.finish(flow, last));
        self.wake();
    }

    /// Waits until a flow run that [has ended](Self::ends) is told with all that
    /// belongs to it. Who stops waiting stops nothing: what is left goes on
    /// being told as long as the process lives.
    pub(crate) async fn told(&self, flow: Uuid, progress: impl Fn(usize)) -> Finished {
        let done = self.until(|ledger| {
            progress(ledger.left_to_record(flow));
            ledger.finished(flow)
        });
        done.await
    }

    /// How many things of a flow run that has ended are still to be told.
    pub(crate) fn left(&self, flow: Uuid) -> usize {
        // And its final state.
        self.0.with(|ledger, _| ledger.left(flow)) + 1
    }

    /// Waits until a task run outside of flow runs is recorded.
    pub(crate) async fn told_alone(&self, run: Uuid) {
        self.wake();
        let done = self.until(|ledger| ledger.is_recorded(run).then_some(()));
        done.await;
    }

    /// Whether the server has ever answered.
    pub(crate) fn was_answered(&self) -> bool {
        self.0.client.was_answered()
    }

    /// The server's address as messages show it.
    pub(crate) fn shown_url(&self) -> String {
        self.0.client.settings().shown_url()
    }

    /// The file that keeps what is not known to be recorded, if there is one.
    pub(crate) fn kept(&self) -> Option<PathBuf> {
        self.0.books.lock().ahead.path().map(Path::to_owned)
    }

    /// Waits until the ledger has an answer.
    async fn until<T>(&self, mut ask: impl FnMut(&mut Ledger) -> Option<T>) -> T {
        loop {
            let progress = self.0.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if let Some(answer) = self.0.with(|ledger, _| ask(ledger)) {
                return answer;
            }
            progress.await;
        }
    }
}

/// How much of what is to be told waits in memory.
fn memory() -> usize {
    let limit = settings::of_process().count(MEMORY_SETTING, MEMORY);
    let limit = limit.unwrap_or_else(|error| {
        tracing::warn!(target: "flowcore::prefect", "{error}: it does not count");
        MEMORY
    });
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Where processes keep what they have not told yet.
fn directory() -> PathBuf {
    settings::of_process().home().join("flowcore/outbox")
}

/// How task runs in terminal states are asked for. What stands for a subflow
/// is told by nobody: the server moves it along.
fn terminal_runs_of(flow_run: Uuid) -> serde_json::Value {
    json!({
        "flow_runs": {"id": {"any_": [flow_run]}},
        "task_runs": {
            "state": {"type": {"any_": terminal_types()}},
            "subflow_runs": {"exists_": false},
        },
    })
}
