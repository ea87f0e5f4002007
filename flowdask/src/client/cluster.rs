//! Questions about the cluster: who is there, and who has what.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::{Client, ClientError};
use crate::wire::{FieldError, Fields, Key, Value};

/// How often it is looked whether workers have joined.
const PAUSE: Duration = Duration::from_millis(50);

/// A scheduler and its workers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SchedulerInfo {
    /// The scheduler's own name.
    pub id: String,
    /// Where it listens.
    pub address: String,
    /// The workers, by address.
    pub workers: BTreeMap<String, WorkerInfo>,
}

/// A worker, as the scheduler sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Its name, or what it has for one.
    pub name: String,
    /// How many tasks it runs at a time.
    pub nthreads: u64,
    /// How much memory it may take, in bytes; 0 is no limit.
    pub memory_limit: u64,
    /// What it has for tasks that ask for it.
    pub resources: BTreeMap<String, f64>,
    /// `running`, `paused` or on its way out.
    pub status: String,
    /// Its host.
    pub host: String,
    /// When it was heard of, by the scheduler's clock, in seconds since 1970.
    pub last_seen: f64,
    /// What its last heartbeat measured, as it came.
    pub metrics: Value,
}

impl Client {
    /// The scheduler and its workers.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn scheduler_info(&self) -> Result<SchedulerInfo, ClientError> {
        const OP: &str = "identity";
        let answer = if self.release().identity_counts_workers() {
            self.call(OP, [("n_workers", (-1).into())]).await?
        } else {
            self.call(OP, []).await?
        };
        read_scheduler(answer).map_err(ClientError::call(OP))
    }

    /// How many threads each worker has, by address.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn ncores(&self) -> Result<BTreeMap<String, u64>, ClientError> {
        let answer = self.call("ncores", [("workers", Value::Nil)]).await?;
        counts("ncores", answer)
    }

    /// Waits until so many workers have joined.
    ///
    /// # Errors
    ///
    /// Fewer are there when `within` is over, or the scheduler cannot be asked.
    pub async fn wait_for_workers(
        &self,
        wanted: usize,
        within: Duration,
    ) -> Result<(), ClientError> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let found = self.ncores().await?.len();
            if found >= wanted {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(ClientError::TooFewWorkers {
                    found,
                    wanted,
                    after: within,
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Which workers have each of these keys: their addresses, none for keys that
    /// are not in memory.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn who_has(&self, keys: &[Key]) -> Result<HashMap<Key, Vec<String>>, ClientError> {
        let keys = keys.iter().collect();
        self.who_has_of(keys).await
    }

    /// Which workers have which keys, for all keys of all clients.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn who_has_all(&self) -> Result<HashMap<Key, Vec<String>>, ClientError> {
        self.who_has_of(Value::Nil).await
    }

    async fn who_has_of(&self, keys: Value) -> Result<HashMap<Key, Vec<String>>, ClientError> {
        let answer = self.call("who_has", [("keys", keys)]).await?;
        let answer = Value::map([("who_has", answer)]);
        Fields::unnamed("who_has", answer)
            .and_then(|mut answer| answer.who_has("who_has"))
            .map(|holders| holders.into_iter().collect())
            .map_err(ClientError::call("who_has"))
    }

    /// Which keys each worker has, by address.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn has_what(&self) -> Result<BTreeMap<String, Vec<Key>>, ClientError> {
        const OP: &str = "has_what";
        let answer = self.call(OP, [("workers", Value::Nil)]).await?;
        let workers = Fields::unnamed(OP, answer).map_err(ClientError::call(OP))?;
        workers
            .into_entries()
            .map(|(worker, keys)| {
                let keys = Value::map([("keys", keys)]);
                let keys = Fields::unnamed(OP, keys).and_then(|mut keys| keys.keys("keys"));
                Ok((worker, keys?))
            })
            .collect::<Result<_, FieldError>>()
            .map_err(ClientError::call(OP))
    }

    /// The sizes of these keys in bytes; keys that are not in memory are left out.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn nbytes(&self, keys: &[Key]) -> Result<HashMap<Key, u64>, ClientError> {
        const OP: &str = "nbytes";
        let members = [("keys", keys.iter().collect()), ("summary", false.into())];
        let answer = self.call(OP, members).await?;
        let Value::Map(sizes) = answer else {
            return Err(ClientError::answer(OP, "a map", &answer));
        };
        sizes
            .into_iter()
            .map(|(key, size)| match (Key::try_from(key), &size) {
                // A size that nobody knows is -1.
                (Ok(key), Value::Integer(size)) => Ok((key, u64::try_from(*size).unwrap_or(0))),
                (Ok(key), Value::Unsigned(size)) => Ok((key, *size)),
                _ => Err(ClientError::answer(OP, "sizes of keys", &size)),
            })
            .collect()
    }
}

/// A map from addresses to numbers.
pub(super) fn counts(
    op: &'static str,
    answer: Value,
) -> Result<BTreeMap<String, u64>, ClientError> {
    let counts = Fields::unnamed(op, answer).map_err(ClientError::call(op))?;
    counts
        .into_entries()
        .map(|(name, count)| match count {
            Value::Integer(count) if count >= 0 => Ok((name, count.unsigned_abs())),
            other => Err(ClientError::answer(op, "numbers", &other)),
        })
        .collect()
}

fn read_scheduler(answer: Value) -> Result<SchedulerInfo, FieldError> {
    let mut answer = Fields::unnamed("identity", answer)?;
    let workers = Fields::unnamed("workers", answer.value("workers")?)?;
    Ok(SchedulerInfo {
        id: answer.string("id")?,
        address: answer.string("address")?,
        workers: workers
            .into_entries()
            .map(|(address, worker)| Ok((address, read_worker(worker)?)))
            .collect::<Result<_, FieldError>>()?,
    })
}

fn read_worker(worker: Value) -> Result<WorkerInfo, FieldError> {
    let mut worker = Fields::unnamed("worker", worker)?;
    let resources = Fields::unnamed("resources", worker.value("resources")?)?;
    let resources = resources
        .into_entries()
        .map(|(name, amount)| {
            let mut amount = Fields::unnamed("resources", Value::map([("amount", amount)]))?;
            Ok((name, amount.float("amount")?))
        })
        .collect::<Result<_, FieldError>>()?;
    Ok(WorkerInfo {
        // Numbers are names too, of workers that a cluster counts.
        name: worker.key("name")?.to_string(),
        nthreads: worker.unsigned("nthreads")?,
        // Nil or 0 is no limit.
        memory_limit: match worker.optional("memory_limit") {
            Some(Value::Integer(limit)) => u64::try_from(limit).unwrap_or(0),
            _ => 0,
        },
        resources,
        status: worker.string("status")?,
        host: worker.string("host")?,
        last_seen: worker.float("last_seen")?,
        metrics: worker.value("metrics")?,
    })
}
