//! The graph member of `update-graph`, for each release that is worked with.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::keys::write_key;
use super::{CALLABLE, TASK_SPEC};
use crate::Release;
use crate::wire::pickle::{Memoized, Writer};
use crate::wire::{Key, Serialized, Value};

/// One task of a graph, for Rust workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskNode {
    /// Its key, which is also that of its result.
    pub key: Key,
    /// What is to be done. A Python worker that runs it by mistake fails with `TypeError`.
    pub payload: Bytes,
    /// The results it needs, in the order of its arguments.
    pub dependencies: Vec<Key>,
}

/// The members of `update-graph` that hold the graph (protocol, sections 6.3 and 16).
///
/// The token names the graph; it must be another one for each.
pub(crate) fn graph_members(
    nodes: &[TaskNode],
    release: Release,
    token: u128,
) -> Vec<(&'static str, Value)> {
    let mut graph = GraphWriter::new(nodes, release.has_task_objects());
    if release.has_graph_expression() {
        graph.expression(nodes, token);
        let header = vec![
            ("serializer".into(), "pickle".into()),
            ("writeable".into(), Value::List(Vec::new())),
        ];
        let expression = Serialized::new(header, vec![graph.finish()]);
        vec![("expr_ser", expression.into())]
    } else {
        graph.high_level_graph(nodes, token);
        let header = Value::map([
            ("serializer", "pickle".into()),
            ("writeable", Value::List(Vec::new())),
        ]);
        let frames = Value::List(vec![graph.finish().into()]);
        vec![("graph_header", header), ("graph_frames", frames)]
    }
}

/// Writes one graph. What occurs again is recalled: pickles become shorter, and the scheduler keeps
/// one copy of each key.
struct GraphWriter<'a> {
    writer: Writer,
    /// Tasks are objects, not tuples.
    objects: bool,
    /// The keys of this graph; only tuples ask for them.
    within: HashSet<&'a Key>,
    keys: HashMap<&'a Key, Memoized>,
    globals: HashMap<(&'static str, &'static str), Memoized>,
}

impl<'a> GraphWriter<'a> {
    fn new(nodes: &'a [TaskNode], objects: bool) -> Self {
        let within = if objects {
            HashSet::new()
        } else {
            nodes.iter().map(|node| &node.key).collect()
        };
        Self {
            writer: Writer::new(),
            objects,
            within,
            keys: HashMap::with_capacity(nodes.len()),
            globals: HashMap::new(),
        }
    }

    fn finish(self) -> Bytes {
        self.writer.finish().into()
    }

    /// `LLGExpr(graph, _determ_token=token)`. Without the token, the scheduler would hash the
    /// whole graph.
    fn expression(&mut self, nodes: &'a [TaskNode], token: u128) {
        self.writer.global("dask._expr", "LLGExpr");
        self.graph(nodes);
        self.writer.tuple_of(1);
        self.writer.empty_dict();
        self.writer.string("_determ_token");
        self.writer.string(&format!("{token:032x}"));
        self.writer.set_item();
        self.writer.new_object();
    }

    /// `ToPickle(HighLevelGraph.from_collections(name, graph))`, before 2025.4.
    fn high_level_graph(&mut self, nodes: &'a [TaskNode], token: u128) {
        self.writer
            .global("distributed.protocol.serialize", "ToPickle");
        self.writer
            .global("dask.highlevelgraph", "HighLevelGraph.from_collections");
        self.writer.string(&format!("flow-{token:032x}"));
        self.graph(nodes);
        self.writer.tuple_of(2);
        self.writer.reduce();
        self.writer.tuple_of(1);
        self.writer.reduce();
    }

    fn graph(&mut self, nodes: &'a [TaskNode]) {
        self.writer.empty_dict();
        self.writer.mark();
        for node in nodes {
            self.key(&node.key);
            if self.objects {
                self.object(node);
            } else {
                self.tuple(node);
            }
        }
        self.writer.set_items();
    }

    /// `Task(key, callable, payload, TaskRef(dependency), ..)`.
    fn object(&mut self, node: &'a TaskNode) {
        self.global((TASK_SPEC, "Task"));
        self.writer.mark();
        self.key(&node.key);
        self.global(CALLABLE);
        self.writer.bytes(&node.payload);
        for dependency in &node.dependencies {
            self.reference((TASK_SPEC, "TaskRef"), dependency);
        }
        self.writer.tuple();
        self.writer.reduce();
    }

    /// `(callable, payload, dependency, ..)`, before 2024.11.
    fn tuple(&mut self, node: &'a TaskNode) {
        self.writer.mark();
        self.global(CALLABLE);
        self.writer.bytes(&node.payload);
        for dependency in &node.dependencies {
            if self.within.contains(dependency) {
                self.key(dependency);
            } else {
                self.reference(("distributed.utils_comm", "WrappedKey"), dependency);
            }
        }
        self.writer.tuple();
    }

    fn reference(&mut self, class: (&'static str, &'static str), key: &'a Key) {
        self.global(class);
        self.key(key);
        self.writer.tuple_of(1);
        self.writer.reduce();
    }

    fn key(&mut self, key: &'a Key) {
        if let Some(&known) = self.keys.get(key) {
            self.writer.recall(known);
        } else {
            write_key(key, &mut self.writer);
            self.keys.insert(key, self.writer.memoize());
        }
    }

    fn global(&mut self, name: (&'static str, &'static str)) {
        if let Some(&known) = self.globals.get(&name) {
            self.writer.recall(known);
        } else {
            self.writer.global(name.0, name.1);
            self.globals.insert(name, self.writer.memoize());
        }
    }
}
