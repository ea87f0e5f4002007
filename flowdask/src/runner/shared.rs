//! What the tasks of one session share: what is known of its runs, and the
//! handles of their keys.

use std::collections::HashMap;

use flowcore::bridge::{EncodedValue, Home, RunReference};
use flowcore::{Error, Result};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::fetched::{Fetched, FetchedRows};
use super::io;
use super::ledger::{Consequences, Ledger, Ready};
use super::length::Question;
use super::performance_report::PerformanceReport;
use super::placement::Placement;
use crate::client::{Client, Future};
use crate::graph::TaskNode;
use crate::values;
use crate::wire::Key;

pub(super) struct Shared {
    pub(super) home: Home,
    pub(super) client: Client,
    pub(super) placement: Placement,
    pub(super) report: Option<PerformanceReport>,
    pub(super) outgoing: UnboundedSender<Outgoing>,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) ledger: Ledger,
    /// The keys that this client holds.
    pub(super) futures: HashMap<Key, Future>,
    /// Where keys were last executed, as their workers say.
    pub(super) workers: HashMap<Key, String>,
    pub(super) fetched: Fetched,
    /// Why nothing can be executed any more.
    pub(super) refusal: Option<String>,
}

/// What goes to the scheduler, in this order.
pub(super) enum Outgoing {
    Submit(Box<Ready>),
    /// A large value for runs of this priority, before the first of them.
    Value(TaskNode, i32),
    /// The last handle of a key is to go, so that Dask forgets it once nothing
    /// that was submitted needs it.
    Release(Key),
}

/// A run that is to stop, with the worker that executes its key.
pub(super) type Cancellation = (String, RunReference);

impl Shared {
    /// Tells the flow what follows, and hands over what became ready. Never
    /// under the lock: the flow may call back.
    pub(super) fn follow(&self, consequences: Consequences) {
        let ready = consequences.ready.into_iter().map(Box::new);
        let unneeded = consequences.unneeded.into_iter();
        let ready = ready.map(Outgoing::Submit);
        for outgoing in ready.chain(unneeded.map(Outgoing::Release)) {
            // Without a receiver the session is closed.
            let _ = self.outgoing.send(outgoing);
        }
        for event in consequences.events {
            if let Some(report) = &self.report {
                report.told(&event);
            }
            self.home.report(event);
        }
    }

    pub(super) fn lost(&self, key: &Key, reason: &str) {
        let consequences = self.state.lock().ledger.lost(key, reason);
        self.follow(consequences);
    }

    pub(super) fn is_cancelled(&self, key: &Key) -> bool {
        self.state.lock().ledger.is_cancelled(key)
    }

    /// Lets the handles of these go: of keys that have ended.
    pub(super) fn let_go(&self, keys: Vec<Key>) {
        let mut futures = Vec::new();
        let mut state = self.state.lock();
        for key in keys {
            state.workers.remove(&key);
            futures.extend(state.futures.remove(&key));
        }
        drop(state);
        drop(futures);
    }

    /// Keeps the handles, but of what was cancelled meanwhile.
    pub(super) fn hold(&self, futures: Vec<Future>) {
        let mut state = self.state.lock();
        let mut unwanted = Vec::new();
        for future in futures {
            if state.ledger.is_cancelled(future.key()) {
                unwanted.push(future);
            } else {
                state.futures.insert(future.key().clone(), future);
            }
        }
        drop(state);
        drop(unwanted);
    }

    /// How many elements a run's result has: the answer is on its way.
    pub(super) fn ask_for_length(&self, run: RunReference) -> Result<Future> {
        let state = self.state.lock();
        let place = state.ledger.place(run);
        let place = place.and_then(|(key, row)| Some((state.futures.get(key)?.clone(), row)));
        drop(state);
        let (list, row) = place.ok_or_else(|| no_value(run))?;
        let question = Question::of(list.key().clone(), row);
        let key = question.key.clone();
        let options = self.placement.options([]);
        let mut futures = self.client.submit_graph(vec![question], &[key], &options)?;
        futures.pop().ok_or_else(|| no_value(run))
    }

    /// Where the value of a run is.
    pub(super) fn place(&self, run: RunReference) -> Result<Value> {
        let mut state = self.state.lock();
        let State {
            ledger,
            futures,
            fetched,
            ..
        } = &mut *state;
        let place = ledger.place(run);
        let place = place.and_then(|(key, index)| Some((futures.get(key)?.clone(), index)));
        match place {
            Some((future, None)) => Ok(Value::Own(future)),
            Some((future, Some(index))) => Ok(Value::Row(fetched.rows(future), index)),
            None => Err(no_value(run)),
        }
    }
}

fn no_value(run: RunReference) -> Error {
    Error::msg(format!("{run:?} has no value with Dask"))
}

/// Where the value of a run is.
pub(super) enum Value {
    Own(Future),
    /// In a batch, at this place.
    Row(FetchedRows, u32),
}

impl Value {
    pub(super) async fn fetch(self) -> Result<EncodedValue> {
        let (rows, index) = match self {
            Self::Own(future) => {
                let fetched = io().spawn(async move { future.result().await });
                return Ok(values::from_wire(&fetched.await??)?);
            }
            Self::Row(rows, index) => (rows.await?, index),
        };
        match rows.outcome(index) {
            Some(Ok(value)) => Ok(value),
            Some(Err(failure)) => Err(failure.error.clone()),
            None => Err(Error::msg(format!("the batch has no row number {index}"))),
        }
    }
}

impl State {
    /// A worker executes a run. Gives those of the key's runs that it must
    /// hear are not wanted.
    pub(super) fn executed_by(&mut self, run: RunReference, worker: &str) -> Vec<RunReference> {
        let Some(key) = self.ledger.key(run).cloned() else {
            return Vec::new();
        };
        let before = self.workers.insert(key.clone(), worker.to_owned());
        match before {
            Some(before) if before == worker => Vec::new(),
            _ => self.ledger.cancelled_rows(&key),
        }
    }
}
