//! Who serves tasks: it tells the server which, is given runs of them, one
//! after the other, and executes each in this process.
//!
//! Invariants: no more runs than the limit at once; a run that was taken is
//! executed or told as failed; when the process shall end, no run is taken any
//! more, and those that run end in their time.

use std::collections::{HashMap, HashSet};
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::delay::info_of;
use super::parameters::Stored;
use crate::definition::{Definition, TaskInfo};
use crate::error::Result;
use crate::flow::{called_as, task_run_id};
use crate::prefect::client::{ApiClient, ApiError, EventSocket};
use crate::prefect::outbox::Outbox;
use crate::prefect::reporter::task_key;
use crate::prefect::things::PrefectError;
use crate::runner::RunReference;
use crate::runtime::{self, AbortOnDrop};
use crate::signals::Drain;

const PATH: &str = "/task_runs/subscriptions/scheduled";

/// Until it is tried again after the socket was lost.
const AGAIN: Duration = Duration::from_secs(5);

/// How often it is looked at a run that is not there yet.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Executes runs of these tasks that other programs [ask
/// for](super::Background::delay), until the process is told to end.
///
/// ```no_run
/// use flowcore::prelude::*;
///
/// #[task]
/// async fn welcome(user: String) { println!("welcome, {user}") }
///
/// #[task]
/// fn resize(picture: String, width: u32) { println!("{picture} to {width}") }
///
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// flowcore::serve_tasks([&welcome, &resize]).limit(4).await
/// # }
/// ```
///
/// The first SIGTERM or Ctrl-C lets what runs go on to its end, for
/// [a while](ServeTasks::patience), and takes nothing new; the second ends it at
/// once.
///
/// # Errors
///
/// With a [`PrefectError`](crate::PrefectError): there is no task, something is
/// none, there is no server, or it refuses the credentials. Once it serves, a
/// server that is away is waited for.
pub fn serve_tasks<const N: usize>(tasks: [&'static dyn Definition; N]) -> ServeTasks {
    ServeTasks {
        tasks: tasks.into(),
        limit: 10,
        patience: Duration::from_mins(1),
    }
}

/// What [`serve_tasks`] gives: options, and a future that ends when the process
/// shall end.
///
/// # Cancel safety
///
/// If it is dropped, the runs that it executes are cancelled.
#[derive(Debug)]
#[must_use = "nothing is served until it is awaited"]
pub struct ServeTasks {
    tasks: Vec<&'static dyn Definition>,
    limit: usize,
    patience: Duration,
}

impl ServeTasks {
    /// How many runs are executed at once. Default: 10, as in Prefect.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.max(1);
        self
    }

    /// How long runs may go on when this process shall end. Default: a minute.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn run(self) -> Result<(), PrefectError> {
        let tasks = self.by_key()?;
        let Some(client) = ApiClient::of_process()? else {
            return Err(PrefectError::NoServer {
                what: "background tasks",
            });
        };
        if !client.version().await?.records_events() {
            return Err(PrefectError::Server(
                "the server is too old for background tasks: they need Prefect 3".to_owned(),
            ));
        }
        let names = self.tasks.iter().map(|task| format!("'{}'", task.name()));
        let names: Vec<_> = names.collect();
        tracing::info!(target: "flowcore::prefect", "serves {}: background tasks", names.join(", "));
        let drain = Drain::begin();
        let worker = Arc::new(Worker {
            client,
            tasks,
            slots: Arc::new(Semaphore::new(self.limit)),
            taken: Mutex::default(),
        });
        let asked = drain.shared();
        let mut runs = JoinSet::new();
        let served = tokio::select! {
            served = worker.serve(&mut runs) => served,
            () = asked.asked() => Ok(()),
        };
        let ended = async { while runs.join_next().await.is_some() {} };
        tokio::select! {
            _ = runtime::timeout(self.patience, ended) => {}
            () = asked.insisted() => {}
        }
        drop(drain);
        served
    }

    /// By their keys on the server.
    fn by_key(&self) -> Result<HashMap<String, Served>, PrefectError> {
        if self.tasks.is_empty() {
            return Err(PrefectError::NotServed {
                problem: "no task is named: `serve_tasks([&load, &store])`".to_owned(),
            });
        }
        let mut by_key = HashMap::new();
        for definition in &self.tasks {
            let Some(info) = info_of(*definition) else {
                return Err(PrefectError::NotServed {
                    problem: format!(
                        "`{}` is a flow: serve it with a `Deployment`",
                        definition.name()
                    ),
                });
            };
            let served = Served {
                definition: *definition,
                info,
            };
            by_key.insert(task_key(info), served);
        }
        Ok(by_key)
    }
}

impl IntoFuture for ServeTasks {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            // Sockets, timers and tasks, whatever runs the calling code.
            let running = runtime::process_user().spawn(self.run());
            let ended = AbortOnDrop::from(running).await.unwrap_or_else(|error| {
                let problem = format!("what serves tasks has ended: {error}");
                Err(PrefectError::Server(problem))
            });
            ended.map_err(PrefectError::into_error)
        })
    }
}

#[derive(Clone, Copy)]
struct Served {
    definition: &'static dyn Definition,
    info: &'static TaskInfo,
}

struct Worker {
    client: ApiClient,
    tasks: HashMap<String, Served>,
    slots: Arc<Semaphore>,
    /// Runs that are being executed here: the server may give one twice.
    taken: Mutex<HashSet<Uuid>>,
}

/// A run that the server gives.
#[derive(Deserialize)]
struct Given {
    id: Uuid,
    name: String,
    task_key: String,
    state: Option<GivenState>,
}

#[derive(Deserialize)]
struct GivenState {
    #[serde(rename = "type")]
    kind: String,
    state_details: GivenDetails,
}

#[derive(Deserialize)]
struct GivenDetails {
    task_parameters_id: Option<Uuid>,
}

impl Worker {
    /// Takes runs for ever.
    async fn serve(self: &Arc<Self>, runs: &mut JoinSet<()>) -> Result<(), PrefectError> {
        let mut is_away = false;
        loop {
            match self.take(runs, &mut is_away).await {
                Ok(()) => {}
                Err(error @ ApiError::Refused { .. }) => return Err(error.into()),
                Err(error) if !std::mem::replace(&mut is_away, true) => tracing::warn!(
                    target: "flowcore::prefect",
                    "{error}; asks for task runs again every {AGAIN:?}"
                ),
                Err(error) => tracing::debug!(target: "flowcore::prefect", "{error}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Takes runs until the socket is lost.
    async fn take(
        self: &Arc<Self>,
        runs: &mut JoinSet<()>,
        is_away: &mut bool,
    ) -> Result<(), ApiError> {
        let mut socket = EventSocket::connect(&self.client, PATH).await?;
        let keys: Vec<_> = self.tasks.keys().collect();
        let client_id = format!("flowcore-{}", std::process::id());
        let subscribe = json!({"type": "subscribe", "keys": keys, "client_id": client_id});
        socket.send(subscribe.to_string()).await?;
        if std::mem::take(is_away) {
            tracing::info!(target: "flowcore::prefect", "task runs come again");
        }
        loop {
            // A run that is given before there is a place for it stays here
            // unanswered: others may have it if this process ends.
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return Ok(());
            };
            while runs.try_join_next().is_some() {}
            let Some(message) = socket.next().await? else {
                return Ok(());
            };
            socket.send(json!({"type": "ack"}).to_string()).await?;
            match serde_json::from_value::<Given>(message) {
                Ok(given) => {
                    let worker = Arc::clone(self);
                    runs.spawn(async move {
                        let told = worker.execute(&given).await;
                        drop(slot);
                        if let Some(run) = told {
                            worker.until_told(run).await;
                        }
                        worker.taken.lock().remove(&given.id);
                    });
                }
                Err(error) => tracing::warn!(
                    target: "flowcore::prefect",
                    "a task run is not understood: {error}"
                ),
            }
        }
    }

    /// Executes a run; the id that it is told under.
    async fn execute(&self, given: &Given) -> Option<Uuid> {
        let served = *self.tasks.get(&given.task_key)?;
        if !self.taken.lock().insert(given.id) || !self.is_left(given.id).await {
            return None;
        }
        let stored = match self.stored(served, given).await {
            Ok(stored) => stored,
            Err(problem) => {
                self.refuse(given, "CRASHED", "Crashed", &problem).await;
                return None;
            }
        };
        let parameters = stored.parameters();
        let call = parameters.and_then(|parameters| served.definition.call_json(parameters));
        let call = match call {
            Ok(call) => call,
            Err(error) => {
                let problem = format!("Validation of task parameters failed with error: {error}");
                self.refuse(given, "FAILED", "Failed", &problem).await;
                return None;
            }
        };
        // It tells its states itself.
        drop(called_as(stored.around, call.state()).await);
        Some(task_run_id(stored.around, RunReference::Run(0)))
    }

    /// Whether nobody has begun it: it may have been given to others, too.
    async fn is_left(&self, run: Uuid) -> bool {
        #[derive(Deserialize)]
        struct Seen {
            state: Option<GivenState>,
        }
        let path = format!("/task_runs/{run}");
        for _ in 0..LOOKS {
            match self.client.get::<Seen>(&path).await {
                Ok(seen) => return seen.state.is_none_or(|state| state.kind == "SCHEDULED"),
                // The server gives runs away before it has written them down.
                Err(ApiError::NotFound { .. }) => tokio::time::sleep(BETWEEN_LOOKS).await,
                Err(_) => return true,
            }
        }
        tracing::info!(target: "flowcore::prefect", "task run {run} was deleted, and is not executed");
        false
    }

    /// The arguments; they are taken.
    async fn stored(&self, served: Served, given: &Given) -> Result<Stored, String> {
        let details = given.state.as_ref().map(|state| &state.state_details);
        let id = details.and_then(|details| details.task_parameters_id);
        let id = id.ok_or("Task run has no arguments: no program of ours has asked for it.")?;
        let place = super::parameters::store(served.info).map_err(|error| error.to_string())?;
        let read = Stored::read(served.info, id).await;
        let stored =
            read.map_err(|error| format!("Task run's arguments cannot be read: {error}"))?;
        let stored = stored.ok_or_else(|| {
            format!(
                "Task run's arguments are not in {}: who asks for a run and who serves its task \
                 need one store (`result_store`).",
                place.url()
            )
        })?;
        if let Err(error) = Stored::remove(served.info, id).await {
            tracing::debug!(target: "flowcore::prefect", "{error}");
        }
        Ok(stored)
    }

    /// The run ends before it has begun.
    async fn refuse(&self, given: &Given, kind: &str, name: &str, message: &str) {
        tracing::error!(target: "flowcore::prefect", "task run '{}': {message}", given.name);
        let state = json!({"type": kind, "name": name, "message": message});
        let body = json!({"state": state, "force": true});
        let path = format!("/task_runs/{}/set_state", given.id);
        if let Err(error) = self.client.post::<Value>(&path, &body).await {
            tracing::warn!(target: "flowcore::prefect", "{error}");
        }
    }

    /// Waits until the server knows how a run ended.
    async fn until_told(&self, run: Uuid) {
        if let Ok(Some(outbox)) = Outbox::of_process() {
            outbox.told_alone(run).await;
        }
    }
}
