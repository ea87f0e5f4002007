//! One critical section, and what it leaves to do: the engine's commands are
//! collected under the lock and carried out after it.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::moment::Moment;
use super::outbox::Letter;
use super::{FlowRun, MapEntry, RunEntry, Shell, Waiter, end};
use crate::clock::Timestamp;
use crate::engine::{Command, MapId, RunId, RunView};
use crate::limits;
use crate::progress::Progress;
use crate::runner::{
    AttemptControl, Execution, MapJob, Released, RunReference, WorkKind, catch, drop_caught,
};
use crate::transacting::{RunSubject, Transaction};

/// What one critical section leaves to do. There are some for each run, so
/// what most of them have no use for takes no room and no time.
#[derive(Default)]
pub(super) struct Todo {
    /// Mostly one, as of `jobs`: no allocation for it.
    work: SmallVec<[WorkKind; 1]>,
    jobs: SmallVec<[RunEntry; 1]>,
    wakers: Vec<Waiter>,
    others: Option<Box<Others>>,
    /// Permits came back, and others may wait for them.
    has_permits: bool,
    has_letters: bool,
    pub(super) has_hooks: bool,
    is_idle: bool,
}

/// What only some leave.
#[derive(Default)]
struct Others {
    measure: Vec<(MapId, Arc<dyn MapJob>)>,
    stop: Vec<Arc<AttemptControl>>,
    stop_remote: Vec<RunReference>,
    /// What nobody can ask for any more.
    released: Vec<Released>,
    lines: Vec<end::Line>,
    maps: Vec<(MapId, MapEntry)>,
    progress: Vec<(Progress, u64)>,
    /// What maps were a part of that have settled.
    transactions: Vec<Transaction>,
}

impl Todo {
    fn others(&mut self) -> &mut Others {
        self.others.get_or_insert_default()
    }

    /// The first run that is to be executed, if there is one that this wants.
    pub(super) fn take_run(
        &mut self,
        is_wanted: impl FnOnce(&dyn Execution) -> bool,
    ) -> Option<(RunId, Arc<dyn Execution>)> {
        match self.work.first()? {
            WorkKind::Run(_, job) if is_wanted(job.as_ref()) => match self.work.remove(0) {
                WorkKind::Run(id, job) => Some((id, job)),
                WorkKind::Rows(..) => None,
            },
            _ => None,
        }
    }

    /// Whether something is to be executed.
    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Whether it leaves nothing, as when an attempt begins.
    fn is_empty(&self) -> bool {
        self.work.is_empty()
            && self.jobs.is_empty()
            && self.wakers.is_empty()
            && self.others.is_none()
            && !(self.has_permits || self.has_letters || self.has_hooks || self.is_idle)
    }
}

impl FlowRun {
    /// Changes the engine and does what it asks for.
    pub(in crate::flow) fn update<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Shell, Timestamp) -> R,
    ) -> R {
        self.update_at(|shell, moment| change(shell, moment.now()))
    }

    /// The same, for changes that seldom ask what time it is.
    pub(in crate::flow) fn update_at<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Shell, &Moment) -> R,
    ) -> R {
        self.update_and(change, |_, _, result, _| result)
    }

    /// The same, where `take` may take of what there is to do then.
    pub(super) fn update_and<R, T>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Shell, &Moment) -> R,
        take: impl FnOnce(&mut Shell, &mut Todo, R, &Moment) -> T,
    ) -> T {
        let mut todo = Todo::default();
        let result = {
            let mut shell = self.shell.lock();
            let moment = Moment::default();
            let result = change(&mut shell, &moment);
            self.collect(&mut shell, &mut todo, &moment);
            todo.has_hooks = shell.hooks.must_be_worked_on();
            todo.has_letters = self.post(&mut todo);
            let result = take(&mut shell, &mut todo, result, &moment);
            todo.has_hooks |= shell.hooks.must_be_worked_on();
            result
        };
        if !todo.is_empty() {
            self.carry_out(todo);
        }
        result
    }

    /// Puts out what a runner that orders work by itself is to hear.
    fn post(&self, todo: &mut Todo) -> bool {
        let Some(others) = &mut todo.others else {
            return self.put_out(&mut todo.work, iter::empty());
        };
        if !self.feeds_early() {
            return false;
        }
        let cancels = others.stop_remote.drain(..).map(Letter::Cancel);
        let releases = others.released.drain(..).map(Letter::Release);
        self.put_out(&mut todo.work, cancels.chain(releases))
    }

    fn collect(self: &Arc<Self>, shell: &mut Shell, todo: &mut Todo, moment: &Moment) {
        loop {
            self.tell_changes(shell, moment);
            let Some(command) = shell.engine.next_command() else {
                break;
            };
            match command {
                Command::Dispatch(id) => {
                    if !self.admit_run(shell, id, moment) {
                        continue;
                    }
                    if let Some(RunEntry::Job(job)) = shell.jobs.get(id) {
                        let (info, options) = (job.info(), job.options().clone());
                        let dispatched = RunEntry::Dispatched(info, options, job.is_local());
                        if let Some(RunEntry::Job(job)) = shell.jobs.replace(id, dispatched) {
                            todo.work.push(WorkKind::Run(id, job));
                        }
                    } else {
                        // Its caller executes it and waits for this.
                        todo.wakers
                            .extend(shell.run_wakers.remove(id).unwrap_or_default());
                    }
                }
                Command::DispatchRows(id, rows) => {
                    let rows = self.admit_rows(shell, id, rows, moment);
                    if !rows.is_empty()
                        && let Some(entry) = shell.maps.get(id)
                    {
                        todo.work
                            .push(WorkKind::Rows(id, rows, Arc::clone(&entry.job)));
                    }
                }
                Command::Measure(id) => {
                    if let Some(entry) = shell.maps.get(id) {
                        todo.others().measure.push((id, Arc::clone(&entry.job)));
                    }
                }
                Command::Settled(id) => {
                    self.collect_settled(shell, todo, id);
                    if shell.engine.noted_run(id) && self.feeds_early() {
                        todo.others().released.push(Released::Run(id.into()));
                    }
                }
                Command::RowsSettled(id, rows) => self.collect_rows(shell, todo, id, &rows),
                Command::MapSettled(id) => {
                    todo.has_permits |= shell.permits.map_settled(id);
                    if let Some(transaction) = shell.close_transactions(id) {
                        todo.others().transactions.push(transaction);
                    }
                    if let Some(mut entry) = shell.maps.remove(id) {
                        let says = self.says(entry.job.info().is_local);
                        let map = shell.engine.map(id).filter(|_| says);
                        todo.others()
                            .lines
                            .extend(entry.log.summary(entry.job.as_ref(), map));
                        entry.progress = None;
                        shell.leaving.push(id);
                        todo.others().maps.push((id, entry));
                    }
                    if shell.engine.noted_map(id) && self.feeds_early() {
                        todo.others().released.push(Released::Map(id.to_bits()));
                    }
                }
                Command::Cancel(id) => Self::collect_stop(shell, todo, id.into()),
                Command::CancelRow(id, row) => {
                    Self::collect_stop(shell, todo, RunReference::row(id, row));
                }
                Command::Idle => todo.is_idle = true,
            }
        }
    }

    fn collect_stop(shell: &Shell, todo: &mut Todo, run: RunReference) {
        match shell.controls.get(run) {
            Some(control) => todo.others().stop.push(Arc::clone(control)),
            None => todo.others().stop_remote.push(run),
        }
    }

    fn collect_settled(&self, shell: &mut Shell, todo: &mut Todo, id: RunId) {
        if let Some(waiters) = shell.run_wakers.remove(id) {
            todo.wakers.extend(waiters);
        }
        let name = shell.controls.remove(id.into());
        shell.hooks.named(id.into(), name.as_deref());
        todo.has_permits |= shell.permits.run_settled(id);
        let Some(entry) = shell.jobs.remove(id) else {
            return;
        };
        let options = entry.source();
        let transaction = shell.leave_transaction(id.into());
        let is_asked = !options.hooks.is_empty() && self.says(entry.is_local());
        if (is_asked || transaction.is_some())
            && let Some(view) = shell.engine.run(id)
            && (transaction.is_some() || options.hooks.want(view.name))
        {
            let (run, info) = (id.into(), entry.info());
            let hooks = &mut shell.hooks;
            hooks.note_run(run, info, options, view, name.as_deref(), transaction);
        }
        if end::is_heard()
            && self.says(entry.is_local())
            && let Some(view) = shell.engine.run(id)
        {
            let name = name.unwrap_or_else(|| self.task_run_name(entry.task_name(), id.into()));
            todo.others()
                .lines
                .push(end::Line::finished(name, id.into(), &view));
        }
        // Options of the task's static are nobody's to drop.
        if entry.has_users_values() {
            todo.jobs.push(entry);
        }
    }

    /// Whether lines about such runs are written here, and their hooks called:
    /// what goes home from another process is told there.
    pub(super) fn says(&self, is_local: bool) -> bool {
        self.symbolic().is_none() && (is_local || !self.is_elsewhere())
    }

    fn collect_rows(
        self: &Arc<Self>,
        shell: &mut Shell,
        todo: &mut Todo,
        id: MapId,
        rows: &Range<u32>,
    ) {
        if let Some(wakers) = shell.map_wakers.get_mut(id) {
            todo.wakers.append(wakers);
        }
        let Some(entry) = shell.maps.get_mut(id) else {
            return;
        };
        if let Some(progress) = &entry.progress {
            todo.others()
                .progress
                .push((progress.clone(), rows.len() as u64));
        }
        let heard = end::is_heard() && self.says(entry.job.info().is_local);
        let controls = &shell.controls;
        let names = |row| {
            let run = RunReference::row(id, row);
            let name = controls.name(run).map_or_else(
                || self.task_run_name(&entry.job.options().labels.name, run),
                str::to_owned,
            );
            (name, run)
        };
        if heard && let Some(map) = shell.engine.map(id) {
            entry.log.rows(map, rows, names, &mut todo.others().lines);
        }
        let (job, options) = (&entry.job, entry.job.options());
        let is_asked = !options.hooks.is_empty() && self.says(job.info().is_local);
        if (is_asked || !shell.transacted.is_empty())
            && let Some(map) = shell.engine.map(id)
        {
            for row in rows.clone() {
                let run = RunReference::row(id, row);
                shell.hooks.named(run, controls.name(run));
                let subject = || RunSubject::new(self, run, job.info(), options.clone());
                let transaction = shell.transacted.leave_row(id, run, subject);
                let is_wanted = |view: &RunView| is_asked && options.hooks.want(view.name);
                let view = map.view(row);
                let view = view.filter(|view| transaction.is_some() || is_wanted(view));
                let Some(view) = view else {
                    continue;
                };
                let name = controls.name(run);
                let (info, hooks) = (job.info(), &mut shell.hooks);
                hooks.note_run(run, info, options, view, name, transaction);
            }
        }
        if shell.controls.has_rows() {
            for row in rows.clone() {
                shell.controls.remove(RunReference::row(id, row));
            }
        }
        todo.has_permits |= shell.permits.rows_settled(id, rows);
    }

    fn carry_out(self: &Arc<Self>, todo: Todo) {
        let mut others = todo.others;
        if let Some(others) = &mut others {
            for line in others.lines.drain(..) {
                line.write(self);
            }
            for (progress, rows) in others.progress.drain(..) {
                progress.advance(rows);
            }
        }
        // Users' values, dropped here and not under the lock, and before anybody
        // goes on: whoever reads next may be the last reader.
        if !todo.jobs.is_empty() {
            drop_caught(todo.jobs);
        }
        let left = others.as_mut().map_or_else(Vec::new, |others| {
            self.let_go(std::mem::take(&mut others.maps))
        });
        if todo.has_permits {
            limits::tell();
        }
        if todo.has_letters {
            self.send_out();
        }
        if todo.has_hooks {
            self.work_on_hooks();
        }
        if let Some(others) = &mut others {
            for transaction in others.transactions.drain(..) {
                transaction.close();
            }
        }
        for kind in todo.work {
            self.dispatch(kind);
        }
        if let Some(others) = others {
            for (id, job) in others.measure {
                self.measure(id, job);
            }
            for control in others.stop {
                control.cancel();
            }
            if let Some(session) = self.session() {
                for run in others.stop_remote {
                    session.cancel(run);
                }
            }
        }
        for waker in todo.wakers.into_iter().chain(left) {
            waker.wake();
        }
        if todo.is_idle {
            self.idle.notify_waiters();
        }
    }

    /// Drops maps that have settled; whoever waits for them learns of it only
    /// now.
    fn let_go(&self, maps: Vec<(MapId, MapEntry)>) -> Vec<Waiter> {
        if maps.is_empty() {
            return Vec::new();
        }
        let mut ids = Vec::with_capacity(maps.len());
        for (id, entry) in maps {
            if let Err(report) = catch(|| entry.job.release()) {
                tracing::error!(target: "flowcore::runs", "a value panicked while it was dropped: {report}");
            }
            drop_caught(entry);
            ids.push(id);
        }
        let mut shell = self.shell.lock();
        shell.leaving.retain(|id| !ids.contains(id));
        ids.into_iter()
            .flat_map(|id| shell.map_wakers.remove(id).unwrap_or_default())
            .collect()
    }
}
