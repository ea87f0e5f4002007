//! What the tests share: one cluster for those that leave it as it was, and
//! values that Python reads.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use flow_tests::dask::{PythonWorker, Scheduler, Script};
use flowdask::Client;
use flowdask::client::{TopicEvent, TopicEvents};
use flowdask::wire::pickle::{self, Object, Writer};
use flowdask::wire::{Serialized, Value};
use serde::de::DeserializeOwned;

/// More than anything here takes, beside several compilers.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A scheduler with two stock workers, `alice` and `bob`. It ends with this
/// process.
pub(crate) struct Cluster {
    pub(crate) scheduler: Scheduler,
    _workers: [PythonWorker; 2],
}

impl Cluster {
    /// A cluster of the caller's own.
    pub(crate) fn start() -> Self {
        let scheduler = scheduler();
        let workers = ["alice", "bob"].map(|name| worker(&scheduler, name));
        Self {
            scheduler,
            _workers: workers,
        }
    }

    /// A client, once both workers are there.
    pub(crate) async fn client(&self) -> Client {
        let client = connect(&self.scheduler).await;
        let workers = client.wait_for_workers(2, PATIENCE).await;
        workers.expect("two workers");
        // Until a worker has heard that it is taken it only begins.
        eventually("both workers run", || async {
            let info = client.scheduler_info().await.expect("a scheduler");
            info.workers
                .values()
                .all(|worker| worker.status == "running")
        })
        .await;
        client
    }
}

/// The cluster of all tests that change nothing for others.
pub(crate) fn shared() -> &'static Cluster {
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);
    &CLUSTER
}

pub(crate) fn scheduler() -> Scheduler {
    Scheduler::start().unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn worker(scheduler: &Scheduler, name: &str) -> PythonWorker {
    PythonWorker::start(scheduler, name).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) async fn connect(scheduler: &Scheduler) -> Client {
    Client::connect(scheduler.address())
        .await
        .unwrap_or_else(|error| panic!("{error:?}"))
}

/// What a function of `held.py` returns.
pub(crate) fn python<T: DeserializeOwned>(
    scheduler: &Scheduler,
    function: &str,
    arguments: &[&str],
) -> T {
    call(scheduler, "held.py", function, arguments)
}

/// What a function of a file in `tests/python/dask` returns.
pub(crate) fn call<T: DeserializeOwned>(
    scheduler: &Scheduler,
    file: &str,
    function: &str,
    arguments: &[&str],
) -> T {
    arguments
        .iter()
        .fold(
            Script::in_file(scheduler, file, function),
            |script, argument| script.argument(argument),
        )
        .run()
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A value as a pickle.
pub(crate) fn pickled(write: impl FnOnce(&mut Writer)) -> Serialized {
    let mut writer = Writer::new();
    write(&mut writer);
    let header = vec![
        ("serializer".into(), "pickle".into()),
        ("writeable".into(), Value::List(Vec::new())),
    ];
    Serialized::new(header, vec![writer.finish().into()])
}

pub(crate) fn integer(value: i64) -> Serialized {
    pickled(|writer| writer.integer(value))
}

/// Reads a value that came as a pickle.
pub(crate) fn unpickled(value: &Serialized) -> Object {
    let payload = value.payloads().expect("whole frames").concat().into();
    pickle::read(&payload).expect("a pickle")
}

/// Looks again and again until it is so, where nothing else runs on this thread.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks again and again until it is so.
pub(crate) async fn eventually<F>(what: &str, mut is_so: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let end = tokio::time::Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Logs something until the listener hears it: a subscription goes by the stream,
/// which a question may overtake.
pub(crate) async fn hear(client: &Client, events: &mut TopicEvents, message: Value) -> TopicEvent {
    let topic = events.topic().to_owned();
    loop {
        let logged = client.log_event(&topic, message.clone()).await;
        logged.expect("a scheduler");
        let heard = tokio::time::timeout(Duration::from_millis(100), events.next());
        if let Ok(event) = heard.await {
            return event.expect("an open client");
        }
    }
}
