//! Values and graphs of Rust in stock Dask, and Dask's values in Rust.

use std::collections::BTreeMap;
use std::path::Path;

use flow_tests::python::Environment;
use flowcore::bridge::{CodecTag, EncodedValue};
use flowdask::values::{ArrowStream, PythonType, ValueError, from_wire, to_wire};
use flowdask::wire::Serialized;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A value as it travels, in hexadecimal digits.
#[derive(Deserialize, Serialize)]
struct Travelling {
    header: String,
    frames: Vec<String>,
}

#[derive(Serialize)]
struct Given {
    values: BTreeMap<String, Travelling>,
    graphs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Answer {
    values: BTreeMap<String, String>,
    graphs: BTreeMap<String, BTreeMap<String, Task>>,
    own: BTreeMap<String, Travelling>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Task {
    function: String,
    payload: String,
    references: Vec<String>,
    dependencies: Vec<String>,
}

#[derive(Serialize)]
struct Point {
    name: &'static str,
    at: (i32, f64),
    tags: Vec<Option<bool>>,
}

/// Values of Rust, with their type in Python and what Python makes of them.
fn values(table: &ArrowStream) -> Vec<(EncodedValue, &'static str, &'static str)> {
    let point = Point {
        name: "origin",
        at: (0, 0.5),
        tags: vec![Some(true), None],
    };
    vec![
        (encoded(&()), "NoneType", "None"),
        (encoded(&true), "bool", "True"),
        (encoded(&-1_i8), "int", "-1"),
        (encoded(&200_u8), "int", "200"),
        (encoded(&-70_000), "int", "-70000"),
        (encoded(&i64::MIN), "int", "-9223372036854775808"),
        (encoded(&u64::MAX), "int", "18446744073709551615"),
        (encoded(&0.1_f64), "float", "0.1"),
        (encoded(&0.5_f32), "float", "0.5"),
        (encoded(&"hé"), "str", "'hé'"),
        (encoded(&vec![1, 2, 300]), "list", "[1, 2, 300]"),
        (encoded(&Vec::<i32>::new()), "list", "[]"),
        (encoded(&vec![vec!["a"], vec![]]), "list", "[['a'], []]"),
        (encoded(&BTreeMap::from([(1, "x")])), "dict", "{1: 'x'}"),
        (
            encoded(&point),
            "dict",
            "{'name': 'origin', 'at': [0, 0.5], 'tags': [True, None]}",
        ),
        (
            encoded(&serde_json::json!({"a": [1]})),
            "dict",
            "{'a': [1]}",
        ),
        (
            encoded(table),
            "pyarrow.lib.Table",
            "{'a': [1, 2, 3], 'b': ['x', 'y', None]}",
        ),
        (
            EncodedValue {
                codec: CodecTag::MessagePack,
                bytes: vec![0xc4, 2, 0, 0xff],
            },
            "bytes",
            r"b'\x00\xff'",
        ),
        (
            EncodedValue {
                codec: CodecTag::Bincode,
                bytes: vec![1, 2],
            },
            "bytes",
            r"b'\x01\x02'",
        ),
    ]
}

fn encoded<T: Serialize>(value: &T) -> EncodedValue {
    EncodedValue {
        codec: CodecTag::MessagePack,
        bytes: rmp_serde::to_vec_named(value).expect("a value"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn travelling(value: &Serialized) -> Travelling {
    Travelling {
        header: hex(value.header()),
        frames: value.frames().iter().map(|frame| hex(frame)).collect(),
    }
}

/// What Python makes of these, and its own values.
fn ask(given: &Given) -> Answer {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("given.json");
    std::fs::write(&file, serde_json::to_vec(given).expect("JSON")).expect("a writable directory");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/dask/values.py");
    Environment::dask()
        .expect("an environment with Dask")
        .program(program)
        .argument(file)
        .run_json()
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn values_and_graphs_are_the_same_in_both_languages() {
    let graph = include_str!("../../../flowdask/tests/fixtures/pickle.graph-2-tasks.ours.hex");
    let table = include_str!("../../../flowdask/tests/fixtures/value.arrow-table.json");
    let table: serde_json::Value = serde_json::from_str(table).expect("JSON");
    let frame = &table["message"]["x"]["$serialized"]["frames"][0];
    let table = ArrowStream::new(unhex(frame.as_str().expect("digits")));
    let values = values(&table);

    let given = Given {
        values: values
            .iter()
            .enumerate()
            .map(|(index, (value, ..))| (index.to_string(), travelling(&to_wire(value.clone()))))
            .collect(),
        graphs: [("ours".to_owned(), graph.split_whitespace().collect())].into(),
    };
    let answer = ask(&given);

    for (index, (value, type_name, wanted)) in values.iter().enumerate() {
        assert_eq!(answer.values[&index.to_string()], *wanted);
        assert_eq!(PythonType::of(value).name, *type_name, "{wanted}");
    }
    let task = |payload: &[u8], references: &[&str]| Task {
        function: "methodcaller".to_owned(),
        payload: hex(payload),
        references: references.iter().map(ToString::to_string).collect(),
        dependencies: references.iter().map(ToString::to_string).collect(),
    };
    let tasks = BTreeMap::from([
        ("a".to_owned(), task(b"PAYLOAD", &[])),
        ("b".to_owned(), task(b"PAYLOAD2", &["a", "elsewhere"])),
    ]);
    assert_eq!(answer.graphs["ours"], tasks);
    reads_what_python_sent(&answer.own);
}

fn reads_what_python_sent(own: &BTreeMap<String, Travelling>) {
    let value = |name: &str| {
        let Travelling { header, frames } = &own[name];
        let frames = frames.iter().map(|frame| unhex(frame).into()).collect();
        from_wire(&Serialized::from_parts(unhex(header).into(), frames))
    };
    fn typed<T: DeserializeOwned>(read: Result<EncodedValue, ValueError>) -> T {
        let read = read.unwrap_or_else(|error| panic!("{error}"));
        rmp_serde::from_slice(&read.bytes).expect("a value of this type")
    }
    #[derive(Debug, Deserialize, PartialEq)]
    struct Dict {
        a: (i32, BTreeMap<String, (Option<i32>, bool)>),
        c: Vec<u8>,
    }

    assert_eq!(typed::<Option<i32>>(value("none")), None);
    assert!(typed::<bool>(value("bool")));
    assert_eq!(typed::<i32>(value("int")), -70_000);
    assert_eq!(typed::<i64>(value("int64")), i64::MAX);
    assert_eq!(typed::<u64>(value("uint64")), u64::MAX);
    assert_eq!(typed::<f64>(value("float")), 0.1);
    assert_eq!(typed::<String>(value("str")), "hé");
    assert_eq!(typed::<Vec<u8>>(value("bytes")), [0, 0xff]);
    assert_eq!(typed::<Vec<u8>>(value("bytearray")), b"ab");
    assert_eq!(typed::<Vec<i32>>(value("list")), [1, 2, 3]);
    let nested = typed::<Vec<Vec<i32>>>(value("nested"));
    assert_eq!(nested, [vec![1, 2], vec![], vec![3]]);
    let tuple = typed::<(String, i32)>(value("tuple"));
    assert_eq!(tuple, ("a".to_owned(), 1));
    assert_eq!(typed::<Vec<i32>>(value("set")), [7]);
    let keys = typed::<BTreeMap<i32, String>>(value("int keys"));
    assert_eq!(keys, [(1, "x".to_owned())].into());
    assert!(!typed::<ArrowStream>(value("table")).bytes().is_empty());
    let dict = Dict {
        a: (1, [("b".to_owned(), (None, false))].into()),
        c: b"z".to_vec(),
    };
    assert_eq!(typed::<Dict>(value("dict")), dict);
    let array = value("array").expect_err("an array is Python's");
    assert!(array.to_string().contains("numpy.ndarray"), "{array}");
}
