//! The machine that reads a pickle: a stack, marks on it, and a memo.
//!
//! It makes [`Tree`]'s nodes and knows nothing of what they mean. Each opcode makes at most one
//! node and no length in the bytes is believed before the bytes are there, so memory is bounded by
//! the length of the pickle.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::error::PickleError;
use super::object::{Global, Object};
use super::opcode;
use super::tree::{Node, Slot, Tree};

/// Reads a pickle.
///
/// # Errors
///
/// If the bytes are no pickle of protocol 2 to 5, or hold what is no data (persistent objects,
/// extension codes), or are deeper, more shared or otherwise larger than data is.
///
/// # Example
///
/// ```
/// use flowdask::wire::pickle::{self, Object};
///
/// let two = pickle::read(&b"\x80\x04K\x02.".as_slice().into())?;
/// assert_eq!(two, Object::Integer(2));
/// # Ok::<(), pickle::PickleError>(())
/// ```
pub fn read(pickle: &Bytes) -> Result<Object, PickleError> {
    read_with_buffers(pickle, &[])
}

/// As [`read`], with the buffers that came beside the pickle.
///
/// # Errors
///
/// As [`read`], and if there are too few buffers.
pub fn read_with_buffers(pickle: &Bytes, buffers: &[Bytes]) -> Result<Object, PickleError> {
    let beside: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
    let mut machine = Machine {
        pickle,
        position: 0,
        buffers: buffers.iter(),
        tree: Tree::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let top = machine.run()?;
    machine
        .tree
        .into_object(top, beside.saturating_add(pickle.len() as u64))
}

struct Machine<'a> {
    pickle: &'a Bytes,
    position: usize,
    buffers: std::slice::Iter<'a, Bytes>,
    tree: Tree,
    stack: Vec<Slot>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Slot>,
}

type Result<T, E = PickleError> = std::result::Result<T, E>;

impl Machine<'_> {
    /// Runs to the end; what is left on top is what the pickle says.
    fn run(&mut self) -> Result<Slot> {
        loop {
            let at = At {
                position: self.position,
                opcode: self.byte()?,
            };
            if at.opcode == opcode::STOP {
                let top = self.pop(at)?;
                let left = self.pickle.len() - self.position;
                if left > 0 {
                    let position = self.position;
                    return Err(PickleError::Trailing { position, left });
                }
                return Ok(top);
            }
            self.step(at)?;
        }
    }

    fn step(&mut self, at: At) -> Result<()> {
        match at.opcode {
            opcode::PROTO => match self.byte()? {
                2..=5 => {}
                found => return Err(PickleError::Protocol { found }),
            },
            // How much to read at once: all is here already.
            opcode::FRAME => drop(self.take(8)?),

            opcode::NONE => self.push(Object::None),
            opcode::NEWTRUE => self.push(Object::Boolean(true)),
            opcode::NEWFALSE => self.push(Object::Boolean(false)),
            opcode::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Object::Integer(value.into()));
            }
            opcode::BININT1 => {
                let value = self.byte()?;
                self.push(Object::Integer(value.into()));
            }
            opcode::BININT2 => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Object::Integer(value.into()));
            }
            opcode::LONG1 => self.long(1)?,
            opcode::LONG4 => self.long(4)?,
            opcode::BINFLOAT => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Object::Float(value));
            }
            opcode::SHORT_BINUNICODE => self.string(1)?,
            opcode::BINUNICODE => self.string(4)?,
            opcode::BINUNICODE8 => self.string(8)?,
            opcode::SHORT_BINBYTES => self.bytes(1, Object::Bytes)?,
            opcode::BINBYTES => self.bytes(4, Object::Bytes)?,
            opcode::BINBYTES8 => self.bytes(8, Object::Bytes)?,
            opcode::BYTEARRAY8 => self.bytes(8, Object::ByteArray)?,
            opcode::NEXT_BUFFER => {
                let buffer = self.buffers.next();
                let buffer = buffer.ok_or(at.needs("a buffer beside the pickle"))?;
                self.push(Object::Buffer(buffer.clone()));
            }
            // Nothing that is read here can be written to.
            opcode::READONLY_BUFFER => {}

            opcode::EMPTY_TUPLE => self.push_node(Node::Tuple(Vec::new())),
            opcode::TUPLE1 => self.tuple(1, at)?,
            opcode::TUPLE2 => self.tuple(2, at)?,
            opcode::TUPLE3 => self.tuple(3, at)?,
            opcode::TUPLE => {
                let elements = self.pop_to_mark(at)?;
                self.push_node(Node::Tuple(elements));
            }
            opcode::FROZENSET => {
                let elements = self.pop_to_mark(at)?;
                self.push_node(Node::FrozenSet(elements));
            }
            opcode::EMPTY_LIST => self.push_node(Node::List(Vec::new())),
            opcode::EMPTY_SET => self.push_node(Node::Set(Vec::new())),
            opcode::EMPTY_DICT => self.push_node(Node::Dict(Vec::new())),
            opcode::LIST => {
                let elements = self.pop_to_mark(at)?;
                self.push_node(Node::List(elements));
            }
            opcode::DICT => {
                let entries = pairs(self.pop_to_mark(at)?, at)?;
                self.push_node(Node::Dict(entries));
            }

            opcode::APPEND => {
                let element = self.pop(at)?;
                self.append(vec![element], at)?;
            }
            opcode::APPENDS => {
                let elements = self.pop_to_mark(at)?;
                self.append(elements, at)?;
            }
            opcode::ADDITEMS => {
                let elements = self.pop_to_mark(at)?;
                match self.top_node(at)? {
                    Node::Set(items) | Node::Instance { items, .. } => items.extend(elements),
                    _ => return Err(at.needs("a set")),
                }
            }
            opcode::SETITEM => {
                let (value, key) = (self.pop(at)?, self.pop(at)?);
                self.set_items(vec![(key, value)], at)?;
            }
            opcode::SETITEMS => {
                let entries = pairs(self.pop_to_mark(at)?, at)?;
                self.set_items(entries, at)?;
            }

            opcode::GLOBAL => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Object::Global(Arc::new(Global { module, name })));
            }
            opcode::STACK_GLOBAL => {
                let (name, module) = (self.pop(at)?, self.pop(at)?);
                let (Slot::Leaf(Object::String(module)), Slot::Leaf(Object::String(name))) =
                    (module, name)
                else {
                    return Err(at.needs("two strings"));
                };
                self.push(Object::Global(Arc::new(Global { module, name })));
            }
            opcode::REDUCE | opcode::NEWOBJ => {
                let (arguments, class) = (self.pop(at)?, self.pop(at)?);
                self.push_node(Node::instance(class, arguments, None));
            }
            opcode::NEWOBJ_EX => {
                let (keywords, arguments) = (self.pop(at)?, self.pop(at)?);
                let class = self.pop(at)?;
                self.push_node(Node::instance(class, arguments, Some(keywords)));
            }
            opcode::BUILD => {
                let new = self.pop(at)?;
                match self.top_node(at)? {
                    Node::Instance { state, .. } => *state = Some(new),
                    _ => return Err(at.needs("an instance")),
                }
            }

            opcode::MARK => self.marks.push(self.stack.len()),
            opcode::POP_MARK => drop(self.pop_to_mark(at)?),
            opcode::POP => {
                // A mark counts as an entry of the stack.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop(at)?;
                }
            }
            opcode::DUP => {
                let top = self.top(at)?.clone();
                self.stack.push(top);
            }
            opcode::MEMOIZE => {
                let index = u32::try_from(self.memo.len())
                    .map_err(|_| at.needs("a memo of less than 2^32 objects"))?;
                self.put(index, at)?;
            }
            opcode::BINPUT => {
                let index = self.byte()?;
                self.put(index.into(), at)?;
            }
            opcode::LONG_BINPUT => {
                let index = u32::from_le_bytes(self.array()?);
                self.put(index, at)?;
            }
            opcode::BINGET => {
                let index = self.byte()?;
                self.get(index.into(), at)?;
            }
            opcode::LONG_BINGET => {
                let index = u32::from_le_bytes(self.array()?);
                self.get(index, at)?;
            }
            opcode => {
                let position = at.position;
                return Err(PickleError::Opcode { opcode, position });
            }
        }
        Ok(())
    }

    fn push(&mut self, object: Object) {
        self.stack.push(Slot::Leaf(object));
    }

    fn push_node(&mut self, node: Node) {
        self.stack.push(self.tree.add(node));
    }

    /// How far down the stack may be read: to the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self, at: At) -> Result<Slot> {
        if self.stack.len() <= self.floor() {
            return Err(at.needs("more on the stack"));
        }
        self.stack.pop().ok_or(at.needs("more on the stack"))
    }

    fn pop_to_mark(&mut self, at: At) -> Result<Vec<Slot>> {
        let mark = self.marks.pop().ok_or(at.needs("a mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self, at: At) -> Result<&Slot> {
        let above = self.stack.get(self.floor()..).unwrap_or_default();
        above.last().ok_or(at.needs("more on the stack"))
    }

    fn top_node(&mut self, at: At) -> Result<&mut Node> {
        let &Slot::Node(index) = self.top(at)? else {
            return Err(at.needs("an object that can be changed"));
        };
        Ok(self.tree.node(index))
    }

    fn tuple(&mut self, length: usize, at: At) -> Result<()> {
        let above = self.stack.len() - self.floor();
        if above < length {
            return Err(at.needs("more on the stack"));
        }
        let elements = self.stack.split_off(self.stack.len() - length);
        self.push_node(Node::Tuple(elements));
        Ok(())
    }

    fn append(&mut self, elements: Vec<Slot>, at: At) -> Result<()> {
        match self.top_node(at)? {
            Node::List(items) | Node::Instance { items, .. } => items.extend(elements),
            _ => return Err(at.needs("a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, new: Vec<(Slot, Slot)>, at: At) -> Result<()> {
        match self.top_node(at)? {
            Node::Dict(entries) | Node::Instance { entries, .. } => entries.extend(new),
            _ => return Err(at.needs("a dict")),
        }
        Ok(())
    }

    fn put(&mut self, index: u32, at: At) -> Result<()> {
        let top = self.top(at)?.clone();
        self.memo.insert(index, top);
        Ok(())
    }

    fn get(&mut self, index: u32, at: At) -> Result<()> {
        let known = self.memo.get(&index);
        let slot = known.ok_or(at.needs("an object that was memoized"))?;
        self.stack.push(slot.clone());
        Ok(())
    }

    fn long(&mut self, width: u64) -> Result<()> {
        let bytes = self.counted(width)?;
        self.push(integer(&bytes));
        Ok(())
    }

    fn string(&mut self, width: u64) -> Result<()> {
        let bytes = self.counted(width)?;
        let text = self.text(&bytes)?;
        self.push(Object::String(text));
        Ok(())
    }

    fn bytes(&mut self, width: u64, object: fn(Bytes) -> Object) -> Result<()> {
        let bytes = self.counted(width)?;
        self.push(object(bytes));
        Ok(())
    }

    /// The bytes that end here, as text.
    fn text(&self, bytes: &[u8]) -> Result<Arc<str>> {
        let text = std::str::from_utf8(bytes).map_err(|_| PickleError::Utf8 {
            position: self.position - bytes.len(),
        })?;
        Ok(text.into())
    }

    /// Bytes with their length before them, in this many bytes.
    fn counted(&mut self, width: u64) -> Result<Bytes> {
        let mut length = [0; 8];
        let prefix = self.take(width)?;
        length[..prefix.len()].copy_from_slice(&prefix);
        self.take(u64::from_le_bytes(length))
    }

    fn line(&mut self) -> Result<Arc<str>> {
        let rest = &self.pickle[self.position..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or(PickleError::Truncated {
            position: self.pickle.len(),
            wanted: 1,
        })?;
        let line = self.take(end as u64)?;
        let text = self.text(&line)?;
        self.position += 1;
        Ok(text)
    }

    fn byte(&mut self) -> Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(&self.take(N as u64)?);
        Ok(array)
    }

    fn take(&mut self, length: u64) -> Result<Bytes> {
        let position = self.position;
        let left = (self.pickle.len() - position) as u64;
        if length > left {
            let wanted = length - left;
            return Err(PickleError::Truncated { position, wanted });
        }
        // No more than what is left, which is a `usize`.
        self.position += length as usize;
        Ok(self.pickle.slice(position..self.position))
    }
}

/// Which opcode, and where: for errors.
#[derive(Clone, Copy)]
struct At {
    opcode: u8,
    position: usize,
}

impl At {
    fn needs(self, needs: &'static str) -> PickleError {
        PickleError::Stack {
            opcode: self.opcode,
            position: self.position,
            needs,
        }
    }
}

fn pairs(slots: Vec<Slot>, at: At) -> Result<Vec<(Slot, Slot)>> {
    if !slots.len().is_multiple_of(2) {
        return Err(at.needs("keys with values"));
    }
    let mut slots = slots.into_iter();
    Ok(std::iter::from_fn(|| Some((slots.next()?, slots.next()?))).collect())
}

/// An integer from its two's complement, little endian.
fn integer(bytes: &Bytes) -> Object {
    let negative = bytes.last().is_some_and(|&last| last >= 0x80);
    let sign = if negative { 0xff } else { 0 };
    let mut length = bytes.len();
    // The last byte is needless if the one before it has the same sign.
    while length >= 2 && bytes[length - 1] == sign && (bytes[length - 2] >= 0x80) == negative {
        length -= 1;
    }
    if length > 8 {
        return Object::BigInteger(bytes.slice(..length));
    }
    let mut small = [sign; 8];
    small[..length].copy_from_slice(&bytes[..length]);
    Object::Integer(i64::from_le_bytes(small))
}
