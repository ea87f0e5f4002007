//! A flow run tells its observers.

use std::sync::Arc;

use super::moment::Moment;
use super::{FlowRun, Shell};
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::definition::{TaskInfo, TaskOptions};
use crate::engine::{Map, MapId, RunView};
#[cfg(any(feature = "otel", feature = "prefect"))]
use crate::flow::observer::Watch;
use crate::flow::observer::{Began, Changes, Input, Look, Observers, Submission, Submitted};
use crate::runner::RunReference;
use crate::state::State;

static NOBODY: Observers = Observers::NOBODY;

impl FlowRun {
    /// The flow run begins before these observers, the calling code's.
    pub(in crate::flow) fn begin_observed(&self, began: &Began<'_>) {
        let observers = Observers::here(self.symbolic().is_some());
        for observer in observers.iter() {
            observer.flow_began(self, began);
        }
        #[cfg(feature = "otel")]
        let observers = match self.symbolic() {
            Some(_) => observers,
            None => observers.or_one(Watch::Spans, || crate::otel::begin(self, began)),
        };
        #[cfg(feature = "prefect")]
        let observers = match self.symbolic() {
            Some(_) => observers,
            None => observers.or_one(Watch::Server, || {
                crate::prefect::reporter::begin(self, began)
            }),
        };
        if observers.is_empty() {
            return;
        }
        self.shell.lock().engine.journal.keep();
        if self.observers.set(observers).is_err() {
            unreachable!("a flow run begins once");
        }
    }

    pub(in crate::flow) fn observers(&self) -> &Observers {
        self.observers.get().unwrap_or(&NOBODY)
    }

    pub(in crate::flow) fn is_observed(&self) -> bool {
        self.observers.get().is_some()
    }

    /// The flow run itself is in this state now.
    pub(in crate::flow) fn tell_state(&self, state: &State) {
        for observer in self.observers().iter() {
            observer.flow_changed(self, state);
        }
    }

    /// Something comes in; call it before the engine does.
    pub(in crate::flow) fn tell_submitted(
        &self,
        what: Submitted,
        info: &'static TaskInfo,
        options: &TaskOptions,
        inputs: Option<&[Input]>,
        moment: &Moment,
    ) {
        let Some(inputs) = inputs else {
            return;
        };
        let caller = RunContext::caller().filter(|context| context.flow().id() == self.id());
        self.tell_submission(&Submission {
            what,
            info,
            options,
            inputs,
            by: caller.and_then(|context| context.run()),
            at: moment.now(),
        });
    }

    /// The same, whoever submits it.
    pub(in crate::flow) fn tell_submission(&self, submission: &Submission<'_>) {
        for observer in self.observers().iter() {
            observer.submitted(self, submission);
        }
    }

    /// The template of a run whose attempt has begun here gives it this name.
    pub(crate) fn has_name(self: &Arc<Self>, run: RunReference, name: &str) {
        if let Some(line) = self.line() {
            // The other runs of this process are told under their own.
            if line.run() == run {
                line.name(name);
            }
        } else if self.is_observed() {
            let _shell = self.shell.lock();
            self.tell_name(run, name);
        }
        self.hooks_hear_name(run, name);
    }

    /// The same under the flow run's lock, wherever the attempt has begun.
    pub(super) fn tell_name(&self, run: RunReference, name: &str) {
        for observer in self.observers().iter() {
            observer.named(self, run, name);
        }
    }

    /// What the engine noted, before any of it is let go.
    #[inline]
    pub(super) fn tell_changes(&self, shell: &mut Shell, moment: &Moment) {
        if !shell.engine.journal.is_empty() {
            self.tell(shell, moment.now());
        }
    }

    fn tell(&self, shell: &mut Shell, at: Timestamp) {
        let changes = shell.engine.journal.take();
        let batch = Changes {
            changes: &changes,
            at,
            look: shell,
        };
        for observer in self.observers().iter() {
            observer.changed(self, &batch);
        }
        shell.records.forget(&changes);
        shell.engine.journal.reuse(changes);
    }
}

impl Look for Shell {
    fn run(&self, run: RunReference) -> Option<RunView> {
        self.view(run)
    }

    fn map(&self, id: MapId) -> Option<&Map> {
        self.engine.map(id)
    }

    fn given_name(&self, run: RunReference) -> Option<String> {
        self.controls.name(run).map(str::to_owned)
    }

    #[cfg(feature = "prefect")]
    fn record(&self, run: RunReference) -> Option<&serde_json::Value> {
        self.records.get(run)
    }
}
