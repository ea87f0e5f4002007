//! All tasks and flows of this program: by key, so that another process that
//! runs the same program finds them, and by name, for people.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use md5::{Digest, Md5};

use super::callable::{Definition, DefinitionKind};
use super::flow::{FlowDefinition, FlowInfo};
use super::statics::Task;
use super::task::{TaskDefinition, TaskInfo};
use crate::error::{Error, Result};
use crate::runner::{
    BatchDescriptor, BatchJob, Execution, ValueSource, WorkDescriptor, batch_of, execution_of,
};

/// One task of this program; the macro submits it. A function and nothing
/// else, because the compiler looks at each entry of a program.
#[doc(hidden)]
#[derive(Debug)]
pub struct TaskEntry(fn() -> RegisteredTask);

inventory::collect!(TaskEntry);

impl TaskEntry {
    /// The entry of a task.
    #[must_use]
    pub const fn of<D: TaskDefinition>() -> Self {
        Self(RegisteredTask::of::<D>)
    }
}

/// One task in the registry.
#[derive(Debug)]
pub(crate) struct RegisteredTask {
    info: &'static TaskInfo,
    definition: Box<dyn Definition>,
    execution: ExecutionOf,
    batch: BatchOf,
}

type BatchOf = fn(&BatchDescriptor, &dyn ValueSource) -> Result<Box<dyn BatchJob>>;
type ExecutionOf = fn(&WorkDescriptor, &dyn ValueSource, bool) -> Result<Arc<dyn Execution>>;

impl RegisteredTask {
    fn of<D: TaskDefinition>() -> Self {
        Self {
            info: D::info(),
            definition: Box::new(Task::<D>::new()),
            execution: execution_of::<D>,
            batch: batch_of::<D>,
        }
    }

    /// All of this program.
    fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<RegisteredTask>> = OnceLock::new();
        ALL.get_or_init(|| {
            let entries = inventory::iter::<TaskEntry>.into_iter();
            entries.map(|entry| (entry.0)()).collect()
        })
    }

    /// What is known of the task.
    pub(crate) fn info(&self) -> &'static TaskInfo {
        self.info
    }

    /// A run to be executed in this process.
    pub(crate) fn execution(
        &self,
        work: &WorkDescriptor,
        values: &dyn ValueSource,
    ) -> Result<Arc<dyn Execution>> {
        (self.execution)(work, values, true)
    }

    /// Rows to be executed in this process.
    pub(crate) fn batch(
        &self,
        batch: &BatchDescriptor,
        values: &dyn ValueSource,
    ) -> Result<Box<dyn BatchJob>> {
        (self.batch)(batch, values)
    }

    /// A run to be submitted to a flow run of this process.
    pub(crate) fn submission(
        &self,
        work: &WorkDescriptor,
        values: &dyn ValueSource,
    ) -> Result<Arc<dyn Execution>> {
        (self.execution)(work, values, false)
    }
}

/// One flow in the registry; the macro submits it.
#[doc(hidden)]
#[derive(Debug)]
pub struct FlowEntry {
    info: fn() -> &'static FlowInfo,
    definition: &'static dyn Definition,
}

inventory::collect!(FlowEntry);

impl FlowEntry {
    /// The entry of a flow.
    #[must_use]
    pub const fn of<D: FlowDefinition + Definition>(flow: &'static D) -> Self {
        Self {
            info: D::info,
            definition: flow,
        }
    }
}

/// What is in the registry: it has a key and stands somewhere.
trait Entry: Sync + 'static {
    const KIND: DefinitionKind;

    fn key(&self) -> &'static str;
    fn place(&self) -> (&'static str, u32);
    fn definition(&'static self) -> &'static dyn Definition;
}

impl Entry for RegisteredTask {
    const KIND: DefinitionKind = DefinitionKind::Task;

    fn key(&self) -> &'static str {
        self.info.key
    }

    fn place(&self) -> (&'static str, u32) {
        (self.info.file, self.info.line)
    }

    fn definition(&'static self) -> &'static dyn Definition {
        &*self.definition
    }
}

impl Entry for FlowEntry {
    const KIND: DefinitionKind = DefinitionKind::Flow;

    fn key(&self) -> &'static str {
        (self.info)().key
    }

    fn place(&self) -> (&'static str, u32) {
        let info = (self.info)();
        (info.file, info.line)
    }

    fn definition(&'static self) -> &'static dyn Definition {
        self.definition
    }
}

/// The entries by key.
fn by_key<E: Entry>(
    entries: impl IntoIterator<Item = &'static E>,
) -> Result<HashMap<&'static str, &'static E>> {
    let mut by_key: HashMap<_, &'static E> = HashMap::new();
    for entry in entries {
        let Some(other) = by_key.insert(entry.key(), entry) else {
            continue;
        };
        let mut places = [other.place(), entry.place()];
        places.sort_unstable();
        let [(file, line), (other_file, other_line)] = places;
        let kind = E::KIND.word();
        let cure = match E::KIND {
            DefinitionKind::Task => "give one of them another name, as in `#[task(name = \"..\")]`",
            DefinitionKind::Flow => "rename one of the functions, or move it to another module",
        };
        return Err(Error::invalid(format!(
            "two {kind}s have the key `{}`: {file}:{line} and {other_file}:{other_line}; {cure}",
            entry.key(),
        )));
    }
    Ok(by_key)
}

fn task_entries() -> Result<&'static HashMap<&'static str, &'static RegisteredTask>> {
    static ENTRIES: OnceLock<Result<HashMap<&'static str, &'static RegisteredTask>>> =
        OnceLock::new();
    let entries = ENTRIES.get_or_init(|| by_key(RegisteredTask::all()));
    entries.as_ref().map_err(Clone::clone)
}

fn flow_entries() -> Result<HashMap<&'static str, &'static FlowEntry>> {
    by_key(inventory::iter::<FlowEntry>)
}

/// All tasks of this program, ordered by key.
///
/// ```standalone_crate
/// use flowcore::prelude::*;
///
/// /// Doubles a number.
/// #[task]
/// fn double(x: i64) -> i64 { x * 2 }
///
/// # fn main() -> Result<()> {
/// let task = flowcore::tasks()?.get("double")?;
/// assert_eq!(task.description(), "Doubles a number.");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Two tasks with one key; the error names both places.
pub fn tasks() -> Result<&'static Definitions> {
    static TASKS: OnceLock<Result<Definitions>> = OnceLock::new();
    let tasks = TASKS.get_or_init(|| Ok(Definitions::of(task_entries()?)));
    tasks.as_ref().map_err(Clone::clone)
}

/// All flows of this program, ordered by key.
///
/// ```standalone_crate
/// use flowcore::prelude::*;
/// use serde_json::json;
///
/// #[flow]
/// async fn greet(name: String) -> String { format!("Hello, {name}!") }
///
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// let flow = flowcore::flows()?.get("greet")?;
/// println!("{}", flow.describe());
/// let greeting = flow.call_json(json!({"name": "Ada"}))?.await??;
/// assert_eq!(greeting, "Hello, Ada!");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Two flows with one key; the error names both places.
pub fn flows() -> Result<&'static Definitions> {
    static FLOWS: OnceLock<Result<Definitions>> = OnceLock::new();
    let flows = FLOWS.get_or_init(|| Ok(Definitions::of(&flow_entries()?)));
    flows.as_ref().map_err(Clone::clone)
}

/// A number for the tasks of this program: programs that have other tasks, or
/// tasks with other code, have another one. Two processes with the same may
/// execute each other's runs.
///
/// # Errors
///
/// Two tasks with one key.
pub fn build() -> Result<u64> {
    let mut tasks: Vec<(&str, u64)> = task_entries()?
        .values()
        .map(|entry| (entry.info.key, entry.info.fingerprint))
        .collect();
    tasks.sort_unstable();
    let mut hash = Md5::new();
    for (key, fingerprint) in tasks {
        hash.update((key.len() as u64).to_le_bytes());
        hash.update(key);
        hash.update(fingerprint.to_le_bytes());
    }
    let digest = hash.finalize();
    Ok(digest[..8]
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// Whether the keys of tasks are there once; asked when a program begins,
/// because other processes find tasks by them.
pub(crate) fn check_tasks() -> Result<()> {
    task_entries().map(drop)
}

/// Whether the keys of flows are there once; asked by `#[flowcore::main]`. Not
/// by `init()`: in test programs many local flows have one name.
pub(crate) fn check_flows() -> Result<()> {
    flow_entries().map(drop)
}

pub(crate) fn find_task(key: &str) -> Result<&'static RegisteredTask> {
    task_entries()?.get(key).copied().ok_or_else(|| {
        let build = build().unwrap_or_default();
        Error::invalid(format!(
            "this program (build {build:016x}) has no task `{key}`: it is another program, or \
             another build of it"
        ))
    })
}

/// The facts of all tasks, if their keys are in order.
pub(crate) fn task_infos() -> impl Iterator<Item = &'static TaskInfo> {
    let entries = task_entries().into_iter().flat_map(HashMap::values);
    entries.map(|entry| entry.info)
}

/// The tasks or the flows of a program; see [`tasks`] and [`flows`].
#[derive(Debug)]
pub struct Definitions {
    kind: DefinitionKind,
    by_key: Vec<&'static dyn Definition>,
}

impl Definitions {
    fn of<E: Entry>(entries: &HashMap<&'static str, &'static E>) -> Self {
        let mut by_key: Vec<_> = entries.values().map(|entry| entry.definition()).collect();
        by_key.sort_unstable_by_key(|definition| definition.key());
        Self {
            kind: E::KIND,
            by_key,
        }
    }

    /// The one of this key, or of this name if no other has it.
    ///
    /// # Errors
    ///
    /// There is none, or several have the name; the error names those that
    /// there are.
    pub fn get(&self, name: &str) -> Result<&'static dyn Definition> {
        let by_key = self.by_key.binary_search_by_key(&name, |it| it.key());
        if let Ok(at) = by_key {
            return Ok(self.by_key[at]);
        }
        let named: Vec<_> = self.iter().filter(|it| it.name() == name).collect();
        let kind = self.kind.word();
        match named[..] {
            [definition] => Ok(definition),
            [] => Err(Error::invalid(format!(
                "this program has no {kind} `{name}`; {}",
                match (&self.by_key[..], self.nearest(name)) {
                    ([], _) => format!("it has no {kind} at all"),
                    (_, Some(near)) => format!("did you mean `{near}`?"),
                    _ => format!(
                        "its {kind}s are {}",
                        listed(self.iter().map(Definition::name))
                    ),
                }
            ))),
            _ => Err(Error::invalid(format!(
                "{} {kind}s are called `{name}`: take the key instead, one of {}",
                named.len(),
                listed(named.iter().map(|it| it.key()))
            ))),
        }
    }

    /// The name or key that was meant, if one is near enough: at most a third
    /// of its letters is another, as the compiler has it.
    fn nearest(&self, word: &str) -> Option<&'static str> {
        let known = self.iter().flat_map(|it| [it.name(), it.key()]);
        let mistakes = |known: &str| strsim::osa_distance(word, known);
        known
            .map(|known| (mistakes(known), known))
            .filter(|(mistakes, known)| {
                let longer = word.chars().count().max(known.chars().count());
                *mistakes <= (longer / 3).max(1) && *mistakes < longer
            })
            .min_by_key(|(mistakes, _)| *mistakes)
            .map(|(_, known)| known)
    }

    /// All of them, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = &'static dyn Definition> + use<'_> {
        self.by_key.iter().copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

impl<'a> IntoIterator for &'a Definitions {
    type Item = &'static dyn Definition;
    type IntoIter = std::iter::Copied<std::slice::Iter<'a, &'static dyn Definition>>;

    fn into_iter(self) -> Self::IntoIter {
        self.by_key.iter().copied()
    }
}

/// `a, b, c and 7 more`, so that an error stays readable.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let names: Vec<_> = names.collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry by its key and line, without a definition.
    struct Placed(&'static str, u32);

    impl Entry for Placed {
        const KIND: DefinitionKind = DefinitionKind::Flow;

        fn key(&self) -> &'static str {
            self.0
        }

        fn place(&self) -> (&'static str, u32) {
            ("m.rs", self.1)
        }

        fn definition(&'static self) -> &'static dyn Definition {
            unreachable!("keys are compared without it")
        }
    }

    #[test]
    fn flows_with_one_key_are_told_with_both_places() {
        static ENTRIES: [Placed; 3] = [Placed("m::f", 9), Placed("m::g", 3), Placed("m::f", 4)];
        assert_eq!(by_key(&ENTRIES[..2]).unwrap().len(), 2);
        let error = by_key(&ENTRIES).err().expect("one key stands twice");
        assert_eq!(
            error.to_string(),
            "two flows have the key `m::f`: m.rs:4 and m.rs:9; rename one of the functions, or \
             move it to another module"
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<_> = (0..22).map(|number| number.to_string()).collect();
        let text = listed(names.iter().map(String::as_str));
        assert!(text.ends_with("18, 19 and 2 more"), "{text}");
        assert_eq!(listed(["a", "b"].into_iter()), "a, b");
    }
}
