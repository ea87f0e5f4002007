//! One flow run's work with a Dask cluster.
//!
//! The shell around the [`Ledger`]: what the flow asks for goes through here,
//! what comes from Dask through the [`Pump`].

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use flowcore::bridge::{
    EncodedValue, Feed, Home, Released, RunEvent, RunReference, RunnerFuture, RunnerSession, Work,
};
use flowcore::{Result, StateName};
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::AbortHandle;

use super::batches;
use super::fetched::Fetched;
use super::io;
use super::ledger::{Cancelling, Ledger};
use super::length;
use super::payload::Job;
use super::performance_report::PerformanceReport;
use super::pump::Pump;
use super::shared::{Cancellation, Outgoing, Shared, State};
use super::shared_value::SharedValue;
use super::task_runner::{Cluster, Connected};
use crate::wire::Key;

/// How often it is looked whether the worker of a cancelled run still lives.
const WATCH: Duration = Duration::from_secs(1);

/// How often it is looked whether there are workers, while runs are with Dask.
const LOOK: Duration = Duration::from_secs(5);

pub(super) struct DaskSession {
    shared: Arc<Shared>,
    /// Single runs of keys that are with a worker.
    cancellations: UnboundedSender<Cancellation>,
    /// How many tasks the cluster executed at once when the session began.
    threads: usize,
    cluster: Mutex<Option<Cluster>>,
    pump: AbortHandle,
}

impl DaskSession {
    pub(super) fn start(
        home: Home,
        connected: Connected,
        cluster: Cluster,
        report: Option<PerformanceReport>,
    ) -> Self {
        let Connected {
            client,
            events,
            placement,
            threads,
        } = connected;
        let (outgoing, to_send) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            home,
            outgoing,
            placement,
            report,
            state: Mutex::new(State {
                ledger: Ledger::new(client.id().to_owned()),
                futures: HashMap::new(),
                workers: HashMap::new(),
                fetched: Fetched::default(),
                refusal: None,
            }),
            client,
        });
        let (cancellations, cancelled) = mpsc::unbounded_channel();
        let pump = Pump::new(Arc::clone(&shared), cancellations.clone());
        let pump = io()
            .spawn(pump.run(events, to_send, cancelled))
            .abort_handle();
        io().spawn(look_for_workers(Arc::downgrade(&shared)));
        Self {
            shared,
            cancellations,
            threads,
            cluster: Mutex::new(Some(cluster)),
            pump,
        }
    }
}

impl DaskSession {
    /// Each run goes alone. A row's own values travel with it; nobody else has
    /// them.
    fn submit_each(&self, work: &Work) {
        for (run, descriptor) in work.describe() {
            match descriptor {
                Ok(mut descriptor) if work.rows().is_none() => {
                    let mut values = Vec::new();
                    for argument in &mut descriptor.arguments {
                        SharedValue::take_from(argument, &mut values);
                    }
                    let priority = descriptor.priority;
                    self.with_values(values, priority, || self.take(Job::Run(descriptor)));
                }
                Ok(descriptor) => self.take(Job::Run(descriptor)),
                Err(error) => self.shared.home.report(RunEvent::Ended {
                    run,
                    state: StateName::Failed,
                    message: Some(error.to_string()),
                    error,
                }),
            }
        }
    }

    /// Submits what reads these values, after those that are not with Dask.
    fn with_values(&self, values: Vec<SharedValue>, priority: i32, submit: impl FnOnce()) {
        let mut held = Vec::with_capacity(values.len());
        for value in values {
            held.push(value.id);
            let mut state = self.shared.state.lock();
            if let Some(key) = state.ledger.hold_value(value.id, value.size()) {
                // Under the lock: nobody who reads it goes out before it.
                // Without a receiver the session is closed.
                let outgoing = Outgoing::Value(value.task(key), priority);
                let _ = self.shared.outgoing.send(outgoing);
            }
        }
        submit();
        for value in held {
            let consequences = self.shared.state.lock().ledger.let_value_go(value);
            self.shared.follow(consequences);
        }
    }

    /// The rows of a map in batches, or each alone.
    fn submit_rows(&self, work: &Work) {
        let batches = work.rows().and_then(|(_, rows)| {
            let size = batches::size(&work.outline(), rows.len(), self.threads)?;
            Some(batches::cut(rows, size))
        });
        let Some(batches) = batches else {
            return self.submit_each(work);
        };
        for rows in batches {
            let part = work.part(rows);
            match part.describe_batches(batches::MOST_BYTES) {
                Ok(batches) => {
                    for batch in batches {
                        self.take(Job::Batch(batch));
                    }
                }
                // Only the rows whose arguments cannot travel shall fail.
                Err(_) => self.submit_each(&part),
            }
        }
    }

    fn take(&self, job: Job) {
        if let Some(report) = &self.shared.report {
            report.submitted(job.work());
        }
        let ready = self.shared.state.lock().ledger.submit(job);
        if let Some(ready) = ready {
            // Without a receiver the session is closed.
            let _ = self.shared.outgoing.send(Outgoing::Submit(Box::new(ready)));
        }
    }
}

impl RunnerSession for DaskSession {
    fn feed(&self) -> Feed {
        Feed::Submitted
    }

    fn submit(&self, mut work: Work) {
        if work.rows().is_none() {
            return self.submit_each(&work);
        }
        let mut values = Vec::new();
        work.code_repeated(|argument| SharedValue::take_from(argument, &mut values));
        let priority = work.outline().priority;
        self.with_values(values, priority, || self.submit_rows(&work));
    }

    fn cancel(&self, run: RunReference) {
        let mut state = self.shared.state.lock();
        let (cancelling, consequences) = state.ledger.cancel(run);
        let key = match cancelling {
            Cancelling::Nothing => {
                drop(state);
                return self.shared.follow(consequences);
            }
            Cancelling::Order(key) => {
                if let Some(worker) = state.workers.get(&key) {
                    // Without a receiver the session is closed.
                    let _ = self.cancellations.send((worker.clone(), run));
                }
                return;
            }
            Cancelling::Release(key) => key,
        };
        // The last handle: the scheduler takes the key from its worker, which
        // tells the run's token.
        let future = state.futures.remove(&key);
        let worker = state.workers.get(&key).cloned();
        drop(state);
        drop(future);
        self.shared.follow(consequences);
        if let Some(worker) = worker {
            let shared = Arc::clone(&self.shared);
            io().spawn(watch_cancelled(shared, key, worker));
        }
    }

    fn release(&self, released: Released) {
        let consequences = self.shared.state.lock().ledger.release_results(released);
        self.shared.follow(consequences);
    }

    fn fetch(&self, run: RunReference) -> RunnerFuture<Result<EncodedValue>> {
        let place = self.shared.place(run);
        Box::pin(async move { place?.fetch().await })
    }

    fn length(&self, run: RunReference) -> RunnerFuture<Result<u32>> {
        let answer = self.shared.ask_for_length(run);
        Box::pin(async move {
            let answer = answer?;
            let answer = io().spawn(async move { answer.result().await });
            length::read(&answer.await??)
        })
    }

    fn close(&self) -> RunnerFuture<()> {
        self.pump.abort();
        let futures = std::mem::take(&mut self.shared.state.lock().futures);
        let shared = Arc::clone(&self.shared);
        let cluster = self.cluster.lock().take();
        let closed = io().spawn(async move {
            if let Some(report) = &shared.report {
                report.write(&shared.client).await;
            }
            drop(futures);
            shared.client.clone().close().await;
            if let Some(cluster) = cluster {
                cluster.stop().await;
            }
        });
        Box::pin(async move {
            if let Err(error) = closed.await {
                tracing::error!(%error, "a Dask cluster was not closed in order");
            }
        })
    }
}

impl Drop for DaskSession {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// A run that was cancelled tells its end, unless its worker is gone.
async fn watch_cancelled(shared: Arc<Shared>, key: Key, worker: String) {
    loop {
        tokio::time::sleep(WATCH).await;
        if !shared.state.lock().ledger.is_cancelled(&key) {
            return;
        }
        let lives = match shared.client.scheduler_info().await {
            Ok(info) => info.workers.contains_key(&worker),
            Err(_) => false,
        };
        if !lives {
            let consequences = shared.state.lock().ledger.cancelled(&key);
            return shared.follow(consequences);
        }
    }
}

/// Without a worker of this build nothing would ever run: at the beginning, and
/// when all of them have died and no other comes.
async fn look_for_workers(shared: Weak<Shared>) {
    let mut is_beginning = true;
    while let Some(shared) = shared.upgrade() {
        let is_beginning = std::mem::take(&mut is_beginning);
        if (is_beginning || shared.state.lock().ledger.has_open_keys())
            && let Err(reason) = shared.placement.find_worker(&shared.client).await
        {
            return shared.refuse(&reason);
        }
        drop(shared);
        tokio::time::sleep(LOOK).await;
    }
}

impl Shared {
    /// Nothing will be executed any more.
    fn refuse(&self, reason: &str) {
        let keys = {
            let mut state = self.state.lock();
            state.refusal = Some(reason.to_owned());
            state.ledger.open_keys()
        };
        for key in keys {
            self.lost(&key, reason);
        }
    }
}
