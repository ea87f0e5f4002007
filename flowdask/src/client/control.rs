//! What a client may change in a cluster.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::{Client, ClientError};
use crate::graph::RemoteException;
use crate::wire::{Address, Fields, Key, Serialized, Value};

/// Why and how keys are cancelled; see [`Client::cancel`].
#[derive(Clone, Debug, Default)]
pub struct CancelOptions {
    force: bool,
    reason: Option<String>,
    message: Option<String>,
}

impl CancelOptions {
    /// Also keys that other clients want.
    #[must_use]
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// A word for programs, and a sentence for people. Schedulers before 2025.3
    /// do not pass them on to other clients.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>, message: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self.message = Some(message.into());
        self
    }
}

impl Client {
    /// Cancels keys, and what depends on them. Their futures end at once; tasks
    /// that run are not stopped by Dask, their results are thrown away. Keys that
    /// other clients want are left to them, unless it is forced.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`].
    pub fn cancel(&self, keys: &[Key], options: &CancelOptions) -> Result<(), ClientError> {
        let CancelOptions {
            force,
            reason,
            message,
        } = options.clone();
        self.shared()
            .apply(|core| core.state.cancel(keys.to_vec(), force, reason, message))?;
        Ok(())
    }

    /// Runs failed tasks again, and the failed ones that they need. Their futures
    /// become pending.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked, or does not know a key.
    pub async fn retry(&self, keys: &[Key]) -> Result<(), ClientError> {
        let members = [
            ("keys", keys.iter().collect()),
            ("client", self.id().into()),
        ];
        self.call("retry", members).await.map(drop)
    }

    /// Says which workers may run tasks that wait: their addresses; none for all.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked, or does not know a key.
    pub async fn set_restrictions(
        &self,
        restrictions: &[(Key, Vec<String>)],
    ) -> Result<(), ClientError> {
        let restrictions = restrictions
            .iter()
            .map(|(key, workers)| {
                let workers = workers.iter().map(String::as_str).collect();
                (key.into(), workers)
            })
            .collect();
        let members = [("worker", Value::Map(restrictions))];
        self.call("set_restrictions", members).await.map(drop)
    }

    /// Logs an event under a topic; who [listens](Self::subscribe_topic) to it
    /// hears it.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn log_event(&self, topic: &str, message: Value) -> Result<(), ClientError> {
        let members = [("topic", topic.into()), ("msg", message)];
        self.call("log_event", members).await.map(drop)
    }

    /// Asks a worker, by way of the scheduler: its answer. `message` is a map with
    /// `op`.
    ///
    /// # Errors
    ///
    /// The scheduler or the worker cannot be asked, or the worker's answer is an
    /// error.
    pub async fn proxy(&self, worker: &Address, message: Value) -> Result<Value, ClientError> {
        let members = [("worker", worker.to_string().into()), ("msg", message)];
        self.call("proxy", members).await
    }

    /// Asks workers, by way of the scheduler: all of them, or those at these
    /// addresses. Their answers, or what kept them from answering, by address.
    /// `message` is a map with `op`.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn broadcast(
        &self,
        message: Value,
        workers: Option<&[Address]>,
    ) -> Result<BTreeMap<String, Result<Value, RemoteException>>, ClientError> {
        const OP: &str = "broadcast";
        let workers =
            workers.map(|workers| workers.iter().map(Address::to_string).collect::<Value>());
        let members = [
            ("msg", message),
            ("workers", workers.into()),
            ("nanny", false.into()),
            ("on_error", "return_pickle".into()),
        ];
        let answer = self.call(OP, members).await?;
        let answers = Fields::unnamed(OP, answer).map_err(ClientError::call(OP))?;
        Ok(answers
            .into_entries()
            .map(|(worker, answer)| match answer {
                Value::Bytes(_) => (worker, Err(RemoteException::read(&answer))),
                answer => (worker, Ok(answer)),
            })
            .collect())
    }

    /// Calls a Python function on workers of Python Dask: all, or those at these
    /// addresses. `function` is its pickle, `arguments` that of a tuple. Their
    /// results, by address.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn run(
        &self,
        function: Bytes,
        arguments: Bytes,
        workers: Option<&[Address]>,
    ) -> Result<BTreeMap<String, Result<Serialized, RemoteException>>, ClientError> {
        const OP: &str = "run";
        let message = Value::map([
            ("op", OP.into()),
            ("function", function.into()),
            ("args", arguments.into()),
            ("wait", true.into()),
        ]);
        let answers = self.broadcast(message, workers).await?;
        answers
            .into_iter()
            .map(|(worker, answer)| match answer {
                Err(exception) => Ok((worker, Err(exception))),
                Ok(answer) => {
                    let mut answer = Fields::unnamed(OP, answer).map_err(ClientError::call(OP))?;
                    let result = match answer.optional("exception") {
                        Some(exception) => Err(RemoteException::read(&exception)),
                        None => Ok(answer.serialized("result").map_err(ClientError::call(OP))?),
                    };
                    Ok((worker, result))
                }
            })
            .collect()
    }

    /// Forgets all keys of all clients, and restarts the workers that have a
    /// nanny; the others are told to close. With `wait_for_workers` returns when
    /// as many workers are back.
    ///
    /// # Errors
    ///
    /// The workers are not back in time, or the scheduler cannot be asked.
    pub async fn restart(
        &self,
        wait_for_workers: bool,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let members = [
            ("timeout", timeout.as_secs_f64().into()),
            ("wait_for_workers", wait_for_workers.into()),
            ("stimulus_id", self.stimulus("client-restart").into()),
        ];
        self.call("restart", members).await.map(drop)
    }

    /// Has workers hand their data to others and closes them; returns the
    /// addresses of those that went. A worker whose data nobody can take stays.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn retire_workers(&self, workers: &[Address]) -> Result<Vec<String>, ClientError> {
        const OP: &str = "retire_workers";
        let workers: Value = workers.iter().map(Address::to_string).collect();
        let members = [
            ("workers", workers),
            ("close_workers", true.into()),
            ("remove", true.into()),
            ("stimulus_id", self.stimulus("client-retire-workers").into()),
        ];
        let answer = self.call(OP, members).await?;
        let retired = Fields::unnamed(OP, answer).map_err(ClientError::call(OP))?;
        Ok(retired.into_entries().map(|(worker, _)| worker).collect())
    }

    /// A name for what we do, for the scheduler's logs.
    fn stimulus(&self, action: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        format!("{action}-{}", now.unwrap_or_default().as_secs_f64())
    }
}
