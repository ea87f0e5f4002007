//! Calls of our tasks by Python's clients: `operator.methodcaller`, whose first
//! argument is `b"flow:"` and the task's name, with arguments as Python has
//! them.
//!
//! What is read here becomes a payload of our own, so that the worker needs to
//! know no second kind of task.

use bytes::Bytes;
use flowcore::bridge::{EncodedValue, nested};
use serde::{Deserialize, Serialize};

use super::run_spec::{References, spec_object, state_member};
use crate::coded;
use crate::values;
use crate::wire::Key;
use crate::wire::pickle::Object;

/// What the first argument begins with.
const MARK: &[u8] = b"flow:";

/// The first byte of such a payload. Payloads of flows begin with others.
const FORM: u8 = 0xca;

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// The key or the name of a task.
    pub(crate) task: String,
    /// The arguments; those with a name were given by it.
    pub(crate) arguments: Vec<(Option<String>, CallArgument)>,
}

/// Where an argument's value is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum CallArgument {
    Value(EncodedValue),
    /// The next of the task's dependencies.
    Dependency,
    /// A list with dependencies in it.
    List(#[serde(deserialize_with = "nested")] Vec<CallArgument>),
    /// Only Python has such a value; why.
    Unreadable(String),
}

impl Call {
    /// The call of a payload, if it is one.
    pub(crate) fn from_payload(
        payload: &[u8],
    ) -> Option<Result<Self, bincode::error::DecodeError>> {
        let (&FORM, body) = payload.split_first()? else {
            return None;
        };
        Some(coded::from_bytes(body))
    }

    fn to_payload(&self) -> Result<Bytes, bincode::error::EncodeError> {
        let mut payload = vec![FORM];
        bincode::serde::encode_into_std_write(self, &mut payload, bincode::config::standard())?;
        Ok(payload.into())
    }
}

/// The payload and the dependencies of a call, if it is one.
pub(super) fn read(
    first: &Bytes,
    arguments: &[Object],
    keywords: Option<&Object>,
    references: &References<'_>,
) -> Option<(Bytes, Vec<Key>)> {
    let task = std::str::from_utf8(first.strip_prefix(MARK)?).ok()?;
    let mut reader = Reader {
        references,
        dependencies: Vec::new(),
    };
    let positional = arguments.iter();
    let mut read: Vec<_> = positional
        .map(|argument| (None, reader.argument(argument)))
        .collect();
    for (name, argument) in reader.keywords(keywords)? {
        read.push((Some(name.to_owned()), reader.argument(argument)));
    }
    let call = Call {
        task: task.to_owned(),
        arguments: read,
    };
    Some((call.to_payload().ok()?, reader.dependencies))
}

struct Reader<'a> {
    references: &'a References<'a>,
    dependencies: Vec<Key>,
}

impl Reader<'_> {
    /// The arguments by name: a dict, or since 2025.3 its node if there are
    /// references within.
    fn keywords<'o>(&self, keywords: Option<&'o Object>) -> Option<Vec<(&'o str, &'o Object)>> {
        match keywords {
            None | Some(Object::None) => Some(Vec::new()),
            Some(Object::Dict(entries)) => entries
                .iter()
                .map(|(name, value)| Some((name.text()?, value)))
                .collect(),
            Some(node) => elements(node, "Dict")?
                .chunks(2)
                .map(|pair| match pair {
                    [name, value] => Some((name.text()?, value)),
                    _ => None,
                })
                .collect(),
        }
    }

    fn argument(&mut self, argument: &Object) -> CallArgument {
        if let Some(key) = self.references.get(argument) {
            self.dependencies.push(key);
            return CallArgument::Dependency;
        }
        let node = ["List", "Tuple", "Set"]
            .into_iter()
            .find_map(|class| elements(argument, class));
        // Before 2025.3, lists with references are plain lists.
        let plain = || match argument {
            Object::List(parts) | Object::Tuple(parts) => Some(&**parts),
            _ => None,
        };
        let holds_reference = |parts: &&[Object]| {
            let mut parts = parts.iter();
            parts.any(|part| self.references.get(part).is_some())
        };
        if let Some(parts) = node.or_else(|| plain().filter(holds_reference)) {
            return CallArgument::List(parts.iter().map(|part| self.argument(part)).collect());
        }
        match values::from_object(argument) {
            Ok(value) => CallArgument::Value(value),
            Err(error) => CallArgument::Unreadable(error.to_string()),
        }
    }
}

/// The elements of a node of Dask for a container.
fn elements<'o>(node: &'o Object, class: &str) -> Option<&'o [Object]> {
    state_member(spec_object(node, class)?, 5, "args")?.elements()
}
