//! Values on their way to workers (protocol, section 8.3).

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::{Client, ClientError, Future};
use crate::wire::{Address, Fields, Key, Serialized, Value};

/// How often it is looked whether a worker is there.
const PAUSE: Duration = Duration::from_millis(100);

/// Where values go; see [`Client::scatter`].
#[derive(Clone, Debug, Default)]
pub struct ScatterOptions {
    workers: Option<Vec<String>>,
    broadcast: bool,
}

impl ScatterOptions {
    /// Only to these workers: their addresses.
    #[must_use]
    pub fn workers<'a>(mut self, workers: impl IntoIterator<Item = &'a str>) -> Self {
        self.workers = Some(workers.into_iter().map(str::to_owned).collect());
        self
    }

    /// Every value to every worker.
    #[must_use]
    pub fn broadcast(mut self) -> Self {
        self.broadcast = true;
        self
    }

    fn workers_value(&self) -> Value {
        self.workers
            .as_ref()
            .map(|workers| workers.iter().map(String::as_str).collect::<Value>())
            .into()
    }
}

impl Client {
    /// Puts values into the memory of workers, in turn: by way of the scheduler,
    /// or straight if the client is
    /// [`direct_to_workers`](super::ClientBuilder::direct_to_workers). Waits for a
    /// worker until the client's timeout is over.
    ///
    /// Nobody can compute a scattered value again: if its last copy is lost, it
    /// and what depends on it is cancelled.
    ///
    /// If the future is dropped, the values arrive or do not; they are released.
    ///
    /// # Errors
    ///
    /// There is no running worker, or one cannot be reached.
    ///
    /// ```no_run
    /// # use flowdask::wire::{Key, Serialized};
    /// # async fn example(client: flowdask::Client, value: Serialized) -> Result<(), flowdask::client::ClientError> {
    /// use flowdask::client::ScatterOptions;
    ///
    /// let data = vec![(Key::from("numbers-1"), value)];
    /// let futures = client.scatter(data, &ScatterOptions::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn scatter(
        &self,
        data: Vec<(Key, Serialized)>,
        options: &ScatterOptions,
    ) -> Result<Vec<Future>, ClientError> {
        let keys: Vec<Key> = data.iter().map(|(key, _)| key.clone()).collect();
        let entries = self
            .shared()
            .apply(|core| core.state.submit(&keys, Vec::new(), Vec::new()))?;
        let futures = self.handles(&keys, entries);
        // A task of its own: if the caller goes, the keys are released after they
        // have arrived, for the scheduler forgets no keys that it does not have.
        let (client, options) = (self.clone(), options.clone());
        let arriving = tokio::spawn(async move {
            if client.shared().direct_to_workers {
                client.scatter_to_workers(data, &options).await?;
            } else {
                client.scatter_by_scheduler(data, &options).await?;
            }
            Ok(futures)
        });
        match arriving.await {
            Ok(arrived) => arrived,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only a runtime that ends drops its tasks.
                Err(_) => Err(ClientError::Closed),
            },
        }
    }

    async fn scatter_by_scheduler(
        &self,
        data: Vec<(Key, Serialized)>,
        options: &ScatterOptions,
    ) -> Result<(), ClientError> {
        // The scheduler waits as well, but says nothing of why it failed.
        self.running_workers(options).await?;
        let data = data
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        self.call(
            "scatter",
            [
                ("data", Value::Map(data)),
                ("workers", options.workers_value()),
                ("client", self.id().into()),
                ("broadcast", options.broadcast.into()),
                ("timeout", self.shared().timeout.as_secs_f64().into()),
            ],
        )
        .await?;
        Ok(())
    }

    async fn scatter_to_workers(
        &self,
        data: Vec<(Key, Serialized)>,
        options: &ScatterOptions,
    ) -> Result<(), ClientError> {
        let workers = self.running_workers(options).await?;
        // As many values in turn as a worker has threads.
        let mut turns = workers
            .iter()
            .flat_map(|(worker, &threads)| (0..threads.max(1)).map(move |_| worker))
            .cycle();
        let mut parts: BTreeMap<&String, Vec<(Value, Value)>> = BTreeMap::new();
        let mut who_has = Vec::with_capacity(data.len());
        for (key, value) in data {
            let worker = turns.next().expect("there is a worker with a thread");
            let holders: Value = [worker.as_str()].into_iter().collect();
            who_has.push((Value::from(&key), holders));
            parts
                .entry(worker)
                .or_default()
                .push((key.into(), value.into()));
        }
        let sizes = try_join_all(parts.into_iter().map(|(worker, part)| async move {
            let address: Address = worker.parse()?;
            let members = [("data", Value::Map(part))];
            let answer = self.call_at(&address, "update_data", members).await?;
            Fields::unnamed("update_data", answer)
                .and_then(|mut answer| answer.map("nbytes"))
                .map_err(ClientError::call("update_data"))
        }))
        .await?;
        self.call(
            "update_data",
            [
                ("who_has", Value::Map(who_has.clone())),
                ("nbytes", Value::Map(sizes.into_iter().flatten().collect())),
                ("client", self.id().into()),
            ],
        )
        .await?;
        if options.broadcast {
            let keys = who_has.into_iter().map(|(key, _)| key).collect();
            self.call(
                "replicate",
                [
                    ("keys", Value::List(keys)),
                    ("n", workers.len().into()),
                    ("workers", workers.keys().map(String::as_str).collect()),
                    ("branching_factor", 2.into()),
                ],
            )
            .await?;
        }
        Ok(())
    }

    /// The workers that take values, with their threads; waits for the first.
    async fn running_workers(
        &self,
        options: &ScatterOptions,
    ) -> Result<BTreeMap<String, u64>, ClientError> {
        let after = self.shared().timeout;
        let deadline = tokio::time::Instant::now() + after;
        loop {
            let members = [("workers", options.workers_value())];
            let answer = self.call("ncores_running", members).await?;
            let workers = super::cluster::counts("ncores_running", answer)?;
            if !workers.is_empty() {
                return Ok(workers);
            }
            if tokio::time::Instant::now() >= deadline {
                let wanted = match &options.workers {
                    Some(workers) => workers.join(", "),
                    None => "all".to_owned(),
                };
                return Err(ClientError::NoWorkers { wanted, after });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
