//! What a pickle says, as data.

use std::sync::Arc;

use bytes::Bytes;

/// What a pickle says.
///
/// What occurs several times in the pickle is shared and not copied. The reader has seen to it that
/// an object is no deeper than a stack bears and unfolds to no more than a small multiple of its
/// pickle, so code that walks through one needs no limits of its own.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Object {
    /// `None`.
    None,
    /// A `bool`.
    Boolean(bool),
    /// An `int` of at most 64 bits.
    Integer(i64),
    /// Any other `int`: two's complement, little endian, without needless bytes.
    BigInteger(Bytes),
    /// A `float`.
    Float(f64),
    /// A `str`.
    String(Arc<str>),
    /// A `bytes`.
    Bytes(Bytes),
    /// A `bytearray`.
    ByteArray(Bytes),
    /// A buffer that came beside the pickle.
    Buffer(Bytes),
    /// A `list`.
    List(Arc<[Object]>),
    /// A `tuple`.
    Tuple(Arc<[Object]>),
    /// A `set`.
    Set(Arc<[Object]>),
    /// A `frozenset`.
    FrozenSet(Arc<[Object]>),
    /// A `dict`.
    Dict(Arc<[(Object, Object)]>),
    /// A class or function, by name only.
    Global(Arc<Global>),
    /// What a class or function would make of its arguments.
    Instance(Arc<Instance>),
    /// An object that this one is within: functions may know themselves.
    Recursive,
}

/// The name of a class or function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// The module it would be imported from.
    pub module: Arc<str>,
    /// Its name there, with dots if it is within another.
    pub name: Arc<str>,
}

/// What a class or function would make of its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// What would be called: mostly a [`Global`].
    pub class: Object,
    /// The arguments: mostly a tuple.
    pub arguments: Object,
    /// The arguments with names.
    pub keywords: Option<Object>,
    /// The state that would be set afterwards.
    pub state: Option<Object>,
    /// The items that would be appended or added afterwards.
    pub items: Vec<Object>,
    /// The items that would be set by key afterwards.
    pub entries: Vec<(Object, Object)>,
}

impl Object {
    /// The elements of a tuple or list.
    #[must_use]
    pub fn elements(&self) -> Option<&[Self]> {
        match self {
            Self::Tuple(elements) | Self::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The name of a class or function.
    #[must_use]
    pub fn global(&self) -> Option<&Global> {
        match self {
            Self::Global(global) => Some(global),
            _ => None,
        }
    }

    /// What a class or function would make.
    #[must_use]
    pub fn instance(&self) -> Option<&Instance> {
        match self {
            Self::Instance(instance) => Some(instance),
            _ => None,
        }
    }
}

impl Global {
    /// Whether it has this name in this module.
    #[must_use]
    pub fn is(&self, module: &str, name: &str) -> bool {
        &*self.module == module && &*self.name == name
    }
}
