//! A record that waits for its transaction to commit.

use crate::error::Result;
use crate::records::{Lock, RecordMetadata, ResultStore};

/// A record with all that it needs to be written.
#[derive(Debug)]
pub(crate) struct StagedRecord {
    pub(crate) store: ResultStore,
    pub(crate) key: String,
    pub(crate) bytes: Vec<u8>,
    /// What the bytes say beside the value.
    pub(crate) metadata: RecordMetadata,
    /// Held until the record is written, or is not.
    pub(crate) lock: Option<Lock>,
}

impl StagedRecord {
    /// Writes it; gives what it says of itself.
    pub(crate) async fn write(self) -> Result<RecordMetadata> {
        let Self {
            store,
            key,
            bytes,
            metadata,
            lock,
        } = self;
        let written = store.put(&key, bytes).await;
        drop(lock);
        written.map(|()| metadata)
    }
}
