//! Transactions of a flow run's task runs: which run has one, from where it is
//! submitted to where it settles.
//!
//! A run has one if it is submitted in a transaction or its task has hooks of
//! one; and if code in it asks for it. Rows get theirs when they begin or
//! settle, so that a map is one entry until then.
//!
//! Invariant: without transactions and their hooks this is one branch for each
//! run, and nothing is kept. Locks are taken in this order: the shell's, then
//! a transaction's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{FlowRun, Shell};
use crate::definition::OptionsSource;
use crate::engine::{MapId, RunId};
use crate::runner::RunReference;
use crate::scope::Scope;
use crate::transacting::{RunSubject, Transaction};

#[derive(Default)]
pub(super) struct Transacted {
    runs: HashMap<RunReference, Transaction>,
    maps: HashMap<MapId, Membership>,
}

/// That a run or a map has transactions, and in which they are.
#[derive(Clone)]
pub(in crate::flow) struct Membership {
    parent: Option<Transaction>,
}

impl Transacted {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.maps.is_empty()
    }

    /// The transaction of a row that has settled, and no longer the row's.
    pub(super) fn leave_row(
        &mut self,
        map: MapId,
        row: RunReference,
        subject: impl FnOnce() -> RunSubject,
    ) -> Option<Transaction> {
        if self.is_empty() {
            return None;
        }
        if let Some(transaction) = self.runs.remove(&row) {
            return Some(transaction);
        }
        let membership = self.maps.get(&map)?;
        Some(Transaction::of_run(membership.parent.as_ref(), subject()))
    }
}

impl FlowRun {
    /// What the calling code submits with these options.
    pub(in crate::flow) fn membership(
        &self,
        options: &OptionsSource,
        is_local: bool,
    ) -> Option<Membership> {
        if !self.says(is_local) {
            return None;
        }
        let parent = Transaction::around_submission();
        let has_hooks = !options.transaction_hooks.is_empty();
        (parent.is_some() || has_hooks).then_some(Membership { parent })
    }

    /// The run comes in, and has a transaction.
    pub(in crate::flow) fn note_transaction(
        self: &Arc<Self>,
        shell: &mut Shell,
        id: RunId,
        membership: Option<&Membership>,
    ) {
        if let Some(membership) = membership {
            self.new_transaction(shell, id.into(), membership.parent.as_ref());
        }
    }

    /// The map comes in, and its rows have transactions.
    pub(in crate::flow) fn note_transactions(
        &self,
        shell: &mut Shell,
        id: MapId,
        membership: Option<Membership>,
    ) {
        if let Some(membership) = membership {
            // Open until the map has settled, however many rows it has.
            let parent = membership.parent.as_ref().map(Transaction::opened);
            shell.transacted.maps.insert(id, Membership { parent });
            self.transacts.store(true, Ordering::Relaxed);
        }
    }

    /// Whether any run has had a transaction.
    #[inline]
    pub(crate) fn has_transactions(&self) -> bool {
        self.transacts.load(Ordering::Relaxed)
    }

    /// The run's transaction, if it has one.
    pub(crate) fn transaction_of(self: &Arc<Self>, run: RunReference) -> Option<Transaction> {
        if !self.has_transactions() {
            return None;
        }
        self.transaction_in(&mut self.shell.lock(), run)
    }

    fn transaction_in(
        self: &Arc<Self>,
        shell: &mut Shell,
        run: RunReference,
    ) -> Option<Transaction> {
        if let Some(transaction) = shell.transacted.runs.get(&run) {
            return Some(transaction.clone());
        }
        let RunReference::Row(id, _) = run else {
            return None;
        };
        let membership = shell.transacted.maps.get(&MapId::from_bits(id)).cloned()?;
        if shell.view(run)?.name.is_settled() {
            return None;
        }
        self.new_transaction(shell, run, membership.parent.as_ref())
    }

    fn new_transaction(
        self: &Arc<Self>,
        shell: &mut Shell,
        run: RunReference,
        parent: Option<&Transaction>,
    ) -> Option<Transaction> {
        let subject = self.subject(shell, run)?;
        let transaction = Transaction::of_run(parent, subject);
        shell.transacted.runs.insert(run, transaction.clone());
        self.transacts.store(true, Ordering::Relaxed);
        Some(transaction)
    }

    /// The run's transaction, whether it had one or not. `None` if the run has
    /// settled, or is told of in another process.
    pub(crate) fn open_transaction(self: &Arc<Self>, run: RunReference) -> Option<Transaction> {
        let mut shell = self.shell.lock();
        if let Some(transaction) = self.transaction_in(&mut shell, run) {
            return Some(transaction);
        }
        if shell.view(run)?.name.is_settled() {
            return None;
        }
        self.new_transaction(&mut shell, run, None)
    }

    /// What surrounds code of the run.
    pub(crate) fn scope_of_run(
        self: &Arc<Self>,
        run: RunReference,
        scope: Option<Arc<Scope>>,
    ) -> Option<Arc<Scope>> {
        match self.transaction_of(run) {
            None => scope,
            Some(transaction) => {
                let scope = scope.as_deref().cloned().unwrap_or_default();
                Some(Arc::new(scope.in_transaction(transaction)))
            }
        }
    }

    fn subject(self: &Arc<Self>, shell: &Shell, run: RunReference) -> Option<RunSubject> {
        let (info, options, _) = shell.definition_of(run)?;
        Some(RunSubject::new(self, run, info, options.clone()))
    }

    /// Undone after all.
    pub(crate) fn rolled_back(self: &Arc<Self>, run: RunReference, attempt: u32) {
        self.update(|shell, _| match run {
            RunReference::Run(id) => {
                let id = RunId::from_bits(id);
                shell.engine.run_rolled_back(id, attempt);
            }
            RunReference::Row(id, row) => {
                let id = MapId::from_bits(id);
                shell.engine.row_rolled_back(id, row, attempt);
            }
        });
    }
}

impl Shell {
    /// The transaction of a run that has settled, and no longer the run's.
    pub(super) fn leave_transaction(&mut self, run: RunReference) -> Option<Transaction> {
        if self.transacted.is_empty() {
            return None;
        }
        self.transacted.runs.remove(&run)
    }

    /// A map has settled: what its rows are parts of need not wait for it.
    pub(super) fn close_transactions(&mut self, id: MapId) -> Option<Transaction> {
        self.transacted.maps.remove(&id)?.parent
    }

    /// What an attempt leaves behind that another one follows.
    pub(super) fn parts_of_attempt(&self, run: RunReference) -> Vec<Transaction> {
        let transaction = self.transacted.runs.get(&run);
        transaction.map(Transaction::begin_anew).unwrap_or_default()
    }
}
