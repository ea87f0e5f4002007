//! Values on their way here (protocol, sections 8.1 and 8.2).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};

use super::{Client, ClientError, Future};
use crate::peer_data::{BUSY_PAUSE, get_data};
use crate::wire::{Address, Fields, Key, Serialized};

/// The first and the longest pause before keys are looked for again that were not
/// where they were said to be.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Values that were found.
type Found = HashMap<Key, Serialized>;

impl Client {
    /// Waits for keys and fetches their values: by way of the scheduler, or from
    /// the workers if the client is
    /// [`direct_to_workers`](super::ClientBuilder::direct_to_workers). Workers that
    /// cannot be reached from here are asked by way of the scheduler.
    ///
    /// Keys of other clients are held until it is done. A value that is lost on
    /// the way is waited for again. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The first key that erred or was cancelled, at once; the scheduler cannot be
    /// asked.
    ///
    /// ```no_run
    /// # async fn example(client: flowdask::Client) -> Result<(), flowdask::client::ClientError> {
    /// use flowdask::wire::Key;
    ///
    /// let key = Key::from("total");
    /// let values = client.gather(std::slice::from_ref(&key)).await?;
    /// println!("{} bytes", values[&key].size());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn gather(&self, keys: &[Key]) -> Result<HashMap<Key, Serialized>, ClientError> {
        let futures = self.futures(keys)?;
        self.gather_futures(&futures.iter().collect::<Vec<_>>())
            .await
    }

    pub(super) async fn gather_one(&self, future: &Future) -> Result<Serialized, ClientError> {
        let mut found = self.gather_futures(&[future]).await?;
        Ok(found
            .remove(future.key())
            .expect("all keys are found, or there is an error"))
    }

    async fn gather_futures(&self, futures: &[&Future]) -> Result<Found, ClientError> {
        let mut found = Found::with_capacity(futures.len());
        let mut pause = PAUSE;
        loop {
            let left = futures
                .iter()
                .filter(|future| !found.contains_key(future.key()));
            let keys = try_join_all(left.map(|future| async {
                match ClientError::settled(future.key(), future.wait().await) {
                    Some(error) => Err(error),
                    None => Ok(future.key().clone()),
                }
            }))
            .await?;
            let mut missing = keys;
            if self.shared().direct_to_workers {
                missing = self.gather_from_workers(missing, &mut found).await?;
            }
            if !missing.is_empty() {
                missing = self.gather_by_scheduler(missing, &mut found).await?;
            }
            if missing.is_empty() {
                return Ok(found);
            }
            tracing::debug!(
                keys = missing.len(),
                "values were not where they were said to be"
            );
            self.shared().apply(|core| core.state.missing(&missing))?;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Fetches keys; those that were not found come back.
    async fn gather_by_scheduler(
        &self,
        mut keys: Vec<Key>,
        found: &mut Found,
    ) -> Result<Vec<Key>, ClientError> {
        const OP: &str = "gather";
        let _turn = self.shared().turn_to_gather().await;
        let mut missing = Vec::new();
        while !keys.is_empty() {
            let answer = self.call(OP, [("keys", keys.iter().collect())]).await?;
            let mut answer = Fields::unnamed(OP, answer).map_err(ClientError::call(OP))?;
            let status = answer.string("status").map_err(ClientError::call(OP))?;
            if status == "OK" {
                let data = answer.values("data").map_err(ClientError::call(OP))?;
                found.extend(data);
                break;
            }
            // With one key missing the scheduler gives none: those that are there
            // come with the next question.
            let lost = answer.keys("keys").map_err(ClientError::call(OP))?;
            let lost: HashSet<Key> = lost.into_iter().collect();
            let (gone, there): (Vec<_>, Vec<_>) =
                keys.into_iter().partition(|key| lost.contains(key));
            if gone.is_empty() {
                return Ok(there);
            }
            missing.extend(gone);
            keys = there;
        }
        Ok(missing)
    }

    /// Fetches keys from their workers; what no worker gave comes back.
    async fn gather_from_workers(
        &self,
        keys: Vec<Key>,
        found: &mut Found,
    ) -> Result<Vec<Key>, ClientError> {
        let who_has = self.who_has(&keys).await?;
        let mut questions: BTreeMap<&str, Vec<Key>> = BTreeMap::new();
        for key in &keys {
            // The holder that is asked for least.
            let holders = who_has.get(key).into_iter().flatten();
            let asked = |holder: &&String| questions.get(holder.as_str()).map_or(0, Vec::len);
            if let Some(holder) = holders.min_by_key(asked) {
                questions.entry(holder).or_default().push(key.clone());
            }
        }
        let answers = join_all(questions.into_iter().map(|(worker, keys)| async move {
            let answer = self.get_data(worker, keys).await;
            (worker, answer)
        }))
        .await;
        for (worker, answer) in answers {
            match answer {
                Ok(data) => found.extend(data),
                Err(error) => tracing::debug!(worker, %error, "a worker gives no data"),
            }
        }
        Ok(keys
            .into_iter()
            .filter(|key| !found.contains_key(key))
            .collect())
    }

    /// Fetches keys from a worker, when it is not busy.
    async fn get_data(
        &self,
        worker: &str,
        keys: Vec<Key>,
    ) -> Result<Vec<(Key, Serialized)>, ClientError> {
        let address: Address = worker.parse()?;
        loop {
            let data = get_data(&self.shared().pool, &address, &keys, None).await;
            match data.map_err(ClientError::call("get_data"))? {
                Some(data) => return Ok(data),
                None => tokio::time::sleep(BUSY_PAUSE).await,
            }
        }
    }
}
