//! Hooks of a flow run and of its task runs, on their way to be called.
//!
//! A state that was accepted is noted here, under the shell's lock and so in
//! order, if a hook wants it; a thread of its own calls the hooks, so that
//! neither a timer nor a lane of async code waits for one.
//!
//! Invariant: whoever waits for a run that has settled waits until its hooks
//! have been called, and a flow run ends after all of them. Code of hooks
//! itself does not wait for hooks: they are behind it in the queue.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::{FlowRun, Shell, state_of};
use crate::context::{RunContext, RunInfo, run_info};
use crate::definition::{FlowConfiguration, FlowInfo, OptionsSource, TaskInfo};
use crate::engine::{MapId, RunId, RunView};
use crate::notified;
use crate::runner::{AttemptControl, RunReference, catch, drop_caught};
use crate::state::{State, StateName};
use crate::transacting::Transaction;
use crate::value::StoredValue;

thread_local! {
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling code is a hook's.
pub(crate) fn in_hook() -> bool {
    IN_HOOK.get()
}

/// Code of hooks, on whatever thread.
pub(crate) fn in_hook_thread<R>(code: impl FnOnce() -> R) -> R {
    let outer = IN_HOOK.replace(true);
    let result = code();
    IN_HOOK.set(outer);
    result
}

#[derive(Default)]
pub(super) struct HookQueue {
    calls: VecDeque<HookCall>,
    /// Of attempts that have begun and whose template has not made a name yet.
    unnamed: Vec<TaskHookCall>,
    /// A thread is at it.
    is_worked_on: bool,
    /// Settled runs whose hooks have not all been called.
    awaited: BTreeSet<RunReference>,
    /// The flow run's own final state was noted.
    has_ended: bool,
}

enum HookCall {
    Task(TaskHookCall),
    /// What an attempt left that another one follows.
    Undo(Vec<Transaction>),
    Flow(State),
}

struct TaskHookCall {
    run: RunReference,
    info: &'static TaskInfo,
    options: OptionsSource,
    view: RunView,
    /// What its template made.
    name: Option<String>,
    /// Dealt with before the hooks of the state.
    transaction: Option<Transaction>,
}

impl HookQueue {
    pub(super) fn note_run(
        &mut self,
        run: RunReference,
        info: &'static TaskInfo,
        options: &OptionsSource,
        view: RunView,
        name: Option<&str>,
        transaction: Option<Transaction>,
    ) {
        if view.name.is_settled() {
            self.awaited.insert(run);
        }
        self.calls.push_back(HookCall::Task(TaskHookCall {
            run,
            info,
            options: options.clone(),
            view,
            name: name.map(str::to_owned),
            transaction,
        }));
    }

    /// The template of a run has made its name, or none: the attempt is over.
    /// What waited for that comes next.
    pub(super) fn named(&mut self, run: RunReference, name: Option<&str>) {
        if let Some(at) = self.unnamed.iter().position(|call| call.run == run) {
            let mut call = self.unnamed.swap_remove(at);
            call.name = name.map(str::to_owned);
            self.calls.push_back(HookCall::Task(call));
        }
    }

    pub(super) fn note_undo(&mut self, parts: Vec<Transaction>) {
        if !parts.is_empty() {
            self.calls.push_back(HookCall::Undo(parts));
        }
    }

    /// Whether somebody must begin to call hooks; that is the caller then.
    pub(super) fn must_be_worked_on(&mut self) -> bool {
        let is_left = !self.calls.is_empty() && !self.is_worked_on;
        self.is_worked_on |= is_left;
        is_left
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.is_worked_on && self.calls.is_empty()
    }

    pub(super) fn holds(&self, run: RunReference) -> bool {
        !self.awaited.is_empty() && self.awaited.contains(&run) && !IN_HOOK.get()
    }

    pub(super) fn holds_rows(&self, id: MapId, rows: Option<&Range<u32>>) -> bool {
        if self.awaited.is_empty() || IN_HOOK.get() {
            return false;
        }
        let (first, end) = rows.map_or((0, u32::MAX), |rows| (rows.start, rows.end));
        let rows = RunReference::row(id, first)..RunReference::row(id, end);
        first < end && self.awaited.range(rows).next().is_some()
    }
}

impl FlowRun {
    /// An attempt of the run has begun.
    pub(super) fn note_running(&self, shell: &mut Shell, run: RunReference) {
        let Some((info, options, is_local)) = shell.definition_of(run) else {
            return;
        };
        if !options.hooks.want(StateName::Running) || !self.says(is_local) {
            return;
        }
        let Some(view) = shell.view(run) else {
            return;
        };
        let call = TaskHookCall {
            run,
            info,
            options: options.clone(),
            view,
            name: shell.controls.name(run).map(str::to_owned),
            transaction: None,
        };
        if call.options.task_run_name.is_some() && call.name.is_none() {
            shell.hooks.unnamed.push(call);
        } else {
            shell.hooks.calls.push_back(HookCall::Task(call));
        }
    }

    /// The template of a run has made this name: hooks that waited for it are
    /// called.
    pub(super) fn hooks_hear_name(self: &Arc<Self>, run: RunReference, name: &str) {
        let is_left = {
            let mut shell = self.shell.lock();
            shell.hooks.named(run, Some(name));
            shell.hooks.must_be_worked_on()
        };
        if is_left {
            self.work_on_hooks();
        }
    }

    /// The flow's own hooks, if it has any.
    pub(in crate::flow) fn set_hooks(
        &self,
        info: &'static FlowInfo,
        configuration: &FlowConfiguration,
    ) {
        let is_new = configuration.options().hooks.is_empty()
            || self.flow_hooks.set((info, configuration.clone())).is_ok();
        debug_assert!(is_new, "a flow run begins once");
    }

    /// Calls the flow's hooks for the state that its run is in, and waits for
    /// them and all before them.
    pub(in crate::flow) async fn call_hooks(self: &Arc<Self>) {
        if self.flow_hooks.get().is_some() {
            self.note_state();
            self.hooks_called().await;
        }
    }

    /// The same without waiting.
    pub(in crate::flow) fn note_state(self: &Arc<Self>) {
        let Some((_, configuration)) = self.flow_hooks.get() else {
            return;
        };
        let state = self.state();
        if configuration.options().hooks.want(state.name()) {
            self.update(|shell, _| {
                if !shell.hooks.has_ended {
                    shell.hooks.has_ended = state.is_settled();
                    shell.hooks.calls.push_back(HookCall::Flow(state));
                }
            });
        }
    }

    /// Ends when no hook is left to be called.
    pub(in crate::flow) async fn hooks_called(&self) {
        notified::until(&self.idle, || self.shell.lock().hooks.is_idle()).await;
    }

    /// Calls hooks until none is left, on a thread of its own.
    pub(super) fn work_on_hooks(self: &Arc<Self>) {
        let flow = Arc::clone(self);
        if crate::runtime::on_a_thread(move || flow.call_noted_hooks()).is_err() {
            self.call_noted_hooks();
        }
    }

    fn call_noted_hooks(self: &Arc<Self>) {
        in_hook_thread(|| while self.call_next_hook() {});
        self.idle.notify_waiters();
    }

    /// Calls the next hook; `false` if none is left, and then nobody is at it.
    fn call_next_hook(self: &Arc<Self>) -> bool {
        let call = {
            let mut shell = self.shell.lock();
            match shell.hooks.calls.pop_front() {
                Some(call) => call,
                None => {
                    shell.hooks.is_worked_on = false;
                    return false;
                }
            }
        };
        // Hooks are caught one by one; this is for what surrounds them, and
        // for the destructors of their closures.
        if let Err(report) = catch(|| self.call_hook(&call)) {
            tracing::error!(target: "flowcore::runs", "a hook could not be called: {report}");
        }
        let settled = match &call {
            HookCall::Task(call) if call.view.name.is_settled() => Some(call.run),
            HookCall::Task(_) | HookCall::Undo(_) | HookCall::Flow(_) => None,
        };
        drop_caught(call);
        if let Some(run) = settled {
            self.hooks_of_run_called(run);
        }
        true
    }

    fn hooks_of_run_called(&self, run: RunReference) {
        let wakers = {
            let mut shell = self.shell.lock();
            shell.hooks.awaited.remove(&run);
            match run {
                RunReference::Run(id) => shell.run_wakers.remove(RunId::from_bits(id)),
                RunReference::Row(id, _) => shell.map_wakers.remove(MapId::from_bits(id)),
            }
        };
        for waker in wakers.unwrap_or_default() {
            waker.wake();
        }
    }

    fn call_hook(self: &Arc<Self>, call: &HookCall) {
        match call {
            HookCall::Flow(state) => {
                let Some((info, configuration)) = self.flow_hooks.get() else {
                    return;
                };
                let hooks = &configuration.options().hooks;
                let context = if state.is_settled() {
                    RunContext::after_flow(self)
                } else {
                    RunContext::of_flow(self)
                };
                inside(context, |who, run| {
                    hooks.call(who, info, run, state);
                });
            }
            HookCall::Undo(parts) => Transaction::undo(parts),
            HookCall::Task(call) => {
                let view = &call.view;
                if let Some(transaction) = &call.transaction {
                    transaction.conclude(view, call.name.as_deref());
                }
                if !call.options.hooks.want(view.name) {
                    return;
                }
                let control = Arc::new(AttemptControl::new(
                    view.attempt,
                    call.options.retries_in_force(),
                ));
                if let Some(name) = &call.name {
                    control.rename(name.clone());
                }
                let hooks = &call.options.hooks;
                let state = state_of(view, || StoredValue::shared(Arc::new(())));
                let context =
                    RunContext::of_run(self, call.info, &call.options, call.run, &control);
                inside(context, |who, run| hooks.call(who, call.info, run, &state));
            }
        }
    }
}

/// Code as part of a run: its log lines are the run's.
fn inside(context: RunContext, code: impl FnOnce(&str, &RunInfo)) {
    let who = context.who();
    context.enter(|| {
        if let Some(run) = run_info() {
            code(&who, &run);
        }
    });
}
