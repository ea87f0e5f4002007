//! Tasks that landed here and are not ours go to who can run them (protocol,
//! section 12.5).
//!
//! To fail them would be worse than useless: a worker that fails at once looks
//! idle, and attracts the next one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use super::mail::Mail;
use super::metrics::MARKER;
use super::shared::Shared;
use super::state::{Peer, Resources};
use crate::wire::{Fields, Key, Value, WireError};

/// How long it is believed which workers there are.
const CACHED: Duration = Duration::from_secs(1);

/// How many tasks are handed back with one question.
const BATCH: usize = 1000;

/// A task that is not ours.
#[derive(Debug)]
pub(super) struct Stray {
    pub(super) key: Key,
    pub(super) needs: Needs,
}

/// Who can run it.
#[derive(Debug)]
pub(super) enum Needs {
    /// A Python worker: it is this Python function.
    Python(String),
    /// A worker with these resources.
    Resources(Resources),
}

/// What became of it.
#[derive(Debug)]
pub(super) struct HandedBack {
    pub(super) key: Key,
    /// Ok: give it back now, it will be sent elsewhere. Else why it fails.
    pub(super) outcome: Result<(), String>,
}

/// A worker of the cluster.
struct Other {
    address: Peer,
    is_python: bool,
    resources: Resources,
}

/// Starts the task that hands strays back, as long as the sender lives.
pub(super) fn start(shared: Arc<Shared>) -> UnboundedSender<Stray> {
    let (sender, strays) = mpsc::unbounded_channel();
    tokio::spawn(hand_back(shared, strays));
    sender
}

async fn hand_back(shared: Arc<Shared>, mut strays: UnboundedReceiver<Stray>) {
    let mut cached: Option<(Instant, Vec<Other>)> = None;
    let mut batch = Vec::new();
    while strays.recv_many(&mut batch, BATCH).await > 0 {
        if cached
            .as_ref()
            .is_none_or(|(since, _)| since.elapsed() > CACHED)
        {
            cached = match others(&shared).await {
                Ok(others) => Some((Instant::now(), others)),
                Err(error) => {
                    // The scheduler's loss is noticed elsewhere, and makes all
                    // this void.
                    tracing::debug!(%error, "cannot ask which workers there are");
                    None
                }
            };
        }
        let none = Vec::new();
        let others = cached.as_ref().map_or(&none, |(_, others)| others);
        place(&shared, others, batch.drain(..)).await;
    }
}

async fn place(shared: &Shared, others: &[Other], strays: impl Iterator<Item = Stray>) {
    let mut restrictions = Vec::new();
    let mut placed = Vec::new();
    for Stray { key, needs } in strays {
        let able: Value = others
            .iter()
            .filter(|other| needs.are_met_by(other))
            .map(|other| &*other.address)
            .collect();
        if able == Value::List(Vec::new()) {
            let outcome = Err(needs.unmet(others));
            shared
                .mailbox
                .put(Mail::HandedBack(HandedBack { key, outcome }));
        } else {
            restrictions.push((Value::from(&key), able));
            placed.push(key);
        }
    }
    if placed.is_empty() {
        return;
    }
    let request = Value::map([
        ("op", "set_restrictions".into()),
        ("reply", true.into()),
        ("worker", Value::Map(restrictions)),
    ]);
    let answer = shared.pool.call(&shared.scheduler, &request).await;
    for key in placed {
        let outcome = match &answer {
            Ok(_) => Ok(()),
            Err(error) => Err(format!(
                "the task is not this worker's, and cannot be placed elsewhere: {error}"
            )),
        };
        shared
            .mailbox
            .put(Mail::HandedBack(HandedBack { key, outcome }));
    }
}

impl Needs {
    fn are_met_by(&self, other: &Other) -> bool {
        match self {
            Self::Python(_) => other.is_python,
            Self::Resources(needed) => needed.iter().all(|(name, amount)| {
                other
                    .resources
                    .iter()
                    .any(|(offered, has)| offered == name && has >= amount)
            }),
        }
    }

    fn unmet(&self, others: &[Other]) -> String {
        match self {
            Self::Python(function) => format!(
                "{function} is a Python function, and there is no Python worker: start one with `dask worker`"
            ),
            Self::Resources(needed) => {
                let mut offered: Vec<&str> = others
                    .iter()
                    .flat_map(|other| other.resources.iter().map(|(name, _)| &**name))
                    .collect();
                offered.sort_unstable();
                offered.dedup();
                let needed: Vec<String> = needed
                    .iter()
                    .map(|(name, amount)| format!("{name}={amount}"))
                    .collect();
                format!(
                    "no worker offers {}: the workers offer {}",
                    needed.join(", "),
                    if offered.is_empty() {
                        "nothing".to_owned()
                    } else {
                        offered.join(", ")
                    }
                )
            }
        }
    }
}

async fn others(shared: &Shared) -> Result<Vec<Other>, WireError> {
    let request = Value::map([("op", "identity".into()), ("reply", true.into())]);
    let identity = shared.pool.call(&shared.scheduler, &request).await?;
    let workers = Fields::unnamed("identity", identity)?.map("workers")?;
    Ok(workers
        .into_iter()
        .filter_map(|(address, worker)| {
            let address = Peer::from(address.as_str()?);
            let resources = match worker.get("resources") {
                Some(Value::Map(entries)) => entries.iter().filter_map(resource).collect(),
                _ => Resources::new(),
            };
            let is_running = worker.get("status").and_then(Value::as_str) == Some("running");
            (is_running && address != shared.address).then(|| Other {
                is_python: worker
                    .get("metrics")
                    .is_none_or(|metrics| metrics.get(MARKER).is_none()),
                address,
                resources,
            })
        })
        .collect())
}

#[allow(clippy::cast_precision_loss)]
fn resource((name, amount): &(Value, Value)) -> Option<(Arc<str>, f64)> {
    let amount = match amount {
        Value::Float(amount) => *amount,
        Value::Integer(amount) => *amount as f64,
        _ => return None,
    };
    Some((name.as_str()?.into(), amount))
}
