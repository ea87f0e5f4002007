//! Published datasets: keys that outlive their client, under a name.

use super::message::ClientMessage;
use super::{Client, ClientError};
use crate::wire::{Fields, Key, Serialized, Value};

/// What somebody published.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The object that was published, as its language reads it. For a Python
    /// future or collection it only names keys.
    pub data: Serialized,
    /// The keys that the scheduler keeps for it. [`Client::futures`] takes hold of
    /// them.
    pub keys: Vec<Key>,
}

impl Client {
    /// The names of all published datasets.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn list_datasets(&self) -> Result<Vec<Key>, ClientError> {
        const OP: &str = "publish_list";
        let names = Value::map([("names", self.call(OP, []).await?)]);
        Fields::unnamed(OP, names)
            .and_then(|mut answer| answer.keys("names"))
            .map_err(ClientError::call(OP))
    }

    /// The dataset of this name.
    ///
    /// # Errors
    ///
    /// There is none ([`ClientError::NoDataset`]), or the scheduler cannot be
    /// asked.
    pub async fn get_dataset(&self, name: impl Into<Key>) -> Result<Dataset, ClientError> {
        const OP: &str = "publish_get";
        let name = name.into();
        let answer = if self.release().publishes_many() {
            let names = [&name].into_iter().collect();
            match self.call(OP, [("names", names)]).await? {
                Value::List(mut datasets) => datasets.pop().unwrap_or(Value::Nil),
                other => return Err(ClientError::answer(OP, "a list", &other)),
            }
        } else {
            let members = [("name", (&name).into()), ("client", self.id().into())];
            self.call(OP, members).await?
        };
        if answer == Value::Nil {
            return Err(ClientError::NoDataset { name });
        }
        Fields::unnamed(OP, answer)
            .and_then(|mut dataset| {
                Ok(Dataset {
                    data: dataset.serialized("data")?,
                    keys: dataset.keys("keys")?,
                })
            })
            .map_err(ClientError::call(OP))
    }

    /// Publishes a dataset: the scheduler keeps its keys until it is
    /// unpublished, for all clients. With `replace` an older one of this name is
    /// unpublished.
    ///
    /// # Errors
    ///
    /// There is one of this name, or the scheduler cannot be asked.
    pub async fn publish_dataset(
        &self,
        name: impl Into<Key>,
        dataset: Dataset,
        replace: bool,
    ) -> Result<(), ClientError> {
        const OP: &str = "publish_put";
        let name = name.into();
        let Dataset { data, keys } = dataset;
        let client = ("client", Value::from(self.id()));
        let replace = ("override", replace.into());
        if self.release().publishes_many() {
            let members = [
                ("names", [name].into_iter().collect()),
                ("keys", [Value::from(keys)].into_iter().collect()),
                ("data", [Value::from(data)].into_iter().collect()),
                replace,
                client,
                ("uid", self.flush_for_publish()?.into()),
            ];
            self.call(OP, members).await?;
        } else {
            // A graph on the stream may come later than this question.
            let uid = self.flush_for_publish()?;
            self.call("publish_wait_flush", [("uid", uid.into())])
                .await?;
            let members = [
                ("name", name.into()),
                ("keys", keys.into()),
                ("data", data.into()),
                replace,
                client,
            ];
            self.call(OP, members).await?;
        }
        Ok(())
    }

    /// Takes a dataset back; its keys are released. Without one of this name
    /// nothing happens.
    ///
    /// # Errors
    ///
    /// The scheduler cannot be asked.
    pub async fn unpublish_dataset(&self, name: impl Into<Key>) -> Result<(), ClientError> {
        const OP: &str = "publish_delete";
        let name = name.into();
        if self.release().publishes_many() {
            let members = [
                ("names", [name].into_iter().collect()),
                ("client", self.id().into()),
                ("uid", self.flush_for_publish()?.into()),
            ];
            self.call(OP, members).await?;
        } else {
            self.call(OP, [("name", name.into())]).await?;
        }
        Ok(())
    }

    /// Puts a mark on the stream that the question with the same number waits
    /// for.
    fn flush_for_publish(&self) -> Result<String, ClientError> {
        let uid = uuid::Uuid::new_v4().simple().to_string();
        let mark = ClientMessage::FlushForPublish { uid: uid.clone() };
        self.shared().apply(|core| core.state.send(mark))?;
        Ok(uid)
    }
}
