//! What one attempt does with keys and records: look for one before the code
//! runs, write one after.
//!
//! Invariant: whatever is wrong with a key, a record or a store, the code
//! runs, and a warning says what was wrong. Knows nothing of runners: it works
//! on futures, and sync code blocks on them.

use std::fmt;
use std::sync::Arc;

use super::key::{KeyFacts, Unstable, compute};
use super::lock::{Isolation, Lock};
use super::options::Rules;
use super::record::{Record, RecordMetadata, RecordProblem};
use super::store::{ResultStore, shown};
use crate::context::RunContext;
use crate::definition::{TaskInfo, TaskOptions};
use crate::error::Result;
use crate::flow::FlowRun;
use crate::runner::{RunReference, catch};
use crate::transacting::Transaction;
use crate::value::{Codec, EncodedValue};

/// What a task's arguments say to its key.
pub(crate) trait KeySource {
    /// The text of the argument at an index.
    fn stable_text(&self, index: usize) -> Result<String, Unstable>;

    /// What the task's `cache_key` says.
    fn cache_key(&self) -> Result<Option<String>, String>;
}

/// An attempt that has a key: what it may find, and what it will leave.
pub(crate) struct Keep {
    task: &'static str,
    key: String,
    rules: Rules,
    /// What decides whether the run counts, if that is later.
    transaction: Option<Transaction>,
    /// The run, if its flow run wants to know where its value lies.
    told: Option<(Arc<FlowRun>, RunReference)>,
}

impl Keep {
    /// The key of the current run; without one nothing is found or written.
    pub(crate) fn of(
        info: &'static TaskInfo,
        options: &TaskOptions,
        source: &dyn KeySource,
    ) -> Option<Self> {
        let context = RunContext::current()?;
        let flow = context.flow();
        let rules = options.results.rules(flow.results());
        let key = catch(|| {
            if rules.has_key_function {
                return source.cache_key();
            }
            let facts = KeyFacts {
                parameters: info.parameters,
                input: &|index| source.stable_text(index),
                fingerprint: info.fingerprint,
                run_id: flow.id(),
                flow_parameters: flow.results().parameters(),
            };
            compute(&rules.policy, &facts).map_err(|reason| reason.to_string())
        });
        let reason = match key {
            Ok(Ok(key)) => {
                let wants = |run: &RunReference| {
                    rules.is_told || flow.wants_record_of(*run, options.report)
                };
                let run = context.run().filter(wants);
                return key.map(|key| Self {
                    task: info.key,
                    key,
                    told: run.map(|run| (Arc::clone(flow), run)),
                    rules,
                    transaction: context.deferring_transaction(),
                });
            }
            Ok(Err(reason)) => reason,
            Err(panic) => panic.to_string(),
        };
        tracing::error!(
            "Error encountered when computing cache key - result will not be persisted. {reason}"
        );
        None
    }

    /// Waits for the lock, if there shall be one, and looks for the record.
    ///
    /// # Errors
    ///
    /// There shall be a lock, and it cannot be had.
    pub(crate) async fn begin<T>(self, codec: Option<&Codec<T>>) -> Result<Begun<T>> {
        let Some(codec) = codec else {
            self.warn("the task is `local`, so its result cannot be written down");
            return Ok(Begun::empty());
        };
        let is_locked = self.rules.isolation == Isolation::Serializable;
        let store = match ResultStore::open(&self.rules.store) {
            Ok(store) => store,
            Err(error) if is_locked => return Err(error),
            Err(error) => {
                self.warn(&error);
                return Ok(Begun::empty());
            }
        };
        let lock = if is_locked {
            Some(store.lock(&self.key).await?)
        } else {
            None
        };
        let value = if self.rules.refresh {
            None
        } else {
            self.find(&store, codec).await
        };
        Ok(Begun {
            value,
            place: Some((self, store, lock)),
        })
    }

    async fn find<T>(&self, store: &ResultStore, codec: &Codec<T>) -> Option<T> {
        let bytes = match store.get(&self.key).await {
            Ok(bytes) => bytes?,
            Err(error) => {
                self.warn(&error);
                return None;
            }
        };
        let read = Record::read(&bytes, std::slice::from_ref(codec), crate::runtime::now());
        let read = read.unwrap_or_else(|problem| {
            self.warn(&store.distrusts(&self.key, problem));
            None
        });
        read.map(|(value, metadata)| {
            self.tell(&metadata);
            value
        })
    }

    /// The run's value lies in this record.
    fn tell(&self, metadata: &RecordMetadata) {
        if let Some((flow, run)) = &self.told {
            flow.note_record(*run, metadata.told());
        }
    }

    fn warn(&self, problem: &(impl fmt::Display + ?Sized)) {
        tracing::warn!(
            "{problem}; the task runs as if there were no record `{}`",
            shown(&self.key)
        );
    }
}

/// After the look: a value that was found, or what a value will be written to.
pub(crate) struct Begun<T> {
    value: Option<T>,
    place: Option<(Keep, ResultStore, Option<Lock>)>,
}

impl<T> Begun<T> {
    /// There is no key: nothing to find, nothing to write.
    pub(crate) fn empty() -> Self {
        Self {
            value: None,
            place: None,
        }
    }

    /// The value of the record.
    pub(crate) fn found(&mut self) -> Option<T> {
        self.value.take()
    }

    /// The value as it will be written.
    pub(crate) fn encode(self, value: &T, codec: Option<&Codec<T>>) -> Option<Encoded<T>> {
        let (keep, store, lock) = self.place?;
        if keep.rules.is_read_only {
            return None;
        }
        let codec = codec?;
        // Code of users writes the value, and may panic.
        let encoded = catch(|| codec.encode(value).map_err(|error| error.to_string()))
            .unwrap_or_else(|report| Err(report.to_string()));
        match encoded {
            Ok(encoded) => Some(Encoded {
                keep,
                store,
                lock,
                encoded,
                value: std::marker::PhantomData,
            }),
            Err(error) => {
                tracing::warn!(
                    "Encountered an error while serializing result for transaction '{}': {error} \
                     Code execution will continue, but the transaction will not be committed.",
                    shown(&keep.key)
                );
                None
            }
        }
    }
}

/// A value on its way to the store.
pub(crate) struct Encoded<T> {
    keep: Keep,
    store: ResultStore,
    /// Held until the record is written.
    lock: Option<Lock>,
    encoded: EncodedValue,
    value: std::marker::PhantomData<fn() -> T>,
}

impl<T> Encoded<T> {
    /// Writes the record, or leaves it to the run's transaction.
    pub(crate) async fn write(self) {
        let Self {
            keep,
            store,
            lock,
            encoded,
            ..
        } = self;
        let (task, expires_after) = (Some(keep.task), keep.rules.expires_after);
        let mut record = store.staged::<T>(&keep.key, &encoded, task, expires_after);
        record.lock = lock;
        if let Some(transaction) = &keep.transaction {
            keep.tell(&record.metadata);
            return transaction.stage_record(record);
        }
        match record.write().await {
            Ok(metadata) => keep.tell(&metadata),
            Err(error) => tracing::error!(
                "An error was encountered while committing transaction '{}': {error}",
                shown(&keep.key)
            ),
        }
    }
}

impl ResultStore {
    /// Why a record is not believed, naming store and record.
    fn distrusts(&self, key: &str, problem: RecordProblem) -> crate::Error {
        self.error("cannot use the record", key, problem)
    }
}
