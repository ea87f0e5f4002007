//! What a task is, as far as the worker must know it (protocol, section 9.3).

use std::sync::Arc;

use bytes::Bytes;

use super::messages::Order;
use crate::graph::{self, RunSpec};
use crate::wire::{Key, Value};

/// The work of one of our tasks. Clones are cheap.
pub(super) type Work = Arc<Task>;

#[derive(Debug)]
pub(super) struct Task {
    pub(super) payload: Bytes,
    /// In the order of its arguments, each as often as it occurs.
    pub(super) inputs: Vec<Key>,
    pub(super) annotations: Value,
}

/// What an order asks for.
#[derive(Debug)]
pub(super) enum Asked {
    Ours(Task),
    /// A Python function of this name.
    Python(String),
}

/// The work of a run that has it already.
pub(super) fn nothing() -> Task {
    Task {
        payload: Bytes::new(),
        inputs: Vec::new(),
        annotations: Value::Nil,
    }
}

pub(super) fn read(order: &Order) -> Asked {
    if order.is_actor {
        return Asked::Python("an actor".to_owned());
    }
    let keys: Vec<Key> = order
        .dependencies
        .iter()
        .map(|remote| remote.key.clone())
        .collect();
    match graph::read_run_spec(&order.run_spec, &keys) {
        Ok(RunSpec::Ours {
            payload,
            dependencies,
        }) => Asked::Ours(Task {
            payload,
            inputs: dependencies,
            annotations: order.annotations.clone(),
        }),
        Ok(RunSpec::Foreign { function }) => Asked::Python(function),
        // A Python worker may read what we cannot.
        Err(error) => Asked::Python(format!("a task that cannot be read here ({error})")),
    }
}
