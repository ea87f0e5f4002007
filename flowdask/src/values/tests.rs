use std::collections::BTreeMap;

use bytes::Bytes;
use flowcore::bridge::{CodecTag, EncodedValue};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::*;
use crate::fixtures;
use crate::wire::pickle::{self, Object};
use crate::wire::{Serialized, Value as Message};

fn encoded<T: Serialize>(value: &T) -> EncodedValue {
    EncodedValue {
        codec: CodecTag::MessagePack,
        bytes: rmp_serde::to_vec_named(value).unwrap(),
    }
}

fn decoded<T: DeserializeOwned>(value: &EncodedValue) -> T {
    rmp_serde::from_slice(&value.bytes).unwrap_or_else(|error| panic!("{value:?}: {error}"))
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    value: &T,
) -> Serialized {
    let wire = to_wire(encoded(value));
    assert_eq!(decoded::<T>(&from_wire(&wire).unwrap()), *value);
    wire
}

/// Bytes as bytes, not as a list of numbers.
#[derive(Debug, PartialEq)]
struct Binary(Vec<u8>);

impl Serialize for Binary {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

/// The value of a recorded message.
fn recorded(name: &str) -> Serialized {
    let hex = |json: &serde_json::Value| Bytes::from(fixtures::unhex(json.as_str().unwrap()));
    let value = &fixtures::meaning(name)["message"]["x"]["$serialized"];
    let frames = value["frames"].as_array().unwrap().iter().map(hex);
    let header = message(&value["header"]);
    let Message::Map(mut header) = header else {
        panic!("{header:?}")
    };
    header.retain(|(name, _)| name.as_str() != Some("num-sub-frames"));
    Serialized::new(header, frames.collect())
}

fn message(json: &serde_json::Value) -> Message {
    match json {
        serde_json::Value::Null => Message::Nil,
        serde_json::Value::Bool(value) => Message::Boolean(*value),
        serde_json::Value::Number(number) => Message::Integer(number.as_i64().unwrap()),
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => items.iter().map(message).collect(),
        serde_json::Value::Object(entries) => match entries.get("$bytes") {
            Some(digits) => Bytes::from(fixtures::unhex(digits.as_str().unwrap())).into(),
            None => Message::Map(
                entries
                    .iter()
                    .map(|(name, value)| (name.as_str().into(), message(value)))
                    .collect(),
            ),
        },
    }
}

fn from_python<T: DeserializeOwned>(name: &str) -> T {
    let name = format!("value.{name}");
    let value = from_wire(&recorded(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    decoded(&value)
}

#[test]
fn what_python_sent_is_read() {
    assert_eq!(from_python::<i64>("int"), 5);
    assert_eq!(from_python::<i64>("int64"), 1 << 40);
    assert_eq!(from_python::<i64>("negative-int"), -2);
    assert_eq!(from_python::<f64>("float"), 2.5);
    assert_eq!(from_python::<String>("str"), "hé");
    assert_eq!(from_python::<Option<i64>>("none"), None);
    assert!(from_python::<bool>("true"));
    assert_eq!(from_python::<Vec<u8>>("bytes"), b"xyz");
    assert_eq!(from_python::<Vec<u8>>("bytearray"), b"q");
    assert_eq!(
        from_python::<Vec<u8>>("sharded-bytes"),
        (0..250).collect::<Vec<u8>>()
    );
    assert!(from_python::<Vec<u8>>("zlib-bytes").len() >= 10_000);
    assert_eq!(from_python::<Vec<i64>>("empty-list"), Vec::<i64>::new());
    assert_eq!(
        from_python::<(i64, String, f64)>("list"),
        (1, "a".into(), 2.0)
    );
    assert_eq!(
        from_python::<Vec<Vec<i64>>>("nested-list"),
        [vec![1, 2], vec![3]]
    );
    assert_eq!(from_python::<(i64, i64)>("tuple"), (1, 2));
    assert_eq!(from_python::<Vec<i64>>("set"), [7]);
    assert_eq!(
        from_python::<Vec<Vec<u8>>>("list-of-bytes"),
        [b"a".to_vec(), b"bc".to_vec()]
    );
    let dict: BTreeMap<String, Vec<i64>> = from_python("dict");
    assert_eq!(dict, [("k".to_owned(), vec![1, 2])].into());
    let dict: BTreeMap<i64, String> = from_python("dict-int-keys");
    assert_eq!(dict, [(1, "a".to_owned())].into());
    assert_eq!(from_python::<ArrowStream>("arrow-table").bytes().len(), 448);
}

#[test]
fn what_only_python_has_is_named() {
    for (name, wanted) in [
        ("numpy-f4-2x3", "`numpy.ndarray`"),
        ("pandas-pickle4", "`pandas."),
        ("pandas-pickle5-buffers", "`pandas."),
        ("bigint", "13 bytes is too large"),
    ] {
        let error = from_wire(&recorded(&format!("value.{name}"))).unwrap_err();
        assert!(error.to_string().contains(wanted), "{name}: {error}");
    }
    let header = vec![("serializer".into(), "error".into())];
    let unserialized = Serialized::new(header, vec![Bytes::from_static(b"no lambda")]);
    let error = from_wire(&unserialized).unwrap_err();
    assert!(error.to_string().ends_with("made: no lambda"), "{error}");
    let header = vec![("serializer".into(), "cuda".into())];
    let error = from_wire(&Serialized::new(header, vec![])).unwrap_err();
    assert!(error.to_string().contains("`cuda`"), "{error}");
}

#[test]
fn damaged_headers_are_refused() {
    for header in [
        vec![],
        vec![("serializer".into(), "pickle".into())],
        vec![("is-collection".into(), true.into())],
        vec![
            ("is-collection".into(), true.into()),
            ("type-serialized".into(), "list".into()),
            (
                "sub-headers".into(),
                Message::List(vec![Message::Map(vec![])]),
            ),
            ("frame-lengths".into(), Message::List(vec![i64::MAX.into()])),
        ],
        vec![(write::CODEC.into(), "zip".into())],
    ] {
        from_wire(&Serialized::new(header, vec![])).unwrap_err();
    }
}

#[test]
fn scalars_are_pickles() {
    let pickled = |wire: Serialized| pickle::read(&wire.frames()[0]).unwrap();
    assert_eq!(pickled(round_trip(&5_i64)), Object::Integer(5));
    assert_eq!(pickled(round_trip(&i64::MIN)), Object::Integer(i64::MIN));
    assert!(matches!(
        pickled(round_trip(&u64::MAX)),
        Object::BigInteger(_)
    ));
    assert_eq!(pickled(round_trip(&2.5_f64)), Object::Float(2.5));
    assert_eq!(pickled(round_trip(&2.5_f32)), Object::Float(2.5));
    assert_eq!(pickled(round_trip(&true)), Object::Boolean(true));
    assert_eq!(pickled(round_trip(&None::<i64>)), Object::None);
    assert_eq!(
        pickled(round_trip(&"hé".to_owned())),
        Object::String("hé".into())
    );
    let long = "x".repeat(70_000);
    assert_eq!(pickled(round_trip(&long)), Object::String(long.into()));
}

#[test]
fn lists_and_maps_are_not_copied() {
    let list = encoded(&vec![1_i64, 2, 3]);
    let place = list.bytes.as_ptr();
    let wire = to_wire(list);
    assert_eq!(wire.frames()[1].as_ptr(), place);
    // Only the constant is read as a call; other pickles with calls stay Python's.
    let mut call = write::UNPACK.to_vec();
    call[20] ^= 1;
    let mut frames = wire.frames().to_vec();
    frames[0] = call.into();
    let header = vec![("serializer".into(), "pickle".into())];
    from_wire(&Serialized::new(header, frames)).unwrap_err();
    pickle::read_with_buffers(&Bytes::from_static(write::UNPACK), &[Bytes::new()]).unwrap();
}

#[test]
fn bytes_and_tables_are_their_frame() {
    let wire = round_trip(&Binary(vec![7; 70_000]));
    assert_eq!(wire.frames(), [vec![7; 70_000]]);
    let table = ArrowStream::new(vec![9; 300]);
    let wire = round_trip(&table);
    assert_eq!(wire.frames(), [vec![9; 300]]);
    let error = rmp_serde::from_slice::<ArrowStream>(&[0xc7, 1, 3, 0]).unwrap_err();
    assert!(error.to_string().contains("is no Arrow table"), "{error}");
}

#[test]
fn what_only_rust_can_read_keeps_its_codec() {
    let value = EncodedValue {
        codec: CodecTag::Bincode,
        bytes: vec![1, 2, 3],
    };
    assert_eq!(PythonType::of(&value).name, "bytes");
    let wire = to_wire(value.clone());
    assert_eq!(wire.frames(), [vec![1, 2, 3]]);
    assert_eq!(from_wire(&wire).unwrap(), value);
}

#[test]
fn types_are_named_as_python_names_them() {
    let recorded = pickle::read(&fixtures::bytes("pickle.type.builtins-int")).unwrap();
    let int = PythonType::of(&encoded(&7));
    assert_eq!(int.name, "int");
    assert_eq!(pickle::read(&int.pickle).unwrap(), recorded);
    for (value, name) in [
        (encoded(&None::<i64>), "NoneType"),
        (encoded(&false), "bool"),
        (encoded(&1.5), "float"),
        (encoded(&"a"), "str"),
        (encoded(&[1, 2]), "list"),
        (encoded(&Binary(vec![1])), "bytes"),
        (encoded(&BTreeMap::from([(1, 2)])), "dict"),
        (encoded(&ArrowStream::new(vec![])), "pyarrow.lib.Table"),
    ] {
        assert_eq!(PythonType::of(&value).name, name);
        pickle::read(&PythonType::of(&value).pickle).unwrap();
    }
}

proptest! {
    #[test]
    fn any_bytes_travel(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let value = EncodedValue { codec: CodecTag::MessagePack, bytes };
        let _ = PythonType::of(&value);
        let _ = from_wire(&to_wire(value));
    }

    #[test]
    fn damaged_values_are_read_or_refused(
        name in proptest::sample::select(fixtures::names("value.")),
        frame in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let value = recorded(&name);
        let (mut header, mut frames) = (value.header().to_vec(), value.frames().to_vec());
        let frame = frame.index(frames.len() + 1);
        let damage = |bytes: &mut Vec<u8>| {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        };
        match frames.get_mut(frame) {
            Some(frame) => {
                let mut bytes = frame.to_vec();
                damage(&mut bytes);
                *frame = bytes.into();
            }
            None => damage(&mut header),
        }
        let _ = from_wire(&Serialized::from_parts(header.into(), frames));
    }
}
