//! Graphs on their way to the scheduler (protocol, section 6.2).
//!
//! Owns how a large graph is cut: the scheduler reads a message in one piece and
//! does nothing else meanwhile, so one of a million tasks would stop the cluster.

use std::collections::{HashMap, HashSet};

use super::message::ClientMessage;
use super::{Client, ClientError, Future};
use crate::Release;
use crate::graph::{self, TaskNode};
use crate::wire::{Key, Value};

/// How many tasks travel in one message at most: the scheduler takes a quarter of
/// a second for them.
const TASKS: usize = 5_000;

/// How many bytes of payloads travel in one message, unless one is larger.
const BYTES: usize = 16 << 20;

/// Graphs that are sent within so many seconds are of one generation: none of
/// them runs before the other. Python's default for `compute` is 60 s, for
/// `submit` 0.1 s.
const FIFO_TIMEOUT: f64 = 0.1;

/// How the tasks of a graph are to run; see [`Client::submit_graph`].
#[derive(Clone, Debug, Default)]
pub struct SubmitOptions {
    annotations: Vec<(Value, Value)>,
    submitting_task: Option<Key>,
}

impl SubmitOptions {
    /// Adds an annotation, which Dask carries to the workers. Its own are set by
    /// the other methods.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.annotations
            .retain(|(other, _)| other.as_str() != Some(name));
        self.annotations.push((name.into(), value.into()));
        self
    }

    /// Tasks of higher priority run first; 0 is Dask's default.
    #[must_use]
    pub fn priority(self, priority: i64) -> Self {
        self.annotation("priority", priority)
    }

    /// How often the scheduler runs a task again that failed.
    #[must_use]
    pub fn retries(self, retries: u32) -> Self {
        self.annotation("retries", retries)
    }

    /// What each task takes of its worker's resources; it waits for a worker that
    /// has as much.
    #[must_use]
    pub fn resources<'a>(self, resources: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let resources = resources
            .into_iter()
            .map(|(name, amount)| (name.into(), amount.into()))
            .collect();
        self.annotation("resources", Value::Map(resources))
    }

    /// Where the tasks may run: addresses, names or hosts of workers.
    #[must_use]
    pub fn workers<'a>(self, workers: impl IntoIterator<Item = &'a str>) -> Self {
        let workers: Value = workers.into_iter().collect();
        self.annotation("workers", workers)
    }

    /// Whether [`workers`](Self::workers) is only a wish.
    #[must_use]
    pub fn allow_other_workers(self, allow: bool) -> Self {
        self.annotation("allow_other_workers", allow)
    }

    /// The task that submits this graph. Its children run before what was
    /// submitted after it.
    #[must_use]
    pub fn submitting_task(mut self, key: Key) -> Self {
        self.submitting_task = Some(key);
        self
    }

    fn message(&self, part: &Part, release: Release) -> ClientMessage {
        let order = part.nodes.iter().enumerate().map(|(place, node)| {
            let place = part.first + place;
            ((&node.key).into(), place.into())
        });
        let mut members: Vec<(Value, Value)> = vec![
            ("op".into(), "update-graph".into()),
            (
                "keys".into(),
                Value::Set(part.keys.iter().map(Value::from).collect()),
            ),
            ("internal_priority".into(), Value::Map(order.collect())),
            (
                "submitting_task".into(),
                self.submitting_task.as_ref().map(Value::from).into(),
            ),
            ("fifo_timeout".into(), FIFO_TIMEOUT.into()),
            ("actors".into(), false.into()),
            ("code".into(), Value::List(Vec::new())),
            ("annotations".into(), Value::Map(self.annotations.clone())),
            // Required; must be empty or pickled (protocol, trap 7).
            ("span_metadata".into(), Value::Map(Vec::new())),
        ];
        for (name, value) in
            graph::graph_members(&part.nodes, release, uuid::Uuid::new_v4().as_u128())
        {
            members.push((name.into(), value));
        }
        ClientMessage::UpdateGraph(Value::Map(members))
    }
}

/// What travels in one message.
#[derive(Debug, PartialEq)]
struct Part {
    nodes: Vec<TaskNode>,
    /// The place of the first task in the order of the whole graph.
    first: usize,
    /// What the client wants to hold of this part.
    keys: Vec<Key>,
}

/// How much a part may hold.
#[derive(Clone, Copy)]
struct Limits {
    tasks: usize,
    bytes: usize,
}

/// Cuts a graph. The scheduler drops what no key of a message needs, so the
/// client holds what later parts need too: those keys come second.
fn cut(nodes: Vec<TaskNode>, keys: &[Key], limits: Limits) -> (Vec<Part>, Vec<Key>) {
    let size = |node: &TaskNode| node.payload.len();
    if nodes.len() <= limits.tasks && nodes.iter().map(size).sum::<usize>() <= limits.bytes {
        let keys = keys.to_vec();
        let part = Part {
            nodes,
            first: 0,
            keys,
        };
        return (vec![part], Vec::new());
    }

    let mut parts: Vec<Part> = Vec::new();
    let mut home: HashMap<Key, usize> = HashMap::new();
    let mut needed: Vec<HashSet<Key>> = Vec::new();
    let mut bytes: usize = 0;
    for (first, node) in sorted(nodes).into_iter().enumerate() {
        let is_full = parts.last().is_none_or(|part| {
            part.nodes.len() >= limits.tasks || bytes.saturating_add(size(&node)) > limits.bytes
        });
        if is_full {
            bytes = 0;
            needed.push(HashSet::new());
            parts.push(Part {
                nodes: Vec::new(),
                first,
                keys: Vec::new(),
            });
        }
        bytes += size(&node);
        let here = parts.len() - 1;
        for dependency in &node.dependencies {
            match home.get(dependency) {
                Some(&there) if there < here => {
                    needed[there].insert(dependency.clone());
                }
                _ => {}
            }
        }
        home.insert(node.key.clone(), here);
        parts[here].nodes.push(node);
    }

    let wanted: HashSet<&Key> = keys.iter().collect();
    let last = parts.len() - 1;
    let mut passing = Vec::new();
    for key in &wanted {
        // A key that is in no part is known to the scheduler already, or wrong:
        // it will say so.
        let place = home.get(*key).copied().unwrap_or(last);
        parts[place].keys.push((*key).clone());
    }
    for (part, needed) in parts.iter_mut().zip(needed) {
        for key in needed {
            if !wanted.contains(&key) {
                passing.push(key.clone());
                part.keys.push(key);
            }
        }
        part.keys.sort_unstable();
    }
    passing.sort_unstable();
    (parts, passing)
}

/// The same tasks, each behind those that it needs; otherwise in their order.
/// Tasks that need themselves come last, for the scheduler to refuse.
fn sorted(nodes: Vec<TaskNode>) -> Vec<TaskNode> {
    let mut placed = HashSet::new();
    let names: HashSet<Key> = nodes.iter().map(|node| node.key.clone()).collect();
    let is_sorted = nodes.iter().all(|node| {
        placed.insert(node.key.clone());
        let mut needs = node.dependencies.iter();
        needs.all(|key| !names.contains(key) || placed.contains(key))
    });
    if is_sorted {
        return nodes;
    }

    let mut missing: Vec<usize> = Vec::with_capacity(nodes.len());
    let mut waiting: HashMap<Key, Vec<usize>> = HashMap::new();
    for (place, node) in nodes.iter().enumerate() {
        let needs: HashSet<&Key> = node
            .dependencies
            .iter()
            .filter(|key| names.contains(key))
            .collect();
        missing.push(needs.len());
        for key in needs {
            waiting.entry(key.clone()).or_default().push(place);
        }
    }
    let mut nodes: Vec<Option<TaskNode>> = nodes.into_iter().map(Some).collect();
    let mut ready: std::collections::BTreeSet<usize> = (0..nodes.len())
        .filter(|&place| missing[place] == 0)
        .collect();
    let mut result = Vec::with_capacity(nodes.len());
    while let Some(place) = ready.pop_first() {
        let Some(node) = nodes[place].take() else {
            continue;
        };
        for &dependent in waiting.get(&node.key).into_iter().flatten() {
            missing[dependent] -= 1;
            if missing[dependent] == 0 {
                ready.insert(dependent);
            }
        }
        result.push(node);
    }
    result.extend(nodes.into_iter().flatten());
    result
}

impl Client {
    /// Submits tasks, and wants the values of `keys`. Tasks that none of those
    /// needs are not run. Dependencies are in the same graph, or keys that a
    /// handle of this process keeps. Never waits.
    ///
    /// A key that the scheduler has already keeps its old task: give keys that
    /// are used once.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`]. What the scheduler does not like about a graph
    /// ends its futures.
    pub fn submit_graph(
        &self,
        nodes: Vec<TaskNode>,
        keys: &[Key],
        options: &SubmitOptions,
    ) -> Result<Vec<Future>, ClientError> {
        let limits = Limits {
            tasks: TASKS,
            bytes: BYTES,
        };
        let release = self.release();
        let (parts, passing) = cut(nodes, keys, limits);
        let messages = parts
            .iter()
            .map(|part| options.message(part, release))
            .collect();
        let entries = self
            .shared()
            .apply(|core| core.state.submit(keys, messages, passing))?;
        Ok(self.handles(keys, entries))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn key(index: usize) -> Key {
        Key::from(format!("task-{index}"))
    }

    /// Graphs in any order, whose tasks need tasks of lower numbers, and what is
    /// wanted of them.
    fn graphs() -> impl Strategy<Value = (Vec<TaskNode>, Vec<Key>)> {
        let needs = prop::collection::vec(
            prop::collection::vec(any::<prop::sample::Index>(), 0..3),
            1..40,
        );
        (needs, any::<u64>()).prop_flat_map(|(needs, wanted)| {
            let nodes: Vec<TaskNode> = needs
                .into_iter()
                .enumerate()
                .map(|(place, needs)| TaskNode {
                    key: key(place),
                    payload: Bytes::from(vec![0; place % 7]),
                    dependencies: match place {
                        0 => Vec::new(),
                        _ => needs.iter().map(|need| key(need.index(place))).collect(),
                    },
                })
                .collect();
            let keys = (0..nodes.len())
                .filter(|place| wanted >> (place % 64) & 1 == 1)
                .map(key)
                .collect();
            (Just(nodes).prop_shuffle(), Just(keys))
        })
    }

    proptest! {
        /// What the scheduler does with the parts: it drops what a part's keys do
        /// not need, and refuses what needs a task that it does not know.
        #[test]
        fn parts_arrive_as_the_whole_would(
            (nodes, keys) in graphs(),
            tasks in 1_usize..8,
            bytes in 1_usize..20,
        ) {
            let whole: HashMap<Key, Vec<Key>> = nodes
                .iter()
                .map(|node| (node.key.clone(), node.dependencies.clone()))
                .collect();
            let (parts, passing) = cut(nodes, &keys, Limits { tasks, bytes });

            let mut known: HashSet<Key> = HashSet::new();
            let mut held: HashSet<Key> = HashSet::new();
            let mut next = 0;
            for part in &parts {
                let size: usize = part.nodes.iter().map(|node| node.payload.len()).sum();
                if parts.len() > 1 {
                    prop_assert!(part.nodes.len() <= tasks);
                    prop_assert!(size <= bytes || part.nodes.len() == 1);
                }
                prop_assert_eq!(part.first, next);
                next += part.nodes.len();
                let here: HashMap<&Key, &TaskNode> =
                    part.nodes.iter().map(|node| (&node.key, node)).collect();
                let mut todo: Vec<Key> = part.keys.clone();
                held.extend(part.keys.iter().cloned());
                while let Some(key) = todo.pop() {
                    match here.get(&key) {
                        Some(node) => {
                            if known.insert(key) {
                                todo.extend(node.dependencies.iter().cloned());
                            }
                        }
                        None => prop_assert!(held.contains(&key) && known.contains(&key)),
                    }
                }
            }
            prop_assert_eq!(next, whole.len());

            // All that is wanted and all that it needs has arrived, and only
            // what is wanted stays held.
            let mut todo = keys.clone();
            let mut seen = HashSet::new();
            while let Some(key) = todo.pop() {
                prop_assert!(known.contains(&key));
                if seen.insert(key.clone()) {
                    todo.extend(whole[&key].iter().cloned());
                }
            }
            for key in passing {
                prop_assert!(held.remove(&key));
            }
            prop_assert_eq!(held, keys.into_iter().collect::<HashSet<_>>());
        }
    }

    #[test]
    fn tasks_that_need_themselves_are_sent_for_the_scheduler_to_refuse() {
        let node = |name: usize, needs: usize| TaskNode {
            key: key(name),
            payload: Bytes::new(),
            dependencies: vec![key(needs)],
        };
        let limits = Limits { tasks: 2, bytes: 9 };
        let (parts, _) = cut(vec![node(0, 1), node(1, 2), node(2, 0)], &[key(0)], limits);
        assert_eq!(parts.iter().map(|part| part.nodes.len()).sum::<usize>(), 3);
    }
}
