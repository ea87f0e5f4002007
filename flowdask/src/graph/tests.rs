use bytes::Bytes;

use super::*;
use crate::Release;
use crate::fixtures;
use crate::wire::pickle::{self, Object};
use crate::wire::{Key, Pickled, Serialized, Value};

const NEW: Release = Release::NEWEST;
const GRAPHS: Release = Release::new(2024, 12, 1);
const TUPLES: Release = Release::new(2024, 8, 0);

fn node(key: &str, payload: &'static [u8], dependencies: &[&str]) -> TaskNode {
    TaskNode {
        key: key.into(),
        payload: Bytes::from_static(payload),
        dependencies: dependencies.iter().map(|&key| key.into()).collect(),
    }
}

/// The pickle of a graph.
fn bytes_of(members: &[(&str, Value)]) -> Bytes {
    match members {
        [("expr_ser", Value::Serialized(expression))] => expression.frames()[0].clone(),
        [("graph_header", _), ("graph_frames", Value::List(frames))] => match &frames[0] {
            Value::Bytes(pickle) => pickle.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn pickle_of(members: &[(&str, Value)]) -> Object {
    pickle::read(&bytes_of(members)).unwrap()
}

/// As its own name for the graph is made by chance, a recorded one is put in place of ours.
fn renamed(object: Object, name: &Object) -> Object {
    let Object::Instance(to_pickle) = object else {
        panic!("{object:?}")
    };
    let mut to_pickle = pickle::Instance::clone(&to_pickle);
    let Some([Object::Instance(graph)]) = to_pickle.arguments.elements() else {
        panic!("{to_pickle:?}")
    };
    let mut graph = pickle::Instance::clone(graph);
    let mut arguments = graph.arguments.elements().unwrap().to_vec();
    arguments[0] = name.clone();
    graph.arguments = Object::Tuple(arguments.into());
    to_pickle.arguments = Object::Tuple([Object::Instance(graph.into())].into());
    Object::Instance(to_pickle.into())
}

fn name_of(object: &Object) -> Object {
    let graph = &object.instance().unwrap().arguments.elements().unwrap()[0];
    graph.instance().unwrap().arguments.elements().unwrap()[0].clone()
}

#[test]
fn graphs_say_what_recorded_ones_say() {
    let one = [node("a", b"PAYLOAD", &[])];
    let two = [node("a", b"PAYLOAD", &[]), node("b", b"PAYLOAD2", &["a"])];
    let recorded = |name: &str| pickle::read(&fixtures::bytes(name)).unwrap();

    let ours = pickle_of(&graph_members(&one, NEW, 0));
    assert_eq!(ours, recorded("pickle.graph-1-task.handmade"));
    let ours = pickle_of(&graph_members(&two, NEW, 0));
    assert_eq!(ours, recorded("pickle.graph-2-tasks.handmade"));

    for (release, name) in [
        (GRAPHS, "pickle.graph-2-tasks.handmade.hlg"),
        (TUPLES, "pickle.graph-2-tasks.handmade.legacy"),
    ] {
        let recorded = recorded(name);
        let ours = pickle_of(&graph_members(&two, release, 7));
        assert_eq!(renamed(ours, &name_of(&recorded)), recorded);
    }
}

/// The bytes are pinned: a test with stock Dask reads these very files.
#[test]
fn graphs_stay_as_python_has_read_them() {
    let nodes = [
        node("a", b"PAYLOAD", &[]),
        node("b", b"PAYLOAD2", &["a", "elsewhere"]),
    ];
    for (release, name) in [
        (NEW, "pickle.graph-2-tasks.ours"),
        (GRAPHS, "pickle.graph-2-tasks.ours.hlg"),
        (TUPLES, "pickle.graph-2-tasks.ours.legacy"),
    ] {
        let ours = bytes_of(&graph_members(&nodes, release, 1));
        assert_eq!(ours, fixtures::bytes(name), "{name}");
    }
}

#[test]
fn keys_and_classes_are_written_once() {
    let nodes: Vec<_> = (0..300)
        .map(|index| TaskNode {
            key: format!("a-rather-long-key-{index}").into(),
            payload: Bytes::from_static(b"P"),
            dependencies: match index {
                0 => vec![],
                _ => vec![format!("a-rather-long-key-{}", index - 1).into()],
            },
        })
        .collect();
    for release in [NEW, GRAPHS, TUPLES] {
        let members = graph_members(&nodes, release, 1);
        let graph = pickle_of(&members);
        let size = bytes_of(&members).len();
        assert!(size < 300 * 64, "{size} bytes");
        assert!(format!("{graph:?}").contains("a-rather-long-key-299"));
    }
}

#[test]
fn what_tuples_need_from_elsewhere_is_wrapped() {
    let nodes = [node("b", b"P", &["a"])];
    let graph = pickle_of(&graph_members(&nodes, TUPLES, 1));
    assert!(format!("{graph:?}").contains("WrappedKey"));
}

fn spec(name: &str) -> Pickled {
    Pickled {
        pickle: fixtures::bytes(name),
        buffers: Vec::new(),
    }
}

#[test]
fn our_tasks_are_told_from_pythons() {
    let ours = |name: &str, payload: &'static [u8], dependencies: &[&str]| {
        let dependencies: Vec<Key> = dependencies.iter().map(|&key| key.into()).collect();
        let wanted = RunSpec::Ours {
            payload: Bytes::from_static(payload),
            dependencies: dependencies.clone(),
        };
        assert_eq!(
            read_run_spec(&spec(name), &dependencies).unwrap(),
            wanted,
            "{name}"
        );
    };
    ours("pickle.run_spec.ours.no-deps", b"PAYLOAD", &[]);
    ours("pickle.run_spec.ours.one-dep", b"PAYLOAD2", &["a"]);

    let tuple = Key::try_from(Value::List(vec!["t".into(), 0.into()])).unwrap();
    for release in ["2024.8.0", "2024.11.2", "2024.12.1", "2025.2.0"] {
        let name = format!("pickle.run_spec.ours.two-deps.{release}");
        let who_has = [tuple.clone(), "a".into()];
        let wanted = RunSpec::Ours {
            payload: Bytes::from_static(b"PAYLOAD2"),
            dependencies: vec!["a".into(), tuple.clone()],
        };
        assert_eq!(
            read_run_spec(&spec(&name), &who_has).unwrap(),
            wanted,
            "{name}"
        );
    }

    for (name, wanted) in [
        ("alias", "what dask._task_spec.Alias makes"),
        ("datanode", "what dask._task_spec.DataNode makes"),
        ("future-arg", "_operator.mul"),
        ("kwargs", "builtins.int"),
        ("list-arg", "builtins.sum"),
        ("operator-add", "_operator.add"),
    ] {
        let name = format!("pickle.run_spec.stock.{name}");
        let read = read_run_spec(&spec(&name), &["f".into(), "g".into()]).unwrap();
        let function = wanted.to_owned();
        assert_eq!(read, RunSpec::Foreign { function }, "{name}");
    }
}

/// The payload of the exception that a recorded message carries.
fn recorded_exception(name: &str) -> Value {
    let message = &fixtures::meaning(name)["message"][0]["exception"];
    let bytes = |digits: &serde_json::Value| Bytes::from(fixtures::unhex(digits.as_str().unwrap()));
    match message.get("$bytes") {
        Some(digits) => Value::Bytes(bytes(digits)),
        None => {
            let frames = &message["$serialized"]["frames"];
            let frames = frames.as_array().unwrap().iter().map(bytes).collect();
            let header = vec![("serializer".into(), "dask".into())];
            Serialized::new(header, frames).into()
        }
    }
}

#[test]
fn exceptions_are_read() {
    let read = |name| RemoteException::read(&recorded_exception(name));

    let ours = read("stream.scheduler-to-client.task-erred");
    assert_eq!(ours.class, "builtins.RuntimeError");
    assert_eq!(ours.to_string(), "RuntimeError: TaskFailed: told to fail");

    let killed = read("stream.scheduler-to-client.task-erred.plain-bytes-exception.batch");
    assert_eq!(
        killed.to_string(),
        "distributed.scheduler.KilledWorker: the task `kw` was running on a worker that died; the last was tcp://127.0.0.1:33655: look into their logs, or allow \
         more failures"
    );
    let killed = killed.killed_worker.unwrap();
    assert_eq!(killed.key, Key::from("kw"));
    assert_eq!(killed.allowed_failures, Some(0));

    let garbage = read("raw.stream.worker-to-scheduler.task-erred.plain-bytes-exception");
    assert!(garbage.message.contains("cannot be read"), "{garbage}");
}

#[test]
fn an_exception_of_ours_is_what_was_recorded() {
    let ours = exception("boom");
    assert_eq!(
        ours.frames(),
        [fixtures::bytes("pickle.exception.handmade")]
    );
    let message = fixtures::bytes("raw.stream.worker-to-scheduler.task-erred");
    // The second of three frames.
    let header = message.slice(message.len() - 56 - 95..message.len() - 56);
    assert_eq!(*ours.header(), header);
    let read = RemoteException::read(&ours.into());
    assert_eq!(read.to_string(), "RuntimeError: boom");
}
