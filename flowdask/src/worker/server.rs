//! What schedulers, clients and peers ask a worker (protocol, section 7.8).
//!
//! Each connection has a task of its own; nothing here waits for the loop but
//! those who put values here.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::executor::Stored;
use super::mail::Mail;
use super::messages::{now, remotes};
use super::peers::{self, Answer};
use super::shared::{Shared, UnderWay};
use super::state::{Event, Remote};
use super::store::Held;
use crate::graph;
use crate::wire::{Connection, FieldError, Fields, Key, Listener, Value, WireError};

/// How many peers get data at a time (`distributed.worker.connections.outgoing`).
const TRANSFERS: usize = 50;

/// How many while the worker is paused.
const TRANSFERS_WHILE_PAUSED: usize = 1;

/// The op that takes a message for the executor; clients send it by the
/// scheduler's `proxy`.
pub(crate) const ORDER: &str = "flow_order";

/// After the system refused a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers until the runtime ends.
pub(super) async fn serve(listener: Listener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok(incoming) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let served = match incoming.handshake().await {
                        Ok(connection) => answer_all(connection, &shared).await,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = served
                        && !matches!(error, WireError::Closed)
                    {
                        tracing::debug!(%error, "a connection to the worker ends");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the worker cannot take a connection now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer_all(mut connection: Connection, shared: &Arc<Shared>) -> Result<(), WireError> {
    loop {
        let mut request = Fields::of(connection.read().await?)?;
        let wants_reply = request.optional("reply") != Some(false.into());
        let closes = request.optional("close") == Some(true.into());
        // Which serializers the asker knows: ours are the most common ones.
        request.optional("serializers");
        match request.op() {
            "close" => return Ok(()),
            "get_data" => get_data(&mut connection, shared, request).await?,
            _ => {
                let reply = answer(shared, request)
                    .await
                    .unwrap_or_else(Refusal::into_value);
                if wants_reply {
                    connection.write(&reply).await?;
                }
            }
        }
        if closes {
            return Ok(());
        }
    }
}

/// Answers, and waits for the thanks: until then the transfer counts.
async fn get_data(
    connection: &mut Connection,
    shared: &Arc<Shared>,
    mut request: Fields,
) -> Result<(), WireError> {
    let limit = if shared.is_paused.load(Relaxed) {
        TRANSFERS_WHILE_PAUSED
    } else {
        TRANSFERS
    };
    let Some(_under_way) = UnderWay::begin(&shared.transfers.outgoing, limit) else {
        let busy = Value::map([("status", "busy".into())]);
        return connection.write(&busy).await;
    };
    let values = load(shared, request.keys("keys")?).await;
    let nbytes: u64 = values.iter().map(|(_, value)| value.nbytes()).sum();
    shared.transfers.outgoing_bytes.fetch_add(nbytes, Relaxed);
    shared.transfers.outgoing_total.fetch_add(1, Relaxed);
    let data = values
        .into_iter()
        .map(|(key, value)| (key.into(), value.value.into()))
        .collect();
    let reply = Value::map([("status", "OK".into()), ("data", Value::Map(data))]);
    let sent = match connection.write(&reply).await {
        Ok(()) => connection.read().await.map(drop),
        Err(error) => Err(error),
    };
    shared.transfers.outgoing_bytes.fetch_sub(nbytes, Relaxed);
    sent
}

/// Those of the values that are here. What cannot be read from disk is lost.
async fn load(shared: &Arc<Shared>, keys: Vec<Key>) -> Vec<(Key, Stored)> {
    let held: Vec<(Key, Held)> = keys
        .into_iter()
        .filter_map(|key| Some((key.clone(), shared.store.get(&key)?)))
        .collect();
    let load = {
        let shared = Arc::clone(shared);
        move |held: Vec<(Key, Held)>| {
            held.into_iter()
                .filter_map(|(key, held)| match shared.store.load(&key, held) {
                    Ok(value) => Some((key, value)),
                    Err(error) => {
                        tracing::error!(%key, %error, "a value cannot be read back");
                        shared.mailbox.put(Mail::Event(Event::DataLost(key)));
                        None
                    }
                })
                .collect()
        }
    };
    if held.iter().all(|(_, held)| matches!(held, Held::Memory(_))) {
        return load(held);
    }
    tokio::task::spawn_blocking(move || load(held))
        .await
        .unwrap_or_default()
}

/// A request that failed: an answer too.
struct Refusal(String);

impl<E: Into<FieldError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into().to_string())
    }
}

impl Refusal {
    fn into_value(self) -> Value {
        self.with_status("uncaught-error")
    }

    fn with_status(self, status: &str) -> Value {
        Value::map([
            ("status", status.into()),
            ("exception", graph::exception(&self.0).into()),
            ("traceback", Value::Nil),
            ("exception_text", self.0.into()),
            ("traceback_text", "".into()),
        ])
    }
}

async fn answer(shared: &Arc<Shared>, mut request: Fields) -> Result<Value, Refusal> {
    let op = request.op().to_owned();
    Ok(match op.as_str() {
        "update_data" => {
            let values = request.values("data")?.into_iter();
            let values: Vec<(Key, Stored)> = values
                .map(|(key, value)| (key, Stored::opaque(value)))
                .collect();
            let sizes = values
                .iter()
                .map(|(key, value)| (key.into(), value.nbytes().into()))
                .collect();
            put(shared, values).await;
            Value::map([("nbytes", Value::Map(sizes)), ("status", "OK".into())])
        }
        "gather" => gather(shared, remotes(&mut request)?).await,
        "free_keys" | "free-keys" => {
            let keys = request.keys("keys")?;
            shared.mailbox.put(Mail::Event(Event::FreeKeys(keys)));
            Value::Nil
        }
        ORDER => shared.executor.order(request.bytes("body")?).into(),
        "identity" => identity(shared),
        "ping" => Bytes::from_static(b"pong").into(),
        "keys" => shared.store.keys().into(),
        "versions" => shared.versions.lock().clone(),
        "echo" => request.value("data")?,
        "run" | "actor_execute" | "actor_attribute" => Refusal(format!(
            "`{op}`: worker {} is written in Rust and runs no Python",
            shared.name
        ))
        .with_status("error"),
        // What a Python client gives to all workers is for the Python ones.
        "plugin-add" | "plugin-remove" => ok([]),
        "upload_file" => {
            let nbytes = request.bytes("data").map_or(0, |data| data.len());
            ok([("nbytes", nbytes.into())])
        }
        "get_logs" | "get_story" => Value::List(Vec::new()),
        "call_stack" | "dump_state" | "benchmark_disk" | "benchmark_memory"
        | "benchmark_network" => Value::map([]),
        "profile" => no_profile(),
        "profile_metadata" => Value::map([
            ("counts", Value::List(Vec::new())),
            ("keys", Value::map([])),
        ]),
        "get_monitor_info" => Value::map([
            ("range_query", Value::map([])),
            ("count", 0.into()),
            ("last_time", now().into()),
        ]),
        "terminate" => {
            shared.mailbox.put(Mail::Close { gracefully: false });
            "OK".into()
        }
        _ => return Err(Refusal(format!("a Rust worker knows no op `{op}`"))),
    })
}

fn ok<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let mut members: Vec<(Value, Value)> = vec![("status".into(), "OK".into())];
    members.extend(
        entries
            .into_iter()
            .map(|(name, value)| (name.into(), value)),
    );
    Value::Map(members)
}

fn identity(shared: &Shared) -> Value {
    Value::map([
        ("type", "Worker".into()),
        ("id", shared.id.as_str().into()),
        ("name", shared.name.as_str().into()),
        ("address", (&*shared.address).into()),
        ("scheduler", shared.scheduler.to_string().into()),
        ("nthreads", shared.nthreads.into()),
        ("memory_limit", shared.memory_limit.unwrap_or(0).into()),
    ])
}

/// Python's profiler has nothing to say about us.
fn no_profile() -> Value {
    let description = Value::map([
        ("filename", "".into()),
        ("name", "".into()),
        ("line_number", 0.into()),
        ("line", "".into()),
    ]);
    Value::map([
        ("count", 0.into()),
        ("children", Value::map([])),
        ("identifier", "root".into()),
        ("description", description),
    ])
}

/// Waits until the values are here.
async fn put(shared: &Shared, values: Vec<(Key, Stored)>) {
    let (done, is_done) = oneshot::channel();
    shared.mailbox.put(Mail::Received { values, done });
    // An error: the worker ends, and the asker's connection with it.
    let _ = is_done.await;
}

/// Fetches copies because the scheduler wants them here.
async fn gather(shared: &Arc<Shared>, remotes: Vec<Remote>) -> Value {
    let mut missing = Vec::new();
    let mut gathered = Vec::new();
    for remote in remotes {
        if shared.store.get(&remote.key).is_some() {
            continue;
        }
        match fetch_one(shared, &remote).await {
            Some(value) => gathered.push((remote.key, value)),
            None => missing.push(remote.key),
        }
    }
    put(shared, gathered).await;
    if missing.is_empty() {
        return ok([]);
    }
    Value::map([("status", "partial-fail".into()), ("keys", missing.into())])
}

async fn fetch_one(shared: &Shared, remote: &Remote) -> Option<Stored> {
    for peer in &remote.peers {
        loop {
            match peers::get_data(shared, peer, std::slice::from_ref(&remote.key)).await {
                Ok(Answer::Busy) => tokio::time::sleep(peers::BUSY_PAUSE).await,
                Ok(Answer::Values { values, .. }) => {
                    if let Some((_, value)) = values.into_iter().next() {
                        return Some(value);
                    }
                    break;
                }
                Err(error) => {
                    tracing::debug!(%error, %peer, "a peer cannot be asked");
                    break;
                }
            }
        }
    }
    None
}
