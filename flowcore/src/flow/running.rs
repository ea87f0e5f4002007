//! The flow runs of this process that have not ended, and which runs inside
//! which.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use uuid::Uuid;

use super::FlowRun;

static RUNNING: LazyLock<Mutex<HashMap<Uuid, Entry>>> = LazyLock::new(Mutex::default);

struct Entry {
    flow: Arc<FlowRun>,
    children: BTreeSet<Uuid>,
}

/// A flow run is among the running ones as long as this lives.
pub(super) struct Registration {
    id: Uuid,
    parent: Option<Uuid>,
}

impl Registration {
    pub(super) fn new(flow: &Arc<FlowRun>, parent: Option<&Arc<FlowRun>>) -> Self {
        let (id, parent) = (flow.id(), parent.map(|parent| parent.id()));
        let mut running = RUNNING.lock();
        running.insert(
            id,
            Entry {
                flow: Arc::clone(flow),
                children: BTreeSet::new(),
            },
        );
        if let Some(parent) = parent.and_then(|parent| running.get_mut(&parent)) {
            parent.children.insert(id);
        }
        Self { id, parent }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let left = {
            let mut running = RUNNING.lock();
            if let Some(parent) = self.parent.and_then(|parent| running.get_mut(&parent)) {
                parent.children.remove(&self.id);
            }
            running.remove(&self.id)
        };
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
        let children = running.get(&member.id()).map(|entry| &entry.children);
        let children: Vec<_> = children
            .into_iter()
            .flatten()
            .filter_map(|child| running.get(child))
            .map(|entry| Arc::clone(&entry.flow))
            .collect();
        family.extend(children);
        at += 1;
    }
    family
}
