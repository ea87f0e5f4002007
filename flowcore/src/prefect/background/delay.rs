//! Who asks for runs of background tasks, and looks what becomes of them.

use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::parameters::Stored;
use super::worker::ServeTasks;
use crate::definition::{Definition, Facts, TaskDefinition, TaskInfo, find_task};
use crate::error::{Error, Result};
use crate::flow::{task_run_id, task_run_name};
use crate::prefect::client::{ApiClient, ApiError};
use crate::prefect::reporter::task_key;
use crate::prefect::things::{PrefectError, Question, ServerCall, result_of, until_ended};
use crate::runner::RunReference;

/// What a task can do with a Prefect server; every `#[task]` has it.
pub trait Background: Definition {
    /// Asks for a run of the task, by whatever program serves it, and does not
    /// wait for it. The arguments are a tuple in the order of the parameters,
    /// `(1, "a")`, or an object with their names.
    ///
    /// ```no_run
    /// use flowcore::prelude::*;
    ///
    /// #[task]
    /// async fn welcome(user: String, mails: u32) { println!("{mails} for {user}") }
    ///
    /// # #[flowcore::main]
    /// # async fn main() -> Result<()> {
    /// let run = welcome.delay(("ada", 2)).await?;
    /// println!("asked for task run '{}'", run.name());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Awaiting it fails if the arguments are not those of the task (kind
    /// `Invalid`, with [`ParameterErrors`](crate::ParameterErrors) for
    /// `downcast_ref`), if they cannot be stored, or with a [`PrefectError`]: no
    /// server, or it says no.
    fn delay(&self, arguments: impl Serialize) -> Delay
    where
        Self: Sized;

    /// Executes runs of the task that others ask for, until the process is
    /// told to end. See [`serve_tasks`](super::serve_tasks).
    ///
    /// ```no_run
    /// use flowcore::prelude::*;
    ///
    /// #[task]
    /// async fn welcome(user: String) { println!("welcome, {user}") }
    ///
    /// # #[flowcore::main]
    /// # async fn main() -> Result<()> {
    /// welcome.serve().await
    /// # }
    /// ```
    fn serve(&'static self) -> ServeTasks
    where
        Self: Sized;
}

impl<D: TaskDefinition + Definition> Background for D {
    fn delay(&self, arguments: impl Serialize) -> Delay {
        let question = checked(self, arguments).map(|parameters| {
            Question::Delay(NewBackgroundRun {
                task: self.key().to_owned(),
                parameters,
            })
        });
        Delay(question)
    }

    fn serve(&'static self) -> ServeTasks {
        super::serve_tasks([self as &dyn Definition])
    }
}

/// The arguments as an object, if the task takes them.
fn checked(task: &dyn Definition, arguments: impl Serialize) -> Result<Value> {
    let given = serde_json::to_value(arguments).map_err(|error| {
        let problem = error.to_string();
        let what = "the arguments";
        PrefectError::NotJson { what, problem }.into_error()
    })?;
    let parameters = match given {
        Value::Array(values) => {
            let names = task.defined().signature().parameters;
            if values.len() > names.len() {
                return Err(Error::invalid(format!(
                    "task `{}` takes {} arguments, and {} are given",
                    task.name(),
                    names.len(),
                    values.len()
                )));
            }
            let names = names.iter().map(|parameter| parameter.name.to_owned());
            Value::Object(names.zip(values).collect())
        }
        Value::Null => Value::Object(Map::new()),
        other => other,
    };
    // A call that nobody awaits does nothing.
    drop(task.call_json(parameters.clone())?);
    Ok(parameters)
}

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::prefect) struct NewBackgroundRun {
    /// The task's key in this program.
    task: String,
    parameters: Value,
}

/// What [`Background::delay`] gives: await it, or [`block`](Self::block) in
/// sync code.
#[derive(Debug)]
#[must_use = "nothing is asked for until it is awaited"]
pub struct Delay(Result<Question>);

impl Delay {
    /// Waits in sync code; see [`ServerCall::block`].
    ///
    /// # Errors
    ///
    /// As awaiting it.
    pub fn block(self) -> Result<Delayed> {
        ServerCall::asking(Ok(self.0?)).block()
    }
}

impl IntoFuture for Delay {
    type Output = Result<Delayed>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { ServerCall::asking(Ok(self.0?)).await })
    }
}

/// A run of a background task that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delayed {
    id: Uuid,
    name: String,
}

impl Delayed {
    /// The task run's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The task run's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The run as it is now.
    ///
    /// # Errors
    ///
    /// With a [`PrefectError`]: the server cannot be asked.
    pub fn look(&self) -> ServerCall<BackgroundRun> {
        self.wait(Duration::ZERO)
    }

    /// The run when it has ended, or after this time; nothing comes of a run
    /// whose task nobody serves.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look). A run that failed is no error; its state says
    /// so.
    pub fn wait(&self, limit: Duration) -> ServerCall<BackgroundRun> {
        let id = self.id;
        ServerCall::asking(Ok(Question::LookAtTaskRun { id, limit }))
    }
}

/// A run of a background task, as it was when it was last looked at. Its value
/// stays where it ran; a task that keeps its results has it in its store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackgroundRun {
    /// The task run's id.
    pub id: Uuid,
    /// The task run's name.
    pub name: String,
    /// The type of its state, such as `COMPLETED`.
    pub state_type: Option<String>,
    /// The name of its state, such as `Completed`.
    pub state_name: Option<String>,
    /// The state's message.
    pub message: Option<String>,
}

impl BackgroundRun {
    /// Whether it did what it is for.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.state_type.as_deref() == Some("COMPLETED")
    }

    /// Nothing if it completed.
    ///
    /// # Errors
    ///
    /// If it failed, crashed, was cancelled or has not ended; the error names
    /// run and state.
    pub fn into_result(self) -> Result<()> {
        let message = self.message.as_deref().filter(|text| !text.is_empty());
        result_of(
            "task run",
            &self.name,
            self.state_type.as_deref(),
            self.state_name.as_deref(),
            message,
        )
    }
}

/// Stores the arguments and makes the run on the server.
pub(in crate::prefect) async fn create(
    client: &ApiClient,
    new: NewBackgroundRun,
) -> Result<Value, PrefectError> {
    let known = find_task(&new.task).map_err(|error| PrefectError::Server(error.to_string()))?;
    let task = known.info();
    // The worker's run has this id, too: it is made from the same.
    let around = Uuid::now_v7();
    let run = RunReference::Run(0);
    let id = task_run_id(around, run);
    let name = task_run_name(task.options.name_in_force(), around.as_u64_pair().1, run);
    let parameters = Uuid::new_v4();
    let not_stored = |error: Error| {
        let problem = error.to_string();
        let what = "the arguments are not stored";
        PrefectError::Server(format!("{what}: {problem}"))
    };
    let stored = Stored::new(&new.parameters, around);
    stored.write(task, parameters).await.map_err(not_stored)?;
    let body = body(task, id, &name, parameters);
    if let Err(error) = make(client, id, &body).await {
        if !error.is_doubtful() {
            let _ = Stored::remove(task, parameters).await;
        }
        return Err(error.into());
    }
    Ok(json!({"id": id, "name": name}))
}

/// A second run of one id is refused by the server: it is looked whether one
/// whose answer got lost is there.
async fn make(client: &ApiClient, id: Uuid, body: &Value) -> Result<(), ApiError> {
    loop {
        let made = client.post_once::<Value>("/task_runs/", body).await;
        match made.map(drop) {
            Err(error) if error.is_doubtful() => {
                match client.get::<Value>(&format!("/task_runs/{id}")).await {
                    Err(ApiError::NotFound { .. }) => {}
                    seen => return seen.map(drop),
                }
            }
            made => return made,
        }
    }
}

/// The body of `POST /task_runs/`.
fn body(task: &TaskInfo, id: Uuid, name: &str, parameters: Uuid) -> Value {
    let options = &task.options;
    let retries = options.retries_in_force();
    let delay = options.retry_delay_in_force().before(1).as_secs_f64();
    // As Python writes it.
    let delay_or_zero = if delay == 0.0 { json!(0) } else { json!(delay) };
    let inputs = task.parameters.iter();
    let inputs = inputs.map(|name| ((*name).to_owned(), json!([])));
    json!({
        "id": id,
        "name": name,
        "flow_run_id": null,
        "task_key": task_key(task),
        "dynamic_key": id,
        "task_version": options.version_in_force(),
        "empirical_policy": {
            "max_retries": retries,
            "retry_delay_seconds": delay,
            "retries": retries,
            "retry_delay": delay_or_zero,
        },
        "tags": options.all_tags().collect::<Vec<_>>(),
        "task_inputs": inputs.collect::<Map<_, _>>(),
        "state": {
            "type": "SCHEDULED",
            "name": "Scheduled",
            "state_details": {
                "scheduled_time": Timestamp::now(),
                "deferred": true,
                "task_parameters_id": parameters,
            },
        },
    })
}

/// How often it is looked at a run.
const PAUSE: Duration = Duration::from_millis(500);

/// A run when it has ended, or after this time.
pub(in crate::prefect) async fn look(
    client: &ApiClient,
    id: Uuid,
    limit: Duration,
) -> Result<Value, PrefectError> {
    let path = format!("/task_runs/{id}");
    match until_ended(client, &path, None, Some(limit), PAUSE).await {
        Ok(run) => Ok(run.to_json()),
        Err(ApiError::NotFound { .. }) => Err(PrefectError::NotFound {
            what: "task run",
            name: id.to_string(),
            cure: String::new(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// The task and its options, if it is one.
pub(super) fn info_of(definition: &dyn Definition) -> Option<&'static TaskInfo> {
    match definition.defined().facts() {
        Facts::Task(info, _) => Some(info),
        Facts::Flow(..) => None,
    }
}
