//! The flow runs of this process that have not ended, which runs inside which,
//! and how all of them end when the process does.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::shell::CodeAtWork;
use super::{FlowRun, Interrupt, end};
use crate::notified;
use crate::signals::{Signal, say_received};

static RUNNING: LazyLock<Mutex<Running>> = LazyLock::new(Mutex::default);

/// A flow run has ended, or its code has.
static CHANGED: Notify = Notify::const_new();

#[derive(Default)]
struct Running {
    flows: HashMap<Uuid, Entry>,
    /// The process ends: so does whatever begins now.
    ended_by: Option<Signal>,
}

struct Entry {
    flow: Arc<FlowRun>,
    children: BTreeSet<Uuid>,
    /// What is left to do is ours: to wait, to call hooks, to report.
    code_has_ended: bool,
}

/// A flow run is among the running ones as long as this lives.
pub(super) struct Registration {
    id: Uuid,
    parent: Option<Uuid>,
}

impl Registration {
    /// `None` if a flow run with this id runs already.
    pub(super) fn new(flow: &Arc<FlowRun>, parent: Option<&Arc<FlowRun>>) -> Option<Self> {
        let (id, parent) = (flow.id(), parent.map(|parent| parent.id()));
        let ended_by = {
            let mut running = RUNNING.lock();
            if running.flows.contains_key(&id) {
                return None;
            }
            let entry = Entry {
                flow: Arc::clone(flow),
                children: BTreeSet::new(),
                code_has_ended: false,
            };
            running.flows.insert(id, entry);
            if let Some(parent) = parent.and_then(|parent| running.flows.get_mut(&parent)) {
                parent.children.insert(id);
            }
            running.ended_by
        };
        if let Some(signal) = ended_by {
            flow.interrupt(Interrupt::Signal(signal));
        }
        Some(Self { id, parent })
    }

    /// Notes whether the flow's function has ended or runs again.
    pub(super) fn code_has_ended(&self, has_ended: bool) {
        if let Some(entry) = RUNNING.lock().flows.get_mut(&self.id) {
            entry.code_has_ended = has_ended;
        }
        CHANGED.notify_waiters();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let left = {
            let mut running = RUNNING.lock();
            if let Some(parent) = self.parent.and_then(|id| running.flows.get_mut(&id)) {
                parent.children.remove(&self.id);
            }
            running.flows.remove(&self.id)
        };
        CHANGED.notify_waiters();
        // Outside of the lock: the last owner drops users' values.
        drop(left);
    }
}

/// A flow run and all that run inside it.
pub(super) fn family(flow: &Arc<FlowRun>) -> Vec<Arc<FlowRun>> {
    let running = RUNNING.lock();
    let mut family = vec![Arc::clone(flow)];
    let mut at = 0;
    while let Some(member) = family.get(at) {
        let children = running.flows.get(&member.id()).map(|entry| &entry.children);
        let children: Vec<_> = children
            .into_iter()
            .flatten()
            .filter_map(|child| running.flows.get(child))
            .map(|entry| Arc::clone(&entry.flow))
            .collect();
        family.extend(children);
        at += 1;
    }
    family
}

/// Cancels a flow run of the process, if it has not ended.
#[cfg(feature = "prefect")]
pub(crate) fn cancel(id: Uuid) {
    if let Some(flow) = find(id) {
        flow.interrupt(Interrupt::Cancelled);
    }
}

/// A flow run of the process was suspended by others: it leaves.
#[cfg(feature = "prefect")]
pub(crate) fn suspend(id: Uuid) {
    if let Some(flow) = find(id) {
        flow.suspend();
    }
}

#[cfg(feature = "prefect")]
fn find(id: Uuid) -> Option<Arc<FlowRun>> {
    let running = RUNNING.lock();
    running.flows.get(&id).map(|entry| Arc::clone(&entry.flow))
}

/// Cancels all flow runs of the process.
#[cfg(feature = "prefect")]
pub(crate) fn cancel_all() {
    let flows: Vec<_> = {
        let running = RUNNING.lock();
        let flows = running.flows.values();
        flows.map(|entry| Arc::clone(&entry.flow)).collect()
    };
    for flow in flows {
        flow.interrupt(Interrupt::Cancelled);
    }
}

/// How often code that was asked to stop is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Code that has not stopped after this time keeps its thread, and the flow
/// run ends without it.
const CODE_LIMIT: Duration = Duration::from_secs(1);
/// Hooks and reporting get so much time.
const ENDING_LIMIT: Duration = Duration::from_secs(30);

/// Ends all flow runs of the process, and what begins later. Ends when they
/// have ended, or when their time is up.
pub(crate) async fn end_all(signal: Signal) {
    let flows: Vec<_> = {
        let mut running = RUNNING.lock();
        running.ended_by = Some(signal);
        let flows = running.flows.values();
        flows.map(|entry| Arc::clone(&entry.flow)).collect()
    };
    let named = flows.iter().filter(|flow| !flow.is_standalone()).count();
    say_received(signal, named);
    // Large maps take a while, and the next signal must be heard.
    let interrupted = crate::runtime::on_a_thread(move || {
        let code: Vec<_> = flows.iter().map(FlowRun::code_at_work).collect();
        for flow in flows {
            flow.interrupt(Interrupt::Signal(signal));
        }
        code
    });
    let code = match interrupted {
        Ok(interrupted) => interrupted.await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let stopped = async {
        until(|running| running.flows.values().all(|entry| entry.code_has_ended)).await;
        while !code.iter().all(CodeAtWork::has_ended) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let _ = crate::runtime::timeout(CODE_LIMIT, stopped).await;
    let mut stuck = give_up();
    stuck.retain(|flow| !flow.is_standalone());
    for flow in &stuck {
        let interrupt = flow.life().interrupt();
        let interrupt = interrupt.unwrap_or(Interrupt::Signal(signal));
        let failure = interrupt.of_flow("", flow.name());
        flow.has_final_state(None, Some(&failure));
        flow.note_state();
        end::say(
            flow,
            &format!("Finished in state {}; its code still runs", flow.state()),
        );
    }
    let ended = async {
        until(|running| running.flows.is_empty()).await;
        for flow in &stuck {
            flow.hooks_called().await;
            #[cfg(feature = "prefect")]
            crate::prefect::reporter::finish(flow).await;
        }
    };
    let _ = crate::runtime::timeout(ENDING_LIMIT, ended).await;
}

/// Flow runs whose code does not stop.
fn give_up() -> Vec<Arc<FlowRun>> {
    let mut running = RUNNING.lock();
    let stuck = running.flows.extract_if(|_, entry| !entry.code_has_ended);
    stuck.map(|(_, entry)| entry.flow).collect()
}

/// Waits until the running flow runs are so.
async fn until(condition: impl Fn(&Running) -> bool) {
    notified::until(&CHANGED, || condition(&RUNNING.lock())).await;
}
