//! Recorded messages of stock Dask: each is read, and written again byte for
//! byte (`tests/fixtures/README.md`).

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::frames::{self, FrameLimits};
use super::value::{Pickled, Value};
use super::{Serialized, msgpack};
use crate::fixtures;

/// The wire messages: name, bytes, and what they mean.
fn vectors() -> impl Iterator<Item = (String, Bytes, Json)> {
    let all = fixtures::names("").into_iter();
    let all = all.map(|name| {
        let meaning = fixtures::meaning(&name);
        (fixtures::bytes(&name), meaning, name)
    });
    all.filter(|(_, meaning, _)| meaning["kind"] == "wire")
        .map(|(bytes, meaning, name)| (name, bytes, meaning))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn read(bytes: &[u8]) -> Vec<Bytes> {
    run(async {
        let mut rest = bytes;
        let frames = frames::read(&mut rest, FrameLimits::default()).await;
        assert!(rest.is_empty(), "{} bytes are left", rest.len());
        frames.unwrap()
    })
}

fn written(message: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let frames = msgpack::encode(message).unwrap();
    run(frames::write(&mut out, &frames)).unwrap();
    out
}

/// The message as the fixtures spell it.
fn expected(json: &Json) -> Value {
    let hex = |json: &Json| Bytes::from(fixtures::unhex(json.as_str().unwrap()));
    let list = |json: &Json| json.as_array().unwrap().iter().map(expected).collect();
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Integer(value),
            None => Value::Unsigned(number.as_u64().unwrap()),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(_) => Value::List(list(json)),
        Json::Object(entries) => {
            let mut marked = entries.iter();
            match marked.next().map(|(name, value)| (name.as_str(), value)) {
                Some(("$bytes", bytes)) => Value::Bytes(hex(bytes)),
                Some(("$f64", text)) => Value::Float(float(text.as_str().unwrap())),
                Some(("$set", values)) => Value::Set(list(values)),
                Some(("$map", entries)) => Value::Map(
                    entries
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|entry| (expected(&entry[0]), expected(&entry[1])))
                        .collect(),
                ),
                Some(("$serialized", value)) => {
                    let frames = value["frames"].as_array().unwrap();
                    Value::Serialized(Serialized::from_parts(
                        msgpack::encode_plain(&expected(&value["header"])),
                        frames.iter().map(hex).collect(),
                    ))
                }
                Some(("$pickled", value)) => {
                    let buffers = value["buffers"].as_array().unwrap();
                    Value::Pickled(Pickled {
                        pickle: hex(&value["pickle"]),
                        buffers: buffers.iter().map(hex).collect(),
                    })
                }
                _ => Value::Map(
                    entries
                        .iter()
                        .map(|(name, value)| (name.as_str().into(), expected(value)))
                        .collect(),
                ),
            }
        }
    }
}

/// As Python prints floats.
fn float(text: &str) -> f64 {
    text.parse().unwrap()
}

/// Maps without their order: the JSON reader does not keep it.
fn unordered(value: &Value) -> String {
    match value {
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", unordered(key), unordered(value)))
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        Value::List(values) => values.iter().map(unordered).collect::<Vec<_>>().join(", "),
        Value::Set(values) => {
            let mut values: Vec<_> = values.iter().map(unordered).collect();
            values.sort();
            format!("set({})", values.join(", "))
        }
        Value::Bytes(bytes) => format!("{bytes:?}"),
        // Where the recorder wrote another directory into the meaning.
        Value::String(text) if text.contains("/dask-scratch-space/") => "scratch".to_owned(),
        Value::Serialized(value) => {
            let header = msgpack::decode_plain(value.header()).unwrap();
            format!("serialized({}, {:?})", unordered(&header), value.frames())
        }
        Value::Pickled(value) => format!("pickled({:?}, {:?})", value.pickle, value.buffers),
        other => format!("{other:?}"),
    }
}

#[test]
fn recorded_messages_are_understood() {
    let vectors: Vec<_> = vectors().collect();
    assert!(vectors.len() >= 252, "{} vectors", vectors.len());
    for (name, bytes, meaning) in &vectors {
        let message = msgpack::decode(&read(bytes)).unwrap_or_else(|error| {
            panic!("{name}: {error}");
        });
        if meaning["message"].to_string().contains("$enum") {
            continue;
        }
        let expected = expected(&meaning["message"]);
        assert_eq!(unordered(&message), unordered(&expected), "{name}");
    }
}

/// But one, which a stock peer splits otherwise than we do.
#[test]
fn recorded_messages_are_written_byte_for_byte() {
    for (name, bytes, _) in vectors() {
        let message = msgpack::decode(&read(&bytes)).unwrap();
        let mut ours = written(&message);
        if name == "framing.first-read-shorter-than-message" {
            ours[..8].copy_from_slice(&bytes[..8]);
        }
        assert_eq!(ours, bytes, "{name}");
    }
}

#[test]
fn shards_are_joined_and_compressed_frames_read() {
    let sharded = payloads("value.sharded-bytes");
    assert_eq!(sharded.len(), 1);
    assert_eq!(sharded[0][..], (0..250).collect::<Vec<u8>>());
    let compressed = payloads("value.zlib-bytes");
    assert!(compressed[0].len() >= 10_000, "{}", compressed[0].len());
}

fn payloads(name: &str) -> Vec<Bytes> {
    let message = msgpack::decode(&read(&fixtures::bytes(name))).unwrap();
    let Some(Value::Serialized(value)) = message.get("x") else {
        panic!("{name} is {message:?}");
    };
    value.payloads().unwrap()
}

/// Any message of ours.
fn messages() -> impl Strategy<Value = Value> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    let frames = proptest::collection::vec(bytes.clone(), 0..3);
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("NaN equals nothing", |f| !f.is_nan())
            .prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        bytes.clone().prop_map(Value::from),
        frames.clone().prop_map(|frames| {
            let header = vec![("serializer".into(), "pickle".into())];
            Serialized::new(header, frames).into()
        }),
        (bytes, frames).prop_map(|(pickle, buffers)| Pickled { pickle, buffers }.into()),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Set),
            proptest::collection::vec((inner.clone(), inner), 0..6).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn any_message_comes_back(message in messages()) {
        let frames = msgpack::encode(&message).unwrap();
        prop_assert_eq!(msgpack::decode(&frames).unwrap(), message);
    }

    #[test]
    fn damage_is_an_error_or_another_message(
        message in messages(),
        place: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = written(&message);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let frames = run(async {
            frames::read(&mut &bytes[..], FrameLimits::default()).await
        });
        if let Ok(frames) = frames
            && let Ok(Value::Serialized(value)) = msgpack::decode(&frames)
        {
            let _ = value.payloads();
        }
    }
}

#[test]
fn deep_nesting_is_an_error() {
    let mut deep = vec![0x91; 600];
    deep.push(0xc0);
    let error = msgpack::decode(&[deep.into()]).unwrap_err();
    assert_eq!(error, msgpack::MessageError::Depth);
}

#[test]
fn a_marker_that_names_no_frame_is_an_error() {
    for index in [0, 1, -1, i64::MAX] {
        let marker = Value::map([("__Serialized__", index.into())]);
        let frames = msgpack::encode(&marker).unwrap();
        assert!(msgpack::decode(&frames).is_err(), "{index}");
    }
}
