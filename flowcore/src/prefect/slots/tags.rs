//! Which tags a server limits, and slots for runs that have them.
//!
//! Invariant: a run without such a tag costs the server nothing. The limits
//! are asked for once, and again, beside what runs, when runs with tags come
//! later than [`FRESH`]. Only runs with a limited tag ask for slots, some at a
//! time, in the order in which they were ready. Source: `api.md` 11.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use super::{ServerSlots, Wanted, take};
use crate::limits::{self, TAG_PREFIX};
use crate::notified;
use crate::prefect::client::{ApiClient, ApiError};
use crate::prefect::{PrefectError, reporter};
use crate::runtime;

/// How long an answer is good enough.
const FRESH: Duration = Duration::from_secs(15);

/// How long the first runs with tags wait for the first answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many runs ask at a time; the others wait for their turn here.
const ASKING: usize = 8;

/// The server gives so many limits at once.
const PAGE: usize = 200;

static TAGS: Mutex<Tags> = Mutex::new(Tags {
    limited: None,
    asked_at: None,
});
static ANSWERED: Notify = Notify::const_new();
static TURNS: Semaphore = Semaphore::const_new(ASKING);

struct Tags {
    /// Names of limits; `None` before the first answer.
    limited: Option<HashSet<String>>,
    asked_at: Option<Instant>,
}

/// The names of the limits that a server may have for runs with these tags;
/// empty if it has none.
pub(crate) fn limits_of_tags<'a>(tags: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut tags = tags.peekable();
    if tags.peek().is_none() || reporter::of_process().is_none() {
        return Vec::new();
    }
    look_again();
    let known = TAGS.lock();
    let limited = known.limited.as_ref();
    let mut names: Vec<_> = limits::names_of_tags(tags)
        .filter(|name| limited.is_none_or(|limited| limited.contains(name)))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Takes a slot of each of these limits that the server has, for the task run
/// that `holder` gives when it comes to that; `None` if it has none of them.
pub(crate) async fn take_of_tags(
    mut names: Vec<String>,
    holder: impl FnOnce() -> Option<Uuid>,
) -> Result<Option<ServerSlots>, PrefectError> {
    if reporter::of_process().is_none() {
        return Ok(None);
    }
    look_again();
    let answered = notified::until(&ANSWERED, || TAGS.lock().limited.is_some());
    let answered = runtime::timeout(PATIENCE, answered).await;
    if answered.is_none() {
        unknown(&format!("no answer within {} s", PATIENCE.as_secs()));
    }
    {
        let known = TAGS.lock();
        let limited = known.limited.as_ref();
        names.retain(|name| limited.is_some_and(|limited| limited.contains(name)));
    }
    if names.is_empty() {
        return Ok(None);
    }
    let _turn = TURNS.acquire().await;
    let wanted = Wanted {
        names,
        slots: 1,
        is_rate: false,
        is_strict: false,
        holder: holder(),
    };
    let taken = take(wanted).await?;
    if taken.is_none() {
        // The others need not find out for themselves.
        TAGS.lock().limited = Some(HashSet::new());
    }
    Ok(taken)
}

/// Nobody waits any longer for the first answer: until the next one, there are
/// no limits.
fn unknown(problem: &str) {
    let mut tags = TAGS.lock();
    if tags.limited.is_none() {
        tags.limited = Some(HashSet::new());
        // That a server cannot be reached at all is told once, elsewhere.
        if matches!(ApiClient::of_process(), Ok(Some(client)) if client.was_answered()) {
            tracing::warn!(
                target: "flowcore::prefect",
                "limits of tags: {problem}; runs begin without them"
            );
        }
    }
}

/// Asks for the limits, if what is known is old.
fn look_again() {
    let now = Instant::now();
    {
        let mut tags = TAGS.lock();
        let is_fresh = |at: Instant| now.duration_since(at) < FRESH;
        if tags.asked_at.is_some_and(is_fresh) {
            return;
        }
        tags.asked_at = Some(now);
    }
    let Ok(Some(client)) = ApiClient::of_process() else {
        return;
    };
    runtime::process_service().spawn(async move {
        match ask_for_limits(&client).await {
            Ok(limited) => TAGS.lock().limited = Some(limited),
            // Whoever reports runs says what to set.
            Err(error) if error.is_unknown_user() => {
                TAGS.lock().limited.get_or_insert_default();
                tracing::debug!(target: "flowcore::prefect", "limits of tags: {error}");
            }
            Err(error) => unknown(&error.to_string()),
        }
        ANSWERED.notify_waiters();
    });
}

#[derive(Deserialize)]
struct Limit {
    name: String,
    active: bool,
}

/// The limits of tags that count.
async fn ask_for_limits(client: &ApiClient) -> Result<HashSet<String>, ApiError> {
    let mut limited = HashSet::new();
    // Before, the server counts tags itself, and only when it is asked to begin
    // a run.
    if !client.version().await?.records_events() {
        return Ok(limited);
    }
    for page in 0.. {
        let body = json!({"limit": PAGE, "offset": page * PAGE});
        let path = "/v2/concurrency_limits/filter";
        let found: Vec<Limit> = client.ask(path, &body).await?;
        let is_last = found.len() < PAGE;
        let of_tags = found
            .into_iter()
            .filter(|limit| limit.active && limit.name.starts_with(TAG_PREFIX));
        limited.extend(of_tags.map(|limit| limit.name));
        if is_last {
            break;
        }
    }
    Ok(limited)
}
