//! Errors of tasks, across languages (protocol, section 11).

use std::error::Error;
use std::fmt::{self, Write as _};

use bytes::Bytes;

use super::keys::read_key;
use crate::values;
use crate::wire::pickle::{self, Object, PickleError, Writer};
use crate::wire::{Key, Serialized, Value};

/// The error of a task that ran, or should have run, elsewhere.
///
/// Nothing of Python's traceback comes along; it is in the log of the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteException {
    /// The exception's class, such as `builtins.ValueError`.
    pub class: String,
    /// What Python's `str` would say.
    pub message: String,
    /// Set if workers died of the task.
    pub killed_worker: Option<KilledWorker>,
    cause: Option<Box<RemoteException>>,
}

/// Workers died, one after the other, while they had this task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KilledWorker {
    /// The task.
    pub key: Key,
    /// The address of the last of the workers.
    pub last_worker: Option<String>,
    /// How many deaths the scheduler forgives.
    pub allowed_failures: Option<i64>,
}

impl fmt::Display for RemoteException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Classes that everybody knows go without their module, as Python prints them.
        let class = self.class.strip_prefix("builtins.").unwrap_or(&self.class);
        match self.message.as_str() {
            "" => f.write_str(class),
            message => write!(f, "{class}: {message}"),
        }
    }
}

impl Error for RemoteException {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// An error as our workers report it: Python clients raise `RuntimeError(text)`.
pub(crate) fn exception(text: &str) -> Serialized {
    let mut writer = Writer::new();
    writer.global("builtins", "RuntimeError");
    writer.string(text);
    writer.tuple_of(1);
    writer.reduce();
    values::bytes(writer.finish().into())
}

impl RemoteException {
    /// Reads the member `exception` of `task-erred`.
    ///
    /// What cannot be read becomes an exception that says so: the task has failed all the same.
    pub(crate) fn read(exception: &Value) -> Self {
        let pickle = match exception {
            Value::Bytes(pickle) => Ok(pickle.clone()),
            Value::Pickled(pickled) => Ok(pickled.pickle.clone()),
            Value::Serialized(serialized) => match serialized.payloads() {
                Ok(payloads) => Ok(payloads.concat().into()),
                Err(error) => Err(error.to_string()),
            },
            other => Err(format!("it came as {}", other.kind())),
        };
        pickle
            .and_then(|pickle| read_pickle(&pickle).map_err(|error| error.to_string()))
            .map_or_else(Self::unreadable, |object| Self::of(&object))
    }

    /// What stands in a batch for a row that did not complete: the exception that
    /// our workers raise.
    pub(crate) fn of_row(object: &Object) -> Option<Self> {
        Raised::of(object)?;
        Some(Self::of(object)).filter(|row| row.class == "builtins.RuntimeError")
    }

    fn unreadable(why: impl fmt::Display) -> Self {
        Self {
            class: "builtins.Exception".to_owned(),
            message: format!("the task failed elsewhere, but its error cannot be read: {why}"),
            killed_worker: None,
            cause: None,
        }
    }

    fn of(object: &Object) -> Self {
        let Some(raised) = Raised::of(object) else {
            return Self::unreadable("it is no exception");
        };
        let arguments = raised.arguments.elements().unwrap_or_default();
        let class = match raised.class.global() {
            Some(class) => format!("{}.{}", class.module, class.name),
            None => "an unnamed class".to_owned(),
        };
        let killed_worker = (class == "distributed.scheduler.KilledWorker")
            .then(|| KilledWorker::of(arguments))
            .flatten();
        let message = match &killed_worker {
            Some(killed) => killed.to_string(),
            None => message(&class, arguments),
        };
        let cause = raised.cause.filter(|cause| Raised::of(cause).is_some());
        Self {
            class,
            message,
            killed_worker,
            cause: cause.map(|cause| Box::new(Self::of(cause))),
        }
    }
}

/// The object of a pickle, or of the pickle within it: workers pickle exceptions twice.
fn read_pickle(pickle: &Bytes) -> Result<Object, PickleError> {
    match pickle::read(pickle)? {
        Object::Bytes(inner) => pickle::read(&inner),
        object => Ok(object),
    }
}

/// An exception taken apart.
struct Raised<'a> {
    class: &'a Object,
    arguments: &'a Object,
    cause: Option<&'a Object>,
}

impl<'a> Raised<'a> {
    /// `class(*arguments)`, or the same wrapped by `tblib`, which carries tracebacks.
    fn of(object: &'a Object) -> Option<Self> {
        let instance = object.instance()?;
        let wrapper = instance.class.global()?;
        if &*wrapper.module != "tblib.pickling_support" {
            return Some(Self {
                class: &instance.class,
                arguments: &instance.arguments,
                cause: None,
            });
        }
        let [class, arguments, rest @ ..] = instance.arguments.elements()? else {
            return None;
        };
        let arguments = match arguments {
            // What `unpickle_exception_with_attrs` sets: a dict that holds `args`.
            Object::Dict(attributes) => {
                let named = |(name, _): &&(Object, Object)| name.text() == Some("args");
                &attributes.iter().find(named)?.1
            }
            arguments => arguments,
        };
        Some(Self {
            class,
            arguments,
            cause: rest.first(),
        })
    }
}

impl KilledWorker {
    /// `KilledWorker(task, last_worker, allowed_failures)`.
    fn of(arguments: &[Object]) -> Option<Self> {
        let [task, rest @ ..] = arguments else {
            return None;
        };
        let worker = rest.first().and_then(Object::instance);
        let state = worker.and_then(|worker| worker.state.as_ref()?.elements()?.get(1));
        let address = match state {
            Some(Object::Dict(slots)) => slots
                .iter()
                .find(|(name, _)| name.text() == Some("address"))
                .and_then(|(_, address)| address.text()),
            _ => None,
        };
        Some(Self {
            key: read_key(task)?,
            last_worker: address.map(str::to_owned),
            allowed_failures: match rest.get(1) {
                Some(Object::Integer(count)) => Some(*count),
                _ => None,
            },
        })
    }
}

impl fmt::Display for KilledWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task `{}` was running on ", self.key)?;
        match self.allowed_failures {
            Some(0) => f.write_str("a worker that died")?,
            // One more than is forgiven.
            Some(allowed) => write!(f, "{} workers that died", allowed.saturating_add(1))?,
            None => f.write_str("several workers that died")?,
        }
        if let Some(address) = &self.last_worker {
            write!(f, "; the last was {address}")?;
        }
        f.write_str(": look into their logs, or allow more failures")
    }
}

/// What Python's `str` would say of an exception.
fn message(class: &str, arguments: &[Object]) -> String {
    let mut text = String::new();
    match arguments {
        [] => {}
        [Object::String(only)] if class != "builtins.KeyError" => text.push_str(only),
        [only] => repr(only, &mut text),
        several => list("(", several, ")", &mut text),
    }
    text
}

/// What Python's `repr` would say, nearly.
fn repr(object: &Object, out: &mut String) {
    // Writing into a string cannot fail.
    let _ = match object {
        Object::None => out.write_str("None"),
        Object::Boolean(true) => out.write_str("True"),
        Object::Boolean(false) => out.write_str("False"),
        Object::Integer(value) => write!(out, "{value}"),
        Object::BigInteger(bytes) => write!(out, "<an integer of {} bytes>", bytes.len()),
        Object::Float(value) => write!(out, "{value:?}"),
        Object::String(text) => write!(out, "'{text}'"),
        Object::Bytes(bytes) | Object::ByteArray(bytes) | Object::Buffer(bytes) => {
            write!(out, "<{} bytes>", bytes.len())
        }
        Object::Tuple(items) => return list("(", items, ")", out),
        Object::List(items) => return list("[", items, "]", out),
        Object::Set(items) | Object::FrozenSet(items) => return list("{", items, "}", out),
        Object::Dict(entries) => write!(out, "<a dict of {}>", entries.len()),
        Object::Global(global) => write!(out, "{}.{}", global.module, global.name),
        Object::Instance(instance) => match instance.class.global() {
            Some(class) => write!(out, "<{}.{}>", class.module, class.name),
            None => out.write_str("<an object>"),
        },
        Object::Recursive => out.write_str("..."),
    };
}

fn list(open: &str, items: &[Object], close: &str, out: &mut String) {
    out.push_str(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        repr(item, out);
    }
    out.push_str(close);
}
