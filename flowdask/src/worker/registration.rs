//! Becoming a worker of the scheduler (protocol, section 7.1).

use std::time::Duration;

use tokio::time::Instant;

use super::WorkerError;
use super::messages::{now, stimulus_id};
use super::shared::Shared;
use crate::Release;
use crate::wire::{Connection, Fields, StreamReader, StreamSender, Value, WireError};

/// How long messages are collected, as stock workers do.
const BATCH: Duration = Duration::from_millis(2);

/// How long the scheduler may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the scheduler begins to refuse a second worker of one name.
const NAME_TAKEN: &str = "name taken";

/// How often it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// The stream of a registered worker.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) reader: StreamReader,
    pub(super) stream: StreamSender,
    pub(super) heartbeat_interval: Duration,
    /// What to add to our time to get the scheduler's.
    pub(super) clock_offset: f64,
    pub(super) release: Release,
}

/// Registers; whatever goes wrong is tried again until `timeout` is over.
pub(super) async fn register_patiently(
    shared: &Shared,
    metrics: Value,
    timeout: Duration,
) -> Result<Link, WorkerError> {
    let deadline = Instant::now() + timeout;
    loop {
        match register(shared, metrics.clone()).await {
            // An old release will not be another one in a moment.
            Err(error @ WorkerError::Release(_)) => return Err(error),
            Err(error) if Instant::now() + PAUSE > deadline => return Err(error),
            Err(error) => tracing::debug!(%error, "registering again"),
            Ok(link) => return Ok(link),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One attempt.
pub(super) async fn register(shared: &Shared, metrics: Value) -> Result<Link, WorkerError> {
    let failed = |source| WorkerError::Register {
        scheduler: shared.scheduler.clone(),
        source,
    };
    let (connection, answer, release) = tokio::time::timeout(PATIENCE, exchange(shared, metrics))
        .await
        .map_err(|_| {
            failed(WireError::TimedOut {
                address: shared.scheduler.to_string(),
                what: "answer a registration",
                after: PATIENCE,
            })
        })?
        .map_err(|error| match error {
            Failure::Wire(source) => failed(source),
            Failure::Worker(error) => error,
        })?;
    let mut answer =
        Fields::unnamed("register-worker", answer).map_err(|error| failed(error.into()))?;
    if answer.optional("status") != Some("OK".into()) {
        let scheduler = shared.scheduler.clone();
        let reason = answer.string("message").unwrap_or_default();
        if reason.starts_with(NAME_TAKEN) {
            let name = shared.name.clone();
            return Err(WorkerError::NameTaken { scheduler, name });
        }
        return Err(WorkerError::Refused { scheduler, reason });
    }
    for member in ["warning", "error"] {
        if let Ok(text) = answer.string(member)
            && !text.is_empty()
        {
            tracing::warn!(text, "the scheduler takes the worker, but");
        }
    }
    let (reader, writer) = connection.split();
    Ok(Link {
        reader: StreamReader::new(reader),
        stream: StreamSender::start(writer, BATCH),
        heartbeat_interval: heartbeat_interval(&mut answer),
        clock_offset: answer.float("time").map_or(0.0, |time| time - now()),
        release,
    })
}

/// From an answer to a registration or heartbeat.
pub(super) fn heartbeat_interval(answer: &mut Fields) -> Duration {
    let seconds = answer.float("heartbeat-interval").unwrap_or(1.0);
    Duration::try_from_secs_f64(seconds.clamp(0.05, 60.0)).unwrap_or(Duration::from_secs(1))
}

enum Failure {
    Wire(WireError),
    Worker(WorkerError),
}

impl<E: Into<WireError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Wire(error.into())
    }
}

async fn exchange(
    shared: &Shared,
    metrics: Value,
) -> Result<(Connection, Value, Release), Failure> {
    let request = Value::map([("op", "versions".into()), ("reply", true.into())]);
    let versions = shared.pool.call(&shared.scheduler, &request).await?;
    let release = release(&versions).map_err(|error| Failure::Worker(error.into()))?;
    shared.versions.lock().clone_from(&versions);

    let mut connection = Connection::connect(&shared.scheduler, &shared.security, PATIENCE).await?;
    let answer = connection
        .call(&registration(shared, versions, metrics))
        .await?;
    Ok((connection, answer, release))
}

fn release(versions: &Value) -> Result<Release, crate::ReleaseError> {
    let text = Release::text_of(versions).unwrap_or_default();
    text.parse::<Release>()?.supported()
}

/// With `reply`: a refusal would not be heard otherwise (protocol, trap 1).
fn registration(shared: &Shared, versions: Value, metrics: Value) -> Value {
    let resources = shared
        .resources
        .iter()
        .map(|(name, amount)| ((&**name).into(), (*amount).into()))
        .collect();
    Value::map([
        ("op", "register-worker".into()),
        ("reply", true.into()),
        ("address", (&*shared.address).into()),
        ("status", "running".into()),
        ("nthreads", shared.nthreads.into()),
        ("name", shared.name.as_str().into()),
        ("now", now().into()),
        ("resources", Value::Map(resources)),
        ("memory_limit", shared.memory_limit.unwrap_or(0).into()),
        (
            "local_directory",
            (&*shared.store.directory().to_string_lossy()).into(),
        ),
        ("services", Value::map([])),
        ("nanny", Value::Nil),
        ("pid", std::process::id().into()),
        ("versions", versions),
        ("metrics", metrics),
        ("extra", Value::map([])),
        ("stimulus_id", stimulus_id("worker-connect")),
        ("server_id", shared.id.as_str().into()),
    ])
}
