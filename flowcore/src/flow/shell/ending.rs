//! How a flow run ends: joined, stopped, its runs cancelled and released.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{FlowRun, end};
use crate::engine::{MapId, RunId};
use crate::runner::RunReference;

impl FlowRun {
    /// Ends when all that was submitted has settled.
    pub(in crate::flow) async fn joined(&self) {
        loop {
            let notified = self.idle.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.shell.lock().engine.is_idle() {
                return;
            }
            notified.await;
        }
    }

    /// Nothing is submitted any more: the runner's session closes.
    pub(in crate::flow) async fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        if let Some(session) = self.session() {
            session.close().await;
        }
    }

    /// Cancels what is queued and asks what runs to stop.
    pub(in crate::flow) fn stop(self: &Arc<Self>, reason: &str) {
        self.is_stopping.store(true, Ordering::Release);
        let failure = end::cancelled(reason);
        self.update(|shell, now| {
            for entry in shell.maps.values() {
                entry.job.stops().stop_all();
            }
            shell.engine.cancel_all(&failure, now);
        });
    }

    pub(crate) fn cancel(self: &Arc<Self>, run: RunReference) {
        let failure = end::cancelled("Task run was cancelled.");
        self.update(|shell, now| match run {
            RunReference::Run(id) => {
                shell.engine.cancel_run(RunId::from_bits(id), &failure, now);
            }
            RunReference::Row(id, row) => {
                let id = MapId::from_bits(id);
                if let Some(entry) = shell.maps.get(id) {
                    entry.job.stops().stop(row);
                }
                shell.engine.cancel_row(id, row, &failure, now);
            }
        });
    }

    pub(crate) fn cancel_map(self: &Arc<Self>, id: MapId) {
        let failure = end::cancelled("Task run was cancelled.");
        self.update(|shell, now| {
            if let Some(entry) = shell.maps.get(id) {
                entry.job.stops().stop_all();
            }
            shell.engine.cancel_map(id, &failure, now);
        });
    }

    pub(crate) fn release_run(&self, id: RunId) {
        self.shell.lock().engine.release_run(id);
    }

    pub(crate) fn release_map(&self, id: MapId) {
        self.shell.lock().engine.release_map(id);
    }
}
