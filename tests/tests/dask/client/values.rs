//! Values, in both directions and both ways.

use flowdask::Client;
use flowdask::client::{CancelOptions, Cancelled, ClientError, Dataset, KeyState, ScatterOptions};
use flowdask::wire::pickle::Object;
use flowdask::wire::{Key, Value};

use crate::support::{eventually, hear, integer, pickled, python, shared, unpickled};

/// A client whose values do not go through the scheduler.
async fn direct() -> Client {
    let address = shared().scheduler.address();
    let client = Client::builder().address(address).direct_to_workers(true);
    client.connect().await.expect("a client")
}

/// Python reads what we scattered and published, and it is freed at the end.
async fn scattered(client: &Client, name: &str) {
    let keys = [1, 2, 3].map(|index| Key::from(format!("{name}-{index}")));
    let data = vec![
        (keys[0].clone(), integer(20)),
        (keys[1].clone(), integer(-7)),
        (keys[2].clone(), pickled(|writer| writer.string("Grüße"))),
    ];
    let futures = client
        .scatter(data, &ScatterOptions::default())
        .await
        .expect("workers");
    for future in &futures {
        assert!(matches!(future.wait().await, KeyState::Memory));
    }

    let dataset = Dataset {
        data: pickled(|writer| writer.string("three values")),
        keys: keys.to_vec(),
    };
    client
        .publish_dataset(name, dataset, false)
        .await
        .expect("a new name");
    drop(futures);
    let scheduler = &shared().scheduler;
    let texts: Vec<String> = keys.iter().map(Key::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let read: (i64, i64, String) = python(scheduler, "values", &texts);
    assert_eq!(read, (20, -7, "Grüße".to_owned()));
    let read: String = python(scheduler, "dataset", &[name]);
    assert_eq!(read, "three values");

    let found = client.gather(&keys).await.expect("all of them");
    assert!(matches!(unpickled(&found[&keys[0]]), Object::Integer(20)));

    client.unpublish_dataset(name).await.expect("a scheduler");
    eventually("the values are freed", || async {
        let holders = client.who_has(&keys).await.expect("a scheduler");
        holders.values().all(Vec::is_empty)
    })
    .await;
    let error = client.get_dataset(name).await.unwrap_err();
    assert!(matches!(error, ClientError::NoDataset { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn python_reads_what_came_through_the_scheduler() {
    scattered(&shared().client().await, "by-scheduler").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_reads_what_came_straight() {
    shared().client().await;
    scattered(&direct().await, "straight").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_python_come_both_ways() {
    let through = shared().client().await;
    let straight = direct().await;
    let name = "from-python";
    let keys: Vec<String> = python(&shared().scheduler, "publish_values", &[name]);

    assert!(
        through
            .list_datasets()
            .await
            .expect("a scheduler")
            .contains(&Key::from(name))
    );
    let dataset = through.get_dataset(name).await.expect("the dataset");
    assert_eq!(
        dataset.keys,
        keys.into_iter().map(Key::from).collect::<Vec<_>>()
    );
    for client in [&through, &straight] {
        let found = client.gather(&dataset.keys).await.expect("both values");
        assert!(matches!(
            unpickled(&found[&dataset.keys[0]]),
            Object::Integer(1024)
        ));
        assert_eq!(unpickled(&found[&dataset.keys[1]]).text(), Some("DASK"));
        let one = client
            .future(dataset.keys[1].clone())
            .expect("an open client");
        let value = one.result().await.expect("the value");
        assert_eq!(unpickled(&value).text(), Some("DASK"));
    }
    let error = through
        .publish_dataset(name, dataset, false)
        .await
        .unwrap_err();
    assert!(format!("{error:?}").contains("already exists"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_go_to_every_worker_or_to_one() {
    let client = shared().client().await;
    let straight = direct().await;
    let workers = client.ncores().await.expect("a scheduler");
    let addresses: Vec<&String> = workers.keys().collect();

    for (index, client) in [&client, &straight].into_iter().enumerate() {
        let everywhere = Key::from(format!("everywhere-{index}"));
        let here = Key::from(format!("here-{index}"));
        let to_all = client
            .scatter(
                vec![(everywhere.clone(), integer(1))],
                &ScatterOptions::default().broadcast(),
            )
            .await
            .expect("workers");
        let to_one = client
            .scatter(
                vec![(here.clone(), integer(2))],
                &ScatterOptions::default().workers([addresses[1].as_str()]),
            )
            .await
            .expect("workers");
        let holders = client
            .who_has(std::slice::from_ref(&here))
            .await
            .expect("a scheduler");
        assert_eq!(holders[&here], [addresses[1].clone()]);
        let has_what = client.has_what().await.expect("a scheduler");
        assert!(has_what[addresses[1]].contains(&here));
        let sizes = client
            .nbytes(&[everywhere, here.clone()])
            .await
            .expect("a scheduler");
        assert!(sizes.len() == 2 && sizes[&here] > 0, "{sizes:?}");
        assert_eq!((to_all.len(), to_one.len()), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_and_tried_again() {
    let client = shared().client().await;
    let name = "failure";
    let key: String = python(&shared().scheduler, "publish_failure", &[name, "no luck"]);
    let key = Key::from(key);
    let future = client.future(key.clone()).expect("an open client");

    let error = client.gather(std::slice::from_ref(&key)).await.unwrap_err();
    let ClientError::Erred { exception, .. } = error else {
        panic!("{error:?}");
    };
    assert!(
        exception.to_string().contains("ValueError: no luck"),
        "{exception}"
    );

    let mut changes = client.changes();
    changes.watch([&future]);
    assert!(matches!(changes.next().await.1, KeyState::Erred(_)));
    client.retry(&[key]).await.expect("a scheduler");
    assert!(matches!(changes.next().await.1, KeyState::Pending));
    assert!(matches!(changes.next().await.1, KeyState::Erred(_)));
    client.unpublish_dataset(name).await.expect("a scheduler");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_cancelled_or_unknown_end() {
    let client = shared().client().await;
    let error = client
        .gather(&[Key::from("never-heard-of")])
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Cancelled {
                cancelled: Cancelled::Forgotten,
                ..
            }
        ),
        "{error:?}"
    );

    // By another client, which says why.
    let name = "pending";
    let key: String = python(&shared().scheduler, "publish_pending", &[name]);
    let future = client.future(key.as_str()).expect("an open client");
    assert!(matches!(future.state(), KeyState::Pending));
    let () = python(
        &shared().scheduler,
        "cancel",
        &[&key, "tired", "it is late"],
    );
    let KeyState::Cancelled(cancelled) = future.wait().await else {
        panic!("{future:?}");
    };
    assert_eq!(
        cancelled,
        Cancelled::Requested {
            reason: Some("tired".to_owned()),
            message: Some("it is late".to_owned()),
        }
    );

    // By ourselves; what waits hears it at once.
    let key: String = python(&shared().scheduler, "publish_pending", &["other-pending"]);
    let future = client.future(key.as_str()).expect("an open client");
    let waiting = tokio::spawn({
        let future = future.clone();
        async move { future.result().await }
    });
    let options = CancelOptions::default()
        .force()
        .reason("test", "it is over");
    client
        .cancel(&[Key::from(key)], &options)
        .expect("an open client");
    let error = waiting.await.expect("no panic").unwrap_err();
    assert!(error.to_string().contains("it is over"), "{error}");
    for name in [name, "other-pending"] {
        client.unpublish_dataset(name).await.expect("a scheduler");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_from_both_sides() {
    let client = shared().client().await;
    let mut events = client.subscribe_topic("news").expect("an open client");
    let hello = Value::map([("text", "from us".into())]);
    let event = hear(&client, &mut events, hello.clone()).await;
    assert_eq!((event.message, event.time > 1e9), (hello.clone(), true));

    let () = python(&shared().scheduler, "log_event", &["news", "from Python"]);
    let event = loop {
        let event = events.next().await.expect("an event");
        if event.message != hello {
            break event;
        }
    };
    assert_eq!(event.message.get("text"), Some(&Value::from("from Python")));

    client.close().await;
    assert_eq!(events.next().await, None);
}
