//! Commit and rollback, from the end of a part up to the whole, in Prefect's
//! order.

use std::sync::Arc;

use super::hooks::{Hook, TransactionEvent};
use super::rules::{Exit, TransactionState};
use super::transaction::{RunSubject, Subject, Transaction};
use crate::context::RunContext;
use crate::deep::Deep;
use crate::engine::RunView;
use crate::error::{Error, ErrorKind, Result};
use crate::runner::{AttemptControl, catch};
use crate::runtime::block_on;
use crate::state::StateName;

impl Transaction {
    /// The run has settled, and whoever waits for it waits for this.
    pub(crate) fn conclude(&self, view: &RunView, name: Option<&str>) {
        let Subject::Run(subject) = &self.0.subject else {
            unreachable!("only runs settle");
        };
        // Whatever happens: somebody waits for it.
        let _closing = self.0.parent.as_ref().map(Closing);
        let control = Arc::new(AttemptControl::new(
            view.attempt,
            subject.options.retries_in_force(),
        ));
        if let Some(name) = name {
            control.rename(name.to_owned());
        }
        let _ = subject.control.set(control);
        match view.name {
            StateName::Cached => {
                self.0.book.lock().state = TransactionState::Committed;
                block_on(self.leave(Ok(())));
            }
            StateName::Completed => {
                {
                    let mut book = self.0.book.lock();
                    book.state = TransactionState::Staged;
                    book.hooks
                        .splice(0..0, subject.options.transaction_hooks.all());
                }
                block_on(self.leave(Ok(())));
            }
            // It never began, so there is nothing to undo.
            _ if !view.started.is_some() => {}
            _ => block_on(self.leave(Err(Some(view.error())))),
        }
    }

    /// Another attempt follows: gives what is left of the one that failed.
    pub(crate) fn begin_anew(&self) -> Vec<Self> {
        let mut book = self.0.book.lock();
        // A part that failed may have ended it.
        book.state = TransactionState::Active;
        book.cause = None;
        book.hooks.clear();
        std::mem::take(&mut book.children)
    }

    /// Undoes what is left of an attempt that another one follows.
    pub(crate) fn undo(parts: &[Self]) {
        block_on(roll_back_all(parts));
    }

    /// Its code has ended, well or not.
    pub(super) async fn leave(&self, ended: Result<(), Option<Error>>) {
        let exit = Exit::of(ended.is_ok(), self.0.mode, self.0.parent.is_some());
        match exit {
            Exit::Commit => drop(self.commit_whole().await),
            Exit::Stage => self.note_staged(),
            Exit::RollBack => {
                self.roll_back(ended.err().flatten()).await;
            }
        }
        let Some(parent) = &self.0.parent else {
            return;
        };
        match parent.take_in(self) {
            // What ends late follows what was decided without it.
            TransactionState::Committed => drop(self.commit_whole().await),
            TransactionState::RolledBack => {
                self.roll_back(None).await;
            }
            TransactionState::Active | TransactionState::Staged => {}
        }
        if self.state() == TransactionState::RolledBack {
            let cause = self.0.book.lock().cause.clone();
            parent.roll_back(cause).await;
        }
    }

    fn note_staged(&self) {
        let mut book = self.0.book.lock();
        if !book.state.is_decided() {
            book.state = TransactionState::Staged;
        }
    }

    fn take_in(&self, child: &Self) -> TransactionState {
        let mut book = self.0.book.lock();
        book.children.push(child.clone());
        book.state
    }

    /// Whether the caller decides it now.
    fn begin(&self) -> bool {
        let mut book = self.0.book.lock();
        let begins = !book.state.is_decided() && !book.is_being_decided;
        book.is_being_decided |= begins;
        begins
    }

    /// Parts first, in the order in which they ended; then its own hooks, then
    /// its record. A part that cannot commit is rolled back by itself.
    pub(super) fn commit_whole(&self) -> Deep<'_, Result<()>> {
        Deep::new(async move {
            if !self.begin() {
                return Ok(());
            }
            let committed = self.commit_begun().await;
            let Err(error) = committed else {
                return Ok(());
            };
            self.0.book.lock().is_being_decided = false;
            self.log_error(&format!(
                "An error was encountered while committing {}: {error}",
                self.name()
            ));
            self.roll_back(Some(error.clone())).await;
            Err(error)
        })
    }

    /// The part at this place, or, when all have been committed and `is_last`,
    /// the end: it is committed from then on.
    fn next_part(&self, place: usize, is_last: bool) -> Option<Self> {
        let mut book = self.0.book.lock();
        let part = book.children.get(place).cloned();
        if part.is_none() && is_last {
            book.is_being_decided = false;
            book.state = TransactionState::Committed;
            book.lock = None;
        }
        part
    }

    async fn commit_begun(&self) -> Result<()> {
        let mut parts = 0;
        while let Some(part) = self.next_part(parts, false) {
            // It has said what went wrong.
            let _ = part.commit_whole().await;
            parts += 1;
        }
        for hook in self.hooks(TransactionEvent::Commit) {
            self.call(&hook).map_err(|failure| {
                let message = format!("commit hook '{}' failed: {failure}", hook.name);
                Error::build(ErrorKind::Failed, message).finish()
            })?;
        }
        let staged = self.0.book.lock().staged.take();
        if let Some(record) = staged {
            record.write().await?;
        }
        while let Some(late) = self.next_part(parts, true) {
            let _ = late.commit_whole().await;
            parts += 1;
        }
        Ok(())
    }

    /// Its own hooks in reverse, then its parts in reverse. `false` if it was
    /// decided before.
    pub(super) fn roll_back(&self, cause: Option<Error>) -> Deep<'_, bool> {
        Deep::new(async move {
            if !self.begin() {
                return false;
            }
            self.0.book.lock().cause = cause;
            for hook in self.hooks(TransactionEvent::Rollback).iter().rev() {
                // What it could not undo, others may.
                let _ = self.call(hook);
            }
            let was_staged = {
                let mut book = self.0.book.lock();
                book.is_being_decided = false;
                drop((book.staged.take(), book.lock.take()));
                std::mem::replace(&mut book.state, TransactionState::RolledBack)
                    == TransactionState::Staged
            };
            if was_staged && let Subject::Run(subject) = &self.0.subject {
                subject.tell_rolled_back();
            }
            // From here on, what ends late rolls itself back.
            let parts = self.0.book.lock().children.clone();
            roll_back_all(&parts).await;
            true
        })
    }

    fn hooks(&self, event: TransactionEvent) -> Vec<Hook> {
        let book = self.0.book.lock();
        let hooks = book.hooks.iter().filter(|hook| hook.event == event);
        hooks.cloned().collect()
    }

    /// Calls a hook as part of the run that it is about.
    fn call(&self, hook: &Hook) -> Result<(), String> {
        let (kind, capital) = match hook.event {
            TransactionEvent::Commit => ("commit", "Commit"),
            TransactionEvent::Rollback => ("rollback", "Rollback"),
        };
        let name = &hook.name;
        let code = || match catch(|| (hook.call)(self)) {
            Ok(failure) => failure,
            Err(report) => Some(report.to_string()),
        };
        self.log(&format!("Running {kind} hook '{name}'"));
        let failure = match self.context() {
            Some(context) => context.enter(code),
            None => code(),
        };
        let Some(failure) = failure else {
            self.log(&format!(
                "{capital} hook '{name}' finished running successfully"
            ));
            return Ok(());
        };
        self.log_error(&format!(
            "An error was encountered while running {kind} hook '{name}': {failure}"
        ));
        Err(failure)
    }

    fn context(&self) -> Option<RunContext> {
        match &self.0.subject {
            Subject::Code(context) => context.clone(),
            Subject::Run(subject) => subject.context(),
        }
    }

    fn log(&self, text: &str) {
        tracing::info!(target: "flowcore::runs", who = self.who(), "{text}");
    }

    fn log_error(&self, text: &str) {
        tracing::error!(target: "flowcore::runs", who = self.who(), "{text}");
    }

    fn who(&self) -> String {
        let context = self.context();
        context.map_or_else(|| "Transaction".to_owned(), |context| context.who())
    }
}

/// Tells a transaction at the end that a part of it has been dealt with.
pub(super) struct Closing<'a>(pub(super) &'a Transaction);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn roll_back_all(parts: &[Transaction]) {
    for part in parts.iter().rev() {
        part.roll_back(None).await;
    }
}

impl RunSubject {
    /// The run as code belongs to it; in hooks nothing surrounds that.
    fn context(&self) -> Option<RunContext> {
        let control = self.control.get()?;
        let context = RunContext::of_run(&self.flow, self.info, &self.options, self.run, control);
        Some(context.without_scope())
    }

    fn tell_rolled_back(&self) {
        let attempt = self.control.get().map_or(1, |control| control.attempt());
        self.flow.rolled_back(self.run, attempt);
    }
}
