//! One function per decoder: what fuzz targets (`fuzz/`) drive, and with
//! fewer bytes the tests below.
//!
//! Any bytes give a value or an error, in memory that follows from their
//! number. What was decoded is encoded again, and then it is stable.

use bytes::Bytes;

use crate::coded;
use crate::graph;
use crate::runner::{Arrivals, HomeMessage, Order, Payload, shared_value_of};
use crate::values;
use crate::wire::pickle;
use crate::wire::{Fields, FrameError, Key, Pickled, Serialized, Value, decoding};

/// The bytes of a link: frames, the message in them, and all that it carries.
pub fn frames(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut rest = bytes;
    let frames: Result<Vec<Bytes>, FrameError> = runtime.block_on(decoding::frames(&mut rest));
    if let Ok(frames) = frames {
        message_in(&frames);
    }
}

/// A message of one frame.
pub fn message_pack(bytes: &[u8]) {
    message_in(&[Bytes::copy_from_slice(bytes)]);
}

/// A value of a user: its header behind the header's length, then its frames,
/// each behind its length.
pub fn serialized(bytes: &[u8]) {
    let mut parts = parts(bytes).into_iter();
    let header = parts.next().unwrap_or_default();
    value_of_user(&Serialized::from_parts(header, parts.collect()));
}

/// A pickle, and a buffer that it may take.
pub fn pickle(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let _ = pickle::read(&bytes);
    let _ = pickle::read_with_buffers(&bytes, &[Bytes::from_static(b"buffer")]);
}

/// The members of a message, whatever they are said to be.
pub fn fields(bytes: &[u8]) {
    let Ok(message) = decoding::message(&[Bytes::copy_from_slice(bytes)]) else {
        return;
    };
    let Value::Map(entries) = &message else {
        assert!(Fields::of(message).is_err(), "only maps have members");
        return;
    };
    let names: Vec<String> = entries
        .iter()
        .filter_map(|(name, _)| Some(name.as_str()?.to_owned()))
        .collect();
    for name in &names {
        let take = |take: fn(&mut Fields, &str)| {
            if let Ok(mut fields) = Fields::unnamed("fuzzed", message.clone()) {
                take(&mut fields, name);
            }
        };
        take(|fields, name| drop(fields.string(name)));
        take(|fields, name| drop(fields.bytes(name)));
        take(|fields, name| drop(fields.unsigned(name)));
        take(|fields, name| drop(fields.list(name)));
        take(|fields, name| {
            if let Ok(value) = fields.value(name) {
                drop(fields.lengths(name, value));
            }
        });
    }
}

/// What a worker is to run.
pub fn run_spec(bytes: &[u8]) {
    let pickle = Bytes::copy_from_slice(bytes);
    let spec = Pickled {
        pickle: pickle.clone(),
        buffers: vec![pickle],
    };
    let _ = graph::read_run_spec(&spec, &[Key::from("a-1"), Key::from("b-2")]);
}

/// What flows and their workers send each other.
pub fn runs(bytes: &[u8]) {
    let _ = Payload::from_bytes(bytes);
    let _ = graph::Call::from_payload(bytes);
    let _ = shared_value_of(bytes);
    if let Ok(message) = coded::from_bytes::<HomeMessage>(bytes) {
        let _ = Arrivals::default().arrived(message);
    }
    let _ = coded::from_bytes::<Order>(bytes);
}

fn message_in(frames: &[Bytes]) {
    let Ok(message) = decoding::message(frames) else {
        return;
    };
    // Values without a number of their own (NaN) do not equal themselves, but
    // their bytes do.
    let once = decoding::encoded(&message).expect("what came fits");
    let again = decoding::message(&once).expect("what we send can be read");
    assert_eq!(decoding::encoded(&again).as_ref(), Ok(&once));
    carried(&message);
}

/// Reads all that a message carries.
fn carried(value: &Value) {
    match value {
        Value::List(values) | Value::Set(values) => values.iter().for_each(carried),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| {
            carried(key);
            carried(value);
        }),
        Value::Serialized(value) => value_of_user(value),
        Value::Pickled(spec) => {
            let _ = graph::read_run_spec(spec, &[]);
        }
        _ => {}
    }
}

fn value_of_user(value: &Serialized) {
    let _ = value.payloads();
    let _ = values::from_wire(value);
}

/// The bytes cut up: a length in two bytes before each part.
fn parts(mut bytes: &[u8]) -> Vec<Bytes> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (part, others) = rest.split_at(length);
        parts.push(Bytes::copy_from_slice(part));
        bytes = others;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures;

    const DECODERS: [fn(&[u8]); 7] = [
        frames,
        message_pack,
        serialized,
        pickle,
        fields,
        run_spec,
        runs,
    ];

    /// A change of bytes: nearly all of a recorded message stays right.
    #[derive(Clone, Debug)]
    enum Change {
        Put(prop::sample::Index, u8),
        Cut(prop::sample::Index),
        Insert(prop::sample::Index, Vec<u8>),
        Repeat(prop::sample::Index, prop::sample::Index),
    }

    fn change() -> impl Strategy<Value = Change> {
        let place = any::<prop::sample::Index>;
        prop_oneof![
            6 => (place(), any::<u8>()).prop_map(|(at, byte)| Change::Put(at, byte)),
            1 => place().prop_map(Change::Cut),
            2 => (place(), prop::collection::vec(any::<u8>(), 1..9))
                .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
            1 => (place(), place()).prop_map(|(from, to)| Change::Repeat(from, to)),
        ]
    }

    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        if bytes.is_empty() {
            return;
        }
        match change {
            Change::Put(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Change::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Repeat(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                bytes.extend_from_within(from.min(to)..from.max(to));
            }
        }
    }

    /// Small ones: a change of a large one hits its payload.
    fn recorded() -> Vec<Bytes> {
        let vectors = fixtures::names("").into_iter();
        let vectors = vectors.map(|name| fixtures::bytes(&name));
        vectors.filter(|bytes| bytes.len() < 4096).collect()
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            DECODERS.iter().for_each(|decode| decode(&bytes));
        }

        #[test]
        fn damaged_messages_are_decoded_or_refused(
            vector in any::<prop::sample::Index>(),
            changes in prop::collection::vec(change(), 1..6),
        ) {
            thread_local! {
                static RECORDED: Vec<Bytes> = recorded();
            }
            let mut bytes = RECORDED.with(|all| vector.get(all).to_vec());
            changes.iter().for_each(|change| apply(&mut bytes, change));
            DECODERS.iter().for_each(|decode| decode(&bytes));
        }
    }
}
