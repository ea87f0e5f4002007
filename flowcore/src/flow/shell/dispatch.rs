//! Work on its way to a runner: to the flow's, or to the threads of this
//! process.

use std::sync::Arc;
use std::task::Poll;

use super::{FlowRun, RunEntry, Waiter, end};
use crate::definition::{TaskConfiguration, TaskInfo};
use crate::engine::{End, MapId, RunId, Waits};
use crate::error::{Error, Result};
use crate::flow::observer::Submitted;
use crate::flow::submit::{Inputs, dependencies};
use crate::progress::Progress;
use crate::runner::{MapJob, Work, WorkKind};

impl FlowRun {
    pub(super) fn dispatch(self: &Arc<Self>, kind: WorkKind) {
        let work = Work::new(Arc::clone(self), kind);
        match self.session() {
            None => self.local.take(work),
            // A session that keeps no values is in this process: local work
            // keeps to its slots too.
            Some(session) if !work.is_local() || !session.keeps_values() => session.submit(work),
            Some(_) => self.dispatch_here(work),
        }
    }

    /// Local work beside a runner that keeps values: they come here first.
    fn dispatch_here(self: &Arc<Self>, work: Work) {
        let fetches = match &work.kind {
            WorkKind::Run(_, job) => job.fetches(),
            WorkKind::Rows(_, rows, job) => job.fetches(rows.clone()),
        };
        if fetches.is_empty() {
            return self.local.take(work);
        }
        let flow = Arc::clone(self);
        crate::runtime::service().spawn(async move {
            for fetch in fetches {
                if let Err(error) = fetch.await {
                    return flow.cannot_start(&work, &error);
                }
            }
            flow.local.take(work);
        });
    }

    /// Inputs of this work could not be had.
    fn cannot_start(self: &Arc<Self>, work: &Work, error: &Error) {
        for (run, key) in work.runs() {
            self.settled(run, End::Ended(end::refused(key, error.clone())));
        }
    }

    /// Finds out how many rows a map has, here or, if its list lies with the
    /// runner, there.
    pub(super) fn measure(self: &Arc<Self>, id: MapId, job: Arc<dyn MapJob>) {
        let lists = job.lists_elsewhere();
        let session = self.session().filter(|_| !lists.is_empty());
        let Some(session) = session else {
            let mut length = job.measure(&[]);
            if let Some(values) = self.symbolic() {
                // A list that no task has made has no length.
                length = length.map_err(|_| values.unknown(job.info()));
            }
            return self.length_known(id, job.info().key, length);
        };
        if job.info().is_local {
            return self.measure_here(id, job);
        }
        let lengths: Vec<_> = lists.into_iter().map(|list| session.length(list)).collect();
        let flow = Arc::clone(self);
        crate::runtime::service().spawn(async move {
            let mut known = Vec::new();
            for length in lengths {
                known.push(length.await);
            }
            let known: Result<Vec<u32>> = known.into_iter().collect();
            let length = known.and_then(|lengths| job.measure(&lengths));
            flow.length_known(id, job.info().key, length);
        });
    }

    /// A local map takes its list's elements here, so the list comes first.
    fn measure_here(self: &Arc<Self>, id: MapId, job: Arc<dyn MapJob>) {
        let flow = Arc::clone(self);
        crate::runtime::service().spawn(async move {
            let mut fetched = Ok(());
            for fetch in job.fetches(0..0) {
                fetched = fetched.and(fetch.await);
            }
            let length = fetched.and_then(|()| job.measure(&[]));
            flow.length_known(id, job.info().key, length);
        });
    }

    pub(super) fn length_known(self: &Arc<Self>, id: MapId, task_key: &str, length: Result<u32>) {
        let length = length.map_err(|error| end::refused(task_key, error));
        self.update(|shell, now| {
            if let (Ok(rows), Some(entry), None) =
                (&length, shell.maps.get_mut(id), self.symbolic())
            {
                entry.progress =
                    Progress::of_map(&entry.job.options().labels.name, u64::from(*rows));
            }
            shell.engine.length_known(id, length, now);
            // Whoever waited for the length looks again.
            shell.map_wakers.remove(id).unwrap_or_default()
        })
        .into_iter()
        .for_each(Waiter::wake);
    }

    /// A run that its caller executes in place, once its inputs are there.
    pub(in crate::flow) fn enter_inline(
        self: &Arc<Self>,
        info: &'static TaskInfo,
        configuration: &TaskConfiguration,
    ) -> RunId {
        let Inputs {
            here,
            foreign,
            noted,
            ..
        } = dependencies(self, configuration);
        let membership = self.membership(&configuration.source(), true);
        let id = self.update_at(|shell, moment| {
            let id = shell.engine.reserve_run();
            let entry = RunEntry::InPlace(info, configuration.source());
            shell.jobs.insert(id, entry);
            self.note_transaction(shell, id, membership.as_ref());
            let what = Submitted::Run(id);
            self.tell_submitted(
                what,
                info,
                configuration.options(),
                noted.as_deref(),
                moment,
            );
            shell.engine.submit_run(id, here, || moment.now());
            id
        });
        for input in foreign {
            input.watch(self, Waits::Run(id));
        }
        id
    }

    /// Ends when a run in place may begin.
    pub(crate) async fn may_begin(&self, id: RunId) {
        std::future::poll_fn(|context| {
            let mut shell = self.shell.lock();
            if shell.engine.is_dispatched(id) {
                return Poll::Ready(());
            }
            shell.note_waker(id.into(), context.waker());
            Poll::Pending
        })
        .await;
    }
}
