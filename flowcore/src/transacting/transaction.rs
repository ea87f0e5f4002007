//! One transaction: its place in the tree, what is staged in it, the values
//! that its code and its hooks share.

use std::any::{Any, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::hooks::{Hook, TransactionEvent};
use super::record::StagedRecord;
use super::rules::{CommitMode, TransactionState};
use crate::context::RunContext;
use crate::definition::{OptionsSource, TaskInfo};
use crate::error::{Error, Result};
use crate::flow::FlowRun;
use crate::hooks::HookOutcome;
use crate::notified;
use crate::records::{Lock, ResultStore};
use crate::runner::{AttemptControl, RunReference, note_waiting};
use crate::scope::Scope;
use crate::value::Codec;

/// Runs and values that count together or not at all.
///
/// [`transaction`](crate::transaction()) opens one; every run of a task is one
/// too, which its hooks are given. A handle is cheap to clone.
///
/// Values that are [`set`](Self::set) are seen by the transaction's hooks and
/// by all that is inside it.
#[derive(Clone)]
pub struct Transaction(pub(super) Arc<Node>);

pub(super) struct Node {
    pub(super) parent: Option<Transaction>,
    pub(super) mode: CommitMode,
    pub(super) subject: Subject,
    place: Option<Place>,
    values: Mutex<HashMap<String, Stored>>,
    pub(super) book: Mutex<Book>,
    /// Told when a part of it has been dealt with.
    pub(super) closed: Notify,
}

/// Whose transaction it is.
pub(super) enum Subject {
    /// Code that opened it, and the run that the code belongs to.
    Code(Option<RunContext>),
    Run(RunSubject),
}

/// A run of a task.
pub(crate) struct RunSubject {
    pub(super) flow: Arc<FlowRun>,
    pub(super) run: RunReference,
    pub(super) info: &'static TaskInfo,
    pub(super) options: OptionsSource,
    /// Its last attempt, known when it has settled.
    pub(super) control: OnceLock<Arc<AttemptControl>>,
}

impl RunSubject {
    pub(crate) fn new(
        flow: &Arc<FlowRun>,
        run: RunReference,
        info: &'static TaskInfo,
        options: OptionsSource,
    ) -> Self {
        Self {
            flow: Arc::clone(flow),
            run,
            info,
            options,
            control: OnceLock::new(),
        }
    }
}

/// Where the value of a transaction with a key is written.
pub(super) struct Place {
    pub(super) key: String,
    pub(super) store: ResultStore,
    pub(super) writes: bool,
}

struct Stored {
    value: Arc<dyn Any + Send + Sync>,
    type_name: &'static str,
}

pub(super) struct Book {
    pub(super) state: TransactionState,
    /// Somebody commits it or rolls it back.
    pub(super) is_being_decided: bool,
    /// In the order in which they ended.
    pub(super) children: Vec<Transaction>,
    pub(super) hooks: Vec<Hook>,
    pub(super) staged: Option<StagedRecord>,
    pub(super) lock: Option<Lock>,
    /// Parts of it, at any depth, that have not been dealt with.
    open: usize,
    /// Why it was rolled back.
    pub(super) cause: Option<Error>,
}

impl Transaction {
    pub(super) fn new(
        parent: Option<Self>,
        mode: Option<CommitMode>,
        subject: Subject,
        place: Option<Place>,
        lock: Option<Lock>,
    ) -> Self {
        let inherited = || parent.as_ref().map(|parent| parent.0.mode);
        Self(Arc::new(Node {
            mode: mode.or_else(inherited).unwrap_or_default(),
            parent,
            subject,
            place,
            values: Mutex::default(),
            book: Mutex::new(Book {
                state: TransactionState::Active,
                is_being_decided: false,
                children: Vec::new(),
                hooks: Vec::new(),
                staged: None,
                lock,
                open: 0,
                cause: None,
            }),
            closed: Notify::new(),
        }))
    }

    /// That of a run, open until the run has been dealt with.
    pub(crate) fn of_run(parent: Option<&Self>, subject: RunSubject) -> Self {
        if let Some(parent) = parent {
            parent.open();
        }
        Self::new(parent.cloned(), None, Subject::Run(subject), None, None)
    }

    /// The innermost one around the calling code: of a `transaction`, or of
    /// the task run that the code belongs to. `None` outside of both, and in a
    /// task that runs in another process than its flow.
    ///
    /// ```
    /// use flowcore::prelude::*;
    /// use flowcore::transactions::Transaction;
    ///
    /// fn delete(txn: &Transaction) -> Result<()> {
    ///     println!("deleting {}", txn.get::<String>("path")?);
    ///     Ok(())
    /// }
    ///
    /// #[task(on_rollback = delete)]
    /// fn write(text: String) -> usize {
    ///     if let Some(txn) = Transaction::current() {
    ///         txn.set("path", "/tmp/x".to_owned());
    ///     }
    ///     text.len()
    /// }
    /// # let _ = write;
    /// ```
    #[must_use]
    pub fn current() -> Option<Self> {
        let around = Scope::current().and_then(|scope| scope.transaction().cloned());
        around.or_else(|| {
            let context = RunContext::current()?;
            context.flow().open_transaction(context.run()?)
        })
    }

    /// The parent of what is submitted by the calling code.
    pub(crate) fn around_submission() -> Option<Self> {
        match Scope::current().and_then(|scope| scope.transaction().cloned()) {
            None if are_hooks_in_use() => Self::current(),
            around => around,
        }
    }

    /// Keeps a value for what is inside the transaction, and for its hooks.
    /// One that has the name is replaced.
    pub fn set<T: Clone + Send + Sync + 'static>(&self, name: impl Into<String>, value: T) {
        let stored = Stored {
            value: Arc::new(value),
            type_name: type_name::<T>(),
        };
        self.0.values.lock().insert(name.into(), stored);
    }

    /// A copy of a value that was set here, or in the nearest transaction
    /// around this one that has the name.
    ///
    /// # Errors
    ///
    /// There is no such value, or it is of another type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Result<T> {
        let values = self.0.values.lock();
        let Some(stored) = values.get(name) else {
            drop(values);
            return match &self.0.parent {
                Some(parent) => parent.get(name),
                None => Err(Error::invalid(format!(
                    "the transaction has no value `{name}`: `set` it before it is read"
                ))),
            };
        };
        let (value, written) = (Arc::clone(&stored.value), stored.type_name);
        drop(values);
        value.downcast_ref::<T>().cloned().ok_or_else(|| {
            Error::invalid(format!(
                "the transaction's value `{name}` is a `{written}`, not a `{}`",
                type_name::<T>()
            ))
        })
    }

    /// Calls `hook` when this transaction commits, after the hooks of what is
    /// inside it; see [`TaskOptions::on_commit`](crate::TaskOptions::on_commit).
    pub fn on_commit<O: HookOutcome>(&self, hook: impl Fn(&Self) -> O + Send + Sync + 'static) {
        self.add_hook(Hook::new(TransactionEvent::Commit, hook));
    }

    /// Calls `hook` when this transaction is rolled back, before the hooks of
    /// what is inside it; see
    /// [`TaskOptions::on_rollback`](crate::TaskOptions::on_rollback).
    pub fn on_rollback<O: HookOutcome>(&self, hook: impl Fn(&Self) -> O + Send + Sync + 'static) {
        self.add_hook(Hook::new(TransactionEvent::Rollback, hook));
    }

    fn add_hook(&self, hook: Hook) {
        self.0.book.lock().hooks.push(hook);
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> TransactionState {
        self.0.book.lock().state
    }

    /// Whether it counts. One with a key whose record was there when it was
    /// opened does from the beginning.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.state() == TransactionState::Committed
    }

    /// Whether it was rolled back.
    #[must_use]
    pub fn is_rolled_back(&self) -> bool {
        self.state() == TransactionState::RolledBack
    }

    /// Its key, if it was opened with one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.place.as_ref().map(|place| place.key.as_str())
    }

    /// Stages the value that is written under the transaction's key when it
    /// commits. In a transaction that is committed already, and in one without
    /// a key, nothing is written.
    ///
    /// # Errors
    ///
    /// The value cannot be encoded.
    pub fn stage<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<()> {
        let staged = match &self.0.place {
            Some(place) if place.writes => {
                let encoded = Codec::<T>::message_pack().encode(value)?;
                Some(place.store.staged::<T>(&place.key, &encoded, None, None))
            }
            _ => None,
        };
        let mut book = self.0.book.lock();
        if !book.state.is_decided() {
            book.state = TransactionState::Staged;
            book.staged = staged;
        }
        Ok(())
    }

    /// The record under the transaction's key; `None` if there is no key or no
    /// record.
    ///
    /// # Errors
    ///
    /// Those of [`ResultStore::read`].
    pub async fn read<T: Serialize + DeserializeOwned>(&self) -> Result<Option<T>> {
        match &self.0.place {
            Some(place) => place.store.read(&place.key).await,
            None => Ok(None),
        }
    }

    /// Whether records of its run are written when something around it
    /// commits, and not at once.
    pub(crate) fn defers(&self) -> bool {
        let Subject::Run(subject) = &self.0.subject else {
            return false;
        };
        if self.0.mode == CommitMode::Eager {
            return false;
        }
        let mut around = self.0.parent.as_ref();
        let has_hooks = !subject.options.transaction_hooks.is_empty();
        while let Some(transaction) = around {
            if has_hooks || matches!(transaction.0.subject, Subject::Code(_)) {
                return true;
            }
            around = transaction.0.parent.as_ref();
        }
        // A commit hook that fails undoes the run.
        has_hooks
    }

    /// The record of its run.
    pub(crate) fn stage_record(&self, record: StagedRecord) {
        self.0.book.lock().staged = Some(record);
    }

    fn open(&self) {
        let mut transaction = Some(self);
        while let Some(one) = transaction {
            one.0.book.lock().open += 1;
            transaction = one.0.parent.as_ref();
        }
    }

    /// Something that was opened here has been dealt with.
    pub(crate) fn close(&self) {
        let mut transaction = Some(self);
        while let Some(one) = transaction {
            let is_last = {
                let mut book = one.0.book.lock();
                book.open -= 1;
                book.open == 0
            };
            if is_last {
                one.0.closed.notify_waiters();
            }
            transaction = one.0.parent.as_ref();
        }
    }

    /// One more part, such as a map, that is dealt with later.
    pub(crate) fn opened(&self) -> Self {
        self.open();
        self.clone()
    }

    /// Ends when all parts have been dealt with.
    pub(super) async fn joined(&self) {
        notified::until(&self.0.closed, || {
            let is_joined = self.0.book.lock().open == 0;
            if !is_joined {
                note_waiting();
            }
            is_joined
        })
        .await;
    }

    /// What log lines call it.
    pub(super) fn name(&self) -> String {
        match (&self.0.place, &self.0.subject) {
            (Some(place), _) => format!("transaction '{}'", place.key),
            (None, Subject::Run(subject)) => {
                format!("the transaction of task '{}'", subject.info.function)
            }
            (None, Subject::Code(_)) => "a transaction without a key".to_owned(),
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("key", &self.key())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

static ARE_HOOKS_ADDED: AtomicBool = AtomicBool::new(false);

pub(super) fn note_hooks() {
    ARE_HOOKS_ADDED.store(true, Ordering::Relaxed);
}

/// Whether any task of the program has `on_commit` or `on_rollback`: only then
/// it matters which task runs were submitted by which.
fn are_hooks_in_use() -> bool {
    static BY_ATTRIBUTES: OnceLock<bool> = OnceLock::new();
    ARE_HOOKS_ADDED.load(Ordering::Relaxed)
        || *BY_ATTRIBUTES.get_or_init(|| {
            crate::definition::task_infos().any(|info| !info.options.transaction_hooks.is_empty())
        })
}
