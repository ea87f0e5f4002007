//! `on_commit` and `on_rollback` of tasks.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::transaction::{Transaction, note_hooks};
use crate::definition::TaskOptions;
use crate::hooks::{HookOutcome, readable};

/// What a hook of a transaction waits for.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEvent {
    /// It commits.
    Commit,
    /// It is rolled back.
    Rollback,
}

/// A hook of an attribute.
#[doc(hidden)]
pub struct AttributeTransactionHook {
    /// When it is called.
    pub event: TransactionEvent,
    /// As it was written.
    pub name: &'static str,
    /// Calls it; gives why it failed.
    pub call: fn(&Transaction) -> Option<String>,
}

impl fmt::Debug for AttributeTransactionHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} '{}'", self.event, self.name)
    }
}

/// A hook, ready to be called.
#[derive(Clone)]
pub(super) struct Hook {
    pub(super) event: TransactionEvent,
    pub(super) name: Cow<'static, str>,
    pub(super) call: Arc<Function>,
}

type Function = dyn Fn(&Transaction) -> Option<String> + Send + Sync;

impl Hook {
    pub(super) fn new<O: HookOutcome, F>(event: TransactionEvent, hook: F) -> Self
    where
        F: Fn(&Transaction) -> O + Send + Sync + 'static,
    {
        Self {
            event,
            name: readable(type_name::<F>()),
            call: Arc::new(move |transaction| hook(transaction).failure()),
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} '{}'", self.event, self.name)
    }
}

/// The hooks of a task, in the order of the attribute and then of the options.
#[derive(Clone, Debug)]
pub(crate) struct TransactionHooks {
    attribute: &'static [AttributeTransactionHook],
    added: Vec<Hook>,
}

impl TransactionHooks {
    pub(crate) const fn new(attribute: &'static [AttributeTransactionHook]) -> Self {
        Self {
            attribute,
            added: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.attribute.is_empty() && self.added.is_empty()
    }

    pub(super) fn all(&self) -> Vec<Hook> {
        let attribute = self.attribute.iter().map(|hook| Hook {
            event: hook.event,
            name: Cow::Borrowed(hook.name),
            call: Arc::new(hook.call),
        });
        attribute.chain(self.added.iter().cloned()).collect()
    }
}

impl TaskOptions {
    /// Calls `hook` when a run of the task is committed: at once if it is not
    /// part of a [`transaction`](crate::transaction()), else with that.
    ///
    /// Hooks run in the flow's process. One that fails or panics rolls the run
    /// back. See [`on_rollback`](Self::on_rollback).
    ///
    /// ```
    /// use flowcore::prelude::*;
    ///
    /// #[task]
    /// fn upload(path: String) -> usize { path.len() }
    ///
    /// let told = upload.with_options(|o| o.on_commit(|txn| println!("{:?}", txn.key())));
    /// # let _ = told;
    /// ```
    #[must_use]
    pub fn on_commit<O: HookOutcome>(
        self,
        hook: impl Fn(&Transaction) -> O + Send + Sync + 'static,
    ) -> Self {
        self.with_transaction_hook(Hook::new(TransactionEvent::Commit, hook))
    }

    /// Calls `hook` when a run of the task had completed and is rolled back
    /// after all, because its transaction failed: the place to undo what it
    /// did. The run is RolledBack then.
    ///
    /// Hooks of one run are called in reverse, those of the attribute last. One
    /// that fails or panics is logged, and the others are called all the same.
    #[must_use]
    pub fn on_rollback<O: HookOutcome>(
        self,
        hook: impl Fn(&Transaction) -> O + Send + Sync + 'static,
    ) -> Self {
        self.with_transaction_hook(Hook::new(TransactionEvent::Rollback, hook))
    }

    fn with_transaction_hook(mut self, hook: Hook) -> Self {
        note_hooks();
        self.transaction_hooks.added.push(hook);
        self
    }
}
