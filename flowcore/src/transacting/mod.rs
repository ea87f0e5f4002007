//! Transactions: runs that count together or not at all.
//!
//! A transaction is a tree: code that opened one, the runs in it, and
//! transactions and runs in those. What has ended well is *staged*, and counts
//! when its parent does: hooks are called, records are written. What fails is
//! rolled back, and with it all that it is a part of.
//!
//! Invariant: each transaction is decided once, and no user's code runs under
//! a lock. Knows of flow runs only what it needs to name a run in its hooks
//! and to tell that one was rolled back; when runs settle is the shell's
//! business (`flow::shell::transacted`).

mod decide;
mod hooks;
mod options;
mod record;
mod rules;
mod transaction;

pub(crate) use hooks::TransactionHooks;
pub use hooks::{AttributeTransactionHook, TransactionEvent};
pub use options::{TransactionOptions, transaction};
pub(crate) use record::StagedRecord;
pub use rules::{CommitMode, TransactionState};
pub(crate) use transaction::RunSubject;
pub use transaction::Transaction;
