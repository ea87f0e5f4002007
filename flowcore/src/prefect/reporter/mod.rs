//! What a Prefect server is told of runs: an observer of all flow runs of the
//! process that makes messages of what it sees.
//!
//! Owns what is known of the flow runs that have not ended. It is called under
//! the locks of flow runs: it makes messages, puts them into the outbox and
//! returns. A process in a mode, such as a worker of a cluster, tells nothing:
//! the flow's process does.

mod drain;
mod flow;
mod inputs;
mod layout;
mod lines;
mod map;
mod names;
mod parameters;
mod states;
mod task;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use uuid::Uuid;

use self::flow::ReportedFlow;
use self::inputs::Layouts;
use self::layout::Layout;
pub(crate) use self::lines::lines;
pub(super) use self::names::task_key;
pub(crate) use self::parameters::parameters;
use super::adoption;
use super::message::Message;
use super::outbox::Outbox;
use crate::definition::MapReport;
use crate::flow::{Began, Changes, FlowRun, Observer, Submission, Watch};
use crate::runner::RunReference;
use crate::state::{State, StateName};

/// Watches the flow runs of the process.
pub(crate) struct Reporter {
    outbox: &'static Outbox,
    reported: Mutex<Reported>,
}

#[derive(Default)]
struct Reported {
    flows: HashMap<Uuid, ReportedFlow>,
    layouts: Layouts,
    /// Task runs outside of flows that the end of the program's main waits for;
    /// `None` if there is no such end.
    alone: Option<Vec<Uuid>>,
}

/// The program is a `#[flowcore::main]`.
static HAS_MAIN: AtomicBool = AtomicBool::new(false);

static REPORTER: OnceLock<Option<Arc<Reporter>>> = OnceLock::new();

/// The reporter of this process; `None` if it tells nothing.
pub(crate) fn of_process() -> Option<&'static Arc<Reporter>> {
    let reporter = REPORTER.get_or_init(|| {
        if crate::mode::is_entered() {
            return None;
        }
        match Outbox::of_process() {
            Ok(Some(outbox)) => Some(Arc::new(Reporter {
                outbox,
                reported: Mutex::new(Reported {
                    alone: HAS_MAIN.load(Ordering::Relaxed).then(Vec::new),
                    ..Reported::default()
                }),
            })),
            Ok(None) => {
                tracing::info!(
                    target: "flowcore::prefect",
                    "PREFECT_API_URL is not set: no server is told of runs"
                );
                None
            }
            Err(error) => {
                tracing::warn!(target: "flowcore::prefect", "no server is told of runs: {error}");
                None
            }
        }
    });
    reporter.as_ref()
}

/// A flow run begins that nobody above it tells of: its observer, if a server
/// is told. The observer has been told that the run begins.
pub(crate) fn begin(flow: &FlowRun, began: &Began<'_>) -> Option<Arc<dyn Observer>> {
    let reporter = of_process()?;
    reporter.flow_began(flow, began);
    Some(Arc::clone(reporter) as _)
}

/// The flow run has ended and its last line is written: waits until the server
/// knows all of it, a limited time. A subflow's end waits in its parent.
pub(crate) async fn finish(flow: &FlowRun) {
    let Some(reporter) = of_process() else {
        return;
    };
    let ended = reporter.forget(flow);
    let Some(ended) = ended else {
        return;
    };
    let (is_subflow, has_waited) = (ended.is_subflow, ended.has_waited);
    let Some(last) = ended.last else {
        return;
    };
    reporter.outbox.ends(flow.id(), last);
    if is_subflow || has_waited {
        return;
    }
    let progress = drain::Progress::new(flow);
    let told = reporter.outbox.told(flow.id(), |left| progress.left(left));
    match drain::wait(reporter.outbox, told).await {
        Ok(finished) => {
            if let Some(refused) = &finished.refused {
                drain::say_refused(flow, refused);
            }
        }
        Err(gave_up) => drain::say_left(flow, &gave_up, reporter.outbox),
    }
}

/// Whether each row of a map of this length is told by itself.
pub(crate) fn tells_rows(length: u32, report: Option<MapReport>) -> bool {
    Layout::of(length, report).is_of_rows()
}

/// The server has made a state itself that a flow run is in next.
pub(crate) fn is_made(flow: Uuid, state: StateName) {
    if let Some(reporter) = of_process()
        && let Some(entry) = reporter.reported.lock().flows.get_mut(&flow)
    {
        entry.made = Some(state);
    }
}

/// Whether the flow run, or one around it, is `api = required`.
pub(crate) fn is_required(flow: Uuid) -> bool {
    let Some(Some(reporter)) = REPORTER.get() else {
        return false;
    };
    let reported = reporter.reported.lock();
    let entry = reported.flows.get(&flow);
    entry.is_some_and(|entry| entry.is_required)
}

/// The server was waited for in vain before the flow run: its end does not wait
/// again.
pub(crate) fn wait_no_more(flow: Uuid) {
    if let Some(Some(reporter)) = REPORTER.get()
        && let Some(entry) = reporter.reported.lock().flows.get_mut(&flow)
    {
        entry.has_waited = true;
    }
}

/// A task that was called outside of flows has ended. The end of
/// `#[flowcore::main]` waits for what the server must know of it; without one
/// the call does.
pub(crate) async fn finish_alone(flow: &FlowRun) {
    let Some(reporter) = of_process() else {
        return;
    };
    let Some(run) = reporter.forget(flow).and_then(|ended| ended.alone) else {
        return;
    };
    let ends_with_main = {
        let mut reported = reporter.reported.lock();
        let alone = reported.alone.as_mut();
        alone.map(|alone| alone.push(run)).is_some()
    };
    if !ends_with_main {
        reporter.wait_alone([run]).await;
    }
}

/// The program's main, and at its end the wait for what is left to be told of
/// tasks that it called outside of flows.
pub(crate) async fn told_at_end<F: Future>(main: F) -> F::Output {
    HAS_MAIN.store(true, Ordering::Relaxed);
    let output = main.await;
    let Some(Some(reporter)) = REPORTER.get() else {
        return output;
    };
    let alone = reporter.reported.lock().alone.take();
    reporter.wait_alone(alone.into_iter().flatten()).await;
    output
}

impl Reporter {
    /// Waits until the server knows these task runs outside of flows.
    async fn wait_alone(&self, runs: impl IntoIterator<Item = Uuid>) {
        let told = async {
            for run in runs {
                self.outbox.told_alone(run).await;
            }
        };
        if let Err(gave_up) = drain::wait(self.outbox, told).await {
            drain::say_left_alone(&gave_up, self.outbox);
        }
    }

    /// Nothing more happens in the flow run.
    fn forget(&self, flow: &FlowRun) -> Option<ReportedFlow> {
        let mut reported = self.reported.lock();
        reported.layouts.retain(|(id, _), _| *id != flow.id());
        reported.flows.remove(&flow.id())
    }
}

impl Observer for Reporter {
    fn flow_began(&self, flow: &FlowRun, began: &Began<'_>) {
        let mut reported = self.reported.lock();
        let mut is_required = false;
        let placeholder = began.parent.and_then(|(parent, caller)| {
            let around = reported.flows.get_mut(&parent)?;
            is_required = around.is_required;
            if around.is_standalone() {
                return None;
            }
            around.placeholder(parent, caller, began)
        });
        let mut entry = ReportedFlow::new(flow, began, placeholder.is_some());
        entry.is_required |= is_required;
        let adopted = adoption::taken().filter(|id| *id == flow.id());
        if let Some(new) = entry.begins(flow, began, adopted, placeholder) {
            self.outbox.put(Message::FlowRun(Box::new(new)));
        }
        reported.flows.insert(flow.id(), entry);
    }

    fn flow_changed(&self, flow: &FlowRun, state: &State) {
        let mut reported = self.reported.lock();
        let entry = reported.flows.get_mut(&flow.id());
        if let Some((id, state)) = entry.and_then(|entry| entry.enters(state)) {
            self.outbox.put(Message::FlowState(id, Box::new(state)));
        }
    }

    fn submitted(&self, flow: &FlowRun, submission: &Submission<'_>) {
        let mut reported = self.reported.lock();
        let Reported { flows, layouts, .. } = &mut *reported;
        if let Some(entry) = flows.get_mut(&flow.id()) {
            entry.submitted(flow, submission, layouts, &mut |update| {
                self.outbox.put(Message::TaskRun(Box::new(update)));
            });
        }
    }

    fn changed(&self, flow: &FlowRun, changes: &Changes<'_>) {
        let mut reported = self.reported.lock();
        let Reported { flows, layouts, .. } = &mut *reported;
        if let Some(entry) = flows.get_mut(&flow.id()) {
            entry.changed(flow, changes, layouts, &mut |update| {
                self.outbox.put(Message::TaskRun(Box::new(update)));
            });
        }
    }

    fn named(&self, flow: &FlowRun, run: RunReference, name: &str) {
        let mut reported = self.reported.lock();
        let entry = reported.flows.get_mut(&flow.id());
        if let Some(update) = entry.and_then(|entry| entry.named(run, name)) {
            self.outbox.put(Message::TaskRun(Box::new(update)));
        }
    }

    fn watch(&self) -> Watch {
        Watch::Server
    }
}
