//! The arguments of a background task's run, on their way from who asks for it
//! to who executes it: a record under `parameters/`, as in Prefect.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::definition::TaskInfo;
use crate::error::Result;
use crate::records::ResultStore;

/// What lies there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    /// A JSON object, as text: the record's own format knows no JSON.
    parameters: String,
    /// What the ids of the run are made from; see
    /// [`called_as`](crate::flow::called_as).
    pub(super) around: Uuid,
}

impl Stored {
    pub(super) fn new(parameters: &Value, around: Uuid) -> Self {
        Self {
            parameters: parameters.to_string(),
            around,
        }
    }

    pub(super) fn parameters(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.parameters)?)
    }

    pub(super) async fn write(&self, task: &TaskInfo, id: Uuid) -> Result<()> {
        store(task)?.write(&key(id), self).await
    }

    pub(super) async fn read(task: &TaskInfo, id: Uuid) -> Result<Option<Self>> {
        store(task)?.read(&key(id)).await
    }

    pub(super) async fn remove(task: &TaskInfo, id: Uuid) -> Result<()> {
        store(task)?.remove(&key(id)).await
    }
}

fn key(id: Uuid) -> String {
    format!("parameters/{id}")
}

/// Where the task's results lie, too.
pub(super) fn store(task: &TaskInfo) -> Result<ResultStore> {
    match task.options.results.store_url() {
        Some(url) => ResultStore::open(url),
        None => ResultStore::local(),
    }
}
