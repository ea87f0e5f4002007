//! What is being read: nodes that name each other, until all of it is there.
//!
//! A pickle changes objects after others have come to hold them, and may make one that holds
//! itself. So the reader's nodes name each other by number; at the end they become [`Object`]s,
//! which are finite and no deeper than [`MAX_DEPTH`].

use std::mem;
use std::sync::Arc;

use super::error::PickleError;
use super::object::{Instance, Object};

/// How deep objects may be within objects: deeper than data that people write, and far from what
/// the stack of a thread bears.
const MAX_DEPTH: usize = 256;

/// What any pickle may unfold to, in bytes: shared objects counted as often as they occur.
const MAX_UNFOLDED: u64 = 256 << 20;

/// What a large pickle may unfold to, for each of its own bytes.
const MAX_UNFOLDED_PER_BYTE: u64 = 8;

/// Something on the stack: final, or a node that may still change.
#[derive(Clone)]
pub(super) enum Slot {
    Leaf(Object),
    Node(usize),
}

/// An object that holds others.
pub(super) enum Node {
    List(Vec<Slot>),
    Tuple(Vec<Slot>),
    Set(Vec<Slot>),
    FrozenSet(Vec<Slot>),
    Dict(Vec<(Slot, Slot)>),
    Instance {
        class: Slot,
        arguments: Slot,
        keywords: Option<Slot>,
        state: Option<Slot>,
        items: Vec<Slot>,
        entries: Vec<(Slot, Slot)>,
    },
}

impl Node {
    pub(super) fn instance(class: Slot, arguments: Slot, keywords: Option<Slot>) -> Self {
        Self::Instance {
            class,
            arguments,
            keywords,
            state: None,
            items: Vec::new(),
            entries: Vec::new(),
        }
    }
}

#[derive(Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    pub(super) fn add(&mut self, node: Node) -> Slot {
        self.nodes.push(node);
        Slot::Node(self.nodes.len() - 1)
    }

    pub(super) fn node(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }

    /// The object that a slot has become; `length` is that of the pickle.
    pub(super) fn into_object(self, top: Slot, length: u64) -> Result<Object, PickleError> {
        let mut finisher = Finisher {
            nodes: self.nodes.into_iter().map(Progress::Waiting).collect(),
            depth: 0,
        };
        let top = finisher.slot(top)?;
        let limit = MAX_UNFOLDED.saturating_add(length.saturating_mul(MAX_UNFOLDED_PER_BYTE));
        if top.unfolded > limit {
            return Err(PickleError::Unfolds { length, limit });
        }
        Ok(top.object)
    }
}

/// How far a node has come.
enum Progress {
    Waiting(Node),
    /// It is being finished: whoever meets it now is within it.
    Open,
    Done(Finished),
}

#[derive(Clone)]
struct Finished {
    object: Object,
    /// How many objects deep it is.
    height: usize,
    /// How many bytes it would be with nothing shared.
    unfolded: u64,
}

impl Finished {
    const RECURSIVE: Self = Self {
        object: Object::Recursive,
        height: 0,
        unfolded: 1,
    };
}

/// Makes objects of nodes, each once.
struct Finisher {
    nodes: Vec<Progress>,
    /// How many nodes are open.
    depth: usize,
}

type Result<T, E = PickleError> = std::result::Result<T, E>;

impl Finisher {
    fn slot(&mut self, slot: Slot) -> Result<Finished> {
        match slot {
            Slot::Leaf(object) => Ok(Finished {
                unfolded: leaf_size(&object),
                object,
                height: 0,
            }),
            Slot::Node(index) => self.node(index),
        }
    }

    fn node(&mut self, index: usize) -> Result<Finished> {
        let node = match mem::replace(&mut self.nodes[index], Progress::Open) {
            Progress::Waiting(node) => node,
            Progress::Open => return Ok(Finished::RECURSIVE),
            Progress::Done(finished) => {
                self.nodes[index] = Progress::Done(finished.clone());
                return Ok(finished);
            }
        };
        // Both are needed: the depth bounds this function's own recursion, the height also that of
        // an object which is finished and is met again further down.
        self.depth += 1;
        check_depth(self.depth)?;
        let mut totals = Totals::default();
        let object = self.object(node, &mut totals)?;
        let height = totals.height + 1;
        check_depth(height)?;
        self.depth -= 1;
        let finished = Finished {
            object,
            height,
            unfolded: totals.unfolded.saturating_add(1),
        };
        self.nodes[index] = Progress::Done(finished.clone());
        Ok(finished)
    }

    fn object(&mut self, node: Node, totals: &mut Totals) -> Result<Object> {
        Ok(match node {
            Node::List(items) => Object::List(self.all(items, totals)?),
            Node::Tuple(items) => Object::Tuple(self.all(items, totals)?),
            Node::Set(items) => Object::Set(self.all(items, totals)?),
            Node::FrozenSet(items) => Object::FrozenSet(self.all(items, totals)?),
            Node::Dict(entries) => Object::Dict(self.pairs(entries, totals)?),
            Node::Instance {
                class,
                arguments,
                keywords,
                state,
                items,
                entries,
            } => Object::Instance(Arc::new(Instance {
                class: self.part(class, totals)?,
                arguments: self.part(arguments, totals)?,
                keywords: keywords.map(|slot| self.part(slot, totals)).transpose()?,
                state: state.map(|slot| self.part(slot, totals)).transpose()?,
                items: self.all(items, totals)?,
                entries: self.pairs(entries, totals)?,
            })),
        })
    }

    fn all<C: FromIterator<Object>>(&mut self, slots: Vec<Slot>, totals: &mut Totals) -> Result<C> {
        slots
            .into_iter()
            .map(|slot| self.part(slot, totals))
            .collect()
    }

    fn pairs<C: FromIterator<(Object, Object)>>(
        &mut self,
        slots: Vec<(Slot, Slot)>,
        totals: &mut Totals,
    ) -> Result<C> {
        let pair = |(key, value)| Ok((self.part(key, totals)?, self.part(value, totals)?));
        slots.into_iter().map(pair).collect()
    }

    fn part(&mut self, slot: Slot, totals: &mut Totals) -> Result<Object> {
        let part = self.slot(slot)?;
        totals.height = totals.height.max(part.height);
        totals.unfolded = totals.unfolded.saturating_add(part.unfolded);
        Ok(part.object)
    }
}

/// What the parts of an object come to.
#[derive(Default)]
struct Totals {
    height: usize,
    unfolded: u64,
}

fn check_depth(depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(PickleError::Depth { limit: MAX_DEPTH });
    }
    Ok(())
}

fn leaf_size(object: &Object) -> u64 {
    let content = match object {
        Object::String(text) => text.len(),
        Object::Bytes(bytes)
        | Object::ByteArray(bytes)
        | Object::Buffer(bytes)
        | Object::BigInteger(bytes) => bytes.len(),
        Object::Global(global) => global.module.len() + global.name.len(),
        _ => 8,
    };
    content as u64 + 1
}
