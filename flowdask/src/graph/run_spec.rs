//! What a worker is to run.
//!
//! The scheduler pickles a task anew for the worker, in one of three shapes (protocol, sections 9
//! and 16): an object with its state as a tuple of slots (since 2025.3), the same with its state as
//! a dict (since 2024.11), or a tuple of callable, arguments and keywords.

use bytes::Bytes;

use super::call;
use super::keys::read_key;
use super::{CALLABLE, TASK_SPEC};
use crate::wire::pickle::{self, Instance, Object, PickleError};
use crate::wire::{Key, Pickled};

/// What a worker is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunSpec {
    /// One of our tasks.
    Ours {
        /// What is to be done.
        payload: Bytes,
        /// The results it needs, in the order of its arguments.
        dependencies: Vec<Key>,
    },
    /// Something that only Python can run.
    Foreign {
        /// What it would call, for messages.
        function: String,
    },
}

/// Reads a `run_spec`; `who_has` are the task's dependencies, in any order.
///
/// # Errors
///
/// The pickle cannot be read. None of ours is such a one, so it is Python's.
pub(crate) fn read_run_spec(spec: &Pickled, who_has: &[Key]) -> Result<RunSpec, PickleError> {
    let spec = pickle::read_with_buffers(&spec.pickle, &spec.buffers)?;
    Ok(ours(&spec, who_has).unwrap_or_else(|| RunSpec::Foreign {
        function: function(&spec),
    }))
}

/// Our task, if it is one.
fn ours(spec: &Object, who_has: &[Key]) -> Option<RunSpec> {
    let call = call(spec)?;
    let callable = call.function.global()?;
    if !callable.is(CALLABLE.0, CALLABLE.1) {
        return None;
    }
    let (Object::Bytes(payload), arguments) = call.arguments.elements()?.split_first()? else {
        return None;
    };
    let references = References { who_has };
    if let Some((payload, dependencies)) =
        call::read(payload, arguments, call.keywords, &references)
    {
        return Some(RunSpec::Ours {
            payload,
            dependencies,
        });
    }
    let no_keywords = match call.keywords {
        Some(Object::Dict(entries)) => entries.is_empty(),
        _ => true,
    };
    let dependencies = arguments.iter().map(|argument| references.get(argument));
    no_keywords.then_some(RunSpec::Ours {
        payload: payload.clone(),
        dependencies: dependencies.collect::<Option<_>>()?,
    })
}

/// Which arguments stand for results.
pub(super) struct References<'a> {
    /// The task's dependencies, in any order.
    who_has: &'a [Key],
}

impl References<'_> {
    /// The key that an argument stands for. A bare key is a reference only if
    /// it is a dependency; else it is plain data.
    pub(super) fn get(&self, argument: &Object) -> Option<Key> {
        let bare = || read_key(argument).filter(|key| self.who_has.contains(key));
        reference(argument).or_else(bare)
    }
}

/// What is called with what.
struct Call<'a> {
    function: &'a Object,
    arguments: &'a Object,
    keywords: Option<&'a Object>,
}

fn call(spec: &Object) -> Option<Call<'_>> {
    if let Object::Tuple(parts) = spec {
        let [function, arguments, keywords @ ..] = &**parts else {
            return None;
        };
        return Some(Call {
            function,
            arguments,
            keywords: keywords.first(),
        });
    }
    let task = spec_object(spec, "Task")?;
    Some(Call {
        function: state_member(task, 6, "func")?,
        arguments: state_member(task, 5, "args")?,
        keywords: state_member(task, 8, "kwargs"),
    })
}

/// The key that an argument stands for: `TaskRef(key)` is ours, `Alias(key, target)` what stock
/// clients make of a future (protocol, trap 13).
fn reference(argument: &Object) -> Option<Key> {
    if let Some(reference) = spec_object(argument, "TaskRef") {
        let key = match &reference.state {
            Some(_) => named_slot(reference, "key")?,
            None => reference.arguments.elements()?.first()?,
        };
        return read_key(key);
    }
    let alias = spec_object(argument, "Alias")?;
    let target = match &alias.state {
        Some(_) => named_slot(alias, "target")?,
        None => alias.arguments.elements()?.get(1)?,
    };
    // In 2024.11, the target may be a `TaskRef`; objects are finite, so this ends.
    read_key(target).or_else(|| reference(target))
}

/// An instance of one of Dask's graph classes.
pub(super) fn spec_object<'a>(object: &'a Object, name: &str) -> Option<&'a Instance> {
    let instance = object.instance()?;
    instance
        .class
        .global()?
        .is(TASK_SPEC, name)
        .then_some(instance)
}

/// A member of a task's state: by its place among the sorted slots, after which
/// containers have slots of their own, or by its name.
pub(super) fn state_member<'a>(task: &'a Instance, place: usize, name: &str) -> Option<&'a Object> {
    match task.state.as_ref()?.elements()? {
        slots if slots.len() >= 9 => slots.get(place),
        _ => named_slot(task, name),
    }
}

/// A member of a state of the form `(None, {name: value})`.
fn named_slot<'a>(instance: &'a Instance, name: &str) -> Option<&'a Object> {
    let [Object::None, Object::Dict(slots)] = instance.state.as_ref()?.elements()? else {
        return None;
    };
    let slot = slots.iter().find(|(key, _)| key.text() == Some(name));
    slot.map(|(_, value)| value)
}

/// What would be called, for people.
fn function(spec: &Object) -> String {
    match call(spec).map_or(spec, |call| call.function) {
        Object::Global(global) => format!("{}.{}", global.module, global.name),
        Object::Instance(instance) => match instance.class.global() {
            Some(maker) => format!("what {}.{} makes", maker.module, maker.name),
            None => "an object".to_owned(),
        },
        _ => "no function".to_owned(),
    }
}
