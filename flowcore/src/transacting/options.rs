//! `transaction(..)`: code whose runs count together or not at all.

use std::fmt;
use std::future::Future;

use super::decide::Closing;
use super::rules::{CommitMode, TransactionState};
use super::transaction::{Place, Subject, Transaction};
use crate::context::RunContext;
use crate::error::{Error, ErrorKind, Result};
use crate::flow::{FlowRun, Held, in_hook, in_hook_thread};
use crate::records::{Isolation, ResultStore};
use crate::runtime::block_on;
use crate::scope::Scope;

/// How a transaction is opened. [`transaction`] is the short form.
///
/// ```
/// use flowcore::prelude::*;
/// use flowcore::transactions::{CommitMode, TransactionOptions};
///
/// #[task]
/// async fn step(x: i64) -> i64 { x + 1 }
///
/// #[flow]
/// async fn steps() -> Result<i64> {
///     let options = TransactionOptions::new().commit_mode(CommitMode::Eager);
///     options.run(async |_| step(step(1).await?).await).await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(steps().await?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "a transaction does nothing until code runs in it"]
pub struct TransactionOptions {
    key: Option<String>,
    store: Option<ResultStore>,
    commit_mode: Option<CommitMode>,
    isolation: Isolation,
    overwrite: bool,
    is_read_only: bool,
}

impl fmt::Debug for TransactionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionOptions")
            .field("key", &self.key)
            .field("commit_mode", &self.commit_mode)
            .finish_non_exhaustive()
    }
}

impl TransactionOptions {
    /// Without a key; with the commit mode of the transaction around it.
    pub fn new() -> Self {
        Self::default()
    }

    /// What makes two transactions the same. If there is a record under the
    /// key the transaction [is committed](Transaction::is_committed) from the
    /// beginning; else the value that is [staged](Transaction::stage) is
    /// written when it commits.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Where the key's record lies. Default: where the flow's results do.
    pub fn store(mut self, store: &ResultStore) -> Self {
        self.store = Some(store.clone());
        self
    }

    /// When it commits. Default: as the transaction around it, else
    /// [`CommitMode::Lazy`].
    pub fn commit_mode(mut self, mode: CommitMode) -> Self {
        self.commit_mode = Some(mode);
        self
    }

    /// With [`Isolation::Serializable`] it waits until no other transaction
    /// has its key. Default: it does not.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// A record that is there does not count, and is replaced.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Whether the staged value is written. Default: it is.
    pub fn write_on_commit(mut self, writes: bool) -> Self {
        self.is_read_only = !writes;
        self
    }

    /// Runs code in a transaction; see [`transaction`].
    ///
    /// # Errors
    ///
    /// The code's own, and those of [`transaction`]; an error of kind
    /// [`ErrorKind::Store`] if the store of the key cannot be opened or
    /// locked.
    ///
    /// # Panics
    ///
    /// If the code does; the transaction is rolled back then.
    ///
    /// # Cancel safety
    ///
    /// A transaction that is dropped half-way is rolled back. The flow around
    /// it ends after that.
    pub async fn run<T, E>(
        self,
        code: impl AsyncFnOnce(Transaction) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Error> + fmt::Display,
    {
        let transaction = self.open().await?;
        let guard = RollBackOnDrop::new(&transaction);
        let scope = Scope::new().in_transaction(transaction.clone());
        let ended = scope.around(code(transaction.clone())).await;
        transaction.joined().await;
        let outcome = match &ended {
            Ok(_) => Ok(()),
            Err(error) => Err(Some(Error::msg(error.to_string()))),
        };
        let cause = guard.end(outcome).await?;
        let value = ended?;
        match cause {
            Some(error) => Err(error.into()),
            None => Ok(value),
        }
    }

    /// Waits for the key, and looks for its record.
    async fn open(self) -> Result<Transaction> {
        if in_hook() {
            return Err(Error::invalid(
                "a hook cannot open a transaction: it would wait for runs whose own hooks come \
                 after it; open it in a task that the hook calls",
            ));
        }
        let context = RunContext::current();
        let mut lock = None;
        let mut is_there = false;
        let place = match self.key {
            None => None,
            Some(key) => {
                let store = match self.store {
                    Some(store) => store,
                    None => {
                        ResultStore::of_flow(context.as_ref().map(|context| &**context.flow()))?
                    }
                };
                if self.isolation == Isolation::Serializable {
                    lock = Some(store.lock(&key).await?);
                }
                is_there = !self.overwrite && store.has(&key).await?;
                Some(Place {
                    key,
                    store,
                    writes: !self.is_read_only,
                })
            }
        };
        let parent = Transaction::current().map(|parent| parent.opened());
        let subject = Subject::Code(context);
        let transaction = Transaction::new(parent, self.commit_mode, subject, place, lock);
        if is_there {
            let mut book = transaction.0.book.lock();
            book.state = TransactionState::Committed;
            book.lock = None;
        }
        Ok(transaction)
    }
}

/// Code whose runs count together or not at all: what it calls, submits and
/// maps, and what comes of it.
///
/// If it gives `Ok` the transaction waits for all that was submitted in it and
/// commits: `on_commit` hooks are called and results are written. An error, a
/// panic and a drop roll it back: `on_rollback` hooks of the runs that had
/// completed are called, last one first, and those runs are `RolledBack`. So
/// does a run in it that fails, at once, even if the code goes on.
///
/// Inside another transaction, it commits with that; see [`CommitMode`].
///
/// # Errors
///
/// The code's own; else why the transaction was rolled back although the code
/// gave `Ok`: the error of a run in it, a hook that failed, a record that
/// could not be written.
///
/// # Panics
///
/// If the code does.
///
/// # Cancel safety
///
/// A transaction that is dropped half-way is rolled back. The flow around it
/// ends after that.
///
/// ```
/// use flowcore::prelude::*;
/// use flowcore::transaction;
/// use flowcore::transactions::Transaction;
///
/// fn free(txn: &Transaction) {
///     println!("freeing {}", txn.get::<String>("room").unwrap());
/// }
///
/// #[task(on_rollback = free)]
/// fn reserve(room: String) -> String { room }
///
/// #[task]
/// fn pay(cents: i64) -> Result<i64, String> { Err(format!("no {cents} cents")) }
///
/// #[flow]
/// async fn book() -> Result<i64> {
///     transaction(async |txn| {
///         txn.set("room", "12".to_owned());
///         reserve("12".into()).await?;
///         pay(9900).await
///     })
///     .await
/// }
///
/// # #[flowcore::main]
/// # async fn main() {
/// assert_eq!(book().await.unwrap_err().to_string(), "no 9900 cents");
/// # }
/// ```
pub async fn transaction<T, E>(code: impl AsyncFnOnce(Transaction) -> Result<T, E>) -> Result<T, E>
where
    E: From<Error> + fmt::Display,
{
    TransactionOptions::new().run(code).await
}

impl Transaction {
    /// Commits now, whatever its mode: what has ended in it so far, its hooks
    /// and its record.
    ///
    /// # Errors
    ///
    /// A hook failed or the record could not be written, and the transaction
    /// was rolled back; or it had been before.
    pub async fn commit(&self) -> Result<()> {
        let transaction = self.clone();
        decided(async move { transaction.commit_whole().await }).await??;
        match self.why_rolled_back() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Rolls back now. `false` if it had been committed or rolled back before.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread for the hooks.
    pub async fn rollback(&self) -> Result<bool> {
        let transaction = self.clone();
        decided(async move { transaction.roll_back(None).await }).await
    }

    /// Its code is over.
    async fn depart(self, ended: Result<(), Option<Error>>) {
        let _closing = self.0.parent.as_ref().map(Closing);
        self.leave(ended).await;
    }

    fn why_rolled_back(&self) -> Option<Error> {
        if !self.is_rolled_back() {
            return None;
        }
        let cause = self.0.book.lock().cause.clone();
        Some(cause.unwrap_or_else(|| {
            let message = format!("{} was rolled back", self.name());
            Error::build(ErrorKind::Failed, message).finish()
        }))
    }
}

/// Hooks run on a thread of their own.
async fn decided<R: Send + 'static>(code: impl Future<Output = R> + Send + 'static) -> Result<R> {
    let code = move || in_hook_thread(|| block_on(code));
    Ok(crate::runtime::on_a_thread(code)?.await?)
}

/// Code that is dropped, or panics, leaves nothing half done.
struct RollBackOnDrop {
    transaction: Option<Transaction>,
    held: Option<Held>,
}

impl RollBackOnDrop {
    fn new(transaction: &Transaction) -> Self {
        let context = RunContext::current();
        Self {
            transaction: Some(transaction.clone()),
            held: context.as_ref().map(RunContext::flow).map(FlowRun::hold),
        }
    }

    /// Why it does not count though its code went well.
    async fn end(mut self, ended: Result<(), Option<Error>>) -> Result<Option<Error>> {
        let Some(transaction) = self.transaction.take() else {
            return Ok(None);
        };
        let stays_off = transaction.0.mode == CommitMode::Off;
        let went_well = ended.is_ok();
        decided(transaction.clone().depart(ended)).await?;
        let cause = transaction.0.book.lock().cause.clone();
        Ok(match cause {
            // Nobody committed it, which is what was asked for.
            None if stays_off => None,
            _ if went_well => transaction.why_rolled_back(),
            _ => None,
        })
    }
}

impl Drop for RollBackOnDrop {
    fn drop(&mut self) {
        let Some(transaction) = self.transaction.take() else {
            return;
        };
        let held = self.held.take();
        crate::runtime::service().spawn(async move {
            transaction.joined().await;
            let ended = Err(Some(Error::msg("the code in the transaction did not end")));
            let left = decided(transaction.clone().depart(ended)).await;
            if let Err(error) = left {
                tracing::error!(target: "flowcore::runs", "{} could not be rolled back: {error}", transaction.name());
            }
            drop(held);
        });
    }
}
