//! Python calls tasks in Rust, and reads what they give; Rust reads what Python
//! holds.

use std::collections::BTreeMap;
use std::path::Path;

use flow_tests::dask::RustWorker;
use flowcore::bridge::EncodedValue;
use flowdask::client::ScatterOptions;
use flowdask::values::{ArrowStream, from_wire, to_wire};
use flowdask::wire::Key;
use serde::de::DeserializeOwned;

use super::support::{call, scheduler, shared, worker};

const FILE: &str = "languages.py";

/// The helper as the guide has it.
fn helper() -> &'static str {
    let guide = include_str!("../../../docs/guide/flows-on-dask.md");
    let blocks = guide.split("```python\n").skip(1);
    let mut code = blocks.filter_map(|block| block.split("```").next());
    code.find(|code| code.contains("def rust("))
        .expect("the guide has the helper")
}

#[test]
fn python_calls_tasks_by_their_names() {
    let scheduler = scheduler();
    let program = Path::new(env!("CARGO_BIN_EXE_dask_bridge"));
    let _rust = RustWorker::start(program, scheduler.address(), "rust").expect("a worker");
    let _python = worker(&scheduler, "python");

    let wrong: Vec<String> = call(&scheduler, FILE, "calls", &[helper()]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let errors: BTreeMap<String, (String, String)> = call(&scheduler, FILE, "errors", &[helper()]);
    for (name, (class, text)) in &errors {
        assert_eq!(class, "RuntimeError", "{name}: {text}");
    }
    let says = |name: &str, texts: &[&str]| {
        let (_, text) = &errors[name];
        for wanted in texts {
            assert!(text.contains(wanted), "{name}: {text}");
        }
    };
    says("fails", &["3 is bad", "caused by: invalid digit"]);
    says("key", &["no task `integre`", "did you mean `integer`?"]);
    says("type", &["task `integer`: the argument for `x`", "i64"]);
    says(
        "missing",
        &["task `joined`: `separator` (String) is missing"],
    );
    says("many", &["task `integer`: it takes 1 arguments: `x`"]);
    says("name", &["it has no parameter `y`, it has `x`"]);
    says("twice", &["`x` is given twice"]);
    says("large", &["argument 1", "too large for Rust's 64 bits"]);
    says("python", &["argument 1", "numpy", "which Rust cannot read"]);
    says("parent", &["cannot be submitted", "no flow's process"]);
}

#[tokio::test]
async fn rust_reads_what_python_holds() {
    fn typed<T: DeserializeOwned>(value: &EncodedValue) -> T {
        rmp_serde::from_slice(&value.bytes).expect("a value of this type")
    }

    let cluster = shared();
    let client = cluster.client().await;
    let keys: BTreeMap<String, String> = call(&cluster.scheduler, FILE, "give", &[]);
    let given = client.get_dataset("given").await.expect("a dataset");
    let gathered = client.gather(&given.keys).await.expect("values");
    let read = |name: &str| from_wire(&gathered[&Key::from(keys[name].as_str())]);
    let value = |name: &str| read(name).unwrap_or_else(|error| panic!("{name}: {error}"));

    assert_eq!(typed::<Option<i64>>(&value("none")), None);
    assert_eq!(typed::<i64>(&value("minimum")), i64::MIN);
    assert_eq!(typed::<u64>(&value("maximum")), u64::MAX);
    assert_eq!(typed::<f64>(&value("infinite")), f64::NEG_INFINITY);
    assert!(typed::<f64>(&value("no number")).is_nan());
    assert_eq!(typed::<String>(&value("empty text")), "");
    assert_eq!(typed::<String>(&value("text")), "日本語 🦀");
    assert_eq!(typed::<Vec<u8>>(&value("empty bytes")), b"");
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(typed::<Vec<u8>>(&value("bytes")), all);
    assert_eq!(typed::<Vec<u8>>(&value("large")), vec![0x80; 10_000_000]);
    assert_eq!(typed::<Vec<i64>>(&value("empty list")), Vec::<i64>::new());
    type Map = BTreeMap<i64, i64>;
    let list = value("list");
    let (one, none, text, (float, map), bytes) =
        typed::<(i64, Option<i64>, String, (f64, Map), Vec<u8>)>(&list);
    assert_eq!((one, none, text.as_str(), float), (1, None, "x", 2.5));
    assert!(map.is_empty());
    assert_eq!(bytes, b"z");
    let dict: BTreeMap<i64, Option<Vec<Option<bool>>>> = typed(&value("dict"));
    let wanted = [
        (1, Some(vec![Some(true)])),
        (2, None),
        (-3, Some(vec![None])),
    ];
    assert_eq!(dict, BTreeMap::from(wanted));
    assert!(typed::<BTreeMap<String, i64>>(&value("empty dict")).is_empty());

    let error = read("too large").expect_err("more than 64 bits");
    assert!(error.to_string().contains("64 bits"), "{error}");
    let error = read("array").expect_err("an array is Python's");
    assert!(error.to_string().contains("numpy.ndarray"), "{error}");

    // A table comes back as the one that it was.
    let table = value("table");
    assert!(!typed::<ArrowStream>(&table).bytes().is_empty());
    let held = client
        .scatter(
            vec![(Key::from("table-of-rust"), to_wire(table))],
            &ScatterOptions::default(),
        )
        .await
        .expect("a place");
    let is_same: bool = call(&cluster.scheduler, FILE, "is_the_table", &["table-of-rust"]);
    assert!(is_same);
    drop(held);
    client
        .unpublish_dataset("given")
        .await
        .expect("a scheduler");
}
