//! Graphs of ours in a cluster without Rust workers: what the scheduler makes of
//! them, and what becomes of their keys.

use flowdask::TaskNode;
use flowdask::client::{CancelOptions, Cancelled, ClientError, KeyState, SubmitOptions};
use flowdask::wire::Key;
use serde_json::json;

use crate::support::{connect, eventually, python, scheduler, shared};

fn node(key: &str, dependencies: &[&str]) -> TaskNode {
    TaskNode {
        key: key.into(),
        payload: bytes::Bytes::from_static(b"\x01payload"),
        dependencies: dependencies.iter().copied().map(Key::from).collect(),
    }
}

/// No worker has it: the tasks wait.
fn nowhere() -> SubmitOptions {
    SubmitOptions::default().resources([("NOWHERE", 1.0)])
}

#[tokio::test(flavor = "multi_thread")]
async fn python_workers_fail_at_our_tasks_and_dependents_fail_with_them() {
    let client = shared().client().await;
    let nodes = vec![node("misled-1", &[]), node("after-2", &["misled-1"])];
    let key = Key::from("after-2");
    let futures = client
        .submit_graph(nodes, &[key], &SubmitOptions::default())
        .expect("an open client");
    let error = futures[0].result().await.unwrap_err();
    let ClientError::Erred { exception, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(
        exception.to_string(),
        "TypeError: method name must be a string"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_needs_unknown_keys_is_refused() {
    let client = shared().client().await;
    let nodes = vec![node("orphan-1", &["nobody-0"])];
    let futures = client
        .submit_graph(nodes, &[Key::from("orphan-1")], &SubmitOptions::default())
        .expect("an open client");
    let state = futures[0].wait().await;
    assert!(
        matches!(state, KeyState::Cancelled(Cancelled::LostDependencies)),
        "{state:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_reach_the_scheduler_and_large_graphs_arrive_whole() {
    const TASKS: usize = 12_000;
    let scheduler = scheduler();
    let client = connect(&scheduler).await;

    let options = nowhere()
        .priority(7)
        .retries(3)
        .annotation("flow", "nightly")
        .annotation("flow", "daily");
    let nodes = vec![node("wish-1", &["wish-0"]), node("wish-0", &[])];
    let wish = Key::from("wish-1");
    let futures = client
        .submit_graph(nodes, std::slice::from_ref(&wish), &options)
        .expect("an open client");
    let ask = || python::<serde_json::Value>(&scheduler, "wishes", &["wish-1"]);
    eventually("the graph has arrived", || async {
        python::<(usize, usize)>(&scheduler, "tasks", &[]) == (2, 1)
    })
    .await;
    assert_eq!(
        ask(),
        json!({
            "state": "waiting",
            "retries": 3,
            "priority": -7,
            "resources": {"NOWHERE": 1.0},
            "annotations": {
                "flow": "daily",
                "priority": 7,
                "resources": {"NOWHERE": 1.0},
                "retries": 3,
            },
            "dependencies": ["wish-0"],
        })
    );
    client
        .cancel(&[wish], &CancelOptions::default())
        .expect("an open client");
    assert!(matches!(
        futures[0].wait().await,
        KeyState::Cancelled(Cancelled::Requested { .. })
    ));
    drop(futures);

    // A chain, last task first: no part of it can do without the one before.
    let name = |place: usize| format!("link-{place}");
    let nodes = (0..TASKS)
        .rev()
        .map(|place| match place {
            0 => node(&name(0), &[]),
            _ => node(&name(place), &[&name(place - 1)]),
        })
        .collect();
    let last = Key::from(name(TASKS - 1));
    let futures = client
        .submit_graph(nodes, &[last], &nowhere())
        .expect("an open client");
    eventually("the chain has arrived, and one key is wanted", || async {
        python::<(usize, usize)>(&scheduler, "tasks", &[]) == (TASKS, 1)
    })
    .await;
    drop(futures);
    eventually("all is forgotten", || async {
        python::<(usize, usize)>(&scheduler, "tasks", &[]) == (0, 0)
    })
    .await;
}
