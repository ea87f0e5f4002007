//! Slots of the limits that a Prefect server keeps.
//!
//! Invariant: slots that were got go back, whoever stopped waiting for them:
//! when [`ServerSlots`] is dropped, or, if this process ends in between, when
//! the server's lease does. The process's end waits a little for those that are
//! on their way back.

mod lease;
mod returns;
mod tags;

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::client::{ApiClient, ApiError};
use super::{PrefectError, naming, reporter};
use crate::context::RunContext;
use crate::runner::note_waiting;
use crate::runtime;
use lease::Lease;
pub(super) use lease::renew_once;
pub(crate) use returns::settle;
pub(crate) use tags::{limits_of_tags, take_of_tags};

/// How long a server may be away before code goes on without its limits. One
/// with SQLite may wait a minute for its own database.
const PATIENCE: Duration = Duration::from_mins(2);

/// Until it is asked again for a slot that was not free, if it does not say.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long slots are held without news of who holds them, as in Prefect.
const HELD: Duration = Duration::from_mins(5);

/// What code wants of limits.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) names: Vec<String>,
    pub(crate) slots: u32,
    /// They come back by themselves.
    pub(crate) is_rate: bool,
    /// Without an answer, code does not go on.
    pub(crate) is_strict: bool,
    /// The task run that they are for, which the server shows.
    pub(crate) holder: Option<Uuid>,
}

/// Slots that a server gave.
#[derive(Debug)]
pub(crate) struct ServerSlots {
    /// The limits among those asked for that the server has.
    pub(crate) names: Vec<String>,
    /// They go back with it.
    _lease: Option<Lease>,
}

/// Takes slots of those limits that the server has, as soon as there are some;
/// `None` without a server. If the server cannot be reached for two minutes, code
/// goes on without its limits, with a warning, unless it is strict or its flow is
/// `api = required`.
pub(crate) async fn take(mut wanted: Wanted) -> Result<Option<ServerSlots>, PrefectError> {
    let what = named(&wanted.names);
    let is_required = wanted.is_strict
        || RunContext::current().is_some_and(|context| {
            let flow = context.flow().id();
            reporter::is_required(flow)
        });
    let Some(client) = ApiClient::of_process()? else {
        return Ok(None);
    };
    if wanted.is_strict
        && let Some(name) = wanted.names.iter().find(|name| !naming::is_taken(name))
    {
        return Err(PrefectError::Name {
            what: "concurrency limit",
            name: name.clone(),
            letter: naming::refused(name),
            rule: naming::RULE,
        });
    }
    wanted.names.retain(|name| naming::is_taken(name));
    if wanted.names.is_empty() {
        return Ok(None);
    }
    // What is asked for must not be lost when nobody waits for it any more.
    let (sender, mut receiver) = oneshot::channel();
    let _hold = runtime::hold();
    runtime::process_service().spawn(ask(client, wanted, sender));
    let answer = std::future::poll_fn(|context| {
        let polled = pin!(&mut receiver).poll(context);
        if polled.is_pending() {
            note_waiting();
        }
        polled
    });
    match answer.await {
        Ok(Ok(slots)) => Ok(Some(slots)),
        Ok(Err(error)) if error.may_pass() && !is_required => {
            tracing::warn!(target: "flowcore::prefect", "{error}; going on without {what}");
            Ok(None)
        }
        Ok(Err(error @ ApiError::Refused { .. })) => Err(error.into()),
        Ok(Err(error)) => Err(PrefectError::Server(format!("{what}: {error}"))),
        Err(_) => Err(PrefectError::Server(format!("{what}: the process ends"))),
    }
}

/// Why the server, if one is named, has none of these limits: what follows
/// that they do not exist.
pub(crate) fn why_unknown<'a>(names: impl Iterator<Item = &'a String>) -> String {
    if !matches!(ApiClient::of_process(), Ok(Some(_))) {
        return String::new();
    }
    let letters = names.filter_map(|name| naming::refused(name));
    let letters: BTreeSet<_> = letters.collect();
    let letters: Vec<_> = letters.into_iter().map(naming::shown).collect();
    if letters.is_empty() {
        return String::new();
    }
    let letters = letters.join(", ");
    format!(
        " (nor can it on the Prefect server, because of its {letters}: {})",
        naming::RULE
    )
}

fn named(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("concurrency limit {}", quoted.join(", "))
}

type Sender = oneshot::Sender<Result<ServerSlots, ApiError>>;

async fn ask(client: ApiClient, wanted: Wanted, mut sender: Sender) {
    let mut failing: Option<Instant> = None;
    loop {
        let wait = match increment(&client, &wanted).await {
            Ok(slots) => {
                // Nobody may be left: then they go back with the answer.
                let _ = sender.send(Ok(slots));
                return;
            }
            Err(ApiError::Locked { retry_after, .. }) => {
                failing = None;
                retry_after.unwrap_or(PAUSE).min(LONGEST_PAUSE)
            }
            Err(error) => {
                let since = *failing.get_or_insert_with(Instant::now);
                if !error.may_pass() || since.elapsed() > PATIENCE {
                    let _ = sender.send(Err(error));
                    return;
                }
                PAUSE
            }
        };
        let pause = pin!(tokio::time::sleep(wait.max(Duration::from_millis(20))));
        if let Either::Right(_) = select(pause, pin!(sender.closed())).await {
            return;
        }
    }
}

#[derive(Deserialize)]
struct Limit {
    name: String,
}

#[derive(Deserialize)]
struct Leased {
    lease_id: Option<String>,
    limits: Vec<Limit>,
}

async fn increment(client: &ApiClient, wanted: &Wanted) -> Result<ServerSlots, ApiError> {
    let Wanted {
        names,
        slots,
        is_rate,
        holder,
        ..
    } = wanted;
    let listed = |limits: Vec<Limit>| limits.into_iter().map(|limit| limit.name).collect();
    let mode = if *is_rate {
        "rate_limit"
    } else {
        "concurrency"
    };
    let mut body = json!({"names": names, "slots": slots, "mode": mode});
    if *is_rate || !client.version().await?.has_leases() {
        let path = "/v2/concurrency_limits/increment";
        let begin = Instant::now();
        let limits: Vec<Limit> = client.post_once(path, &body).await?;
        let lease = (!is_rate && !limits.is_empty())
            .then(|| Lease::counted(client, limits.iter().map(|one| &*one.name), *slots, begin));
        return Ok(ServerSlots {
            names: listed(limits),
            _lease: lease,
        });
    }
    body["lease_duration"] = json!(HELD.as_secs());
    if let Some(run) = holder {
        body["holder"] = json!({"type": "task_run", "id": run});
    }
    let path = "/v2/concurrency_limits/increment-with-lease";
    let answer: Leased = client.post_once(path, &body).await?;
    let lease = answer.lease_id.filter(|_| !answer.limits.is_empty());
    Ok(ServerSlots {
        names: listed(answer.limits),
        _lease: lease.map(|id| Lease::of_server(client, id, HELD)),
    })
}

/// The body that gives slots back to a server without leases.
fn decrement<'a>(names: impl Iterator<Item = &'a str>, slots: u32, held: Duration) -> Value {
    json!({
        "names": names.collect::<Vec<_>>(),
        "slots": slots,
        "occupancy_seconds": held.as_secs_f64(),
    })
}
