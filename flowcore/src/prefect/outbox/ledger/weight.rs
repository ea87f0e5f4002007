//! How much memory things take that wait: an estimate, in bytes.
//!
//! What waits carries its weight and gives it back when it is dropped, so the
//! sum is right wherever that happens.

use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value};

use crate::prefect::message::{LogLine, NewArtifact, TaskInput, TaskRunUpdate};

/// Of a place in a queue or a table, and what an allocation takes beside its
/// bytes.
const PLACE: usize = 64;

/// The sum of all weights.
#[derive(Clone, Debug, Default)]
pub(super) struct Scale(Arc<AtomicUsize>);

impl Scale {
    pub(super) fn total(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn weigh(&self, bytes: usize) -> Weight {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Weight {
            bytes,
            scale: self.clone(),
        }
    }
}

/// The weight of one thing.
#[derive(Debug)]
pub(super) struct Weight {
    bytes: usize,
    scale: Scale,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.scale.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

pub(super) fn of_line(line: &LogLine) -> usize {
    size_of::<LogLine>() + 2 * PLACE + line.logger.len() + line.message.len()
}

/// Also what it may share with others: read back from disk it has its own.
pub(super) fn of_run(run: &TaskRunUpdate) -> usize {
    let state = &run.state;
    let texts = [&run.name, &run.dynamic_key, &run.task.key, &state.name];
    let texts = texts.into_iter().chain(&state.message);
    let texts = texts.chain(&run.task.version).chain(&run.task.tags);
    let inputs = run.inputs.iter().map(|(name, inputs)| {
        let each = inputs.iter().map(|input| match input {
            TaskInput::TaskRun(_) | TaskInput::FlowRun(_) => 0,
            TaskInput::Parameter(text) | TaskInput::Constant(text) => text.len(),
        });
        PLACE
            + name.len()
            + each
                .map(|bytes| bytes + size_of::<TaskInput>())
                .sum::<usize>()
    });
    size_of::<TaskRunUpdate>()
        + 4 * PLACE
        + texts.map(String::len).sum::<usize>()
        + inputs.sum::<usize>()
        + of_map(&state.details)
        + state.data.as_ref().map_or(0, of_value)
}

pub(super) fn of_artifact(artifact: &NewArtifact) -> usize {
    let texts = [&artifact.kind].into_iter().chain(&artifact.key);
    let texts = texts.chain(&artifact.description);
    size_of::<NewArtifact>()
        + 2 * PLACE
        + texts.map(String::len).sum::<usize>()
        + of_value(&artifact.data)
}

fn of_value(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(of_value).sum(),
            Value::Object(map) => of_map(map),
        }
}

fn of_map(map: &Map<String, Value>) -> usize {
    let entries = map.iter();
    entries
        .map(|(name, value)| PLACE + name.len() + of_value(value))
        .sum()
}
