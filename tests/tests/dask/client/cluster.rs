//! Questions about a cluster, and what a client may change in it.

use std::time::Duration;

use flowdask::Release;
use flowdask::client::{Cancelled, ClientError, KeyState, ScatterOptions};
use flowdask::wire::pickle::{Object, Writer};
use flowdask::wire::{Address, Key, Value};

use crate::support::{Cluster, PATIENCE, integer, python, shared, unpickled};

#[tokio::test(flavor = "multi_thread")]
async fn the_scheduler_tells_of_itself_and_its_workers() {
    let client = shared().client().await;
    assert_eq!(client.release(), Release::NEWEST);
    assert_eq!(
        client.scheduler_address().to_string(),
        shared().scheduler.address()
    );
    let info = client.scheduler_info().await.expect("a scheduler");
    assert_eq!(info.address, shared().scheduler.address());
    let mut names: Vec<&str> = info
        .workers
        .values()
        .map(|worker| worker.name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["alice", "bob"]);
    for worker in info.workers.values() {
        assert_eq!((worker.nthreads, worker.status.as_str()), (1, "running"));
        assert!(worker.memory_limit > 0 && worker.last_seen > 1e9);
        assert!(worker.metrics.get("memory").is_some());
    }

    let error = client
        .wait_for_workers(3, Duration::from_millis(100))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("2 of 3 workers"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_asked_by_way_of_the_scheduler() {
    let client = shared().client().await;
    let workers = client.ncores().await.expect("a scheduler");
    let addresses: Vec<Address> = workers
        .keys()
        .map(|address| address.parse().expect("an address"))
        .collect();

    let identity = Value::map([("op", "identity".into())]);
    let answer = client
        .proxy(&addresses[0], identity.clone())
        .await
        .expect("a worker");
    assert_eq!(answer.get("type"), Some(&Value::from("Worker")));
    let answers = client.broadcast(identity, None).await.expect("workers");
    assert_eq!(answers.len(), 2);
    assert!(answers.values().all(Result::is_ok));

    let function = |name: &str| {
        let mut writer = Writer::new();
        writer.global("builtins", name);
        writer.finish().into()
    };
    let arguments = || {
        let mut writer = Writer::new();
        writer.string("seven!!");
        writer.tuple_of(1);
        writer.finish().into()
    };
    let one = &addresses[..1];
    let results = client
        .run(function("len"), arguments(), Some(one))
        .await
        .expect("a worker");
    let result = results[&addresses[0].to_string()]
        .as_ref()
        .expect("a length");
    assert!(matches!(unpickled(result), Object::Integer(7)));
    let results = client
        .run(function("int"), arguments(), None)
        .await
        .expect("workers");
    for result in results.values() {
        let exception = result.as_ref().unwrap_err();
        assert!(exception.to_string().contains("ValueError"), "{exception}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_worker_hands_its_data_over_and_a_restart_forgets_all() {
    let cluster = Cluster::start();
    let client = cluster.client().await;
    let workers = client.ncores().await.expect("a scheduler");
    let mut addresses = workers.into_keys();
    let (gone, left) = (
        addresses.next().expect("one"),
        addresses.next().expect("two"),
    );
    let key = Key::from("heirloom-1");
    let futures = client
        .scatter(
            vec![(key.clone(), integer(3))],
            &ScatterOptions::default().workers([gone.as_str()]),
        )
        .await
        .expect("a worker");

    let retired = client
        .retire_workers(&[gone.parse().expect("an address")])
        .await
        .expect("a scheduler");
    assert_eq!(retired, [gone]);
    let holders = client.who_has(std::slice::from_ref(&key)).await;
    assert_eq!(holders.expect("a scheduler")[&key], [left]);
    let value = futures[0].result().await.expect("the value");
    assert!(matches!(unpickled(&value), Object::Integer(3)));

    // Workers without a nanny do not come back.
    let restarted = client.restart(false, PATIENCE).await;
    let state = futures[0].wait().await;
    assert!(
        matches!(
            state,
            KeyState::Memory | KeyState::Cancelled(Cancelled::Restarted)
        ),
        "{state:?} after {restarted:?}"
    );
    crate::support::eventually("the restart is told", || async {
        matches!(
            futures[0].state(),
            KeyState::Cancelled(Cancelled::Restarted)
        )
    })
    .await;
    let error = futures[0].result().await.unwrap_err();
    assert!(
        error.to_string().contains("the cluster was restarted"),
        "{error}"
    );
    let (tasks, wanted): (usize, usize) = python(&cluster.scheduler, "tasks", &[]);
    assert_eq!((tasks, wanted), (0, 0));

    let error = flowdask::Client::builder()
        .address(cluster.scheduler.address())
        .timeout(Duration::from_millis(300))
        .connect()
        .await
        .expect("a client")
        .scatter(
            vec![(Key::from("nowhere"), integer(5))],
            &ScatterOptions::default(),
        )
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::NoWorkers { .. }), "{error:?}");
}
