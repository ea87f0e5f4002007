//! What runners tell of runs.

use std::sync::Arc;

use super::moment::Moment;
use super::{FlowRun, Shell, end};
use crate::clock::Timestamp;
use crate::engine::{End, Engine, MapId, RunId};
use crate::runner::{AttemptControl, Execution, Released, RunReference, drop_caught};

/// The first attempt of a run, which has begun.
pub(crate) struct Begun {
    pub(crate) run: RunId,
    pub(crate) job: Arc<dyn Execution>,
    pub(crate) control: Arc<AttemptControl>,
}

impl FlowRun {
    /// An attempt begins; `false` if the run has settled.
    pub(crate) fn begin(
        self: &Arc<Self>,
        run: RunReference,
        control: &Arc<AttemptControl>,
    ) -> bool {
        self.update(|shell, now| self.begin_in(shell, run, control, now))
    }

    fn begin_in(
        &self,
        shell: &mut Shell,
        run: RunReference,
        control: &Arc<AttemptControl>,
        now: Timestamp,
    ) -> bool {
        let begins = start(&mut shell.engine, run, control.attempt(), now);
        if begins {
            shell.controls.insert(run, Arc::clone(control));
            self.note_running(shell, run);
        }
        begins
    }

    /// An attempt begins somewhere else.
    pub(crate) fn started(self: &Arc<Self>, run: RunReference, attempt: u32) -> bool {
        self.update(|shell, now| {
            let begins = start(&mut shell.engine, run, attempt, now);
            if begins {
                self.note_running(shell, run);
            }
            begins
        })
    }

    /// A row has been running for a while.
    pub(crate) fn row_started(self: &Arc<Self>, map: MapId, row: u32, started: Timestamp) {
        self.update(|shell, _| shell.engine.row_started(map, row, 1, started));
    }

    pub(crate) fn rows_completed(self: &Arc<Self>, map: MapId, first: u32, times: &[Timestamp]) {
        self.update(|shell, _| shell.engine.rows_completed(map, first, times));
    }

    /// Another attempt will follow.
    pub(crate) fn retry(
        self: &Arc<Self>,
        run: RunReference,
        control: &AttemptControl,
        message: &str,
    ) {
        let name = control.name().map(str::to_owned);
        self.say_retry(run, name, message);
    }

    /// Another attempt will follow, somewhere else.
    pub(crate) fn awaits_retry(self: &Arc<Self>, run: RunReference, message: &str) {
        let name = self.shell.lock().controls.name(run).map(str::to_owned);
        self.say_retry(run, name, message);
    }

    /// A run in another process got a name from its template.
    pub(crate) fn note_name(self: &Arc<Self>, run: RunReference, name: String) {
        self.update(|shell, _| {
            // It may be executed once more after it has settled.
            let is_open = shell.view(run).is_some_and(|view| !view.name.is_settled());
            if is_open {
                self.tell_name(run, &name);
                shell.hooks.named(run, Some(&name));
                shell.controls.insert_name(run, name);
            }
        });
    }

    fn say_retry(self: &Arc<Self>, run: RunReference, name: Option<String>, message: &str) {
        let task = self.update(|shell, _| {
            let parts = shell.parts_of_attempt(run);
            shell.hooks.named(run, name.as_deref());
            shell.hooks.note_undo(parts);
            match run {
                RunReference::Run(id) => shell.engine.run_awaits_retry(RunId::from_bits(id)),
                RunReference::Row(id, row) => {
                    shell.engine.row_awaits_retry(MapId::from_bits(id), row)
                }
            };
            shell
                .may_say_retry(run)
                .then(|| shell.task_name(run))
                .flatten()
        });
        if let Some(task) = task {
            let name = name.unwrap_or_else(|| self.task_run_name(&task, run));
            end::Line::retry(name, run, message).write(self);
        }
    }

    /// The run ends.
    pub(crate) fn settled(self: &Arc<Self>, run: RunReference, end: End) {
        self.update(|shell, now| shell.settle(run, end, now));
    }

    /// The run ends. Its arguments go before that, and the runs that only they
    /// held with it, and the attempt's `control`. The first run that this makes
    /// ready begins in the same critical section, if the caller `wants` it, who
    /// executes it at once; or, where it makes none ready, the `other` that the
    /// caller has.
    pub(crate) fn settled_without<A>(
        self: &Arc<Self>,
        run: RunReference,
        end: End,
        arguments: A,
        control: Arc<AttemptControl>,
        wants: impl FnOnce(&dyn Execution) -> bool,
        other: impl FnOnce() -> Option<(RunId, Arc<dyn Execution>)>,
    ) -> Option<Begun> {
        let mut released = self.releases(|| drop_caught(arguments));
        let settle = |shell: &mut Shell, moment: &Moment| {
            released.retain(|id| shell.engine.release_run(*id));
            shell.settle(run, end, moment.now());
        };
        let begun = self.update_and(settle, |shell, todo, (), moment| {
            // Hooks are called on this thread, and may take long.
            if todo.has_hooks || !self.is_executed_in_one_place() {
                return None;
            }
            let is_idle = !todo.has_work();
            let (run, job) = todo.take_run(wants).or_else(|| is_idle.then(other)?)?;
            let retries = job.options().retries_in_force();
            let control = AttemptControl::instead_of(control, 1, retries);
            let begins = self.begin_in(shell, run.into(), &control, moment.now());
            self.tell_changes(shell, moment);
            Some((begins, Begun { run, job, control }))
        });
        // One that has settled meanwhile goes here, not under the lock.
        let begun = begun.and_then(|(begins, begun)| {
            if begins {
                return Some(begun);
            }
            drop_caught(begun.job);
            None
        });
        for id in released {
            self.forget(Released::Run(id.into()));
        }
        begun
    }

    /// Whether all its runs are executed where one of them is.
    fn is_executed_in_one_place(&self) -> bool {
        self.session().is_none_or(|session| !session.keeps_values())
    }

    /// A direct call was dropped before it ended.
    pub(crate) fn dropped(self: &Arc<Self>, run: RunReference) {
        let failure = end::cancelled("Task run was dropped before it ended.");
        self.settled(run, End::Ended(failure));
    }
}

fn start(engine: &mut Engine, run: RunReference, attempt: u32, now: Timestamp) -> bool {
    match run {
        RunReference::Run(id) => engine.run_started(RunId::from_bits(id), attempt, now),
        RunReference::Row(id, row) => engine.row_started(MapId::from_bits(id), row, attempt, now),
    }
}
