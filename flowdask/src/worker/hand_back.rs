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
    let mut known = Known {
        others: Vec::new(),
        since: None,
    };
    let mut batch = Vec::new();
    while strays.recv_many(&mut batch, BATCH).await > 0 {
        if known.since.is_none_or(|since| since.elapsed() > CACHED) {
            known.refresh(&shared).await;
        }
        let can_be_placed = |known: &Known| {
            let met = |stray: &Stray| !known.able(&stray.needs).is_empty();
            batch.iter().all(met)
        };
        // Who can run it may have come since.
        if !can_be_placed(&known) {
            known.refresh(&shared).await;
        }
        place(&shared, &known, batch.drain(..)).await;
    }
}

/// The other workers, as they were a moment ago.
struct Known {
    others: Vec<Other>,
    since: Option<Instant>,
}

impl Known {
    async fn refresh(&mut self, shared: &Shared) {
        match others(shared).await {
            Ok(others) => {
                self.others = others;
                self.since = Some(Instant::now());
            }
            // The scheduler's loss is noticed elsewhere, and makes all this
            // void.
            Err(error) => tracing::debug!(%error, "cannot ask which workers there are"),
        }
    }

    fn able(&self, needs: &Needs) -> Vec<&str> {
        let others = self.others.iter();
        others
            .filter(|other| needs.are_met_by(other))
            .map(|other| &*other.address)
            .collect()
    }
}

async fn place(shared: &Shared, known: &Known, strays: impl Iterator<Item = Stray>) {
    let mut placed = Vec::new();
    for Stray { key, needs } in strays {
        let able = known.able(&needs);
        if able.is_empty() {
            tell(shared, key, Err(needs.unmet(&known.others)));
        } else {
            placed.push((key, able));
        }
    }
    if placed.is_empty() || restrict(shared, &placed).await.is_ok() {
        for (key, _) in placed {
            tell(shared, key, Ok(()));
        }
        return;
    }
    // One that the scheduler has forgotten meanwhile spoils the others.
    for one in placed {
        let outcome = restrict(shared, std::slice::from_ref(&one)).await;
        tell(shared, one.0, outcome);
    }
}

/// Why it cannot be done. If the link fails nothing is known: then the tasks
/// are given back as they are, and may come again.
async fn restrict(shared: &Shared, tasks: &[(Key, Vec<&str>)]) -> Result<(), String> {
    let restrictions = tasks
        .iter()
        .map(|(key, able)| (key.into(), able.iter().copied().collect()))
        .collect();
    let request = Value::map([
        ("op", "set_restrictions".into()),
        ("reply", true.into()),
        ("worker", Value::Map(restrictions)),
    ]);
    match shared.pool.call(&shared.scheduler, &request).await {
        Err(error) if !error.is_lost_link() => Err(format!(
            "the task is not this worker's, and cannot be placed elsewhere: {error}"
        )),
        _ => Ok(()),
    }
}

fn tell(shared: &Shared, key: Key, outcome: Result<(), String>) {
    let handed_back = HandedBack { key, outcome };
    shared.mailbox.put(Mail::HandedBack(handed_back));
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
            let status = worker.get("status").and_then(Value::as_str)?;
            let stays = ["init", "running", "paused"].contains(&status);
            (stays && address != shared.address).then(|| Other {
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
